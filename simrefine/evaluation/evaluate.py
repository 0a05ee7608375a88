"""Did refinement help? Folders of raw, refined and real faces in; evaluation.json and report.html out.

Realism (are refined faces more like photographs), labels (do they still hold) and usefulness (does a network that
learns from them do better on photographs) are measured apart and put together into one verdict.
"""

import json
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from simrefine.data.batches import Pile
from simrefine.data.folders import list_folder
from simrefine.data.labels import Labels, read_labels, select_points
from simrefine.data.points import check_inside, fit_points
from simrefine.errors import UserError
from simrefine.evaluation.baselines import augment_photometric, match_and_degrade, match_colours
from simrefine.evaluation.realism import PARTS_WITHOUT_WEIGHTS, measure_realism
from simrefine.evaluation.report import Gallery, write_report
from simrefine.evaluation.usefulness import LabelledSet, hold_out, measure_usefulness, train_landmarks
from simrefine.files import reporting_disk_faults, write_file
from simrefine.measures.drift import measure_drift, summarise_drift
from simrefine.refining.folder import COMPARE
from simrefine.refining.refiner import load

PARTS = ("realism", "labels", "usefulness")
# Percent: where the labels move by more, in the median or at the 95th percentile, they do not hold. The inter-ocular
# distance of a face crop is about a third of its side; a grid, which is what stands in for labels, measures twice the
# noise of label points, as some of it lies on plain places.
DISPLACEMENT_LIMITS = {"inter-ocular distance": (1.0, 3.0), "image side": (0.7, 2.0)}
SWD_NOISE = 0.05  # a smaller relative change of the sliced Wasserstein distance says nothing
SEEDS = 3
PREDICTOR_STEPS = 200  # of the landmark network that is asked about drift: it need not be good, only the same twice
BATCH = 32  # faces at a time, when a model refines them here
MEMORY_GIB = 8.0


