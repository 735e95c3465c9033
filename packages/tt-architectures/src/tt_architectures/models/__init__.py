"""Models: whole networks made of this tier's layers."""
