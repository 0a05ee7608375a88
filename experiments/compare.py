"""The tables of quality.md: what a landmark network learns from each training set, and what was done to held-out faces.

    python experiments/compare.py [RUN ...] --faces DIR --results FILE.json [--size 64] [--seeds 3]

DIR holds synthetic/train, synthetic/val, real/train and real/val, each with annotations.jsonl. Measured as in `simrefine
evaluate`, for what needs no training (raw, colours only, real) and for each RUN, refined and unrefined (what its network
is given); with --with-raw also its refined faces and raw ones together, with --draws 4 also every render in four
looks, both refined and unrefined. With --seeds 0 only what needs no training of its own: no landmark network, no AUC.
FILE.json keeps what was measured, so that the next call adds to it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
import numpy as np
from runs import refine_faces

from simrefine.data.faces import Faces, read_faces
from simrefine.evaluation.adaptation import hold_out
from simrefine.evaluation.baselines import match_colours
from simrefine.evaluation.two_sample import two_sample_test
from simrefine.evaluation.usefulness import gap_closed, measure_usefulness
from simrefine.measures.colour import compare_complexions, skin_colours
from simrefine.measures.drift import measure_drift, summarise_drift
from simrefine.measures.realism import kernel_distance, sliced_wasserstein, wasserstein_mean
from simrefine.models.lite_features import lite_features
from simrefine.refining.refiner import Refiner, load
from simrefine.training.landmarks import LabelledSet

PHOTOGRAPHS = 300  # to learn from that are held against the held-out ones: as many as there are held-out renders
MEMORY_GIB = 8.0  # a folder

Treatment = Callable[[Faces], np.ndarray]


def evenly(faces: Faces, n: int) -> Faces:
    """`n` of them, spread over the folder."""
    return faces.take(np.linspace(0, len(faces) - 1, n).astype(int))


def baselines(photographs: np.ndarray) -> dict[str, Treatment]:
    """What needs no training; faces to uint8 [n, h, w, c]."""
    return {
        "raw": lambda faces: faces.images,
        "colours only": lambda faces: match_colours(faces.images, photographs, 0),
    }


def measure_faces(
    images: np.ndarray, faces: Faces, photographs: Faces, given: np.ndarray | None, *, told: bool = True
) -> dict:
    """Realism of `images`, what became of `faces`, against photographs, with `told` also by a classifier; and how far
    points moved from the pictures `given`, where there are some."""
    kid, _ = kernel_distance(*(lite_features(pictures) for pictures in (images, photographs.images)))
    measured = {"kid": kid, "swd": wasserstein_mean(sliced_wasserstein(images, photographs.images))}
    if told:
        test = two_sample_test(images, photographs.images, groups_a=faces.groups, groups_b=photographs.groups)
        measured["auc"] = asdict(test)
    if given is not None:
        drift = summarise_drift(measure_drift(given, images, faces.points, faces.names))
        measured |= {key: drift[key] for key in ("percent_median", "percent_p95")}
    if images.shape[-1] == 3:
        before, after = (skin_colours(pictures, faces.points) for pictures in (faces.images, images))
        measured["complexion"] = compare_complexions(before, {"these": after}, None)["these"]
    return measured


def print_table(sets: Mapping[str, dict]) -> None:
    heads = ("trained on", "NME", "gap closed", "NME, adapted", "gap closed, adapted", "KID", "SWD", "AUC")
    heads += ("displacement", "tinted", "complexion moved, CIE76 / ITA")
    print(f"| {' | '.join(heads)} |")
    print("|---" * len(heads) + "|")
    for name, measured in sets.items():
        cells = []
        for key in ("error", "adapted"):
            if key not in measured:
                cells += ["", ""]
                continue
            raw, real = (sets[end][key]["mean"] for end in ("raw", "real"))
            mean, std = measured[key]["mean"], measured[key]["std"]
            spread = f" ± {std:.2f}" if std is not None else ""
            closed = f"{100 * gap_closed(raw, mean, real):.0f} %"
            cells += [f"{mean:.2f}{spread}", "" if name == "raw" else closed]
        faces = measured["faces"] or {}
        cells += [f"{faces[key]:.1f}" if faces else "" for key in ("kid", "swd")]
        cells.append("{auc:.2f} ({low:.2f} .. {high:.2f})".format(**faces["auc"]) if "auc" in faces else "")
        cells.append(f"{faces['percent_median']:.2f} / {faces['percent_p95']:.2f}" if "percent_p95" in faces else "")
        skin = faces.get("complexion")
        cells.append(f"{100 * skin['tinted']:.1f} %" if skin else "")
        moved = skin and "percent_p95" in faces
        cells.append(f"{skin['distance']['median']:.1f} / {skin['ita_change']['median']:.1f}" if moved else "")
        print(f"| {name} | {' | '.join(cells)} |")


@click.command(help=__doc__.partition("\n")[0])
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--faces", required=True, type=click.Path(path_type=Path), help="the four folders")
@click.option("--results", required=True, type=click.Path(path_type=Path), help="JSON file that keeps the numbers")
@click.option("--size", default=64, help="side of the pictures, px", show_default=True)
@click.option("--gray", is_flag=True, help="gray pictures")
@click.option("--seeds", default=3, help="trainings a set", show_default=True)
@click.option("--draws", default=1, help="also a set of so many looks a render", show_default=True)
@click.option("--with-raw", is_flag=True, help="also refined and raw together")
def main(runs, faces, results, size, gray, seeds, draws, with_raw):
    about = {"size": size, "gray": gray, "seeds": seeds}
    kept = json.loads(results.read_text()) if results.exists() else {"about": about, "sets": {}}
    if kept["about"] != about:
        raise click.UsageError(f"{results} holds {kept['about']}, not {about}: name another file")
    read = partial(read_faces, size=size, channels=1 if gray else 3, memory_gib=MEMORY_GIB)
    raw, held_out, real, photographs = (
        read(faces / name, name, faces / name / "annotations.jsonl")
        for name in ("synthetic/train", "synthetic/val", "real/train", "real/val")
    )
    learnt, adaptation = hold_out(LabelledSet(real.images, real.points))
    test = LabelledSet(photographs.images, photographs.points)

    def measure(name: str, key: str, train: Callable[[], LabelledSet], shown: Callable[[], dict] | None) -> None:
        """Once for each `key`: a run that was trained again is measured again."""
        if kept["sets"].get(name, {}).get("key") == key:
            return
        useful = measure_usefulness({name: train()}, test, adaptation, range(seeds))["sets"][name] if seeds else {}
        kept["sets"][name] = useful | {"key": key, "faces": shown() if shown else None}
        results.write_text(json.dumps(kept, indent=2) + "\n")

    def measure_treatment(name: str, key: str, treat: Treatment, before: Treatment | None = None) -> None:
        def shown() -> dict:
            given = before(held_out) if before else None if name == "raw" else held_out.images
            return measure_faces(treat(held_out), held_out, photographs, given, told=bool(seeds))

        measure(name, key, lambda: LabelledSet(treat(raw), raw.points), shown)

    def drawn(refiner: Refiner) -> LabelledSet:
        """Every render in `draws` looks; a network learns from as many pictures as it does from the others."""
        looks = [refine_faces(refiner.with_seed(seed), raw) for seed in range(draws)]
        return LabelledSet(np.concatenate(looks), np.concatenate([raw.points] * draws))

    def measure_run(run: Path) -> None:
        refiner = load(run)
        dresser = refiner.without_network()
        dress, refine = (partial(refine_faces, one) for one in (dresser, refiner))

        def together() -> LabelledSet:
            return LabelledSet(np.concatenate([refine(raw), raw.images]), np.concatenate([raw.points] * 2))

        # Dressing moves no point, and the flow between two rooms is no flow of the face.
        measure_treatment(f"{run.name}, unrefined", dresser.fingerprint, dress, dress)
        measure_treatment(run.name, refiner.fingerprint, refine, dress)
        for name, one in ((f"{run.name}, unrefined", dresser), (run.name, refiner)) if draws > 1 else ():
            measure(f"{name}, {draws} draws", f"{one.fingerprint} {draws}", partial(drawn, one), None)
        if with_raw:
            measure(f"{run.name} + raw", refiner.fingerprint, together, None)

    for name, treat in baselines(real.images).items():
        measure_treatment(name, name, treat)
    some = evenly(real, PHOTOGRAPHS)
    measure(
        "real", "real", lambda: learnt, lambda: measure_faces(some.images, some, photographs, None, told=bool(seeds))
    )
    for run in runs:
        measure_run(run)
    print_table(kept["sets"])


if __name__ == "__main__":
    main()
