"""The machine: its cores, its memory, and how this process uses them.

Policies here are asked for by commands and benchmarks; no import switches any on.
"""

from __future__ import annotations

import os
import platform
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

__all__ = [
    "available_cores", "describe", "keep_freed_memory", "num_threads", "parallel_blocks", "peak_memory_bytes",
    "reset_peak_memory", "set_num_threads",
]  # fmt: skip


def keep_freed_memory() -> bool:
    """Tell the allocator to keep what is freed for the next arrays, instead of paging fresh memory in every time.

    Large arrays made and dropped at every step cost up to 14 times their arithmetic in page faults otherwise. The
    price: memory once used stays with the process until it ends. Returns whether it took effect (glibc only).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    import ctypes

    mallopt = ctypes.CDLL(None).mallopt
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1) and mallopt(top_pad, 64 << 20))


def available_cores() -> int:
    """How many cores this process may use: its affinity, and its control group's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass  # no control groups of version 2: nothing else limits it
    return cores


class _Pool:
    """The one pool of threads, made when first needed, made anew after a fork."""

    def __init__(self) -> None:
        asked = os.environ.get("TT_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS", "")
        self.size = int(asked) if asked.isdigit() and int(asked) else available_cores()
        self.executor: ThreadPoolExecutor | None = None
        self.inside = threading.local()


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _pool.__init__())  # type: ignore[misc]  # a fresh start is meant


def num_threads() -> int:
    """The threads of :func:`parallel_blocks`: as many as ``TT_NUM_THREADS`` or ``OMP_NUM_THREADS`` says, or cores."""
    return _pool.size


def set_num_threads(count: int) -> None:
    """Use ``count`` threads from now on.

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"set_num_threads needs at least 1, got {count}")
    if _pool.executor is not None:
        _pool.executor.shutdown()
    _pool.executor, _pool.size = None, count


def parallel_blocks(function: Callable[[int, int], object], total: int, *, min_block: int = 1) -> None:
    """Run ``function(start, stop)`` over ``range(total)`` cut into blocks, one a thread, the caller's among them.

    From the first call that wakes a thread, NumPy's BLAS uses one thread: its own would fight with these, and those of
    OpenBLAS go on spinning for a tenth of a second after each product. A call from within a block runs in its own
    thread. Modes of the framework (gradients, backend) are per thread: blocks do plain NumPy.
    What the first block that failed raised is raised here, after all have ended.
    """
    count = min(_pool.size, total // max(min_block, 1))
    if count <= 1 or getattr(_pool.inside, "block", False):
        if total:
            function(0, total)
        return
    if _pool.executor is None:
        from threadpoolctl import threadpool_limits  # slow to import

        threadpool_limits(limits=1, user_api="blas")
        _pool.executor = ThreadPoolExecutor(_pool.size - 1, "tt-block")

    def block(i: int) -> None:
        _pool.inside.block = True
        try:
            function(total * i // count, total * (i + 1) // count)
        finally:
            _pool.inside.block = False

    futures = [_pool.executor.submit(block, i) for i in range(1, count)]
    errors: list[BaseException] = []
    try:
        block(0)
    except BaseException as error:
        errors.append(error)
    errors += [failure for future in futures if (failure := future.exception()) is not None]
    if errors:
        raise errors[0]


def peak_memory_bytes() -> int:
    """The most memory this process has had at once (Linux: VmHWM; elsewhere from getrusage)."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if platform.system() == "Darwin" else peak * 1024


def reset_peak_memory() -> bool:
    """Start :func:`peak_memory_bytes` again from the memory in use now; returns whether that is possible (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def describe() -> dict[str, str]:
    """What the machine is, for reports: processor, cores, Python, NumPy, BLAS and C library."""
    from threadpoolctl import threadpool_info

    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux: what platform says must do
    blas = [f"{p['internal_api']} {p['version']}" for p in threadpool_info() if p["user_api"] == "blas"]
    return {
        "cpu": cpu,
        "cores": str(available_cores()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": ", ".join(blas) or "unknown",
        "libc": " ".join(platform.libc_ver()).strip() or "unknown",
    }
