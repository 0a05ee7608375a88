"""The commands of `simrefine generate`: train a generator of faces, and have new ones of it."""

import os
from pathlib import Path

import click

from simrefine.command import HELP, computes, progress_bar, setting, start_backend, tell, train_from_flags
from simrefine.errors import EXIT_INCOMPLETE, UserError
from simrefine.interruption import Interruption

FOLDER = click.Path(path_type=Path)


@click.group(context_settings=HELP)
def generate():
    """Make new faces: train a generator, then have samples, recombinations or variations of it."""


@generate.command()
@setting("--synthetic", "data.synthetic", metavar="DIR")
@setting("--real", "data.real", metavar="DIR")
@setting("--labels", "labels.file", metavar="FILE")
@setting("--masks", "parts.masks", metavar="DIR")
@setting("--exclude", "data.exclude", metavar="PATTERN", multiple=True)
@click.option("--run", metavar="DIR", type=FOLDER, help="run folder [default: runs/NNN]")
@click.option("--config", "file", metavar="FILE", type=FOLDER, help="TOML file of options")
@click.option("--set", "assignments", metavar="SECTION.KEY=VALUE", multiple=True, help="any option of the config")
@click.option("--steps", "training__steps", type=int, help="steps [default: 4000]")
@click.option("--size", "data__size", metavar="PX|auto", help="side of the faces, a power of two [default: 64]")
@setting("--batch-size", "training.batch_size", type=int)
@setting("--seed", "training.seed", type=int)
@setting("--precision", "training.precision", metavar="NAME")
@click.option("--resume", is_flag=True, help="continue the run in --run from its newest checkpoint")
@click.option("--dry-run", is_flag=True, help="show the resolved options and the counts of files, then stop")
@computes
@click.pass_context
def train(context, **flags):
    """Learn to make faces like those of a folder of renders, whose labels say who each shows.

    The label file names a person ("identity", "person" or "subject") for each render, and DIR-masks holds their part
    masks. Photographs need no labels; without them, --set generator.photographs=false.
    """
    train_from_flags(context, flags, {"method.name": "generator"})


def makes_faces(command):
    """The options that sample, recombine and vary share."""
    for decorate in (
        click.pass_context,
        computes,
        click.option("--overwrite", is_flag=True, help="make every face again, also in a folder of another order"),
        click.option(
            "--look",
            type=click.Choice(["render", "photograph"]),
            default="render",
            show_default=True,
            help="the pile whose look the faces have",
        ),
        click.option("--out", metavar="DIR", required=True, type=FOLDER, help="where the faces go"),
        click.option("--model", metavar="RUN", required=True, type=FOLDER, help="run folder of a generator"),
    ):
        command = decorate(command)
    return generate.command()(command)


@makes_faces
@click.option("--person", metavar="NAME", help="of this person of the training [default: a person each]")
@click.option("--new", is_flag=True, help="of somebody new, who follows from --seed")
@click.option("--count", type=click.IntRange(1, 100_000), default=8, show_default=True, help="faces")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="another seed: other faces")
def sample(context, **options):
    """Make faces of a person, known or new, with any pose, light and expression."""
    _fill(context, "sample", (), options)


@makes_faces
@click.option("--identity", metavar="PATH", required=True, type=FOLDER, help="face, or folder, that says who")
@click.option("--attributes", metavar="PATH", required=True, type=FOLDER, help="face, or folder, that says how")
@click.option("--labels", metavar="FILE", type=FOLDER, help="label points of the attribute faces")
def recombine(context, identity, attributes, **options):
    """Make each person of one folder look as each face of another does: pose, light, expression, hair."""
    _fill(context, "recombine", (identity, attributes), options)


@makes_faces
@click.argument("folder", metavar="DIR|PICTURE", type=FOLDER)
@click.option("--parts", metavar="NAMES", default="hair,light", show_default=True, help="what is changed")
@click.option("--count", type=click.IntRange(1, 1000), default=4, show_default=True, help="variations a face")
@click.option("--steps", type=click.IntRange(0), default=100, show_default=True, help="in which the codes are fitted")
@click.option("--tune", type=click.IntRange(0), default=300, show_default=True, help="in which the generator is")
@click.option("--labels", metavar="FILE", type=FOLDER, help="label points of the faces")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="another seed: other variations")
def vary(context, folder, parts, **options):
    """Make variations of given faces: other hair, clothes or light, one person."""
    options["parts"] = tuple(part.strip() for part in parts.split(",") if part.strip())
    _fill(context, "vary", (folder,), options)


