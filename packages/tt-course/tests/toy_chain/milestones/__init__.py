"""Programs of history."""
