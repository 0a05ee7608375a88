"""The result of an evaluation as one HTML page: the verdict first, then faces to compare, tables and curves.

In go the dictionary that is also written as evaluation.json and some faces; out comes a file that opens from a disk
and loads nothing. Each part of the result may be missing, and each text from outside is escaped.
"""

import base64
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from simrefine.data.images import Picture, encode_picture
from simrefine.files import write_file
from simrefine.training.montage import DIFFERENCE_GAIN, difference

GALLERY_FACES = 12  # at most, evenly spread over what is given
MAX_PNG_SIDE = 128  # px; larger pictures become JPEG, or the page would weigh tens of megabytes
TILE_SIDE = 256  # px; smaller pictures are enlarged with visible pixels, as smoothing would hide what was refined
CURVE_POINTS = 200  # at most; each is then the mean of its neighbours
PERCENT = "\N{NO-BREAK SPACE}%"
SAME = 0.01  # a distance that changed by a smaller share is called unchanged

# What one chart of the training run shows: title, unit, and metric -> its name in the legend.
CHARTS = (
    ("Change", "mean, gray levels", {"refiner/change": "change"}),
    ("Realism", "loss of the refiner", {"refiner/realism": "realism"}),
    ("Self-regularisation", "loss of the refiner", {"refiner/self_regularisation": "self-regularisation"}),
    (
        "Discriminator",
        "share of patches told right",
        {
            "discriminator/accuracy_real": "real",
            "discriminator/accuracy_refined": "refined",
            "discriminator/accuracy_history": "earlier refined",
        },
    ),
    ("Discriminator", "loss", {"discriminator/loss": "loss"}),
    ("Diversity", "spread of refined / spread of raw", {"refiner/diversity": "diversity"}),
)
UNSHOWN_METRICS = ("step", "refiner/loss", "history/", "time/")  # sums, and what says nothing of quality

_MARKS = {  # paths in a 32 x 32 disc
    "yes": ("Yes, refining helped", "M9.5 16.5l4.5 4.5 9-10"),
    "no": ("No, refining did not help", "M11 11l10 10M21 11L11 21"),
    "unknown": ("No clear answer", "M12 12.5a4 4 0 1 1 5.6 3.7c-1 .5-1.6 1.2-1.6 2.8M16 23.4v.2"),
}


@dataclass
class Gallery:
    """Faces for the page.

    Args:
        names: n file names.
        raw, refined: uint8 [n, h, w, c] each, in the order of `names`.
        worst: the faces whose labels drifted most, worst first: name, percent of the labels' unit, index into `raw`.
    """

    names: Sequence[str]
    raw: np.ndarray
    refined: np.ndarray
    worst: Sequence[tuple[str, float, int]] = field(default_factory=list)


def write_report(path: Path, result: dict, gallery: Gallery | None = None) -> None:
    """Writes the page of `result` to `path`: complete or not at all.

    Args:
        path: the HTML file.
        result: what evaluation.json holds; a part that is missing, None or empty is left out of the page.
        gallery: faces to look at; None leaves them out.

    Raises:
        UserError: the file cannot be written.
    """
    template = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    sign = _sign(result)
    page = Template(template).substitute(
        title=f"{_MARKS[sign][0]} · simrefine",
        style_hash=_hash_of("style", template),
        script_hash=_hash_of("script", template),
        body=_body(result, gallery, sign),
    )
    # A file name that is no valid UTF-8 reaches Python as lone surrogates, which cannot be encoded again.
    write_file(Path(path), page.encode("utf-8", "replace"))


