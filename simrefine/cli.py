"""The command line: parse, call one function, print, set the exit code.

Nothing heavy is imported before a command runs: `simrefine --help` answers at once.
"""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import click

from simrefine import __version__
from simrefine.addresses import Place, Url, place
from simrefine.catalogue import EXPORTS
from simrefine.cli_generate import generate
from simrefine.command import (
    HELP,
    Command,
    Group,
    computes,
    progress_bar,
    setting,
    start_backend,
    tell,
    train_from_flags,
)
from simrefine.config import ANNOTATIONS, describe_options, template
from simrefine.errors import EXIT_INCOMPLETE, UserError
from simrefine.interruption import Interruption

__all__ = ["Command", "Group", "main", "progress_bar", "start_backend", "tell", "writes_crops"]
SHOWN_REJECTS = 3


class Folder(click.Path):
    """A folder or picture of this machine, or the address of a folder in a store."""

    def convert(self, value, parameter, context) -> Place:
        return place(value)


class Shard(click.ParamType):
    """A part and how many there are, "2/8"."""

    name = "shard"

    def convert(self, value, parameter, context) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        part, slash, parts = value.partition("/")
        if not (slash and part.isdecimal() and parts.isdecimal()):
            self.fail(f"{value!r} is no shard: write 2/8 for the second of eight", parameter, context)
        return int(part), int(parts)


@click.group(cls=Group, context_settings=HELP)
@click.version_option(__version__)
def main():
    """Make rendered faces look like photographs without moving a label."""


