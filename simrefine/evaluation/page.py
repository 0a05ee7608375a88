"""The result of an evaluation as one HTML page: the verdict first, then faces to compare, tables and curves.

In go the dictionary that is also written as evaluation.json and some faces; out comes a file that opens from a disk
and loads nothing. Each part of the result may be missing, and each text from outside is escaped.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from simrefine.data.folders import evenly
from simrefine.data.images import Picture, encode_picture, shrink
from simrefine.evaluation import meanings
from simrefine.evaluation.charts import draw_charts
from simrefine.evaluation.markup import (
    DASH,
    PERCENT,
    interval,
    is_number,
    number,
    sentence,
    share,
    spread,
    table,
    text,
    words,
)
from simrefine.evaluation.meanings import explain
from simrefine.evaluation.verdict import WARNING
from simrefine.files import write_file
from simrefine.training.montage import DIFFERENCE_GAIN, difference

GALLERY_FACES = 12  # at most, evenly spread over what is given
MAX_PNG_SIDE = 128  # px; larger pictures become JPEG, or the page would weigh tens of megabytes
BESIDE_FACES = 4  # that stand beside photographs, evenly spread over what is given
# What closes the captions of tables that have such a row or column.
RECOLOURED = (
    " Recoloured: raw faces{rooms} in nothing but the colours of the refined ones; what refined faces have beyond them "
    "is the network's."
)
COLOURS_ONLY = " Colours only: raw faces, each in the colours of a photograph, which needs no training."
UNREFINED = " Unrefined: faces as the refiner's network receives them, in new colours{rooms}, without the network."
SAME = 0.01  # a distance that changed by a smaller share is called unchanged

_MARKS = {  # the title of the page, and a path in a 32 x 32 disc
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
        photographs: uint8 [m, h, w, c], some of which are shown beside refined faces.
    """

    names: Sequence[str]
    raw: np.ndarray
    refined: np.ndarray
    worst: Sequence[tuple[str, float, int]] = field(default_factory=list)
    photographs: np.ndarray | None = None


def write_page(path: Path, result: dict, gallery: Gallery | None = None) -> None:
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
        ("realism", "Realism", "are the refined faces more like photographs?", _realism(result)),
        ("labels", "Labels", "do they still hold?", _labels(_part(result, "labels"), gallery)),
        ("complexion", "Complexion", "is skin still its own?", _complexion(result)),
        ("usefulness", "Usefulness", "what does a network learn from them?", _usefulness(result)),
        ("verification", "People", "can they be told apart by what was learnt?", _verification(result)),
        ("training", "Training", "how did the run go?", _training(result)),
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
    _, mark = _MARKS[sign]
    opening = verdict.get("sentence") or "The parts that a verdict needs were not evaluated."
    summary = "".join(
        f'<p class="{"warning" if str(each).startswith(WARNING) else "said"}">{sentence(each)}</p>\n'
        for each in verdict.get("summary") or []
    )
    reasons = "".join(f"<li>{sentence(reason)}</li>" for reason in verdict.get("reasons") or [])
    return (
        f'<h1><svg class="sign {sign}" viewBox="0 0 32 32" aria-hidden="true"><circle class="disc" cx="16" cy="16" '
        f'r="16"/><path class="mark" d="{mark}"/></svg><span>{sentence(opening)}</span></h1>\n'
        + (f'<div class="summary">{summary}</div>\n' if summary else "")
        + (f"<details><summary>In numbers</summary><ul>{reasons}</ul></details>" if reasons else "")
    )


def _cards(result: dict) -> str:
    parts = (
        (_realism_cards, "realism"),
        (_label_cards, "labels"),
        (_complexion_cards, "complexion"),
        (_usefulness_cards, "usefulness"),
    )
    items = "".join(
        f'<li><p class="label">{label}</p><p class="value">{value}</p><p class="note">{note}</p></li>'
        for cards, name in parts
        for label, value, note in cards(_part(result, name))
    )
    return f'<ul class="cards" aria-label="Key numbers">{items}</ul>' if items else ""


def _realism_cards(realism: dict) -> Iterator[tuple[str, str, str]]:
    """Heading, value and note of each card."""
    raw, refined = _part(realism, "raw"), _part(realism, "refined")
    distance, distance_raw = (_part(numbers, "kid").get("mean") for numbers in (refined, raw))
    if is_number(distance):
        change = _change(distance_raw, distance)
        note = f"KID, lower is better; raw {number(distance_raw)}{change and ', so ' + change}"
        yield "Distance to real faces", number(distance), note
    test, test_raw = _part(refined, "auc"), _part(raw, "auc")
    if is_number(test.get("auc")):
        bounds = interval(test)
        shown = f", interval {bounds}" if bounds else ""
        note = f"AUC of a classifier{shown}; raw {number(test_raw.get('auc'))}; 0.5, guessing, is best"
        yield "Told from real faces", number(test["auc"]), note