def _body(result: dict, gallery: Gallery | None, sign: str) -> str:
    if gallery is not None and not len(gallery.names):
        gallery = None
    parts = [
        ("faces", "Faces", "before and after", _faces(gallery)),
        ("realism", "Realism", "are the refined faces more like photographs?", _realism(_part(result, "realism"))),
        ("labels", "Labels", "do they still hold?", _labels(_part(result, "labels"), gallery)),
        ("usefulness", "Usefulness", "what does a network learn from them?", _usefulness(_part(result, "usefulness"))),
        ("training", "Training", "how did the run go?", _curves(_part(result, "curves"))),
        ("setup", "Setup", "what was evaluated, and with what?", _setup(result)),
    ]
    parts = [part for part in parts if part[3]]
    links = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _, _ in parts)
    sections = "\n".join(
        f'<section id="{key}" aria-labelledby="{key}-title">\n'
        f'<h2 id="{key}-title">{title}: <span class="quiet">{question}</span></h2>\n{content}\n</section>'
        for key, title, question, content in parts
    )
    navigation = f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>' if parts else ""
    return (
        f"<header>\n{_verdict(_part(result, 'verdict'), sign)}\n{navigation}\n</header>\n"
        f"<main>\n{_cards(result)}\n{sections}\n</main>\n"
        "<footer><p>Made by simrefine. The same numbers are in evaluation.json.</p></footer>"
    )


# ---- the verdict and the key numbers


def _sign(result: dict) -> str:
    return {True: "yes", False: "no"}.get(_part(result, "verdict").get("helped"), "unknown")


def _verdict(verdict: dict, sign: str) -> str:
    word, mark = _MARKS[sign]
    sentence = verdict.get("sentence") or "The parts that a verdict needs were not evaluated."
    reasons = "".join(f"<li>{_sentence(reason)}</li>" for reason in verdict.get("reasons") or [])
    return (
        f'<p class="sign {sign}"><svg viewBox="0 0 32 32" aria-hidden="true"><circle class="disc" cx="16" cy="16" '
        f'r="16"/><path class="mark" d="{mark}"/></svg>{word}</p>\n<h1>{_sentence(sentence)}</h1>'
        + (f'\n<ul class="reasons">{reasons}</ul>' if reasons else "")
    )


def _cards(result: dict) -> str:
    realism, labels, usefulness = (_part(result, name) for name in ("realism", "labels", "usefulness"))
    raw, refined = _part(realism, "raw"), _part(realism, "refined")
    cards = []
    distance, distance_raw = (_part(one, "swd").get("mean") for one in (refined, raw))
    if _is_number(distance):
        change = _change(distance_raw, distance)
        note = f"sliced Wasserstein distance; raw {_number(distance_raw)}{change and ', so ' + change}"
        cards.append(("Distance to real faces", _number(distance), note))
    told, told_raw = _part(refined, "auc"), _part(raw, "auc")
    if _is_number(told.get("auc")):
        interval = _interval(told)
        shown = f", interval {interval}" if interval else ""
        note = f"AUC of a classifier{shown}; raw {_number(told_raw.get('auc'))}; 0.5 is chance"
        cards.append(("Told from real faces", _number(told["auc"]), note))
    if _is_number(labels.get("percent_median")):
        note = f"of the {_text(labels.get('unit', 'image'))}, median"
        if _is_number(labels.get("percent_p95")):
            note += f"; 95 of 100 moved less than {_number(labels['percent_p95'])}{PERCENT}"
        cards.append(("Labels moved by", f"{_number(labels['percent_median'])}<small>{PERCENT}</small>", note))
    sets = _part(usefulness, "sets")
    error, error_raw = (_part(_part(sets, name), "error") for name in ("refined", "raw"))
    if _is_number(error.get("mean")):
        note = f"{_text(usefulness.get('unit', 'error'))}; trained on raw: {_spread(error_raw)}"
        cards.append(("Error on real faces", _spread(error), note))
    closed = error.get("gap_closed")
    if _is_number(closed):
        note = "of the way from training on raw to training on real"
        adapted = _part(_part(sets, "refined"), "adapted").get("gap_closed")
        if _is_number(adapted):
            note += f"; {_share(adapted)} with adapted labels"
        cards.append(("Gap closed", _share(closed).replace(PERCENT, f"<small>{PERCENT}</small>"), note))
    items = "".join(
        f'<li><p class="label">{label}</p><p class="value">{value}</p><p class="note">{note}</p></li>'
        for label, value, note in cards
    )
    return f'<ul class="cards" aria-label="Key numbers">{items}</ul>' if items else ""


# ---- the parts of the page


