"""How much memory a process and its descendants hold, for where no control group counts it.

Reads Linux's ``/proc``; where that says nothing, the answer is 0.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["memory_of"]

MOST_PROCESSES = 1000


def memory_of(process: int) -> int:
    """Bytes that a process and all its descendants hold, with what they share counted once."""
    todo, total, count = [process], 0, 0
    while todo and count < MOST_PROCESSES:
        folder = Path("/proc") / str(todo.pop())
        count += 1
        try:
            for task in (folder / "task").iterdir():
                todo += [int(child) for child in (task / "children").read_text().split()]
            total += _held(folder)
        except OSError:  # it ended meanwhile
            continue
    return total


def _held(folder: Path) -> int:
    try:
        for line in (folder / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # another user's
        pass
    _, resident, shared = (int(n) for n in (folder / "statm").read_text().split()[:3])
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
