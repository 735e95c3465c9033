"""Cases of lines."""


def heights(rng, tt, show):
    """Heights at some places."""
    x = rng.normal(size=3)
    show(x=x)
    return {"heights": tt.Line(2.0, 1.0)(x)}


def steeper(rng, tt, show):
    """A steeper line's height."""
    return {"height": tt.steep(tt.Line(rng.normal(), 1.0))(2.0)}
