"""What the axes of a generator are worth, on people it was not trained on, by judges that have nothing to do with it.

    python experiments/axes.py RUN --train DIR --renders DIR --out DIR [--invert-steps 60 --tune 150]

RUN is a generator that was trained on --train; its axes are found anew from these faces. The judge of attributes is a
ridge regression on what EfficientNet-Lite2 sees in true faces of --train (the generator looks through Lite0), the judge
of identity `recogniser.py`. The first view of each person of --renders, as the encoders see it, is moved from -2 to +2
standard deviations along each axis, alone and with the others in PRINCIPAL locked. It prints the table of
generator.md and writes OUT/axes.md, OUT/axes.json and the sheet: five axes, a held-out person each, by a fixed rule.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from generator import auc_of_people, only_face, read
from recogniser import STEPS, train_recogniser
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simrefine import backend
from simrefine.data.attributes import Attributes, read_attributes
from simrefine.data.images import Picture, encode_picture, to_signed
from simrefine.evaluation.two_sample import auc_of
from simrefine.generating.axes import Axes, draw_at, learn_axes
from simrefine.generating.generator import Generator
from simrefine.generating.invert import FACES, Inverter
from simrefine.generating.move import moved
from simrefine.models.pretrained import MAPS, build_features, read_pretrained
from simrefine.training.montage import sheet

PRINCIPAL = ("yaw", "pitch", "roll", "key_azimuth", "key_height", "jawOpen", "mouthSmile", "tone", "hair")
SHOWN = ("yaw", "pitch", "key_azimuth", "jawOpen", "tone")  # rows of the sheet, where they have axes
TURNS = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])  # standard deviations
COLUMNS = np.linspace(-3, 3, 7)
SIDE, CHUNK = 4, 64  # of the maps that the judge regresses on; faces at a time
GOALS = {"correlation": "pose 0.9, light and jaw 0.7", "leak, locked": "0.2", "identity": "0.85"}


class AttributeJudge:
    """Reads attributes off pictures, by ridge regression on maps of a network that knows photographs."""

    def __init__(self, faces: np.ndarray, attributes: Attributes):
        network = build_features(read_pretrained("lite2"), stages=max(MAPS), dtype="float32")
        self._see = backend.compile_step(
            lambda pictures: [network(pictures)[stage - 1] for stage in MAPS], network.variables
        )
        self.names, self.deviation = attributes.names, np.nanstd(attributes.values, axis=0)
        known = np.isfinite(attributes.values).all(axis=1)
        self._model = make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(1, 5, 9)))
        self._model.fit(self._maps(faces[known]), attributes.values[known])

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        """[n, k], in standard deviations over the faces it learnt from."""
        return self._model.predict(self._maps(faces)) / self.deviation

    def _maps(self, faces: np.ndarray) -> np.ndarray:
        chunks = []
        for start in range(0, len(faces), CHUNK):
            maps = [np.asarray(one) for one in self._see(to_signed(faces[start : start + CHUNK]))]
            chunks.append(np.concatenate([_pooled(one).reshape(len(one), -1) for one in maps], axis=1))
        return np.concatenate(chunks)


def _pooled(maps: np.ndarray) -> np.ndarray:
    n, height, width, c = maps.shape
    return maps.reshape(n, SIDE, height // SIDE, SIDE, width // SIDE, c).mean(axis=(2, 4))


def measure_axis(generator, axes: Axes, judge, who, latents: np.ndarray, name: str, locked: list[int]) -> dict:
    """Of one axis, over all faces and turns.

    Returns:
        correlation: of the step asked and the change that the judge sees.
        drawn: that change, standard deviations for each asked.
        leak: the largest movement of another principal attribute, standard deviations for each asked, and which.
        identity: AUC of faces at both ends with those in the middle, same person against others.
        high, low, others: the judge's attribute at +2 and -2, and the mean absolute change of the others there: three
            of ConfigNet's measures (Kowalski et al. 2020, arXiv 2005.02671); the fourth is the correlation.
    """
    step = axes.direction(axes.place(name), locked)
    drawn = [draw_at(generator, latents + turn * step) for turn in TURNS]
    seen = np.stack([judge(faces.pictures) for faces in drawn])  # [turns, n, k]
    change = seen - seen[len(TURNS) // 2]
    slopes = np.einsum("t,tnk->k", TURNS, change) / (np.square(TURNS).sum() * len(latents))
    own = judge.names.index(name)
    others = [judge.names.index(other) for other in PRINCIPAL if other != name and other in judge.names]
    worst = max(others, key=lambda place: abs(slopes[place]))
    people = np.arange(len(latents))
    vectors = [who(only_face(faces.pictures, faces.parts)) for faces in drawn]
    middle, ends = vectors[len(TURNS) // 2], np.concatenate([vectors[0], vectors[-1]])
    cosines, same = ends @ middle.T, np.tile(people, 2)[:, None] == people
    return {
        "correlation": float(np.corrcoef(np.repeat(TURNS, len(latents)), change[..., own].ravel())[0, 1]),
        "drawn": float(slopes[own]),
        "leak": float(abs(slopes[worst])),
        "leaks": judge.names[worst],
        "identity": auc_of(cosines[same], cosines[~same]),
        "high": float(change[-1, :, own].mean()),
        "low": float(change[0, :, own].mean()),
        "others": float(np.abs(change[[0, -1]][..., others]).mean()),
    }


def lockable(axes: Axes, name: str) -> list[int]:
    """The other principal axes."""
    return [
        axes.names.index(other) for other in PRINCIPAL if other != name and other in axes.names and usable(axes, other)
    ]


def usable(axes: Axes, name: str) -> bool:
    return name in axes.names and bool(axes.usable[axes.names.index(name)])


def draw_sheet(generator: Generator, axes: Axes, faces: np.ndarray, steps: int, tune: int) -> np.ndarray:
    """A row an axis and a person, the given face first, then its inversion moved."""
    names = [name for name in SHOWN if usable(axes, name)]
    faces = faces[: len(names)]
    inverter = Inverter(generator)
    codes, (f, z) = inverter.fit(faces, steps, tune), generator.encode(faces)
    rows = []
    for row, name in enumerate(names):
        step = axes.direction(axes.place(name), lockable(axes, name))
        own = codes.take([row])
        made = [
            generator.draw(moved(generator, own, f[[row]], z[[row]], turn * step[None])).pictures[0] for turn in COLUMNS
        ]
        rows.append(np.stack([faces[row], *made]))
    inverter.restore()
    return sheet(np.stack(rows))


def shuffled(attributes: Attributes, people: list) -> Attributes:
    """Attributes of other people, whom nothing but chance says: known bad."""
    names = list(dict.fromkeys(people))
    order = np.random.default_rng(0).permutation(len(names))
    first = {name: people.index(names[other]) for name, other in zip(names, order, strict=True)}
    return replace(attributes, values=attributes.values[[first[name] for name in people]])


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--train", "train_folder", required=True, type=click.Path(path_type=Path))
@click.option("--renders", required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--judge-steps", default=STEPS, show_default=True)
@click.option("--invert-steps", default=60, show_default=True)
@click.option("--tune", default=150, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(run, train_folder, renders, out, judge_steps, invert_steps, tune, seed):
    generator = Generator(run)
    (train, parts, _), (true, true_parts, _) = (read(folder, generator, "faces") for folder in (train_folder, renders))
    known, held = (
        read_attributes(folder / "annotations.jsonl", folder, faces.names)
        for folder, faces in ((train_folder, train), (renders, true))
    )
    judge = AttributeJudge(train.images, known)
    who = train_recogniser(only_face(train.images, parts), train.groups, seed, judge_steps)
    axes = learn_axes(generator, train.images, known, train.groups, train.points, click.echo)
    started = time.monotonic()
    only = known.names.index("yaw")
    one = Attributes(("yaw",), known.values[:, [only]], known.classes[[only]])
    learn_axes(generator, train.images, one, train.groups)
    seconds = time.monotonic() - started
    bad = learn_axes(generator, train.images, shuffled(known, train.groups), train.groups)
    people = np.array(true.groups)
    first = np.unique(people, return_index=True)[1]
    latents = np.concatenate(generator.encode(true.images[np.sort(first)]), axis=1).astype(np.float64)
    vectors = who(only_face(true.images, true_parts))
    ceiling = auc_of_people(vectors, people)
    rows = {}
    for name in PRINCIPAL:
        if not usable(axes, name):
            continue
        place, column = axes.names.index(name), judge.names.index(name)
        wanted = held.values[:, held.names.index(name)] / judge.deviation[column]
        apart = np.nanmean(np.square(judge(true.images)[:, column] - wanted)) / np.nanvar(wanted)
        rows[name] = {
            "r2": float(axes.r2[place]),
            "judge_r2": float(1 - apart),
            "alone": measure_axis(generator, axes, judge, who, latents, name, []),
            "locked": measure_axis(generator, axes, judge, who, latents, name, lockable(axes, name)),
        }
    missing = {
        name: axes.why_not(axes.names.index(name)) for name in PRINCIPAL if name in axes.names and name not in rows
    }
    text = describe(rows, ceiling, seconds, int(axes.usable.sum()), int(bad.usable.sum()), missing)
    out.mkdir(parents=True, exist_ok=True)
    (out / "axes.md").write_text(text)
    (out / "axes.json").write_text(json.dumps({"rows": rows, "ceiling": ceiling, "seconds": seconds}, indent=2))
    pixels = draw_sheet(
        generator, axes, true.images[np.sort(first)[:: max(1, len(first) // FACES)]], invert_steps, tune
    )
    (out / "axes.png").write_bytes(encode_picture(Picture(pixels), ".png"))
    click.echo(text)


def describe(rows: dict, ceiling: float, seconds: float, count: int, of_chance: int, missing: dict) -> str:
    lines = [
        "| axis | R2 of its model | R2 of the judge, true faces | correlation, alone / locked | drawn a sd asked | "
        "largest leak alone | locked | identity at 2 sd, locked | of +2 / -2 | others |",
        "|" + "---|" * 10,
        f"| goal | | | {GOALS['correlation']} | 1 | | {GOALS['leak, locked']} | {GOALS['identity']} of {ceiling:.3f} | | |",
    ]
    for name, row in rows.items():
        alone, locked = row["alone"], row["locked"]
        lines.append(
            f"| {name} | {row['r2']:.2f} | {row['judge_r2']:.2f} | {alone['correlation']:.2f} / {locked['correlation']:.2f} "
            f"| {alone['drawn']:.2f} / {locked['drawn']:.2f} | {alone['leak']:.2f} ({alone['leaks']}) "
            f"| {locked['leak']:.2f} ({locked['leaks']}) | {locked['identity']:.3f} "
            f"| {locked['high']:+.2f} / {locked['low']:+.2f} | {locked['others']:.2f} |"
        )
    lines += ["", *(f"{name} has no axis: {why}." for name, why in missing.items())]
    lines.append(
        f"{count} axes in all, {of_chance} from attributes of shuffled people (known bad); one attribute of all these "
        f"faces takes {seconds:.0f} s."
    )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
