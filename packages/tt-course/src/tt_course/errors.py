"""What goes wrong on the way of a learner or of a course's author, as one clear sentence.

The commands print these; nothing else of the engine prints an error.
"""

from __future__ import annotations

__all__ = ["CourseError"]


class CourseError(Exception):
    """A sentence that says what is wrong, and perhaps a ``hint`` that says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
