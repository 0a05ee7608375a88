"""The curves of a training run as charts: lists of numbers in, SVG for the page out.

Which metrics share a chart is data, see `draw_charts`: a method declares it where it declares what it logs.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from simrefine.evaluation.markup import is_number, minus, number, text
from simrefine.methods.logged import OF_EVERY_RUN

CURVE_POINTS = 200  # at most; a longer curve is cut into so many parts, and each part shown as its mean
HELD_OUT = "held_out/"  # what these metrics measure is the same for every method, so no method declares them

WIDTH, HEIGHT = 340, 190  # of a chart, in units of its own
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 8, 34  # margins around the axes

Chart = tuple[str, str, Mapping[str, str], str]  # title, unit, {metric: its name in the legend}, what to look for


def draw_charts(curves: Mapping[str, Sequence], charts: Sequence[Chart]) -> str:
    """A list of charts as HTML, empty where there is nothing to draw.

    Args:
        curves: "step" and the metrics, lists of equal length with None where a metric was not measured.
        charts: those to draw, in this order; metrics that are in none are not shown, except those whose name begins
            with HELD_OUT: each of them has a chart of its own.
    """
    look_for = {entry.name: entry.look_for for entry in OF_EVERY_RUN}
    held_out = [(name, "", {name: name}, look_for.get(name, "")) for name in curves if name.startswith(HELD_OUT)]
    figures = []
    for title, unit, metrics, good in (*charts, *held_out):
        measured = {label: _points(curves.get("step"), curves.get(name)) for name, label in metrics.items()}
        lines = {label: points for label, points in measured.items() if len(points) > 1}
        if lines:
            figures.append(f"<li>{_chart(title, unit, lines, good)}</li>")
    return '<ul class="charts">\n' + "\n".join(figures) + "\n</ul>" if figures else ""


def _points(steps: Sequence | None, values: Sequence | None) -> np.ndarray:
    """The finite points of one curve, thinned: [n, 2] of step and value, n <= CURVE_POINTS."""
    values = values or []
    pairs = zip(steps or range(len(values)), values, strict=False)
    points = np.array([pair for pair in pairs if is_number(pair[0]) and is_number(pair[1])], float).reshape(-1, 2)
    if len(points) > CURVE_POINTS:
        points = np.array([part.mean(axis=0) for part in np.array_split(points, CURVE_POINTS)])
    return points


class _Axes:
    """Where steps and values lie in a chart that holds all of `points`, [n, 2] of step and value."""

    def __init__(self, points: np.ndarray):
        (self.first, low), (last, high) = points.min(axis=0), points.max(axis=0)
        self.steps, self.values = _ticks(self.first, last), _ticks(low, high)
        self.last = max(last, self.first + 1)

    def x(self, step: float) -> float:
        return LEFT + (step - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.values[0], self.values[-1]
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def draw(self) -> str:
        shapes = []
        for value in self.values:
            y = self.y(value)
            shapes.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            shapes.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_tick(value, self.values)}</text>')
        for step in self.steps:
            if self.first <= step <= self.last:
                x = self.x(step)
                place = f'x="{x:.1f}" y="{HEIGHT - 19}" text-anchor="{"end" if x > WIDTH - 20 else "middle"}"'
                shapes.append(f"<text {place}>{_tick(step, self.steps)}</text>")
        shapes.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 3}" text-anchor="middle">step</text>')
        return "".join(shapes)


def _chart(title: str, unit: str, lines: Mapping[str, np.ndarray], good: str) -> str:
    axes = _Axes(np.concatenate(list(lines.values())))
    paths, spoken, keys = [], [], []
    for place, (label, points) in enumerate(lines.items()):
        path = "L".join(f"{axes.x(step):.1f} {axes.y(value):.1f}" for step, value in points)
        paths.append(f'<path class="line line-{place}" d="M{path}"/>')
        spoken.append(f"{text(label)} from {number(points[0, 1])} to {number(points[-1, 1])}")
        sample = f'<svg viewBox="0 0 24 8" aria-hidden="true"><path class="line line-{place}" d="M0 4H24"/></svg>'
        keys.append(f'<span class="key">{sample}{text(label)}</span>')
    heading = f"<b>{text(title)}</b>" + (f' <span class="quiet">{text(unit)}</span>' if unit else "")
    legend = f"<div>{''.join(keys)}</div>" if len(lines) > 1 else ""
    aim = f'<div class="quiet">Look for: {text(good)}.</div>' if good else ""
    steps = f"steps {number(round(axes.first))} to {number(round(axes.last))}"
    return (
        f'<figure><figcaption>{heading}{legend}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{text(title)}, {text(unit)}, {steps}: {"; ".join(spoken)}">'
        f"{axes.draw()}{''.join(paths)}</svg>{aim}</figure>"
    )


def _ticks(low: float, high: float) -> np.ndarray:
    """Round numbers, 3 to 6 of them, of which the first and the last enclose [low, high]."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 4 >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return np.arange(first, max(last, first + 1) + 1) * step


def _tick(value: float, ticks: np.ndarray) -> str:
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    return minus(f"{value:.{decimals}f}")