def _faces(gallery: Gallery | None) -> str:
    if gallery is None:
        return ""
    count = len(gallery.names)
    chosen = np.unique(np.linspace(0, count - 1, min(count, GALLERY_FACES)).round().astype(int))
    views = "".join(
        f'<label><input type="radio" name="view" id="view-{key}"{" checked" * (key == "slider")}>{label}</label>'
        for key, label in {
            "slider": "Slider",
            "raw": "Raw",
            "refined": "Refined",
            "difference": f"Difference × {DIFFERENCE_GAIN}",
        }.items()
    )
    tiles = (_tile(gallery, index, f'<span class="name">{_text(gallery.names[index])}</span>') for index in chosen)
    return (
        "<p>Raw is left of the divider and refined right of it. Drag it, or focus it and use the arrow keys. "
        f"The difference is shown {DIFFERENCE_GAIN} times as strong around mid-gray: gray is unchanged.</p>\n"
        f'<fieldset class="views"><legend class="hidden">What all faces on this page show</legend>{views}</fieldset>\n'
        f"{_tiles(tiles, gallery)}"
    )


def _tiles(tiles: Iterable[str], gallery: Gallery) -> str:
    enlarged = " pixelated" if gallery.raw.shape[2] < TILE_SIDE else ""
    return f'<ul class="tiles{enlarged}">\n' + "\n".join(f"<li>{tile}</li>" for tile in tiles) + "\n</ul>"


def _tile(gallery: Gallery, index: int, caption: str) -> str:
    raw, refined = gallery.raw[index], gallery.refined[index]
    name = _text(gallery.names[index])
    height, width = raw.shape[:2]
    size = f'width="{width}" height="{height}"'
    return (
        '<figure><div class="stack">'
        f'<img class="raw" {size} alt="{name}, raw" src="{_data_uri(raw)}">'
        f'<img class="refined" {size} alt="{name}, refined" src="{_data_uri(refined)}">'
        f'<img class="difference" {size} alt="{name}, refined minus raw" src="{_data_uri(difference(raw, refined))}">'
        '<span class="badge left" aria-hidden="true">raw</span>'
        '<span class="badge right" aria-hidden="true">refined</span>'
        f'<input type="range" min="0" max="100" value="50" autocomplete="off" aria-label="Divider of {name}">'
        f"</div><figcaption>{caption}</figcaption></figure>"
    )


def _realism(realism: dict) -> str:
    raw, refined, real = (_part(realism, name) for name in ("raw", "refined", "real"))

    def named(part: str, label: Callable[[str], str], aim: Any = None) -> list[list[str]]:
        """The rows of the numbers that raw and refined have by name under `part`, beside those of real."""
        before, after, goals = (_part(one, part) for one in (raw, refined, real))
        names = dict.fromkeys([*before, *after])
        return [_compared(label(name), before.get(name), after.get(name), goals.get(name), aim=aim) for name in names]

    aucs, kids = ([_part(one, name) or None for one in (raw, refined)] for name in ("auc", "kid"))
    rows = [
        # A distance can always be less: what halves of real faces are apart is shown, but is no aim to stop at.
        *named("swd", lambda name: f"SWD, {name} px" if name.isdigit() else f"SWD, {_text(name)}", aim=0),
        _compared("AUC of a classifier", *aucs, 0.5, _auc, lambda told: told.get("auc")),
        _compared("FID", raw.get("fid"), refined.get("fid"), 0),
        _compared("KID", *kids, 0, _spread, lambda kid: kid.get("mean")),
        _compared("Colour gap, gray levels", *(_part(one, "gap").get("colour_gap") for one in (raw, refined)), 0),
        *named("statistics", _words),
    ]
    rows = [row for row in rows if row]
    if not rows:
        return ""
    caption = (
        "Distances to the photographs, then statistics of the pictures. SWD is the sliced Wasserstein distance of "
        "patches at each scale; under real stands what two halves of the photographs are apart. "
        "The last column compares the way to real, or to the ideal, with that of raw."
    )
    return _table(caption, ["Measure", "Raw", "Refined", "Real, ideal", "Refined is"], rows)