def _label_cards(labels: dict) -> Iterator[tuple[str, str, str]]:
    if is_number(labels.get("percent_median")):
        note = f"of the {text(labels.get('unit', 'image'))}, median; lower is better"
        if is_number(labels.get("percent_p95")):
            note += f"; 95 of 100 moved less than {number(labels['percent_p95'])}{PERCENT}"
        yield "Labels moved by", f"{number(labels['percent_median'])}<small>{PERCENT}</small>", note


def _complexion_cards(complexion: dict) -> Iterator[tuple[str, str, str]]:
    raw, refined = _part(complexion, "raw"), _part(complexion, "refined")
    moved = _part(refined, "distance").get("median")
    if is_number(moved):
        tinted, before = (_percent(colours.get("tinted")) for colours in (refined, raw))
        note = f"CIE76, median, lower is better; tinted: {tinted}, raw {before}"
        yield "Complexions moved by", number(moved), note


def _usefulness_cards(usefulness: dict) -> Iterator[tuple[str, str, str]]:
    sets = _part(usefulness, "sets")
    error, error_raw = (_part(_part(sets, name), "error") for name in ("refined", "raw"))
    if is_number(error.get("mean")):
        note = f"{text(usefulness.get('unit', 'error'))}; lower is better; trained on raw: {spread(error_raw)}"
        yield "Error on real faces", spread(error), note
    closed = error.get("gap_closed")
    if is_number(closed):
        note = "of the way from training on raw to training on real; higher is better"
        alone = _part(_part(sets, "unrefined"), "error").get("gap_closed")
        if is_number(alone):
            note += f"; {share(alone)} without the network"
        adapted = _part(_part(sets, "refined"), "adapted").get("gap_closed")
        if is_number(adapted):
            note += f"; {share(adapted)} with adapted labels"
        yield "Gap closed", share(closed).replace(PERCENT, f"<small>{PERCENT}</small>"), note


# ---- the parts of the page


def _faces(gallery: Gallery | None) -> str:
    if gallery is None:
        return ""
    chosen = evenly(len(gallery.names), GALLERY_FACES)
    views = "".join(
        f'<label><input type="radio" name="view" id="view-{key}"{" checked" * (key == "slider")}>{label}</label>'
        for key, label in {
            "slider": "Slider",
            "raw": "Raw",
            "refined": "Refined",
            "difference": f"Difference × {DIFFERENCE_GAIN}",
        }.items()
    )
    tiles = (_tile(gallery, index, f'<span class="name">{text(gallery.names[index])}</span>') for index in chosen)
    return _beside_photographs(gallery) + (
        "<p>Raw is left of the divider and refined right of it. Drag it, or focus it and use the arrow keys. "
        f"Gray in the difference is unchanged; small changes are {DIFFERENCE_GAIN} times as strong.</p>\n"
        f'<fieldset class="views"><legend class="hidden">What all faces on this page show</legend>{views}</fieldset>\n'
        f"{_tiles(tiles)}"
    )


def _beside_photographs(gallery: Gallery) -> str:
    """Faces as they were, refined, and the photographs that look most like the refined ones."""
    if gallery.photographs is None or not len(gallery.photographs):
        return ""
    height, width = gallery.raw.shape[1:3]
    places, rows = evenly(len(gallery.names), BESIDE_FACES), []
    for place, near in zip(places, _nearest(gallery.refined[places], gallery.photographs), strict=True):
        pictures = [("raw", gallery.raw[place]), ("refined", gallery.refined[place])]
        pictures += [("photo", gallery.photographs[k]) for k in near]
        items = "".join(
            f'<li><img width="{width}" height="{height}" alt="{text(gallery.names[place])}, {what}" '
            f'src="{_data_uri(image)}"><span class="quiet">{what}</span></li>'
            for what, image in pictures
        )
        rows.append(f'<ul class="beside">{items}</ul>\n')
    return (
        "<p>Some faces raw and refined, and beside them the photographs that are most like the refined one in light "
        "and colour: what it would have to pass for. This page so holds photographs of yours.</p>\n"
    ) + "".join(rows)