@dataclass(frozen=True)
class Faces:
    """The pictures of one folder at the size of the evaluation, with what is known of them.

    Args:
        folder: where they are from.
        names: posix paths below the folder.
        images: uint8 [n, size, size, c].
        points: [n, k, 2] px, or None without labels.
        groups: one key a picture for who it shows, or None where that is not known.
    """

    folder: Path
    names: list[str]
    images: np.ndarray
    points: np.ndarray | None = None
    classes: list[str] | None = None
    groups: list[Hashable] | None = None

    @property
    def labelled(self) -> bool:
        return self.points is not None or self.classes is not None


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
    weights: str | None = None,
    seeds: int = SEEDS,
    note: str = "",
    progress: Callable[[str], None] = lambda message: None,
) -> dict:
    """Measures what refinement did, and writes `out`/evaluation.json and `out`/report.html.

    Args:
        raw: folder of rendered faces.
        real: folder of photographs.
        out: where the results go.
        refined: folder of the same faces refined, with the same names. Instead:
        model: run folder of a training, whose refiner is applied here at the size it was trained on; the report then
            shows the run's curves and options.
        labels: label file of `raw` (see `data.labels.read_labels`).
        real_labels: label file of `real`; adds the row "real" to usefulness, the gap and label adaptation.
        test, test_labels: labelled photographs of other people, for usefulness.
        parts: which of PARTS; None = all that the given folders allow.
        size: side of the square that all pictures are brought to, px; None = the model's, or the first raw picture's.
        exclude: patterns of files and folders to leave out (see `data.folders.matches`).
        weights: adds FID and KID, with InceptionV3's weights: "imagenet" (Keras downloads them) or a local file.
        seeds: trainings a set, for usefulness.
        note: a sentence about these folders, to stand under the verdict.
        progress: called with what is being done.

    Returns:
        What evaluation.json holds.

    Raises:
        UserError: neither or both of `refined` and `model`; names of raw and refined that do not match; too few
            pictures for a statistic; labels that are missing, of another size or malformed; a part that needs more.
    """
    if (refined is None) == (model is None):
        given = "neither refined faces nor a model is" if refined is None else "both refined faces and a model are"
        raise UserError(f"{given} given", "give either --refined DIR or --model RUN")
    out = Path(out)
    _check_apart({"raw": raw, "refined": refined, "real": real, "test": test}, out)
    with reporting_disk_faults(out):
        out.mkdir(parents=True, exist_ok=True)
    parts = _choose_parts(parts, labels, test, test_labels)
    started, seconds = time.monotonic(), {}

    progress("reading")
    refiner = load(model) if model else None
    size = size or (refiner.size if refiner else _first_side(Path(raw), exclude))
    channels = refiner.channels if refiner else 3
    read = {"size": size, "channels": channels, "exclude": exclude}
    faces = {
        "raw": read_faces(Path(raw), "raw", labels, **read),
        "real": read_faces(Path(real), "real", real_labels, **read),
    }
    if refiner:
        images = faces["raw"].images
        progress(f"refining {len(images)} faces")
        images = np.concatenate([refiner(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])
        faces["refined"] = Faces(Path(model), faces["raw"].names, images, faces["raw"].points, faces["raw"].classes)
    else:
        faces["raw"], faces["refined"] = _matched(
            # What `refine --compare` wrote beside the faces is not to be compared.
            faces["raw"],
            read_faces(Path(refined), "refined", None, **read | {"exclude": (*exclude, str(COMPARE))}),
        )
    if "usefulness" in parts:
        faces["test"] = read_faces(Path(test), "test", test_labels, **read)
    seconds["reading"] = time.monotonic() - started

    result: dict = {
        "inputs": {name: {"folder": str(each.folder), "count": len(each.names)} for name, each in faces.items()}
        | {"size": size, "channels": channels}
    }
    gallery = Gallery(faces["raw"].names, faces["raw"].images, faces["refined"].images)
    for part, measure in (("realism", _realism), ("labels", _labels), ("usefulness", _usefulness)):
        if part in parts:
            progress(part)
            began = time.monotonic()
            result[part] = measure(faces, weights=weights, seeds=seeds, progress=progress)
            seconds[part] = time.monotonic() - began
    if "labels" in result:
        places = {name: index for index, name in enumerate(faces["raw"].names)}
        gallery.worst = [(name, percent, places[name]) for name, percent in result["labels"]["worst"]]
    result = {"verdict": reach_verdict(result)} | result
    if note:
        result["verdict"]["reasons"].append(note)
    if model:
        result |= _about_run(Path(model))
    result["versions"] = {name: version(name) for name in ("simrefine", "tensorflow", "keras", "numpy")}
    result["seconds"] = {name: round(value, 1) for name, value in seconds.items()}
    write_file(out / "evaluation.json", json.dumps(result, indent=2).encode() + b"\n")
    write_report(out / "report.html", result, gallery)
    return result


def reach_verdict(result: Mapping) -> dict:
    """One sentence with the numbers, and whether refining helped: true, false, or None for "cannot be said".

    The order of the arguments: labels that moved (see DISPLACEMENT_LIMITS) spoil everything; then a trained network's
    error on photographs decides, if it changed by more than its spread over the seeds; without that measurement,
    refined faces must be nearer by sliced Wasserstein distance, by SWD_NOISE at least, and harder to tell from
    photographs, by an AUC below the interval of the raw faces'.

    Returns:
        "helped", "sentence", and "reasons": the other sentences, in the order of their weight.
    """
    reasons, verdicts = [], []
    labels, useful, realism = (result.get(part) for part in ("labels", "usefulness", "realism"))
    if useful:
        verdict, text = _compare_usefulness(useful)
        verdicts.append(verdict)
        reasons.append(text)
    if realism:
        verdict, text = _compare_realism(realism)
        if not useful:
            verdicts.append(verdict)
        reasons.append(text)
    if labels:
        median, p95 = DISPLACEMENT_LIMITS[labels["unit"]]
        holds = labels["percent_median"] <= median and labels["percent_p95"] <= p95
        text = (
            f"Labels moved by {labels['percent_median']:.2f} % of the {labels['unit']} in the median and "
            f"{labels['percent_p95']:.2f} % at the 95th percentile: {'they hold' if holds else 'too far to hold'} "
            f"(limits {median:g} % and {p95:g} %)."
        )
        if holds:
            reasons.append(text)
        else:  # what decides comes first
            verdicts.append(False)
            reasons.insert(0, text)
    helped = None if not verdicts else False if False in verdicts else True if all(verdicts) else None
    opening = {
        True: "Refining helped: ",
        False: "Refining did not help: ",
        None: "It cannot be said whether refining helped: ",
    }
    first, *others = reasons or ["Nothing was measured."]
    return {"helped": helped, "sentence": opening[helped] + first[0].lower() + first[1:], "reasons": others}


def _compare_usefulness(useful: Mapping) -> tuple[bool | None, str]:
    key = "adapted" if useful["sets"]["raw"].get("adapted") else "error"
    before, after = (useful["sets"][name][key] for name in ("raw", "refined"))
    gained = before["mean"] - after["mean"]
    spread = np.hypot(before["std"] or 0.0, after["std"] or 0.0)
    verdict = None if abs(gained) <= spread else gained > 0
    gap = after.get("gap_closed")
    closed = "" if gap is None else f", {100 * gap:.0f} % of the gap to real labels closed"
    adapted = " after label adaptation" if key == "adapted" else ""
    return (
        verdict,
        f"A network trained on refined faces errs by {after['mean']:.2f} instead of {before['mean']:.2f} "
        f"({useful['unit']}) on photographs{adapted}{closed}; the spread over seeds is {spread:.2f}.",
    )


def _compare_realism(realism: Mapping) -> tuple[bool | None, str]:
    before, after = realism["raw"], realism["refined"]
    swd = before["swd"]["mean"], after["swd"]["mean"]
    auc = before["auc"]["auc"], after["auc"]["auc"]
    nearer = (swd[1] < (1 - SWD_NOISE) * swd[0], auc[1] < before["auc"]["low"])
    farther = (swd[1] > (1 + SWD_NOISE) * swd[0], auc[1] > before["auc"]["high"])
    return (
        True if all(nearer) else False if any(farther) and not any(nearer) else None,
        f"The sliced Wasserstein distance to photographs went from {swd[0]:.1f} to {swd[1]:.1f}, and a classifier "
        f"tells faces from photographs with an AUC of {auc[1]:.3f} instead of {auc[0]:.3f}.",
    )


def _realism(faces: Mapping[str, Faces], *, weights: str | None, **_) -> dict:
    parts = (*PARTS_WITHOUT_WEIGHTS, *(("fid", "kid") if weights else ()))
    return measure_realism(
        faces["raw"].images,
        faces["refined"].images,
        faces["real"].images,
        parts=parts,
        groups_synthetic=faces["raw"].groups,
        groups_real=faces["real"].groups,
        weights=weights or "imagenet",
    )


def _labels(faces: Mapping[str, Faces], **_) -> dict:
    """Where points are labelled and pictures suffice, a landmark network trained on raw faces is asked too."""
    raw = faces["raw"]
    predictor = None
    if raw.points is not None and len(raw.names) >= 2 * BATCH:
        predictor = train_landmarks(LabelledSet(raw.images, raw.points), seed=0, steps=PREDICTOR_STEPS)
    return summarise_drift(measure_drift(raw.images, faces["refined"].images, raw.points, raw.names, predictor))


def _usefulness(faces: Mapping[str, Faces], *, seeds: int, progress: Callable[[str], None], **_) -> dict:
    raw, refined, real = (faces[name].images for name in ("raw", "refined", "real"))
    coded = _class_codes(faces)

    def labelled(images: np.ndarray, like: str, repeat: int = 1) -> LabelledSet:
        if coded:
            return LabelledSet(images, classes=np.tile(coded[like], repeat))
        return LabelledSet(images, np.tile(faces[like].points, (repeat, 1, 1)))

    sets = {
        "raw": labelled(raw, "raw"),
        "colour matching": labelled(match_colours(raw, real, seed=0), "raw"),
        "augmentation only": labelled(augment_photometric(raw, seed=0), "raw"),
        "colour matching + augmentation": labelled(match_and_degrade(raw, real, seed=0), "raw"),
        "refined": labelled(refined, "raw"),
        "refined + raw": labelled(np.concatenate([refined, raw]), "raw", repeat=2),
    }
    adaptation = None
    if faces["real"].labelled:
        sets["real"] = labelled(real, "real")
        if not coded:
            sets["real"], adaptation = hold_out(sets["real"])
    said = set()

    def tell(what: str, share: float) -> None:
        if what not in said:
            said.add(what)
            progress(f"usefulness: training on {what} ({share:.0%} done)")

    return measure_usefulness(sets, labelled(faces["test"].images, "test"), adaptation, range(seeds), progress=tell)


def _class_codes(faces: Mapping[str, Faces]) -> dict[str, np.ndarray]:
    """Class names as whole numbers that mean the same in every folder; empty where the labels are points."""
    classes = {name: each.classes for name, each in faces.items() if each.points is None and each.classes}
    codes = {each: code for code, each in enumerate(sorted(set().union(*classes.values())))} if classes else {}
    return {name: np.array([codes[each] for each in those]) for name, those in classes.items()}


def _choose_parts(parts, labels, test, test_labels) -> tuple[str, ...]:
    complete = labels and test and test_labels
    if parts is None:
        return PARTS if complete else PARTS[:2]
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise UserError(f"there is no part {unknown[0]!r}", f"choose from {', '.join(PARTS)}")
    if "usefulness" in parts and not complete:
        raise UserError(
            "usefulness is measured by training on labelled faces and testing on labelled photographs",
            "give --labels FILE, --test DIR and --test-labels FILE, or leave it out",
        )
    return tuple(parts)


def _check_apart(folders: Mapping[str, Path | str | None], out: Path) -> None:
    """Raises a UserError where a folder is given twice, or the results would be written among pictures."""
    seen: dict[Path, str] = {}
    for what, folder in folders.items():
        if folder is None:
            continue
        place = Path(folder).resolve()
        if place == out.resolve():
            raise UserError(f"--out {out} is the {what} folder", "name a folder of its own for the results")
        if place in seen:
            raise UserError(f"{folder} is both the {seen[place]} and the {what} folder", "give two separate folders")
        seen[place] = what


def _first_side(folder: Path, exclude: Sequence[str]) -> int:
    pictures = list_folder(folder, exclude, what="raw folder").pictures[:1]
    sizes = Pile(pictures, 16, 3, MEMORY_GIB).source_sizes
    return int(sizes.min()) if len(sizes) else 64  # an empty folder is refused where it is read


def read_faces(
    folder: Path, what: str, label_file: Path | str | None, *, size: int, channels: int, exclude: Sequence[str] = ()
) -> Faces:
    """All usable pictures of `folder`, and their labels where `label_file` is given; `what` names it in messages.

    Raises:
        UserError: no usable picture, or labels that are missing, malformed or of another size.
    """
    pile = Pile(list_folder(folder, exclude, what=f"{what} folder").pictures, size, channels, MEMORY_GIB)
    if not len(pile):
        raise UserError(
            f"the {what} folder {folder} holds no usable picture ({len(pile.rejects)} rejected)", "check the path"
        )
    names = [str(record.relative) for record in pile.records]
    images = pile[np.arange(len(pile))]
    if label_file is None:
        return Faces(folder, names, images)
    labels = read_labels(Path(label_file), folder)
    points = classes = None
    if labels.points:
        points = select_points(labels, names)
        height, width = pile.source_sizes.T
        check_inside(points, names, height, width, labels.source)
        points = fit_points(points, height, width, size)
    else:
        classes = _select_classes(labels, names)
    return Faces(folder, names, images, points, classes, labels.groups_of(names))


def _select_classes(labels: Labels, names: Sequence[str]) -> list[str]:
    missing = [name for name in names if name not in labels.classes]
    if missing:
        raise UserError(
            f"{labels.source} has no label for {len(missing)} of {len(names)} pictures: {', '.join(missing[:3])}",
            "name the label file that belongs to these pictures",
        )
    return [labels.classes[name] for name in names]


def _matched(raw: Faces, refined: Faces) -> tuple[Faces, Faces]:
    """Both in the order of raw; every name must be on both sides."""
    for one, other in ((raw, refined), (refined, raw)):
        missing = sorted(set(one.names) - set(other.names))
        if missing:
            raise UserError(
                f"{len(missing)} of {len(one.names)} pictures in {one.folder} have no partner of the same name in "
                f"{other.folder}, such as {', '.join(missing[:3])}",
                "give the folder that `simrefine refine` wrote, or --exclude the others",
            )
    places = {name: index for index, name in enumerate(refined.names)}
    order = [places[name] for name in raw.names]
    return raw, Faces(refined.folder, raw.names, refined.images[order], raw.points, raw.classes, raw.groups)


def _about_run(run: Path) -> dict:
    """The curves and options of the run that `--model` names, where they are there."""
    about = {}
    if (run / "config.toml").exists():
        about["config"] = (run / "config.toml").read_text(encoding="utf-8")
    if (run / "metrics.jsonl").exists():
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        names = dict.fromkeys(name for line in lines for name in line)
        about["curves"] = {name: [line.get(name) for line in lines] for name in names}
    return about