def _labels(labels: dict, gallery: Gallery | None) -> str:
    unit = _text(labels.get("unit", "image"))
    rows = []
    for label, median, p95 in (
        (f"Displacement, % of the {unit}", "percent_median", "percent_p95"),
        ("Displacement, pixels", "pixels_median", "pixels_p95"),
        (f"Shift of a network's predictions, % of the {unit}", "predicted_percent_median", "predicted_percent_p95"),
        ("Edge agreement, 1 is perfect", "edge_agreement_median", None),
    ):
        if labels.get(median) is not None or labels.get(p95) is not None:
            rows.append([label, _number(labels.get(median)), _number(labels.get(p95)) if p95 else ""])
    table = ""
    if rows:
        caption = "How far the picture moved between raw and refined at the label points."
        table = _table(caption, ["Measure", "Median", "95th percentile"], rows)
    worst = ""
    if gallery is not None and gallery.worst:
        tiles = (
            _tile(gallery, index, f'<b>{_number(percent)}{PERCENT}</b><span class="name">{_text(name)}</span>')
            for name, percent, index in gallery.worst
        )
        worst = _tiles(tiles, gallery)
    elif labels.get("worst"):
        names = [[f'<span class="name">{_text(name)}</span>', _number(percent)] for name, percent in labels["worst"]]
        worst = _table("Faces by displacement.", ["Face", f"% of the {unit}"], names)
    return table + (f"\n<h3>Where labels drifted most, % of the {unit}</h3>\n{worst}" if worst else "")


def _usefulness(usefulness: dict) -> str:
    sets = {name: one for name, one in _part(usefulness, "sets").items() if isinstance(one, dict)}
    columns = []  # of the table: a heading, and a cell for each set
    for key, title in (("error", "Error"), ("adapted", "Adapted labels")):
        means = {name: _part(one, key)["mean"] for name, one in sets.items() if _is_number(_part(one, key).get("mean"))}
        if not means:
            continue
        # Real faces are the bound that the others are measured by, so they do not compete.
        rivals = {name: mean for name, mean in means.items() if name != "real"}
        best = min(rivals, key=rivals.get) if len(rivals) > 1 else None
        columns.append((title, [_spread(_part(one, key), best=name == best) for name, one in sets.items()]))
        columns.append(("Gap closed", [_share(_part(one, key).get("gap_closed")) for one in sets.values()]))
    if not columns:
        return ""
    seeds = usefulness.get("seeds") or []
    caption = (
        f"{_text(usefulness.get('unit', 'Error'))}, on real faces that no network was trained on: lower is better. "
        + (f"Mean ± standard deviation over {len(seeds)} seeds. " if seeds else "Mean ± standard deviation. ")
        + "Gap closed: the share of the way from raw to real."
    )
    rows = [[_text(name), *cells] for name, *cells in zip(sets, *(cells for _, cells in columns), strict=True)]
    return _table(caption, ["Trained on", *(title for title, _ in columns)], rows)


def _setup(result: dict) -> str:
    tables, config = [], ""
    inputs = _part(result, "inputs")
    folders = [
        [_text(name), f'<span class="name">{_text(one.get("folder", ""))}</span>', _number(one.get("count"))]
        for name, one in inputs.items()
        if isinstance(one, dict)
    ]
    if folders:
        size, channels = inputs.get("size"), inputs.get("channels")
        how = f"Compared at {_number(size)} × {_number(size)} px" if size else "What was compared"
        how += {1: ", in gray", 3: ", in colour"}.get(channels, "")
        tables.append(_table(f"{how}.", ["Set", "Folder", "Images"], folders))
    if seconds := _part(result, "seconds"):
        rows = [[_words(name), _number(value)] for name, value in seconds.items()]
        tables.append(_table("Time the evaluation took.", ["Part", "Seconds"], rows))
    if versions := _part(result, "versions"):
        rows = [[_text(name), _text(version)] for name, version in versions.items()]
        tables.append(_table("Versions.", ["Name", "Version"], rows))
    if result.get("config"):
        config = (
            "<details><summary>Configuration of the training run</summary>"
            f'<pre tabindex="0">{_text(result["config"])}</pre></details>'
        )
    return f'<div class="beside">{"".join(tables)}</div>{config}' if tables or config else ""


