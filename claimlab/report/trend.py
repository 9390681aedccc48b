"""A claim's effect and cost over the last runs as a small inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from claimlab.records.history import Past, Point
from claimlab.report import words

SECONDS = "seconds"
_WIDTH, _ROW, _LEFT, _RIGHT = 360, 34, 96, 60


def trend(claim: str, *, version: int, history: Sequence[Past]) -> Markup:
    """The first metric's mean and the seconds of the runs of this version of the claim; empty for fewer than two."""
    points = [past.claims[claim] for past in history if claim in past.claims]
    points = [point for point in points if point.version == version]
    if len(points) < 2:
        return Markup("")
    metric = next((name for name in points[-1].effects if all(name in point.effects for point in points)), None)
    rows = [] if metric is None else [(metric, [point.effects[metric] for point in points])]
    rows.append((SECONDS, [point.seconds for point in points]))
    drawn = Markup("").join(_row(place, name, values, points) for place, (name, values) in enumerate(rows))
    said = "; ".join(f"{name} from {_said(name, values[0])} to {_said(name, values[-1])}" for name, values in rows)
    return Markup(
        '<svg class="path" viewBox="0 0 {} {}" role="img" aria-label="The last {} runs: {}.">{}</svg>'
    ).format(_WIDTH, _ROW * len(rows), len(points), said, drawn)


def _row(place: int, name: str, values: Sequence[float], points: Sequence[Point]) -> Markup:
    low, high = min(0.0, *values), max(0.0, *values)
    span = high - low or 1.0
    top, height = place * _ROW + 6, _ROW - 12

    def at(number: int, value: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * number / (len(values) - 1)
        return round(x, 1), round(top + height * (high - value) / span, 1)

    places = [at(number, value) for number, value in enumerate(values)]
    line = Markup('<polyline style="stroke:var(--c0)" points="{}"/>').format(" ".join(f"{x},{y}" for x, y in places))
    dots = Markup("").join(
        Markup('<circle style="stroke:var(--{})" cx="{}" cy="{}" r="3"/>').format(colour, *where)
        for colour, where in _dots(places, points)
    )
    zero = at(0, 0.0)[1]
    return Markup(
        '<line class="zero" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>{}{}'
        '<text x="{}" y="{}">{}</text>'
    ).format(
        _LEFT, _WIDTH - _RIGHT, zero, zero, _LEFT - 8, top + height / 2 + 4, name[:14], line, dots,
        _WIDTH - _RIGHT + 8, places[-1][1] + 4, _said(name, values[-1]),
    )  # fmt: skip


def _said(name: str, value: float) -> str:
    return words.seconds(value) if name == SECONDS else words.value(value)


def _dots(places: Sequence[tuple[float, float]], points: Sequence[Point]) -> list[tuple[str, tuple[float, float]]]:
    """The last run, and each that did not confirm the finding, in red."""
    red = [("red", place) for place, point in zip(places, points, strict=True) if not point.confirmed]
    return red if red and red[-1][1] == places[-1] else [*red, ("c0", places[-1])]
