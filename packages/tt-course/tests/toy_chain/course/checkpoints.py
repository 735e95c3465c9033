"""What a framework can do."""


def environment(rng, tt, show):
    """A program runs."""
    return {"sum": rng.normal() + 1}


def lines(rng, tt, show):
    """A line has heights."""
    line = tt.Line(rng.normal(), 1.0)
    return {"height": tt.steep(line)(rng.normal(size=3))}