@main.command()
@setting("--synthetic", "data.synthetic", metavar="DIR")
@setting("--real", "data.real", metavar="DIR")
@setting("--labels", "labels.file", metavar="FILE")
@setting("--method", "method.name", metavar="NAME")
@setting("--exclude", "data.exclude", metavar="PATTERN", multiple=True)
@click.option("--run", "run", metavar="DIR", type=click.Path(path_type=Path), help="run folder [default: runs/NNN]")
@click.option("--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="TOML file of options")
@click.option("--set", "assignments", metavar="SECTION.KEY=VALUE", multiple=True, help="any option of the config")
@setting("--steps", "training.steps", type=int)
@setting("--size", "data.size", metavar="PX|auto")
@click.option("--gray/--colour", "gray", default=None, help="train on gray or on colour pictures [default: colour]")
@setting("--batch-size", "training.batch_size", type=int)
@setting("--seed", "training.seed", type=int)
@setting("--precision", "training.precision", metavar="NAME")
@setting("--evaluate-every", "evaluation.every", type=int)
@click.option("--resume", is_flag=True, help="continue the run in --run from its newest checkpoint")
@click.option(
    "--dry-run", is_flag=True, help="show the resolved options, the counts of files and faces of both, then stop"
)
@computes
@click.pass_context
def train(context, gray, **flags):
    """Learn a refiner from a folder of rendered faces and a folder of photographs.

    Options come from the defaults, then --config, then SIMREFINE_SECTION_KEY variables, then the flags.
    """
    flags |= {} if gray is None else {"data__channels": 1 if gray else 3}
    train_from_flags(context, flags)


@main.command("config")
@click.option("--toml", is_flag=True, help="print a file to begin with, for `train --config`")
def show_config(toml):
    """List every option of `train`: its default, what it may be, and what it does."""
    if toml:
        click.echo(template(), nl=False)
        return
    for key, default, allowed, meaning in describe_options():
        click.echo(f"{key} = {default}  ({allowed})\n    {meaning}")


@main.command()
@click.argument("inputs", metavar="DIR|URL|PICTURE...", nargs=-1, required=True, type=Folder())
@click.option("--model", metavar="RUN", required=True, type=click.Path(path_type=Path), help="run folder of a training")
@click.option("--out", metavar="DIR|URL", required=True, type=Folder(), help="where refined faces go")
@click.option("--exclude", metavar="PATTERN", multiple=True, help="leave these files or folders out; repeatable")
@click.option(
    "--copy",
    metavar="PATTERN",
    multiple=True,
    help="copy these pictures unchanged, such as masks; repeatable",
)
@click.option("--style", metavar="PATH", type=click.Path(path_type=Path), help="colours of this photograph, or folder")
@click.option(
    "--photos",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="photographs on whose heads and in whose rooms faces are put [default: the run's own]",
)
@click.option(
    "--keep-heads",
    is_flag=True,
    help="leave faces their own hair, ears, necks and outlines, so that part masks hold; photographs give the rest",
)
@click.option(
    "--masks",
    metavar="DIR",
    default="auto",
    show_default=True,
    help="part masks of these pictures, as in training: heads are cut out along them; auto: DIR-masks beside DIR; '': "
    "none",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="another seed: other colours")
@click.option(
    "--draws",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="so many looks of each face, from as many seeds, in OUT/seed-0, OUT/seed-1, ...",
)
@click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="0 = raw, 1 = refined")
@click.option(
    "--scale",
    type=click.Choice(["training", "own"]),
    default="training",
    show_default=True,
    help="training: pictures of another size are refined at the training's, and the change is added to them; own: as "
    "they are",
)
@click.option("--compare", is_flag=True, help="also write before|after pictures to OUT/_compare")
@click.option("--overwrite", is_flag=True, help="write every picture again, also those that are there")
@click.option("--batch-size", type=click.IntRange(1, 4096), default=32, show_default=True, help="pictures at a time")
@click.option(
    "--memory-gib",
    type=click.FloatRange(0, min_open=True),
    help="memory that the program may take, GiB; larger pictures are refined piece by piece [default: half of what the "
    "machine or its container has]",
)
@click.option(
    "--shard",
    metavar="I/N",
    type=Shard(),
    default="1/1",
    show_default=True,
    help="the I-th of N parts: N processes, on one machine or on several, do the whole",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="local: this process; ray: the workers of a Ray cluster, or of one that is started on this machine",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 10000),
    help="with --engine ray: how many at once [default: one for each GPU, or else for each machine]",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "auto"]),
    default="float32",
    show_default=True,
    help="float32 gives the same pictures on every CPU, to a gray level",
)
@computes
@click.pass_context
def refine(
    context, inputs, model, out, precision, style, photos, keep_heads, masks, seed, draws, scale, engine, **options
):
    """Refine every picture under DIR: same tree, names, formats and labels, in --out. Or the pictures named.

    Both folders may be in a store, such as s3://bucket/renders. A second run does only what is missing.
    """
    for path in (*inputs, model, style, photos, None if masks == "auto" else masks):
        if path and not isinstance(path, Url) and not os.path.lexists(path):
            raise UserError(f"{path} is not there", "check the path")
    start_backend()
    from simrefine.refining.refiner import load

    refine_folder = _choose_engine(engine, options, inputs, out)

    if style and photos:
        raise UserError("--style and --photos are both given", "name colours, or colours and rooms")
    how = {"style": style, "seed": seed, "photographs": photos, "heads": not keep_heads, "scale": scale}
    refiner = load(model, precision, memory_gib=options["memory_gib"], **how).with_masks(masks, (*inputs, out))
    if refiner.masks:
        tell(f"heads are cut out along the masks in {refiner.masks.folder}", err=True)
    if refiner.wants_photographs:
        click.echo("faces keep their own rooms: no folder of photographs is there (see --photos)", err=True)
    elif refiner.dresser.has_heads:
        click.echo(
            "faces are put on the heads of photographs that fit: the pictures hold parts of them, and of part masks "
            "those of the face hold, but not of hair, neck and clothes (see --keep-heads)",
            err=True,
        )
    elif refiner.dresser.has_scenes:
        click.echo("faces are put in the rooms of photographs: the pictures hold parts of them", err=True)
    incomplete = False
    for one, folder in refiner.looks(draws, out):
        with Interruption() as interruption, progress_bar("refining") as progress:
            options["stopped"] = lambda: interruption.signal is not None
            summary = refine_folder(one, inputs, folder, progress=progress, **options)
        _show_refined(summary, one, scale)
        if interruption.signal:
            again = "the same command without --overwrite" if options["overwrite"] else "the same command"
            tell(f"stopped by {interruption.name}: {again} does the rest", err=True)
            context.exit(interruption.exit_code)
        incomplete = incomplete or summary.rejected or summary.labels_rejected
    if incomplete:
        context.exit(EXIT_INCOMPLETE)