def _nearest(pictures: np.ndarray, photographs: np.ndarray, count: int = 2) -> np.ndarray:
    """For each picture, uint8 [n, h, w, c], the places of the photographs, uint8 [m, h, w, c], with the least
    difference at 8 px: [n, count]."""
    own, theirs = (shrink(images, 8).astype(np.float32) for images in (pictures, photographs))
    return np.stack([np.abs(theirs - one).mean(axis=(1, 2, 3)).argsort(kind="stable")[:count] for one in own])


def _tiles(tiles: Iterable[str]) -> str:
    return '<ul class="tiles">\n' + "\n".join(f"<li>{tile}</li>" for tile in tiles) + "\n</ul>"


def _tile(gallery: Gallery, index: int, caption: str) -> str:
    raw, refined = gallery.raw[index], gallery.refined[index]
    name = text(gallery.names[index])
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


def _without_network(result: dict, caption: str) -> str:
    """UNREFINED or RECOLOURED, as it was in this run."""
    return caption.format(rooms=" and rooms" if _part(result, "inputs").get("rooms") else "")


def _realism(result: dict) -> str:
    realism = _part(result, "realism")
    between = [name for name in ("unrefined", "recoloured") if _part(realism, name)]
    names = ["raw", *between, "refined"]
    sets, real = [_part(realism, name) for name in names], _part(realism, "real")

    def named(part: str, label: Callable[[str], str], aim: Any = None) -> list[list[str]]:
        """The rows of the numbers that the sets have by name under `part`, beside those of real."""
        measured, goals = [_part(numbers, part) for numbers in sets], _part(real, part)
        keys = dict.fromkeys(key for numbers in measured for key in numbers)
        return [_compared(label(key), [one.get(key) for one in measured], goals.get(key), aim=aim) for key in keys]

    aucs, kids = ([_part(numbers, name) or None for numbers in sets] for name in ("auc", "kid"))
    kid_of_halves = _part(real, "kid").get("mean")
    fids = [numbers.get("fid") for numbers in sets]
    colour_gaps = [_part(numbers, "gap").get("colour_gap") for numbers in sets]
    rows = [
        # A distance can always be less: what halves of real faces are apart is shown, but is no aim to stop at.
        _compared("KID", kids, kid_of_halves, spread, lambda kid: kid.get("mean"), aim=0),
        *named("swd", lambda name: f"SWD, {name} px" if name.isdigit() else f"SWD, {text(name)}", aim=0),
        _compared("AUC of a classifier", aucs, 0.5, _auc, lambda test: test.get("auc")),
        _compared("FID", fids, 0),
        _compared("Colour gap, gray levels", colour_gaps, 0),
        *named("statistics", words),
    ]
    rows = [row for row in rows if row]
    if not rows:
        return ""
    caption = (
        "Distances to the photographs, then statistics of the pictures. The last column compares the way from refined "
        "to real, or to the ideal, with that from raw."
    )
    for name, closing in (("unrefined", UNREFINED), ("recoloured", RECOLOURED)):
        caption += _without_network(result, closing) * (name in between)
    head = ["Measure", *map(words, names), "Real, ideal", "Refined is"]
    return table(caption, head, rows) + explain(meanings.REALISM, [row[0] for row in rows])


def _labels(labels: dict, gallery: Gallery | None) -> str:
    unit = text(labels.get("unit", "image"))
    rows = []
    for label, median, p95 in (
        (f"Displacement, % of the {unit}", "percent_median", "percent_p95"),
        ("Displacement, pixels", "pixels_median", "pixels_p95"),
        ("Edge agreement, 1 is perfect", "edge_agreement_median", None),
    ):
        if labels.get(median) is not None or labels.get(p95) is not None:
            rows.append([label, number(labels.get(median)), number(labels.get(p95)) if p95 else ""])
    moved = ""
    if rows:
        caption = (
            "How far the picture moved at the label points, from faces as the network was given them (without a model: "
            "raw ones) to refined ones."
        )
        moved = table(caption, ["Measure", "Median", "95th percentile"], rows)
        moved += explain(meanings.LABELS, [row[0] for row in rows])
    moved += _network(_part(labels, "network"), unit)
    worst = ""
    if gallery is not None and gallery.worst:
        tiles = (
            _tile(gallery, index, f'<b>{number(percent)}{PERCENT}</b><span class="name">{text(name)}</span>')
            for name, percent, index in gallery.worst
        )
        worst = _tiles(tiles)
    elif labels.get("worst"):
        names = [[f'<span class="name">{text(name)}</span>', number(percent)] for name, percent in labels["worst"]]
        worst = table("Faces by displacement.", ["Face", f"% of the {unit}"], names)
    return moved + (f"\n<h3>Where labels drifted most, % of the {unit}</h3>\n{worst}" if worst else "")


