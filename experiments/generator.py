"""What the faces of a generator are worth, on people it was not trained on, by judges it never trained with.

    python experiments/generator.py RUN --train DIR --renders DIR --photos DIR --out DIR [--known-bad RUN]
                                        [--refiner RUN] [--usefulness]

RUN was trained on --train; --renders are renders of other people, --photos photographs, each with the labels beside
it. Every measure is shown on true faces first (the ceiling), and on --known-bad, a generator of two steps. It prints
the table of generator.md and writes OUT/table.md, OUT/numbers.json and the sheets, all by fixed rules.
"""

import json
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from recogniser import STEPS, train_recogniser

from simrefine.catalogue import PARTS
from simrefine.config import MASKS, Config, parse_classes
from simrefine.data.faces import Faces, read_faces
from simrefine.data.images import Picture, encode_picture
from simrefine.data.masks import read_mask
from simrefine.data.parts import as_shares, parts_of_mask
from simrefine.evaluation.two_sample import auc_of, two_sample_test
from simrefine.evaluation.usefulness import measure_usefulness
from simrefine.generating.generator import Generator
from simrefine.generating.invert import FACES, Inverter
from simrefine.generating.variations import Variations
from simrefine.measures.landmarks import nme
from simrefine.measures.realism import kernel_distance, sliced_wasserstein, wasserstein_mean
from simrefine.models.lite_features import lite_features
from simrefine.refining.photographs import published_parser
from simrefine.refining.refiner import load
from simrefine.training.inputs import spread
from simrefine.training.landmarks import LabelledSet, train_landmarks
from simrefine.training.learn_generator import framed
from simrefine.training.montage import sheet
from simrefine.training.published import read_refiner

MEMORY_GIB = 4.0
FACE = [PARTS.index(part) for part in ("skin", "brows", "eyes", "lips", "mouth")]
GRAY = 128  # what the judge of identity sees instead of hair, clothes and room
ANGLES = ("yaw", "pitch", "roll")
SAMPLED = 300  # faces
INVERTED = 16
SHOWN = 8  # people and attributes on the grid
ROWS: dict[str, tuple[str, str]] = {  # what is printed, and the goal
    "identity_auc": ("identity: AUC, genuine against impostor", "0.9 of the ceiling"),
    "identity_rank1": ("identity: rank 1 among the people", "40 %"),
    "identity_of_attributes": ("faces nearer to the one that gave the attributes", "-"),
    "own_auc": ("I itself, which followed them: AUC of true held-out faces", "-"),
    "label_top1": ("label samples: top 1 of the recogniser", "85 %"),
    "nme": ("landmarks against the attribute face, % inter-ocular", "6"),
    "yaw": ("yaw against the attribute face, degrees", "5"),
    "pitch": ("pitch, degrees", "5"),
    "roll": ("roll, degrees", "5"),
    "swap": ("yaw of faces with shuffled attributes (collapse: as above)", "far above"),
    "leak": ("who it is from z, by a linear probe: top 1", "chance"),
    "spread": ("diversity of samples, recogniser's features, of true", "0.7"),
    "nearest": ("distance to the nearest training face, of true held-out faces'", "about 1"),
    "local": ("hair changed: share of the change within hair, before and after", "0.8"),
    "iou_skin": ("IoU of drawn and known skin, faces reconstructed", "-"),
    "iou_hair": ("the same of hair", "-"),
    "parsed_skin": ("IoU of drawn skin and what a parser sees, faces recombined", "0.8"),
    "parsed_hair": ("the same of hair", "0.8"),
    "encoded": ("given face encoded, not tuned: L1, gray levels", "-"),
    "inverted": ("inverted and tuned: L1, gray levels", "-"),
    "inverted_auc": ("inverted and tuned: identity AUC", "0.9 of the ceiling"),
    "varied_auc": ("four variations of hair and light: identity AUC", "0.9 of the ceiling"),
    "swd": ("samples against photographs: SWD", "that of renders"),
    "kid": ("samples against photographs: KID", "that of renders"),
    "auc": ("samples against photographs: AUC of a two-sample test", "that of renders"),
    "refined_swd": ("samples, refined: SWD", "that of refined renders"),
    "refined_kid": ("samples, refined: KID", "that of refined renders"),
}