def _choose_engine(engine: str, options: dict, inputs: Sequence[Place], out: Place):
    """The function that refines a folder; takes what is the other's out of its options."""
    if engine == "ray":
        from simrefine.refining.on_ray import import_ray, refine_on_ray

        import_ray()  # is it there?
        if options.pop("shard") != (1, 1):
            raise UserError("--engine ray and --shard are both given", "leave --shard out: Ray hands out the parts")
        return refine_on_ray
    from simrefine.refining.stores import way_between

    if options.pop("workers"):
        raise UserError("--workers are those of --engine ray", "add it, or leave them out")
    return way_between(inputs, out).refine


def _show_refined(summary, refiner, scale: str) -> None:
    """Says what became of a folder, given the Summary of `refine_folder`."""
    left = f" + {summary.left} left" if summary.left else ""
    change = f"; mean change {summary.mean_change:.1f} gray levels" if summary.written else ""
    click.echo(
        f"{summary.written} written + {summary.skipped} skipped + {summary.rejected} rejected{left} = {summary.found} "
        f"found, {summary.labels_copied} label files copied, in {summary.seconds:.0f} s{change}"
    )
    others = {size: count for size, count in summary.sizes.items() if min(size) != refiner.size}
    if others:
        height, width = max(others, key=others.get)
        click.echo(
            f"note: the refiner was trained on {refiner.size} px, but {sum(others.values())} pictures have another "
            f"size (such as {width} x {height})"
            + (": it worked at its own, and its change was scaled to theirs" if scale == "training" else "")
            + "; for the best result train with --size near theirs"
        )
    for reject in summary.rejects[:SHOWN_REJECTS]:
        tell(f"  {reject.relative}: {reject.reason}", err=True)
    if summary.linked:
        tell(f"{summary.linked} linked folders were not followed, see {summary.rejects_csv}", err=True)
    if summary.rejected or summary.labels_rejected:
        tell(f"the rejected files and the reasons are in {summary.rejects_csv}", err=True)


@main.command()
@computes
def devices():
    """Say what is there to compute on, what is chosen, and why."""
    why = start_backend()
    from simrefine.devices import describe_devices

    for line in describe_devices(why):
        click.echo(line)


@main.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice([*EXPORTS]), required=True, help="the format")
def export(run, out, to):
    """Write a run's network for other programs: ONNX, LiteRT (TFLite) or SavedModel.

    OUT is a new folder: refiner.onnx, refiner.tflite or saved_model/, and about.json, which says what goes in and out.
    The network takes float32 [n, h, w, c] in [-1, 1]; n, h and w are free in all three formats, but h and w must be
    multiples of 8, from 16 on (of 1 where the run's refiner is resnet). It is the network alone: faces get their
    colours before, in Python, by simrefine.load(RUN).dress(images).
    """
    start_backend("tensorflow")  # which Keras exports through
    from simrefine.refining.export import export

    tell(f"{export(run, to, out)} is written; {out / 'about.json'} says what goes in and out")


