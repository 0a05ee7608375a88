"""Did refinement help? Folders of raw, refined and real faces in; evaluation.json and report.html out.

Realism (are refined faces more like photographs), labels (do they still hold), usefulness (does a network that
learns from them do better on photographs) and verification (does one that learns people from them) are measured apart
and put together into one verdict.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from simrefine import backend
from simrefine.config import Config
from simrefine.data.batches import Pile
from simrefine.data.faces import Faces, read_faces
from simrefine.data.folders import list_folder
from simrefine.data.label_fit import points_fit
from simrefine.errors import UserError
from simrefine.evaluation.labels import measure_complexion, measure_labels
from simrefine.evaluation.page import Gallery, write_page
from simrefine.evaluation.realism import PARTS_WITHOUT_WEIGHTS, measure_realism
from simrefine.evaluation.usefulness import build_sets, draw, measure_usefulness
from simrefine.evaluation.verdict import reach_verdict
from simrefine.evaluation.verification import People, build_people, measure_verification, why_no_verification
from simrefine.files import remove_leftovers, reporting_disk_faults, temporary_folder, write_file
from simrefine.methods import METHODS
from simrefine.methods.logged import Logged
from simrefine.refining.folder import refine_folder
from simrefine.refining.places import COMPARE
from simrefine.refining.refiner import Refiner, load
from simrefine.training.landmarks import LabelledSet
from simrefine.training.run_folder import read_metrics

PARTS = ("realism", "labels", "usefulness", "verification")
TRAINED = PARTS[2:]  # those that need labelled photographs of other people
SEEDS = 3
MEMORY_GIB = 8.0  # a folder


def evaluate(
    raw: Path | str,
    real: Path | str,
    out: Path | str,
    *,
    refined: Path | str | None = None,
    model: Path | str | None = None,
    labels: Path | str | None = None,
    real_labels: Path | str | None = None,
    test: Path | str | None = None,
    test_labels: Path | str | None = None,
    parts: Sequence[str] | None = None,
    size: int | None = None,
    exclude: Sequence[str] = (),
    masks: Path | str = "auto",
    weights: str | None = None,
    seeds: int = SEEDS,
    draws: int = 1,
    note: str = "",
    progress: Callable[[str], None] = lambda message: None,
) -> dict:
    """Measures what refinement did, and writes `out`/evaluation.json and `out`/report.html.

    Args:
        raw: folder of rendered faces.
        real: folder of photographs.
        out: where the results go.
        refined: folder of the same faces refined, with the same names. Instead:
        model: run folder of a training, whose refiner is applied to `raw` as `simrefine refine` does it; the report
            then shows the run's curves and options, and beside refined faces the unrefined ones: what its network is
            given.
        labels, real_labels, test_labels: label files of `raw`, `real` and `test` (see `data.labels.read_labels`); that
            of `real` adds the row "real" to usefulness and verification, the gap and label adaptation. A network
            trained on `real`, or else on `test`, judges the labels of refined faces.
        test: labelled photographs of other people, for usefulness and verification.
        parts: which of PARTS; None = all that the given folders and labels allow.
        size: side of the square that all pictures are brought to, px; None = the model's, or the first raw picture's.
        exclude: patterns of files and folders to leave out (see `data.folders.matches`).
        masks: with a model, part masks of `raw`, see `Refiner.with_masks`.
        weights: adds FID, with InceptionV3's weights: "imagenet" (Keras downloads them) or a local file.
        seeds: trainings a set, for usefulness and verification.
        draws: with a model and above 1, usefulness has rows of so many looks of each face too (`refine --draws`).
        note: a sentence about these folders, to stand under the verdict.
        progress: called with what is being done.

    Returns:
        What evaluation.json holds.

    Raises:
        UserError: neither or both of `refined` and `model`; names of raw and refined that do not match; too few
            pictures for a statistic; labels that are missing, of another size or malformed; a part that needs more.
    """
    out, started = Path(out), time.monotonic()
    _check_folders({"raw": raw, "refined": refined, "real": real, "test": test}, model, out)
    chosen = _choose_parts(parts, labels, test, test_labels)
    with reporting_disk_faults(out):
        out.mkdir(parents=True, exist_ok=True)
    progress("reading")
    refiner = _load_refiner(model, masks, Path(raw), out)
    refiners = _refiners(refiner, draws)
    size = size or (refiner.size if refiner else _first_side(Path(raw), exclude))
    channels = refiner.channels if refiner else 3
    read = partial(_read, size=size, channels=channels)
    faces = {"raw": read(Path(raw), "raw", labels, exclude=exclude)}
    faces["real"] = read(Path(real), "real", real_labels, exclude=exclude)
    if test and test_labels and set(chosen) - {"realism"}:
        faces["test"] = read(Path(test), "test", test_labels, exclude=exclude)
    parts = _without_verification(chosen, faces, parts is None)
    with _refined_folders(refined, refiners, faces["raw"], out, exclude, progress) as folders:
        # What `refine --compare` wrote beside the faces is not to be compared.
        found = {role: read(folder, role, exclude=(*exclude, str(COMPARE))) for role, folder in folders.items()}
        if model:
            faces["raw"] = _without_rejected(faces["raw"], found["refined"])
        faces |= {role: _in_order_of(faces["raw"], one) for role, one in found.items()}
        if model and np.array_equal(faces["unrefined"].images, faces["raw"].images):
            del faces["unrefined"]  # trained without styles: nothing is done to raw faces but by the network
        seconds = {"reading": time.monotonic() - started}
        measured = _measure(parts, faces, weights, seeds, seconds, progress)
        rooms = refiner is not None and refiner.dresser.has_scenes
        result = _put_together(measured, faces, model, rooms, note, seconds)
        write_file(out / "evaluation.json", json.dumps(result, indent=2).encode() + b"\n")
        write_page(out / "report.html", result, _gallery(faces, measured))
    return result


def _read(folder: Path, role: str, labels: Path | str | None = None, *, size: int, channels: int, exclude) -> Faces:
    """The faces of a folder.

    Raises:
        UserError: see `read_faces`; the label points sit on no face.
    """
    faces = read_faces(folder, role, labels, size=size, channels=channels, exclude=exclude, memory_gib=MEMORY_GIB)
    if faces.points is not None and points_fit(faces.images, faces.points) is False:
        raise UserError(
            f"the points of {labels} sit on no face of the {role} folder {folder}: its pictures are no more alike when "
            "turned by their own points than by those of another picture",
            "name the label file that belongs to these very pictures",
        )
    return faces


def charts_of(logged: Sequence[Logged]) -> list[list]:
    """The charts of the report: [title, unit, {metric: its name in the legend}, what to look for], in order of first
    appearance.

    Args:
        logged: what a method logs (`methods.logged.Logged`); entries with the same `chart` and `unit` share a chart,
            those without a `chart` are in none.
    """
    charts: dict[tuple[str, str], list] = {}
    for entry in logged:
        if entry.chart:
            chart = charts.setdefault((entry.chart, entry.unit), [entry.chart, entry.unit, {}, entry.look_for])
            chart[2][entry.name] = entry.legend or entry.label or entry.name
    return [*charts.values()]


def logged_of(run: Path) -> Sequence[Logged]:
    """What the method of a run logs, as its config.toml names it."""
    config = run / "config.toml"
    return METHODS[Config.load(config, environment={}).method.name].logged if config.exists() else ()


def _check_folders(folders: Mapping[str, Path | str | None], model: Path | str | None, out: Path) -> None:
    """Raises a UserError where it is not clear what was refined, where a folder is given twice, or where the results
    would be written among pictures."""
    if (folders["refined"] is None) == (model is None):
        given = "neither refined faces nor a model is" if model is None else "both refined faces and a model are"
        raise UserError(f"{given} given", "give either --refined DIR or --model RUN")
    seen: dict[Path, str] = {}
    for role, folder in folders.items():
        if folder is None:
            continue
        place = Path(folder).resolve()
        if place == out.resolve():
            raise UserError(f"--out {out} is the {role} folder", "name a folder of its own for the results")
        if place in seen:
            raise UserError(f"{folder} is both the {seen[place]} and the {role} folder", "give two separate folders")
        seen[place] = role


def _choose_parts(parts, labels, test, test_labels) -> tuple[str, ...]:
    complete = labels and test and test_labels
    if parts is None:
        return PARTS if complete else tuple(part for part in PARTS if part not in TRAINED)
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise UserError(f"there is no part {unknown[0]!r}", f"choose from {', '.join(PARTS)}")
    trained = [part for part in parts if part in TRAINED]
    if trained and not complete:
        raise UserError(
            f"{trained[0]} is measured by training on labelled faces and testing on labelled photographs",
            "give --labels FILE, --test DIR and --test-labels FILE, or leave it out",
        )
    return tuple(parts)


def _without_verification(parts: tuple[str, ...], faces: Mapping[str, Faces], automatic: bool) -> tuple[str, ...]:
    """`parts`, less the verification of people where the labels do not say who is who.

    Raises:
        UserError: that is so, and it was asked for.
    """
    reason = why_no_verification(faces) if "verification" in parts else None
    if reason and not automatic:
        raise UserError(f"people cannot be verified: {reason}", 'give labels with "subject", or leave verification out')
    return tuple(part for part in parts if part != "verification") if reason else parts


def _load_refiner(model: Path | str | None, masks: Path | str, raw: Path, out: Path) -> Refiner | None:
    """The refiner of `model`, with its masks; None where faces are refined already.

    Raises:
        UserError: that is so, and masks are named; see also `Refiner`.
    """
    if model:
        return load(model).with_masks(masks, (raw, out))
    if masks not in ("", "auto"):
        raise UserError("masks are named of faces that are refined already", "leave out --masks, or give --model RUN")
    return None


def _refiners(refiner: Refiner | None, draws: int) -> dict[str, Refiner]:
    """What makes the folders of faces that are measured, by role; further draws as `usefulness.draw` names them.

    Raises:
        UserError: several draws are asked for, of faces that are refined already or by a refiner without styles.
    """
    if refiner is None:
        if draws > 1:
            raise UserError("several draws are asked for of faces that are refined already", "give --model RUN")
        return {}
    first = {"refined": refiner, "unrefined": refiner.without_network()}
    others = {draw(role, seed): one.with_seed(seed) for role, one in first.items() for seed in range(1, draws)}
    return first | others


def _first_side(folder: Path, exclude: Sequence[str]) -> int:
    pictures = list_folder(folder, exclude, what="raw folder", shards=True).pictures[:1]
    sizes = Pile(pictures, 16, 3, MEMORY_GIB).source_sizes
    return int(sizes.min()) if len(sizes) else 64  # an empty folder is refused where it is read


@contextmanager
def _refined_folders(
    refined: Path | str | None, refiners: Mapping[str, Refiner], raw: Faces, out: Path, exclude: Sequence[str], progress
) -> Iterator[dict[str, Path]]:
    """The folders of refined faces, by role: the one that is given, or temporary ones in `out` that the `refiners`
    fill, so that the very pictures are measured that `simrefine refine` would write."""
    if not refiners:
        yield {"refined": Path(refined)}
        return
    remove_leftovers(out)  # of an evaluation that was killed
    with temporary_folder(out) as temporary:
        folders = {role: temporary / role for role in refiners}
        progress(f"refining {len(raw)} faces")
        for role, refiner in refiners.items():
            refine_folder(refiner, raw.folder, folders[role], exclude=exclude, packed=True)
        yield folders


def _without_rejected(raw: Faces, refined: Faces) -> Faces:
    """Without the pictures that could be read and not be refined: they are left out like those that cannot be read."""
    written = set(refined.names)
    if written.issuperset(raw.names):
        return raw
    return raw.take([place for place, name in enumerate(raw.names) if name in written])


def _in_order_of(raw: Faces, refined: Faces) -> Faces:
    """Refined faces in the order of raw; every name must be on both sides."""
    for one, other in ((raw, refined), (refined, raw)):
        missing = sorted(set(one.names) - set(other.names))
        if missing:
            raise UserError(
                f"{len(missing)} of {len(one)} pictures in {one.folder} have no partner of the same name in "
                f"{other.folder}, such as {', '.join(missing[:3])}",
                "give the folder that `simrefine refine` wrote, or --exclude the others",
            )
    places = {name: place for place, name in enumerate(refined.names)}
    return refined.take([places[name] for name in raw.names])


def _measure(
    parts: Sequence[str],
    faces: Mapping[str, Faces],
    weights: str | None,
    seeds: int,
    seconds: dict[str, float],
    progress: Callable[[str], None],
) -> dict:
    """The parts of evaluation.json that were asked for; how long each took is added to `seconds`."""
    measures = {
        "realism": lambda: {"realism": _measure_realism(faces, weights)},
        "labels": lambda: _measure_labels(faces),
        "usefulness": lambda: {
            "usefulness": measure_usefulness(*build_sets(faces), range(seeds), progress=_saying("usefulness", progress))
        },
        "verification": lambda: {"verification": _measure_verification(faces, seeds, progress)},
    }
    measured = {}
    for part in PARTS:
        if part in parts:
            progress(part)
            began = time.monotonic()
            measured |= measures[part]()
            seconds[part] = time.monotonic() - began
    return measured


def _measure_realism(faces: Mapping[str, Faces], weights: str | None) -> dict:
    return measure_realism(
        *(faces[role].images for role in ("raw", "refined", "real")),
        unrefined=faces["unrefined"].images if "unrefined" in faces else None,
        parts=(*PARTS_WITHOUT_WEIGHTS, *(("fid",) if weights else ())),
        groups_synthetic=faces["raw"].groups,
        groups_real=faces["real"].groups,
        weights=weights or "imagenet",
    )


def _measure_labels(faces: Mapping[str, Faces]) -> dict:
    """ "labels", and "complexion" where it can be told."""
    raw, real = faces["raw"], faces["real"]
    labelled = [faces[role] for role in ("real", "test") if role in faces and faces[role].points is not None]
    photographs = LabelledSet(labelled[0].images, labelled[0].points) if labelled else None
    given = faces.get("unrefined", raw).images
    labels = measure_labels(raw.images, faces["refined"].images, raw.points, raw.names, photographs, given=given)
    treated = {role: faces[role].images for role in ("raw", "unrefined", "refined") if role in faces}
    complexion = measure_complexion(treated, raw.points, (real.images, real.points))
    return {"labels": labels} | ({} if complexion is None else {"complexion": complexion})


def _measure_verification(faces: Mapping[str, Faces], seeds: int, progress: Callable[[str], None]) -> dict:
    test = People(faces["test"].images, faces["test"].groups, faces["test"].clips)
    return measure_verification(build_people(faces), test, range(seeds), progress=_saying("verification", progress))


def _saying(part: str, progress: Callable[[str], None]) -> Callable[[str, float], None]:
    """Says once of each training that it has begun."""
    begun = set()

    def report(training: str, share: float) -> None:
        if training not in begun:
            begun.add(training)
            progress(f"{part}: training on {training} ({share:.0%} done)")

    return report


def _put_together(
    measured: dict,
    faces: Mapping[str, Faces],
    model: Path | str | None,
    rooms: bool,
    note: str,
    seconds: Mapping[str, float],
) -> dict:
    """What evaluation.json holds, the verdict first."""
    inputs = _inputs(faces, model) | {"rooms": rooms}
    result = {"verdict": reach_verdict(measured, rooms), "inputs": inputs, **measured}
    if note:
        result["verdict"]["reasons"].append(note)
    if model:
        result |= _about_run(Path(model))
    result["versions"] = {name: version(name) for name in ("simrefine", backend.name, "keras", "numpy")}
    result["seconds"] = {part: round(duration, 1) for part, duration in seconds.items()}
    return result


def _inputs(faces: Mapping[str, Faces], model: Path | str | None) -> dict:
    """Where the pictures are from and how many they are, as evaluation.json has it."""
    folders = {role: faces[role].folder for role in ("raw", "real", "refined", "test") if role in faces}
    if model:
        folders["refined"] = model
    _, size, _, channels = faces["raw"].images.shape
    counts = {role: {"folder": str(folder), "count": len(faces[role])} for role, folder in folders.items()}
    return counts | {"size": size, "channels": channels}


def _gallery(faces: Mapping[str, Faces], measured: Mapping) -> Gallery:
    raw, refined = faces["raw"], faces["refined"]
    places = {name: place for place, name in enumerate(raw.names)}
    worst = [(name, percent, places[name]) for name, percent in measured.get("labels", {}).get("worst", [])]
    return Gallery(raw.names, raw.images, refined.images, worst, faces["real"].images)


def _about_run(run: Path) -> dict:
    """The options, the curves and their charts of the run that `--model` names, where they are there."""
    about = {}
    if (run / "config.toml").exists():
        about["config"] = (run / "config.toml").read_text(encoding="utf-8")
    if (run / "metrics.jsonl").exists():
        lines = read_metrics(run / "metrics.jsonl")
        names = dict.fromkeys(name for line in lines for name in line)
        about["curves"] = {name: [line.get(name) for line in lines] for name in names}
        about["charts"] = charts_of(logged_of(run))
    return about