class Judges:
    """Networks that no generator has met: a recogniser of the people of `train`, which leaves one view of each out, and
    a landmark network, from whose points a linear map gives the pose."""

    def __init__(self, train: Faces, parts: np.ndarray, angles: np.ndarray, seed: int, steps: int, point_steps: int):
        people = np.array(train.groups)
        left_out = np.array([index == np.flatnonzero(people == name)[-1] for index, name in enumerate(people)])
        faces = only_face(train.images, parts)
        self._embed = train_recogniser(faces[~left_out], people[~left_out], seed, steps)
        vectors = self._embed(faces[~left_out])
        self.names = list(dict.fromkeys(people))
        self._centres = np.stack([vectors[people[~left_out] == name].mean(axis=0) for name in self.names])
        self.top1_of_true = self.top1(faces[left_out], list(people[left_out]))
        self.points = train_landmarks(LabelledSet(train.images, train.points), seed, point_steps)
        self._pose = np.linalg.lstsq(_framed_points(train.points), angles, rcond=None)[0]

    def who(self, images: np.ndarray, parts: np.ndarray) -> np.ndarray:
        return self._embed(only_face(images, parts))

    def top1(self, faces: np.ndarray, names: list[str]) -> float:
        """The share of gray-framed faces that are nearest to whom they show, of the people of the training."""
        found = (self._embed(faces) @ self._centres.T).argmax(axis=1)
        return float(np.mean([self.names[place] == name for place, name in zip(found, names, strict=True)]))

    def pose(self, points: np.ndarray) -> np.ndarray:
        """[n, 3] degrees of points [n, 68, 2]."""
        return _framed_points(points) @ self._pose