def _network(network: dict, unit: str) -> str:
    if not network:
        return ""
    caption = (
        f"A network that learnt from {number(network.get('photographs'))} labelled photographs: its error against the "
        f"labels of the renders, and how far its predictions move, % of the {unit}."
    )
    keys = ("raw", "refined", "ratio", "drift_median", "drift_p95")
    head = ["", "Raw", "Refined", "Refined / raw", "Shift, median", "Shift, 95th percentile"]
    rows = [["Error", *(number(network.get(key)) for key in keys)]]
    return table(caption, head, rows) + explain(meanings.LABELS, ["Error", *head])


def _complexion(result: dict) -> str:
    complexion, rows = _part(result, "complexion"), []
    for name in ("raw", "unrefined", "refined", "real"):
        if colours := _part(complexion, name):
            moved, turned = _part(colours, "distance"), _part(colours, "ita_change")
            cells = [values.get(key) for values in (moved, turned) for key in ("median", "p95")]
            shown = (number(cell) if is_number(cell) else "" for cell in cells)
            rows.append([words(name), number(colours.get("faces")), _percent(colours.get("tinted")), *shown])
    if not rows:
        return ""
    caption = (
        "The mean colour of the skin between jaw and brows, without eyes and mouth. CIE76 and the individual typology "
        "angle (ITA) say how far it is from that of the raw face."
    )
    caption += _without_network(result, UNREFINED) if _part(complexion, "unrefined") else ""
    head = ["Set", "Faces", "Tinted", "CIE76, median", "95th percentile", "ITA, degrees, median", "95th percentile"]
    return table(caption, head, rows) + explain(meanings.COMPLEXION, head)


def _usefulness(result: dict) -> str:
    usefulness = _part(result, "usefulness")
    sets = {name: scores for name, scores in _part(usefulness, "sets").items() if isinstance(scores, dict)}
    columns = []  # of the table: a heading, and a cell for each set
    for key, title in (("error", "Error"), ("adapted", "Adapted labels")):
        errors = {name: _part(scores, key) for name, scores in sets.items()}
        means = {name: error["mean"] for name, error in errors.items() if is_number(error.get("mean"))}
        if not means:
            continue
        # Real faces are the bound that the others are measured by, so they do not compete.
        rivals = {name: mean for name, mean in means.items() if name != "real"}
        best = min(rivals, key=rivals.get) if len(rivals) > 1 else None
        columns.append((title, [spread(error, best=name == best) for name, error in errors.items()]))
        columns.append(("Gap closed", [share(error.get("gap_closed")) for error in errors.values()]))
    if not columns:
        return ""
    seeds = usefulness.get("seeds") or []
    caption = (
        f"{text(usefulness.get('unit', 'Error'))}, on real faces that no network was trained on: lower is better. "
        + (f"Mean ± standard deviation over {len(seeds)} seeds. " if seeds else "Mean ± standard deviation. ")
        + "Every training changes light, colour, blur and noise at random."
    )
    caption += COLOURS_ONLY if "colours only" in sets else ""
    caption += _without_network(result, UNREFINED) if "unrefined" in sets else ""
    rows = [[text(name), *cells] for name, *cells in zip(sets, *(cells for _, cells in columns), strict=True)]
    head = ["Trained on", *(title for title, _ in columns)]
    return table(caption, head, rows) + explain(meanings.USEFULNESS, head)


def _verification(result: dict) -> str:
    verification = _part(result, "verification")
    sets = {name: scores for name, scores in _part(verification, "sets").items() if isinstance(scores, dict)}
    rows = []
    for name, scores in sets.items():
        auc, tar = (_part(scores, measure) for measure in ("auc", "tar"))
        closed = (share(measure.get("gap_closed")) for measure in (auc, tar))
        cells = [cell for pair in zip((spread(auc), spread(tar)), closed, strict=True) for cell in pair]
        rows.append([text(name), number(scores.get("people")), *cells])
    if not rows:
        return ""
    pairs, accepts = _part(verification, "test").get("pairs"), share(verification.get("false_accepts"))
    caption = (
        "Pairs of photographs of people whom no network has seen: one person or two? Higher is better. "
        + (f"{number(pairs[0])} pairs of one person, {number(pairs[1])} of two. " if pairs else "")
        + f"True accepts: the share of pairs of one person above the threshold that {accepts} of the others pass."
    )
    head = ["Trained on", "People", "AUC", "Gap closed", "True accepts", "Gap closed"]
    return table(caption, head, rows) + explain(meanings.VERIFICATION, head)


