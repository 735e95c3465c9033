"""The end-to-end pipeline of TinyTorch: load, train, evaluate, save, reload, report."""

from tt_capstone._version import __version__
from tt_capstone.pipeline import Config, Outcome, run

__all__ = ["Config", "Outcome", "__version__", "run"]
