"""Cases of fits."""


def fits(rng, tt, show):
    """A line through random points."""
    x, y = rng.normal(size=5), rng.normal(size=5)
    show(x=x, y=y)
    line = tt.fitted(x, y)
    return {"slope": line.slope, "offset": line.offset}
