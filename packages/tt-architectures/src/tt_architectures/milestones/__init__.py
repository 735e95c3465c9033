"""Milestones: the networks of history, rebuilt with this tier.

Each runs as ``python -m tt_architectures.milestones.NAME``.
"""

__all__: list[str] = []