def only_face(images: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Faces in gray instead of hair, clothes and room, which stay with a person in the renders."""
    return np.where(np.isin(parts, FACE)[..., None], images, np.uint8(GRAY))


def _framed_points(points: np.ndarray) -> np.ndarray:
    """Points [n, k, 2] without place and size, and 1: [n, 2 k + 1]."""
    centred = points - points.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt(np.square(centred).sum(axis=(1, 2), keepdims=True))
    return np.concatenate([scaled.reshape(len(points), -1), np.ones((len(points), 1))], axis=1)


def read(folder: Path, generator: Generator, what: str) -> tuple[Faces, np.ndarray, np.ndarray]:
    """Renders, their parts uint8 [n, size, size] and angles [n, 3] in degrees."""
    file = folder / "annotations.jsonl"
    size, channels = generator.size, generator.channels
    faces = read_faces(folder, what, file, size=size, channels=channels, memory_gib=MEMORY_GIB)
    rows = {row["file"]: row for row in map(json.loads, file.read_text().splitlines())}
    masks = folder.with_name(folder.name + MASKS)
    table = parse_classes(Config.load(environment={}).parts.classes)
    parts = [parts_of_mask(read_mask(masks / Path(name).with_suffix(".png")), table, size) for name in faces.names]
    angles = np.array([[rows[name][angle] for angle in ANGLES] for name in faces.names])
    return faces, np.stack(parts), angles


def pairs_of(people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which faces give the identity and which the attributes: of each person the first, with the later views of the
    next people, one of each."""
    names = list(dict.fromkeys(people))
    views = {name: np.flatnonzero(people == name) for name in names}
    identity, attributes = [], []
    for place, name in enumerate(names):
        for turn in range(1, len(views[name])):
            identity.append(views[name][0])
            attributes.append(views[names[(place + turn) % len(names)]][turn])
    return np.array(identity), np.array(attributes)


def measure_identity(
    judges: Judges, made: np.ndarray, owners: np.ndarray, faces: np.ndarray, people: np.ndarray
) -> dict:
    """AUC of cosines with true faces of the same and of other people, and rank 1 against each person's mean.

    Args:
        made: vectors of the faces to be judged, of whom `owners` says whom they are to show.
        faces: vectors of true faces that nobody was made of, of `people`.
    """
    cosines, same = made @ faces.T, owners[:, None] == people
    names = list(dict.fromkeys(people))
    centres = np.stack([faces[people == name].mean(axis=0) for name in names])
    nearest = np.array(names)[(made @ centres.T).argmax(axis=1)]
    return {"identity_auc": auc_of(cosines[same], cosines[~same]), "identity_rank1": float((nearest == owners).mean())}


def measure_recombined(generator: Generator, judges: Judges, true: tuple, parse: Callable | None) -> dict:
    """`parse` takes faces to part labels, see `parser_at`."""
    faces, parts, angles = true
    people = np.array(faces.groups)
    identity, attributes = pairs_of(people)
    f, z = generator.encode(faces.images)
    made = generator(f[identity], z[attributes])
    vectors, true_vectors = judges.who(*made), judges.who(faces.images, parts)
    rest = ~np.isin(np.arange(len(people)), identity)
    numbers = measure_identity(judges, vectors, people[identity], true_vectors[rest], people[rest])
    to_both = [(vectors * true_vectors[places]).sum(axis=1) for places in (identity, attributes)]
    numbers["identity_of_attributes"] = float((to_both[1] > to_both[0]).mean())
    found, wanted = judges.points(made.pictures), faces.points[attributes]
    numbers["nme"] = float(np.nanmean(nme(found, wanted)))
    apart = np.abs(judges.pose(found) - angles[attributes])
    numbers |= dict(zip(ANGLES, map(float, apart.mean(axis=0)), strict=True))
    shuffled = np.roll(attributes, len(attributes) // 2)
    numbers["swap"] = float(np.abs(judges.pose(found)[:, 0] - angles[shuffled][:, 0]).mean())
    numbers |= overlaps("iou", generator(f, z).parts, parts)
    if parse:
        numbers |= overlaps("parsed", made.parts, parse(made.pictures))
    numbers["own_auc"] = auc_of_people(generator.identify(only_face(faces.images, parts)), people)
    return numbers | {"leak": probe(z, people), "_made": made, "_pairs": (identity, attributes)}


def auc_of_people(vectors: np.ndarray, people: np.ndarray) -> float:
    """The AUC of the cosines of all pairs of unit vectors, those of one person against those of two."""
    cosines, same = vectors @ vectors.T, people[:, None] == people
    once = np.triu(np.ones_like(same), 1)
    return auc_of(cosines[same & once], cosines[~same & once])


def parser_at(run: Path, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """The parser that a refiner was trained with, which has met no generated face: uint8 faces to part labels of
    size x size px, int [n, size, size]."""
    parse = published_parser(run, read_refiner(run), "float32")
    return lambda faces: as_shares(parse(faces), size, size).argmax(axis=-1)


def overlaps(name: str, drawn: np.ndarray, known: np.ndarray) -> dict:
    """Intersection over union of skin and of hair, over all pixels of part labels [n, h, w]."""
    values = {}
    for part in ("skin", "hair"):
        one, other = (labels == PARTS.index(part) for labels in (drawn, known))
        values[f"{name}_{part}"] = float((one & other).sum() / max(1, (one | other).sum()))
    return values


def ceiling(judges: Judges, true: tuple) -> dict:
    """The same measures of the true faces that gave identity and attributes."""
    faces, parts, angles = true
    people = np.array(faces.groups)
    identity, attributes = pairs_of(people)
    vectors = judges.who(faces.images, parts)
    rest, first = ~np.isin(np.arange(len(people)), identity), np.unique(identity)
    numbers = measure_identity(judges, vectors[first], people[first], vectors[rest], people[rest])
    found = judges.points(faces.images[attributes])
    apart = np.abs(judges.pose(found) - angles[attributes]).mean(axis=0)
    numbers |= dict(zip(ANGLES, map(float, apart), strict=True))
    numbers |= {"label_top1": judges.top1_of_true, "nme": float(np.nanmean(nme(found, faces.points[attributes])))}
    return numbers | {"leak": 1 / len(set(people)), "spread": 1.0, "nearest": 1.0, "iou_skin": 1.0, "iou_hair": 1.0}


def probe(z: np.ndarray, people: np.ndarray) -> float:
    """Top 1 of a ridge classifier that learns people from all their z but the last and is asked for that one. Hair and
    clothes are z's to carry and stay with a person in these renders, so it is above chance without a leak."""
    names = list(dict.fromkeys(people))
    asked = np.array([np.flatnonzero(people == name)[-1] for name in names])
    taught = np.setdiff1d(np.arange(len(people)), asked)
    targets = (people[taught][:, None] == np.array(names)).astype(float)
    weights = np.linalg.solve(
        z[taught].T @ z[taught] + np.eye(z.shape[1]), z[taught].T @ (targets - targets.mean(axis=0))
    )
    return float(((z[asked] @ weights).argmax(axis=1) == np.arange(len(names))).mean())


def measure_samples(generator: Generator, judges: Judges, train: Faces, true: tuple) -> dict:
    rng = np.random.default_rng(0)
    names = [generator.names[place] for place in spread(len(generator.names), SAMPLED)]
    z = generator.new_attributes(len(names), rng)
    known = generator(np.stack([generator.person(name) for name in names]), z)
    new = generator(np.stack([generator.new_person(rng) for _ in names]), generator.new_attributes(len(names), rng))
    vectors, true_vectors = judges.who(*new), judges.who(true[0].images, true[1])
    nearest = [_nearest(pictures, train.images) for pictures in (new.pictures, true[0].images)]
    return {
        "label_top1": judges.top1(only_face(*known), names),
        "spread": _spread(vectors) / _spread(true_vectors),
        "nearest": float(np.median(nearest[0]) / np.median(nearest[1])),
        "_samples": new.pictures,
    }


def _spread(vectors: np.ndarray) -> float:
    """The mean distance of two of them."""
    cosines = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
    return float(np.sqrt(np.maximum(2 - 2 * cosines, 0)).mean())


def _nearest(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The root mean square distance of each to the nearest of the others, gray levels."""
    flat, theirs = (values.reshape(len(values), -1).astype(np.float32) for values in (pictures, others))
    squares = (flat**2).sum(1)[:, None] + (theirs**2).sum(1) - 2 * flat @ theirs.T
    return np.sqrt(np.maximum(squares.min(axis=1), 0) / flat.shape[1])


def measure_variations(generator: Generator, judges: Judges, true: tuple, steps: int, tune: int) -> dict:
    """Hair of other people on encoded faces; then inversion, tuning and variation of INVERTED faces."""
    faces, parts, _ = true
    people = np.array(faces.groups)
    first = pairs_of(people)[0]
    first = np.unique(first)
    rest = ~np.isin(np.arange(len(people)), first)
    f, z = generator.encode(faces.images)
    if not generator.has_parts:
        return {"encoded": _l1(generator(f[first], z[first]).pictures, faces.images[first])}
    numbers = {"local": locality(generator, f[first], z[first])}
    some, true_vectors = first[spread(len(first), INVERTED)], judges.who(faces.images[rest], parts[rest])
    numbers["encoded"] = _l1(generator(f[some], z[some]).pictures, faces.images[some])
    inverter, variations = Inverter(generator), Variations(generator, ("hair",))
    made, varied = [], []
    for start in range(0, len(some), FACES):
        chosen = some[start : start + FACES]
        codes = inverter.fit(faces.images[chosen], steps, tune)
        made.append(generator.draw(codes))
        for turn in range(4):
            numbers_of_turn = np.random.default_rng([start, turn])
            varied.append(generator.draw(variations.vary(codes, f[chosen], z[chosen], numbers_of_turn)))
    inverter.restore()
    made = type(made[0])(*map(np.concatenate, zip(*made, strict=True)))
    numbers["inverted"] = _l1(made.pictures, faces.images[some])
    for name, group, owners in (
        ("inverted_auc", made, people[some]),
        (
            "varied_auc",
            type(made)(*map(np.concatenate, zip(*varied, strict=True))),
            np.concatenate([np.tile(people[some[s : s + FACES]], 4) for s in range(0, len(some), FACES)]),
        ),
    ):
        numbers[name] = measure_identity(judges, judges.who(*group), owners, true_vectors, people[rest])["identity_auc"]
    rows = [faces.images[some], made.pictures]
    by_turn = [np.concatenate([varied[b + t].pictures for b in range(0, len(varied), 4)]) for t in range(4)]
    return numbers | {"_variations": sheet(np.stack([*rows, *by_turn]))}


def _l1(pictures: np.ndarray, others: np.ndarray) -> float:
    return float(np.abs(pictures.astype(float) - others).mean())


def locality(generator: Generator, f: np.ndarray, z: np.ndarray) -> float:
    """Of the change that other hair makes, the share where there was or is hair."""
    codes = generator.codes(f, z)
    changed = Variations(generator, ("hair",)).vary(codes, f, z, np.random.default_rng(0))
    before, after = generator.draw(codes), generator.draw(changed)
    change = np.abs(before.pictures.astype(float) - after.pictures).mean(axis=-1)
    hair = PARTS.index("hair")
    return float(change[(before.parts == hair) | (after.parts == hair)].sum() / max(change.sum(), 1e-9))


def measure_realism(pictures: np.ndarray, photographs: np.ndarray, prefix: str = "") -> dict:
    kid = kernel_distance(lite_features(pictures), lite_features(photographs))[0]
    return {f"{prefix}swd": wasserstein_mean(sliced_wasserstein(pictures, photographs)), f"{prefix}kid": kid}


def measure_worth(generator: Generator, train: Faces, photographs: Faces, refine: Callable) -> str:
    """Does a landmark network gain from recombined training faces added to the renders, both refined? In words."""
    rng = np.random.default_rng(0)
    f, z = generator.encode(train.images)
    order = rng.permutation(len(f))
    made = generator(f[order], z)  # the identity of another; the attributes, and so the points, are its own
    images = refine(np.concatenate([train.images, made.pictures]))
    points = np.concatenate([train.points, train.points])
    sets = {
        "renders": LabelledSet(images[: len(f)], train.points),
        "renders and generated faces": LabelledSet(images, points),
    }
    test = LabelledSet(photographs.images, photographs.points)
    found = measure_usefulness(sets, test, None)["sets"]
    return "; ".join(
        f"{name}: {row['error']['mean']:.2f} +- {row['error']['std']:.2f} %" for name, row in found.items()
    )


def table(columns: dict[str, dict]) -> str:
    lines = ["| proof | goal | " + " | ".join(columns) + " |", "|---" * (2 + len(columns)) + "|"]
    for key, (label, goal) in ROWS.items():
        if any(key in numbers for numbers in columns.values()):
            cells = [f"{numbers[key]:.3g}" if key in numbers else "" for numbers in columns.values()]
            lines.append(f"| {label} | {goal} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--train", "train_folder", required=True, type=click.Path(path_type=Path), help="renders of the training")
@click.option("--renders", required=True, type=click.Path(path_type=Path), help="renders of other people")
@click.option("--photos", required=True, type=click.Path(path_type=Path), help="photographs")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="a folder for table, numbers and sheets")
@click.option("--known-bad", type=click.Path(path_type=Path), help="run of a generator of two steps")
@click.option("--refiner", type=click.Path(path_type=Path), help="run of a refiner")
@click.option("--two-sample", is_flag=True, help="also the two-sample test, which trains networks")
@click.option("--usefulness", is_flag=True, help="also what the faces teach a landmark network; trains six")
@click.option("--judge-steps", default=STEPS, show_default=True, help="steps of the recogniser")
@click.option("--point-steps", default=600, show_default=True, help="steps of the landmark network")
@click.option("--invert-steps", default=100, show_default=True, help="steps of the codes of an inverted face")
@click.option("--tune", default=300, show_default=True, help="steps of the generator for these faces")
@click.option("--seed", default=0, show_default=True, help="of the judges")
def main(
    run,
    train_folder,
    renders,
    photos,
    out,
    known_bad,
    refiner,
    two_sample,
    usefulness,
    judge_steps,
    point_steps,
    invert_steps,
    tune,
    seed,
):
    generator = Generator(run)
    train, true = read(train_folder, generator, "train"), read(renders, generator, "held-out")
    file = photos / "annotations.jsonl"
    size = {"size": generator.size, "channels": generator.channels, "memory_gib": MEMORY_GIB}
    photographs = read_faces(photos, "photographs", file if file.exists() else None, **size)
    out.mkdir(parents=True, exist_ok=True)
    judges = Judges(*train, seed, judge_steps, point_steps)
    columns, sheets = {"true faces": ceiling(judges, true) | measure_realism(true[0].images, photographs.images)}, {}
    refine, parse = (load(refiner), parser_at(refiner, generator.size)) if refiner else (None, None)
    if refine:
        columns["true faces"] |= overlaps("parsed", parse(true[0].images), true[1])
        columns["true faces"] |= measure_realism(refine(true[0].images), photographs.images, "refined_")
    for name, path in {"generator": run, "known bad": known_bad}.items():
        if path is None:
            continue
        made = Generator(path)
        numbers = measure_recombined(made, judges, true, parse) | measure_samples(made, judges, train[0], true)
        numbers |= measure_variations(made, judges, true, invert_steps, tune)
        numbers |= measure_realism(numbers["_samples"], photographs.images)
        if refine:
            numbers |= measure_realism(refine(numbers["_samples"]), photographs.images, "refined_")
        if two_sample:
            numbers["auc"] = two_sample_test(numbers["_samples"], photographs.images, seed).auc
        sheets[name] = numbers
        columns[name] = {key: value for key, value in numbers.items() if not key.startswith("_")}
    text = table(columns)
    if usefulness:
        text += f"\nusefulness: {measure_worth(generator, train[0], photographs, refine or (lambda x: x))}\n"
    write(out, text, columns, generator, true, sheets)
    click.echo(text)


def write(out: Path, text: str, columns: dict, generator: Generator, true: tuple, sheets: dict) -> None:
    """The table, the numbers, and the sheets: the first SHOWN people with the attributes of faces spread evenly, new
    people, and variations."""
    (out / "table.md").write_text(text)
    (out / "numbers.json").write_text(json.dumps(columns, indent=2))
    faces = true[0]
    people = faces.images[np.unique(pairs_of(np.array(faces.groups))[0])[:SHOWN]]
    looks = faces.images[spread(len(faces), SHOWN)]
    f, z = generator.identify(people), generator.encode(looks)[1]
    made = generator(np.repeat(f, SHOWN, axis=0), np.tile(z, (len(people), 1))).pictures
    drawn = {"recombined": framed(people, looks, made.reshape(len(people), SHOWN, *made.shape[1:]))}
    drawn["samples"] = sheet(sheets["generator"]["_samples"][: SHOWN**2].reshape(SHOWN, SHOWN, *made.shape[1:]))
    if "_variations" in sheets["generator"]:
        drawn["variations"] = sheets["generator"]["_variations"]
    for name, pixels in drawn.items():
        (out / f"{name}.png").write_bytes(encode_picture(Picture(pixels), ".png"))


if __name__ == "__main__":
    main()
