"""Grading: runs submissions that nobody can trust, and gives points for what their code returned.

A submission runs in a sandbox that holds no answers; its results come back as data and are compared here, with results
that the reference gave in a process of its own.
"""

from __future__ import annotations

__all__: list[str] = []