@main.command()
@click.option("--raw", metavar="DIR", required=True, type=click.Path(path_type=Path), help="rendered faces")
@click.option("--refined", metavar="DIR", type=click.Path(path_type=Path), help="the same faces refined")
@click.option("--model", metavar="RUN", type=click.Path(path_type=Path), help="instead: the run that refines them")
@click.option("--real", metavar="DIR", required=True, type=click.Path(path_type=Path), help="photographs")
@click.option("--labels", metavar="FILE", type=click.Path(path_type=Path), help="labels of the rendered faces")
@click.option(
    "--real-labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="labels of the photographs, which also judge those of refined faces",
)
@click.option("--test", metavar="DIR", type=click.Path(path_type=Path), help="labelled photographs of other people")
@click.option("--test-labels", metavar="FILE", type=click.Path(path_type=Path), help="their labels")
@click.option("--out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="where the report goes")
@click.option(
    "--part",
    "parts",
    multiple=True,
    type=click.Choice(["realism", "labels", "usefulness", "verification"]),
    help="measure only this; repeatable [default: all that the given folders allow]",
)
@click.option(
    "--size",
    type=click.IntRange(16, 1024),
    help="compare at this side, px [default: the model's, or raw's]",
)
@click.option("--exclude", metavar="PATTERN", multiple=True, help="leave these files or folders out; repeatable")
@click.option(
    "--masks",
    metavar="DIR",
    default="auto",
    show_default=True,
    help="with --model: part masks of the rendered faces; auto: RAW-masks beside RAW; '': none",
)
@click.option("--weights", metavar="FILE", help="adds FID: InceptionV3's weights file, or 'imagenet'")
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="trainings a set")
@click.option(
    "--draws",
    type=click.IntRange(1, 100),
    default=1,
    show_default=True,
    help="with --model: also what so many looks of each face are worth",
)
@computes
def evaluate(raw, real, out, parts, **options):
    """Say whether refinement helped: are refined faces more like photographs, do their labels still hold, and does
    a network trained on them do better on photographs? Writes OUT/report.html and OUT/evaluation.json."""
    start_backend()
    from simrefine.evaluation.evaluate import evaluate

    def report(message: str) -> None:
        tell(message, err=True)

    result = evaluate(raw, real, out, parts=parts or None, progress=report, **options)
    tell(result["verdict"]["sentence"])
    for sentence in result["verdict"]["summary"]:
        tell(sentence)
    for reason in result["verdict"]["reasons"]:
        tell(f"  {reason}")
    tell(f"open {out / 'report.html'}")


def writes_crops(find_faces):
    """Turns a function that gives faces, and where their landmarks come from, into a command that cuts them out."""

    @click.option("--out", metavar="DIR", required=True, type=click.Path(path_type=Path), help="where crops go")
    @click.option("--size", type=click.IntRange(16, 1024), default=128, show_default=True, help="side of a crop, px")
    @click.option(
        "--max-scale",
        type=click.FloatRange(0, min_open=True),
        default=1.5,
        show_default=True,
        help="reject faces that would be enlarged more than this",
    )
    @click.option(
        "--max-outside",
        type=click.FloatRange(0, 0.9),
        default=0.25,
        show_default=True,
        help="reject crops of which a larger share lies outside the picture",
    )
    @click.option("--limit", type=click.IntRange(1), help="take so many faces, evenly spread [default: all]")
    @click.pass_context
    @functools.wraps(find_faces)
    def command(context, out, size, max_scale, max_outside, limit, **own):
        from simrefine.data.prepare import prepare

        faces, source = find_faces(**own)
        limits = {"size": size, "max_scale": max_scale, "max_outside": max_outside, "limit": limit}
        with progress_bar("cutting") as progress:
            summary = prepare(faces, out, source=source, progress=progress, **limits)
        click.echo(
            f"{summary.written} written + {summary.rejected} rejected = {summary.found} found, in "
            f"{summary.seconds:.0f} s; a pixel of the source became {summary.scale:.2f} pixels (median)"
        )
        if summary.rejected:
            tell(f"the rejected pictures and the reasons are in {summary.rejects_csv}", err=True)
            context.exit(EXIT_INCOMPLETE)

    return command


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="their landmarks, 68 or 5 points: JSON lines, COCO, .csv, or a folder of .pts "
    f"[default: DIR/{ANNOTATIONS}; where there is none, faces are detected]",
)
@click.option(
    "--masks",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="their part masks, palette or gray PNGs of the same names: cut alike, to OUT-masks beside --out",
)
@click.option(
    "--min-face",
    metavar="PX",
    type=click.IntRange(20),
    help="without labels: the least side of a face's box [default: 40]",
)
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="and how sure the detector must be [default: 0.9]")
@click.option("--exclude", metavar="PATTERN", multiple=True, help="leave these files or folders out; repeatable")
@writes_crops
def prepare(folder, labels, masks, min_face, min_confidence, exclude):
    """Cut the faces out of the pictures under DIR, framed alike for renders and photographs.

    The square is 1.6 times the longer side of the landmarks' box, a little raised. OUT gets the crops as PNG,
    annotations.jsonl with their landmarks, and rejects.csv; with --masks, OUT-masks gets the class of each pixel as
    gray PNG, under the name of the crop. For public data sets see data/README.md.

    Photographs without landmarks need the extra `detect`: all faces in them are found, with five points each, and the
    crops of a.jpg are a.png, a-face2.png, ..., the largest face first.
    """
    from simrefine.data.prepare import check_outside, labelled_faces

    out = click.get_current_context().params["out"]
    check_outside(folder, out)
    if labels is None and (folder / ANNOTATIONS).exists():
        labels = folder / ANNOTATIONS
    asked = {"min_face": min_face, "min_confidence": min_confidence}
    asked = {name: value for name, value in asked.items() if value is not None}
    if labels is None:
        if masks is not None:
            raise UserError("--masks belong to labelled pictures", "name their landmarks with --labels")
        return detected(folder, out, exclude, asked), None
    if asked:
        raise UserError(
            f"--min-face and --min-confidence are for pictures without labels, and there is {labels}",
            "leave them out, or move the label file out of the folder",
        )
    return labelled_faces(folder, labels, masks, exclude), labels