@generate.command()
@click.option("--model", metavar="RUN", required=True, type=FOLDER, help="run folder of a generator")
@click.option("--synthetic", metavar="DIR", required=True, type=FOLDER, help="rendered faces")
@click.option("--labels", metavar="FILE", type=FOLDER, help="what is known of them [default: DIR/annotations.jsonl]")
@click.option("--table", metavar="FILE", type=FOLDER, help="attributes from this .csv or .jsonl instead")
@computes
def axes(model, synthetic, labels, table):
    """Find the axes of a generator: which attributes of labelled faces can be turned, and how well.

    Every number and class in the label file is tried: angles, expressions, lights, colours. A row of --table names a
    picture ("file") and what is known of it.
    """
    _check_there(model, synthetic, labels, table)
    start_backend()
    from simrefine.generating.find_axes import describe_axes, find_axes
    from simrefine.generating.generator import Generator

    found, folder = find_axes(Generator(model), model, synthetic, labels, table, say=lambda line: tell(line, err=True))
    for line in describe_axes(found):
        tell(line)
    tell(f"they are in {folder}; to move faces along one:")
    tell(f"simrefine generate move {synthetic} --model {model} --axis NAME=+1 --out DIR")


@makes_faces
@click.argument("folder", metavar="DIR|PICTURE", type=FOLDER)
@click.option(
    "--axis",
    "steps_of",
    metavar="NAME=STEP",
    multiple=True,
    help="an axis and a step, yaw=+10, or a sweep, yaw=-20..20:5: in degrees of yaw, pitch and roll, else in standard "
    "deviations; repeatable",
)
@click.option("--lock", metavar="NAMES", multiple=True, help="axes that are to stay, or all; repeatable")
@click.option(
    "--recipe", metavar="FILE", type=FOLDER, help="steps, locks and parts from a TOML file, as studio saves it"
)
@click.option("--parts", metavar="NAMES", help="parts to be drawn anew as well, see vary")
@click.option("--steps", type=click.IntRange(0), default=100, show_default=True, help="in which the codes are fitted")
@click.option("--tune", type=click.IntRange(0), default=300, show_default=True, help="in which the generator is")
@click.option("--seed", type=click.IntRange(0), help="of the parts that are drawn anew [default: 0]")
def move(context, folder, steps_of, lock, recipe, parts, seed, **options):
    """Move faces along the axes of a generator: a smile, a turn of the head, another light; the rest stays.

    The axes come from `simrefine generate axes`. Of several sweeps every combination is made.
    """
    from simrefine.generating.recipes import Recipe, read_recipe

    given = read_recipe(recipe) if recipe else Recipe()
    given = given.with_more(steps_of, lock, parts, seed)
    _fill(context, "move", (folder,), options | {"recipe": given})


@generate.command()
@click.option("--model", metavar="RUN", required=True, type=FOLDER, help="run folder of a generator with axes")
@click.option("--port", type=click.IntRange(1, 65535), default=7860, show_default=True, help="of the page")
@computes
def studio(model, port):
    """Open a page with sliders for the axes, on this machine alone."""
    _check_there(model)
    start_backend()
    from simrefine.generating.axes import read_axes
    from simrefine.generating.generator import Generator
    from simrefine.studio import Studio, serve

    generator = Generator(model, batch=1)  # a face at a time, at once
    serve(Studio(generator, read_axes(model, generator), model), f"simrefine studio: {model.name}", port, tell)


@generate.command()
@click.option("--out", metavar="DIR", default="people", show_default=True, type=FOLDER, help="a new folder")
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="other faces and training")
@computes
@click.pass_context
def demo(context, out, seed):
    """Show it on made-up heads, offline and in minutes: draw people, train, recombine strangers.

    The heads are drawn by simrefine itself, so each recombined face can be held against the truth.
    """
    start_backend()
    from simrefine.generator_demo import SHEET, run_demo

    outcome = run_demo(out, seed=seed, progress=lambda message: tell(message, err=True))
    click.echo(outcome.describe())
    tell(f"look at {out / SHEET}: first row and column are given; below each row of made faces is the truth")
    tell(f"simrefine generate sample --model {out / 'run'} --new --count 8 --out {out / 'new'}")
    if outcome.missed:
        context.exit(EXIT_INCOMPLETE)


def _check_there(*paths: Path | None) -> None:
    for path in paths:
        if path and not os.path.lexists(path):
            raise UserError(f"{path} is not there", "check the path")


def _fill(context, name: str, given: tuple[Path, ...], options: dict) -> None:
    """Calls the order of that name, and says what became of it."""
    model, out = options.pop("model"), options.pop("out")
    _check_there(*given, model, options.get("labels"))
    start_backend()
    from simrefine.generating import orders
    from simrefine.generating.axes import read_axes
    from simrefine.generating.generator import Generator
    from simrefine.generating.move import move as move_order

    generator = Generator(model)
    if name == "move":
        options["axes"] = read_axes(model, generator)
    order = move_order if name == "move" else getattr(orders, name)
    with Interruption() as interruption, progress_bar("making faces") as progress:
        options |= {"progress": progress, "stopped": lambda: interruption.signal is not None}
        summary = order(generator, *given, out, **options)
    left = f" + {summary.left} left" if summary.left else ""
    click.echo(f"{summary.written} written + {summary.skipped} skipped{left} = {summary.asked} faces")
    tell(f"{out / 'generated.jsonl'} says what each was made of; its part masks are beside, in {out}-masks")
    if interruption.signal:
        tell(f"stopped by {interruption.name}: the same command without --overwrite does the rest", err=True)
        context.exit(interruption.exit_code)
