"""Names for what a submission did: for its author and the instructor, in a sentence each.

They explain; they decide nothing. No points hang on anything said here.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable

from tt_course.grading.sandbox import Limits
from tt_course.grading.session import Ending
from tt_course.runner import Failure

__all__ = ["TO_DO", "name_of_ending", "name_of_failure", "names_of_notes"]

TO_DO = "not written yet"
_SIGNALS = {
    signal.SIGXCPU: "killed: CPU time limit ({cpu_s} s)",
    signal.SIGXFSZ: "killed: file size limit ({file_bytes})",
    signal.SIGSEGV: "crashed: segmentation fault",
    signal.SIGBUS: "crashed: bus error",
    signal.SIGABRT: "crashed: it aborted",
    signal.SIGSYS: "killed: a system call that the sandbox does not know",
}


def _filled(text: str, limits: Limits) -> str:
    sizes = {
        name: _size(getattr(limits, name)) for name in ("memory_bytes", "file_bytes", "printed_bytes", "result_bytes")
    }
    times = {name: f"{getattr(limits, name):g}" for name in ("cpu_s", "load_s", "case_s", "wall_s")}
    return text.format(**sizes, **times, processes=limits.processes, open_files=limits.open_files)


def _size(count: int) -> str:
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= factor:
            return f"{count / factor:g} {unit}"
    return f"{count:,} bytes"


def name_of_ending(ending: Ending, limits: Limits) -> str:
    """What a process that ended before its results were there did, or what was done to it."""
    if ending.stopped == "memory" or ending.hit_memory:
        text = "killed: memory limit ({memory_bytes} for all its processes)"
    elif ending.stopped == "case":
        text = "killed: ran longer than {case_s} s and did not stop when asked to (an endless loop?)"
    elif ending.stopped == "load":
        text = "killed: did not load within {load_s} s"
    elif ending.stopped == "closed":
        text = "killed: closed the pipe for its results and went on"
    elif ending.stopped == "wall":
        text = "killed: the submission as a whole ran longer than {wall_s} s"
    elif ending.stopped == "printed":
        text = "killed: printed more than {printed_bytes}"
    elif ending.stopped == "results":
        text = "killed: more than {result_bytes} came in place of results"
    elif ending.stopped == "damaged":
        return f"killed: wrote into the results what is no result ({ending.damage})"
    elif ending.code < 128:
        return f"ended itself with exit code {ending.code} before returning results"
    elif (ended := _SIGNALS.get(ending.code - 128)) is not None:  # type: ignore[call-overload]  # signals are ints
        text = ended
    elif ending.code == 128 + signal.SIGKILL and ending.seconds >= limits.cpu_s:
        text = "killed: CPU time limit ({cpu_s} s), after it ignored the warning"
    else:
        return f"was ended by signal {ending.code - 128}, or ended itself so, before returning results"
    return _filled(text, limits)


def name_of_failure(failure: Failure, limits: Limits, reference: str, absent: Iterable[str]) -> str:
    """What an error that came out of a submission is about.

    Args:
        failure: as it was described inside.
        limits: that were set.
        reference: the graded module's full name.
        absent: what cannot be imported inside.
    """
    kind, message = failure.kind, failure.message
    said = f"{kind}: {message}" if message else kind
    package, _, stem = reference.partition(".")
    if kind == "NotImplementedError":
        return f"{TO_DO}: {message}" if message else TO_DO
    if kind in ("MemoryError", "_ArrayMemoryError"):
        return _filled(f"memory limit: it asked for more than {{memory_bytes}} ({_escaped(said)})", limits)
    if kind == "out of time":
        return _filled("out of time: stopped after {case_s} s", limits)
    if kind == "SystemExit":
        return f"ended itself by SystemExit({message}) instead of returning results"
    if kind == "BlockingIOError" or "can't start new thread" in message:
        return _filled(f"process limit: at most {{processes}} processes ({_escaped(said)})", limits)
    if kind in ("gaierror", "herror") or re.search(r"Network is unreachable|Address family not supported", message):
        return f"tried the network: refused ({said})"
    if kind in ("ModuleNotFoundError", "PackageNotFoundError"):
        wanted = re.search(r"No module named '([\w.]+)'|found for '?([\w.-]+)'?", message)
        name = next(filter(None, wanted.groups()), "") if wanted else ""
        if {name, name.partition(".")[0], name.replace("-", "_")} & {package, reference, *absent}:
            return f"imported what would answer for it: absent here ({said})"
        return said
    if kind == "ZipImportError":
        return f"looked for the reference: absent here ({said})"
    if kind in ("FileNotFoundError", "NotADirectoryError"):
        places = rf"\b{re.escape(stem.rpartition('.')[2])}(\.[\w-]+)?\.pyc?\b|\b{re.escape(package)}\b"
        if re.search(rf"{places}|site-packages|__pycache__|RECORD|\.whl", message):
            return f"looked for the reference: absent here ({said})"
        if "/proc" in message:
            return f"looked into other processes: there is no /proc here ({said})"
    if kind in ("PermissionError", "OSError") and re.search(
        r"Read-only file system|Permission denied|Operation not permitted", message
    ):
        return f"tried what is refused here ({said})"
    return said


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


_NOTES = {
    "file": "looked at or wrote files outside its scratch folder: {0}",
    "frames": "looked into the frames or objects of the process that runs it, which holds no answers: {0}",
    "import": "tried to import what is absent here: {0}",
    "native": "loaded native code: {0}",
    "network": "tried the network, and there is none: {0}",
    "patched": "changed functions of others, on which no result depends: {0}",
    "process": "started or signalled processes, which ended with it: {0}",
    "reference": "looked for the reference's files, which are absent here: {0}",
    "results": "wrote results of its own: {0}",
}


def names_of_notes(notes: Iterable[tuple[str, str]], ending_notes: Iterable[str] = ()) -> list[str]:
    """What was noted, a line for each kind."""
    by_kind: dict[str, list[str]] = {}
    for kind, detail in notes:
        if kind in _NOTES and detail not in by_kind.setdefault(kind, []):
            by_kind[kind].append(detail)
    lines = []
    for kind, details in sorted(by_kind.items()):
        more = f" and {len(details) - 5} more" if len(details) > 5 else ""
        lines.append(_NOTES[kind].format(", ".join(details[:5]) + more))
    return [*lines, *ending_notes]