def detected(folder: Path, out: Path, exclude: tuple[str, ...], asked: dict):
    """The faces found in the pictures of a folder without labels; `asked` holds what `detected_faces` is asked for."""
    from simrefine.data.detection import detected_faces, load_detector
    from simrefine.data.prepare import check_empty, list_pictures

    check_empty(out)  # before the minutes that the search takes
    pictures = list_pictures(folder, exclude)
    tell(f"no --labels, and no {ANNOTATIONS} in {folder}: faces are detected", err=True)
    start_backend("tensorflow")  # which the detector is made of
    detector = load_detector()
    limit = click.get_current_context().params["limit"]
    with progress_bar("detecting") as progress:
        return detected_faces(pictures, detector, limit=limit, progress=progress, **asked)


@main.command()
@click.option(
    "--out", metavar="DIR", default="demo", show_default=True, type=click.Path(path_type=Path), help="a new folder"
)
@click.option("--faces-only", is_flag=True, help="only draw the faces, to train and refine by hand")
@click.option("--clean", is_flag=True, help="remove the faces, OUT/data, at the end")
@click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="other faces, another training"
)
@computes
@click.pass_context
def demo(context, out, faces_only, clean, seed):
    """Show the whole job on made-up faces, offline and in a few minutes: make them, train, refine, evaluate.

    The faces are drawn by simrefine itself, in two looks; neither is a photograph.
    """
    start_backend()
    from simrefine.demo import SHEET, draw_faces, run_demo

    def progress(message: str) -> None:
        tell(message, err=True)

    if faces_only:
        draw_faces(out, seed=seed, progress=progress)
        _show_by_hand(out)
        return
    outcome = run_demo(out, clean=clean, seed=seed, progress=progress)
    click.echo(outcome.describe())
    tell(f"look at {out / SHEET}: raw, unrefined, refined, and the same heads in the photo look")
    tell(f"open {out / 'report' / 'report.html'}")
    tell(f"tensorboard --logdir {out} --samples_per_plugin images=100")
    if not clean:
        _show_by_hand(out)
    if not outcome.worked:
        context.exit(EXIT_INCOMPLETE)


def _show_by_hand(out: Path) -> None:
    """What a user types to do what the demo does, on its faces."""
    from simrefine.demo import OPTIONS, USUAL

    data, run = out / "data", out / "by-hand"
    own = "".join(f" --set {key}={value}" for key, value, _ in OPTIONS)
    click.echo("by hand:")
    tell(
        f"  simrefine train --synthetic {data / 'renders'} --real {data / 'photos'} --run {run} "
        f"--steps {USUAL.steps}{own}"
    )
    tell(f"  simrefine refine {data / 'held-out' / 'renders'} --model {run} --out {out / 'mine'}")


main.add_command(generate)

if __name__ == "__main__":
    main()
