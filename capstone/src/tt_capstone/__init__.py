"""The end-to-end pipeline of TinyTorch: load, train, evaluate, save, reload, report."""

from tt_capstone._version import __version__
from tt_capstone.images import ImageOutcome
from tt_capstone.pipeline import Config, Outcome, run
from tt_capstone.text import TextOutcome

__all__ = ["Config", "ImageOutcome", "Outcome", "TextOutcome", "__version__", "run"]