# ---- curves


def _curves(curves: dict) -> str:
    known = {metric for _, _, metrics in CHARTS for metric in metrics}
    others = [name for name in curves if name not in known and not name.startswith(UNSHOWN_METRICS)]
    charts = [*CHARTS, *((name, "", {name: name}) for name in others)]
    figures = []
    for title, unit, metrics in charts:
        lines = {
            label: points
            for metric, label in metrics.items()
            if len(points := _points(curves.get("step"), curves.get(metric))) > 1
        }
        if lines:
            figures.append(f"<li>{_chart(title, unit, lines)}</li>")
    return '<ul class="charts">\n' + "\n".join(figures) + "\n</ul>" if figures else ""


def _points(steps: list | None, values: list | None) -> np.ndarray:
    """The finite points of one curve, thinned: [n, 2] of step and value, n <= CURVE_POINTS."""
    values = values or []
    pairs = zip(steps or range(len(values)), values, strict=False)
    points = np.array([pair for pair in pairs if _is_number(pair[0]) and _is_number(pair[1])], float).reshape(-1, 2)
    if len(points) > CURVE_POINTS:
        points = np.array([part.mean(axis=0) for part in np.array_split(points, CURVE_POINTS)])
    return points


def _chart(title: str, unit: str, lines: dict[str, np.ndarray]) -> str:
    left, right, top, bottom, width, height = 46, 8, 8, 34, 340, 190
    everything = np.concatenate(list(lines.values()))
    (x_low, y_low), (x_high, y_high) = everything.min(axis=0), everything.max(axis=0)
    x_ticks, y_ticks = _ticks(x_low, x_high), _ticks(y_low, y_high)
    x_high = max(x_high, x_low + 1)
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place(x, y):
        across = left + (x - x_low) / (x_high - x_low) * (width - left - right)
        return across, top + (y_high - y) / (y_high - y_low) * (height - top - bottom)

    shapes = []
    for tick in y_ticks:
        _, y = place(x_low, tick)
        shapes.append(f'<path class="grid" d="M{left} {y:.1f}H{width - right}"/>')
        shapes.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_tick(tick, y_ticks)}</text>')
    for tick in x_ticks:
        if x_low <= tick <= x_high:
            x, _ = place(tick, y_low)
            anchor = "end" if x > width - 20 else "middle"
            shapes.append(f'<text x="{x:.1f}" y="{height - 19}" text-anchor="{anchor}">{_tick(tick, x_ticks)}</text>')
    shapes.append(f'<text x="{(left + width - right) / 2}" y="{height - 3}" text-anchor="middle">step</text>')
    said, keys = [], []
    for number, (label, points) in enumerate(lines.items()):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (place(*point) for point in points))
        shapes.append(f'<path class="line line-{number}" d="M{path}"/>')
        first, last = points[0, 1], points[-1, 1]
        said.append(f"{_text(label)} from {_number(first)} to {_number(last)}")
        sample = f'<svg viewBox="0 0 24 8" aria-hidden="true"><path class="line line-{number}" d="M0 4H24"/></svg>'
        keys.append(f'<span class="key">{sample}{_text(label)}</span>')
    heading = f"<b>{_text(title)}</b>" + (f' <span class="quiet">{_text(unit)}</span>' if unit else "")
    legend = f"<div>{''.join(keys)}</div>" if len(lines) > 1 else ""
    spoken = (
        f"{_text(title)}, {_text(unit)}, steps {_number(round(x_low))} to {_number(round(x_high))}: {'; '.join(said)}"
    )
    return (
        f'<figure><figcaption>{heading}{legend}</figcaption><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{spoken}">{"".join(shapes)}</svg></figure>'
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
    return f"{value:.{decimals}f}".replace("-", "−")


# ---- texts, numbers and tables


def _part(container: dict, name: str) -> dict:
    part = container.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: Any) -> str:
    return escape(str(value))


def _sentence(value: Any) -> str:
    return _text(value).replace(" %", PERCENT)


