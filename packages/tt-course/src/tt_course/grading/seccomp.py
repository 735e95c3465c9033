"""The system calls that a sandboxed program is refused, as a filter for the kernel.

The sandbox's namespaces and its unprivileged user hold by themselves; this takes away what would let a program ask the
kernel for more of either (new namespaces, mounts), look into another process, or hold memory that no limit counts.
Written as classic BPF by hand, since a list of numbers needs no library. Knows nothing of bubblewrap or of Python.

Source: seccomp(2); the call numbers are those of ``asm/unistd.h``.
"""

from __future__ import annotations

import errno
import platform
import struct

__all__ = ["REFUSED", "seccomp_filter"]

# name: (x86_64, aarch64)
REFUSED: dict[str, tuple[int, int]] = {
    "add_key": (248, 217),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "request_key": (249, 218),
    "semget": (64, 190),
    "setns": (308, 268),
    "shmget": (29, 194),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
_CLONE = (56, 220)
_CLONE3 = (435, 435)
# CLONE_NEWTIME is left out: clone() cannot ask for it.
_NEW_NAMESPACES = 0x7E020000
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16


def seccomp_filter(machine: str | None = None) -> bytes | None:
    """The filter for a kind of machine (by default this one), as an array of ``struct sock_filter``.

    None where that machine's numbers are not known. A refused call fails with EPERM; ``clone3``, whose flags a filter
    cannot see, with ENOSYS, so that the C library falls back to ``clone``. A call made by another architecture's
    convention ends the program.
    """
    if (known := _ARCHITECTURES.get(machine or platform.machine())) is None:
        return None
    column, audit = known
    refused = sorted(numbers[column] for numbers in REFUSED.values())
    # Each line: code, jump if true, jump if false, operand; jumps to the returns are filled in below.
    lines: list[tuple[int, str, str, int]] = [
        (_LOAD, "", "", _ARCHITECTURE_AT),
        (_EQUAL, "", "kill", audit),
        (_LOAD, "", "", _NUMBER_AT),
        (_AT_LEAST, "refuse", "", 0x40000000),  # the x32 convention, on x86_64
        (_EQUAL, "absent", "", _CLONE3[column]),
        *((_EQUAL, "refuse", "", number) for number in refused),
        (_EQUAL, "", "allow", _CLONE[column]),
        (_LOAD, "", "", _FIRST_ARGUMENT_AT),
        (_ANY_BIT, "refuse", "allow", _NEW_NAMESPACES),
    ]
    returns = {"allow": _ALLOW, "refuse": _ERRNO | errno.EPERM, "absent": _ERRNO | errno.ENOSYS, "kill": _KILL}
    places = {name: len(lines) + i for i, name in enumerate(returns)}

    def jump(target: str, at: int) -> int:
        return places[target] - at - 1 if target else 0

    words = [struct.pack("=HBBI", code, jump(yes, i), jump(no, i), k) for i, (code, yes, no, k) in enumerate(lines)]
    return b"".join(words + [struct.pack("=HBBI", _RETURN, 0, 0, value) for value in returns.values()])
