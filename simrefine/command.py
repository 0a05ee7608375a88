"""What every command has: how it prints, fails, ends on a signal, starts the backend, takes options of the config."""

import functools
import os
import signal
import sys
import tempfile
from contextlib import contextmanager

import click

from simrefine.choice import BACKENDS, choose
from simrefine.config import Config, help_of
from simrefine.errors import EXIT_OUTPUT_CLOSED, UserError
from simrefine.files import drop
from simrefine.interruption import EXIT_CODES, interrupting, name_of
from simrefine.printable import printable

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


def tell(line: str, err: bool = False) -> None:
    """Prints a line that may hold names of files."""
    click.echo(printable(line), err=err)


class Reporting:
    """Prints a UserError as one message, without a traceback, and ends on a signal only when all is cleaned up."""

    def main(self, *arguments, **options):
        open_standard_streams()
        return super().main(*arguments, **options)

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        with printable_complaints():
            return super().parse_args(context, arguments)

    def invoke(self, context: click.Context):
        try:
            with interrupting(), printable_complaints():
                return super().invoke(context)
        except UserError as error:
            click.echo(f"Error: {error}", err=True)
            context.exit(error.exit_code)
        except KeyboardInterrupt as interrupt:
            number = getattr(interrupt, "signal", signal.SIGINT)
            tell(f"interrupted by {name_of(number)}: what is complete is kept, of the rest nothing is left", err=True)
            context.exit(EXIT_CODES[number])
        except BrokenPipeError:  # of `| head`: there is nobody left to tell
            for stream in (sys.stdout, sys.stderr):
                drop(stream)
            context.exit(EXIT_OUTPUT_CLOSED)


@contextmanager
def printable_complaints():
    """What click says of an argument, it says in a form that a terminal only shows."""
    try:
        yield
    except click.ClickException as error:
        error.message = printable(error.message)
        raise


def open_standard_streams() -> None:
    """Opens what the program was started without (`2>&-`) to nowhere. Else writing to it would fail, and the next file
    to be opened would get its number, and the messages of libraries."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


class Group(Reporting, click.Group):
    """The program."""


class Command(Reporting, click.Command):
    """A program of one command, such as data/celeba.py."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **{"context_settings": HELP} | options)


def computes(command):
    """Gives a command of networks --backend and --device, which `start_backend` reads: before Keras is imported."""
    options = (
        click.option(
            "--backend",
            type=click.Choice(["auto", *BACKENDS]),
            default="auto",
            help="what computes [default: KERAS_BACKEND, or see `simrefine devices`]",
            **FOR_THE_BACKEND,
        ),
        click.option(
            "--device",
            metavar="auto|cpu|gpu|gpu:N|all",
            default="auto",
            help="where it computes; all = a training on all GPUs, with JAX [default: the first GPU, else the CPU]",
            **FOR_THE_BACKEND,
        ),
    )
    return functools.reduce(lambda decorated, option: option(decorated), reversed(options), command)


def _keep_for_the_backend(context: click.Context, parameter: click.Parameter, value: str) -> None:
    context.meta[parameter.name] = value


FOR_THE_BACKEND = {"expose_value": False, "callback": _keep_for_the_backend}


def start_backend(backend: str | None = None) -> str:
    """Imports Keras and its backend: this one, or the one that the command was told to; says why it is this one."""
    asked = click.get_current_context().meta
    backend, device = backend or asked.get("backend", "auto"), asked.get("device", "auto")
    if "keras" in sys.modules:  # in a program that has other uses for Keras too, and has chosen
        from simrefine.backend import name

        if backend not in ("auto", name):
            raise UserError(f"Keras runs on {name} in this process already", f"set KERAS_BACKEND={backend} before")
        return "Keras had it already"
    why = choose(backend, device)
    _import_backend()
    if device == "all":
        from simrefine.devices import share_among_all

        share_among_all()
    elif device != "auto":
        from simrefine.devices import check_device

        check_device(device)
    return why


def _import_backend() -> None:
    """TensorFlow greets on the C side's standard error before it reads any setting; the command line, whose standard
    error is its own, leaves that out, and shows it if the import fails."""
    with tempfile.TemporaryFile() as greeting:
        standard_error = os.dup(2)
        os.dup2(greeting.fileno(), 2)
        try:
            import simrefine.backend  # noqa: F401
        except BaseException:
            greeting.seek(0)
            os.write(standard_error, greeting.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)


def setting(flag: str, key: str, **attributes):
    """A flag for one option of the config, with the help that stands there."""
    several = "; repeatable" if attributes.get("multiple") else ""
    return click.option(flag, key.replace(".", "__"), help=help_of(key) + several, **attributes)


@contextmanager
def progress_bar(label: str):
    """A bar on standard error; gives the function that moves it: `progress(done, found)`."""
    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True) as bar:

        def progress(done: int, found: int) -> None:
            bar.length = found
            bar.update(done - bar.pos)

        yield progress


def train_from_flags(context: click.Context, flags: dict, values: dict | None = None) -> None:
    """The body of a command that trains.

    Args:
        flags: run, file, assignments, resume and dry_run, and every other as its option, "section__key".
        values: options that the command itself sets, "section.key".
    """
    run, file, assignments, resume, dry_run = (
        flags.pop(name) for name in ("run", "file", "assignments", "resume", "dry_run")
    )
    values = dict(values or {})
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment} has no '='", "write --set section.key=value")
        values[key.strip()] = value.strip()
    # A flag of its own is the more deliberate word, so it comes after --set.
    values |= {key.replace("__", "."): value for key, value in flags.items() if value not in (None, ())}
    if resume:
        if not run:
            raise UserError("--resume needs the folder of the run", "add --run DIR")
        if file:
            raise UserError("--resume takes the configuration from the run folder", "leave out --config")
        if not (run / "config.toml").exists():
            raise UserError(f"{run} holds no run to resume: config.toml is missing", "check the path of --run")
        file = run / "config.toml"
    config = Config.load(file, values, recorded=resume)
    from simrefine.training.inputs import check_paths

    check_paths(config)  # in a moment, while the backend takes seconds to start
    start_backend()
    from simrefine.training.train import train

    result = train(config, run, resume=resume, dry_run=dry_run)
    if result.exit_code == EXIT_OUTPUT_CLOSED:
        tell(f"stopped at step {result.step}: the output was closed; everything is saved in {result.run}", err=True)
    context.exit(result.exit_code)