def _words(name: str) -> str:
    shown = str(name).replace("_", " ")
    return _text(shown[:1].upper() + shown[1:])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _decimals(value: float) -> int:
    """As many decimals as make three digits."""
    return min(6, max(0, 2 - math.floor(math.log10(abs(value))))) if value else 0


def _number(value: Any) -> str:
    """A number with three digits, a list of them, or a dash."""
    if isinstance(value, list | tuple):
        return " · ".join(map(_number, value))
    if not _is_number(value):
        return _text(value) if isinstance(value, str) else "–"
    shown = str(value) if isinstance(value, int) else f"{value:.{_decimals(value)}f}"
    return shown.replace("-", "−")


def _share(value: Any) -> str:
    return f"{value * 100:.0f}{PERCENT}".replace("-", "−") if _is_number(value) else "–"


def _spread(values: dict, best: bool = False) -> str:
    mean, deviation = values.get("mean"), values.get("std")
    if not _is_number(mean):
        return "–"
    shown = _number(mean)
    if _is_number(deviation):
        shown += f" <small>±\N{NO-BREAK SPACE}{deviation:.{_decimals(mean)}f}</small>"
    return f'<span class="best">{shown} <span class="tag">best</span></span>' if best else shown


def _auc(told: dict) -> str:
    interval = _interval(told)
    return _number(told.get("auc")) + (f" <small>({interval})</small>" if interval else "")


def _interval(told: dict) -> str:
    low, high = told.get("low"), told.get("high")
    return f"{_number(low)} to {_number(high)}" if _is_number(low) and _is_number(high) else ""


def _change(before: Any, after: Any) -> str:
    """By how much a distance shrank or grew: "12 % less"."""
    if not (_is_number(before) and _is_number(after) and before > 0):
        return ""
    change = after / before - 1
    return "unchanged" if abs(change) < SAME else f"{_share(abs(change))} {'less' if change < 0 else 'more'}"


def _nearer(raw: Any, refined: Any, goal: Any) -> str:
    """Whether `refined` is nearer to `goal` than `raw` is, in words, and by how much."""
    raw, refined = _distance(raw, goal), _distance(refined, goal)
    if raw is None or refined is None:
        return "–"
    if abs(refined - raw) <= SAME * raw:
        return "as far"
    by = f" <small>by {_share(abs(1 - refined / raw))}</small>" if raw else ""
    return f"closer{by}" if refined < raw else f"farther{by}"


def _distance(value: Any, goal: Any) -> float | None:
    """The mean absolute difference of two numbers or of two lists as long as each other."""
    values, goals = (each if isinstance(each, list | tuple) else [each] for each in (value, goal))
    if len(values) != len(goals) or not values or not all(map(_is_number, [*values, *goals])):
        return None
    return sum(abs(one - other) for one, other in zip(values, goals, strict=True)) / len(values)


def _compared(
    label: str,
    raw: Any,
    refined: Any,
    goal: Any,
    show: Callable[[Any], str] = _number,
    centre: Callable[[Any], Any] = lambda value: value,
    aim: Any = None,
) -> list[str]:
    """One row of the table of realism, or [] if there is nothing to show. `aim` is what is best, if not `goal`."""
    if raw is None and refined is None:
        return []
    nearer = (
        "–" if raw is None or refined is None else _nearer(centre(raw), centre(refined), goal if aim is None else aim)
    )
    return [label, "–" if raw is None else show(raw), "–" if refined is None else show(refined), _number(goal), nearer]


def _table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    """A table of cells that are already HTML; the first cell of a row names it."""
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}"><table>\n'
        f"<caption><span>{caption}</span></caption>\n<thead><tr>{titles}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


# ---- the file


def _data_uri(pixels: np.ndarray) -> str:
    extension = ".png" if max(pixels.shape[:2]) <= MAX_PNG_SIDE else ".jpg"
    content = base64.b64encode(encode_picture(Picture(pixels), extension)).decode()
    return f"data:image/{extension[1:].replace('jpg', 'jpeg')};base64,{content}"


def _hash_of(element: str, template: str) -> str:
    """What the page's own security policy admits: this style sheet and this script, and no other."""
    content = re.search(f"<{element}>(.*?)</{element}>", template, re.DOTALL)[1]
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