def _training(result: dict) -> str:
    return draw_charts(_part(result, "curves"), result.get("charts") or [])


def _setup(result: dict) -> str:
    tables, config = [], ""
    inputs = _part(result, "inputs")
    folders = [
        [text(name), f'<span class="name">{text(folder.get("folder", ""))}</span>', number(folder.get("count"))]
        for name, folder in inputs.items()
        if isinstance(folder, dict)
    ]
    if folders:
        size, channels = inputs.get("size"), inputs.get("channels")
        how = f"Compared at {number(size)} × {number(size)} px" if size else "What was compared"
        how += {1: ", in gray", 3: ", in colour"}.get(channels, "")
        tables.append(table(f"{how}.", ["Set", "Folder", "Images"], folders))
    if seconds := _part(result, "seconds"):
        rows = [[words(name), number(value)] for name, value in seconds.items()]
        tables.append(table("Time the evaluation took.", ["Part", "Seconds"], rows))
    if versions := _part(result, "versions"):
        rows = [[text(name), text(version)] for name, version in versions.items()]
        tables.append(table("Versions.", ["Name", "Version"], rows))
    if result.get("config"):
        config = (
            "<details><summary>Configuration of the training run</summary>"
            f'<pre tabindex="0">{text(result["config"])}</pre></details>'
        )
    return f'<div class="tables">{"".join(tables)}</div>{config}' if tables or config else ""


# ---- values


def _part(container: Mapping, name: str) -> dict:
    """The dictionary under a name, empty where there is none."""
    part = container.get(name)
    return part if isinstance(part, dict) else {}


def _percent(part: Any) -> str:
    """A share, 1 for all, in percent with three digits."""
    return f"{number(100.0 * part)}{PERCENT}" if is_number(part) else DASH


def _auc(test: Mapping) -> str:
    bounds = interval(test)
    return number(test.get("auc")) + (f" <small>({bounds})</small>" if bounds else "")


def _change(before: Any, after: Any) -> str:
    """By how much a distance shrank or grew: "12 % less"."""
    if not (is_number(before) and is_number(after) and before > 0):
        return ""
    change = after / before - 1
    return "unchanged" if abs(change) < SAME else f"{share(abs(change))} {'less' if change < 0 else 'more'}"


def _nearer(raw: Any, refined: Any, goal: Any) -> str:
    """Whether `refined` is nearer to `goal` than `raw` is, in words, and by how much."""
    raw, refined = _distance(raw, goal), _distance(refined, goal)
    if raw is None or refined is None:
        return DASH
    if abs(refined - raw) <= SAME * raw:
        return "as far"
    by = f" <small>by {share(abs(1 - refined / raw))}</small>" if raw else ""
    return f"closer{by}" if refined < raw else f"farther{by}"


def _distance(value: Any, goal: Any) -> float | None:
    """The mean absolute difference of two numbers or of two lists as long as each other."""
    values, goals = (side if isinstance(side, list | tuple) else [side] for side in (value, goal))
    if len(values) != len(goals) or not values or not all(map(is_number, [*values, *goals])):
        return None
    return sum(abs(one - other) for one, other in zip(values, goals, strict=True)) / len(values)


def _compared(
    label: str,
    measured: Sequence[Any],
    goal: Any,
    show: Callable[[Any], str] = number,
    centre: Callable[[Any], Any] = lambda value: value,
    aim: Any = None,
) -> list[str]:
    """One row of the table of realism, or [] if there is nothing to show. The first that was measured is raw, the last
    refined; `aim` is what is best, if not `goal`."""
    raw, *_, refined = measured
    if raw is None and refined is None:
        return []
    nearer = DASH
    if raw is not None and refined is not None:
        nearer = _nearer(centre(raw), centre(refined), goal if aim is None else aim)
    return [label, *(DASH if value is None else show(value) for value in measured), number(goal), nearer]


# ---- the file


def _data_uri(pixels: np.ndarray) -> str:
    extension = ".png" if max(pixels.shape[:2]) <= MAX_PNG_SIDE else ".jpg"
    content = base64.b64encode(encode_picture(Picture(pixels), extension)).decode()
    return f"data:image/{extension[1:].replace('jpg', 'jpeg')};base64,{content}"


def _hash_of(element: str, template: str) -> str:
    """What the page's own security policy admits: this style sheet and this script, and no other."""
    content = re.search(f"<{element}>(.*?)</{element}>", template, re.DOTALL)[1]
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
