"""Whether the promises of docs/reliability.md hold: kills, damaged files, refinements at the same time, and accounts.

    python experiments/reliability.py                 in less than a minute; so the tests run it
    python experiments/reliability.py --full          all of it, and the table in experiments/reliability.md
    python experiments/reliability.py --only kills    the rows of that name; with --full their table is printed

Each row is tried in processes of its own (tests/faults/), with stand-ins for the networks where a promise concerns files.
It ends with 1 where a promise is broken, and names the cases, which are the same again with the same --seed.
"""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # before TensorFlow is imported
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import click
from faults.children import Tried
from faults.folders import account_for_folders, refine_in_pairs
from faults.kills import kill_at_changes, kill_at_moments
from faults.mutations import try_mutations

TABLE = Path(__file__).with_suffix(".md")
SHOWN = 5  # broken cases of a row
KILLED = "the newest checkpoint loads, another run finishes, no half file under a final name, nothing left behind"
READ = "a result or a message: no traceback, no crash, no wait"


@dataclass(frozen=True)
class Row:
    """A promise, and how it is tried: `attempt(count, seed, place, progress)`."""

    name: str
    promise: str
    bounded: int  # cases
    full: int
    attempt: Callable[[int, int, Path, Callable[[str], None]], Tried]


def _changes(command: str) -> Callable:
    return lambda count, seed, place, progress: kill_at_changes(command, count, place, progress)


def _moments(command: str) -> Callable:
    return lambda count, seed, place, progress: kill_at_moments(command, count, seed, place, progress)


def _mutations(kind: str) -> Callable:
    return lambda count, seed, place, progress: try_mutations(kind, count, seed, place, progress)


CHANGES = {"refine": (8, 80), "prepare": (8, 70), "evaluate": (4, 30), "train": (4, 40), "demo": (1, 6)}
MOMENTS = {"refine": (2, 40), "prepare": (2, 30), "evaluate": (1, 30), "train": (1, 20)}
MUTATIONS = {"pictures": (400, 5000), "labels": (400, 5000), "models": (300, 5000)}
ROWS = [
    *(Row(f"kills of {c} before a change of the disk", KILLED, *n, _changes(c)) for c, n in CHANGES.items()),
    *(Row(f"kills of {c} at a random moment", KILLED, *n, _moments(c)) for c, n in MOMENTS.items()),
    Row(
        "pairs of refinements into one folder",
        "both end well; every file is whole; written + skipped + rejected = found for each",
        *(3, 50),
        lambda count, seed, place, progress: refine_in_pairs(count, place, progress),
    ),
    Row(
        "random folders, refined twice",
        "written + skipped + rejected = found, and so many files are there",
        *(5, 100),
        account_for_folders,
    ),
    *(Row(f"damaged {kind}", READ, *n, _mutations(kind)) for kind, n in MUTATIONS.items()),
]


def describe(done: list[tuple[Row, Tried, float]], command: str) -> str:
    """The table, as Markdown."""
    lines = ["| tried | promise | cases | broken | slowest case | all |", "|---|---|---|---|---|---|"]
    for row, tried, seconds in done:
        slowest = f"{tried.slowest:.2f} s" if tried.slowest else ""
        lines.append(
            f"| {row.name} | {row.promise} | {tried.cases} | {len(tried.broken)} | {slowest} | {seconds:.0f} s |"
        )
    where = f"{platform.system()}, Python {platform.python_version()}"
    return (
        "# Reliability\n\nWhat stands in [what happens when something goes wrong](../docs/reliability.md), tried by\n\n"
        f"    {command}\n\non {where}. Cases are those that were run. Files are what is tried, so "
        "kills and crowds have stand-ins for the networks; damaged models are built.\n\n" + "\n".join(lines) + "\n"
    )


@click.command(help=__doc__.partition("\n")[0])
@click.option("--full", is_flag=True, help="all cases, and the table is written")
@click.option("--only", default="", metavar="WORD", help="the rows whose name holds it")
@click.option("--cases", type=click.IntRange(1), help="so many cases a row at most")
@click.option("--seed", default=0, show_default=True)
def main(full, only, cases, seed):
    done = []
    for row in ROWS:
        if only not in row.name:
            continue
        count = min(row.full if full else row.bounded, cases or row.full)
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            said = [began]

            def progress(message: str, said: list = said) -> None:
                if time.monotonic() - said[0] > 30:
                    said[0] = time.monotonic()
                    click.echo(message, err=True)

            tried = row.attempt(count, seed, Path(place) / "place", progress)
        done.append((row, tried, time.monotonic() - began))
        click.echo(f"{row.name}: {tried.cases} cases, {len(tried.broken)} broken, {done[-1][2]:.0f} s")
        for case in tried.broken[:SHOWN]:
            click.echo(f"    {case!r}")
        if full and not only:
            command = "python experiments/reliability.py --full" + (f" --cases {cases}" if cases else "")
            TABLE.write_text(describe(done, command + (f" --seed {seed}" if seed else "")))
    if full and only:
        click.echo(describe(done, f"python experiments/reliability.py --full --only '{only}' --seed {seed}"))
    sys.exit(any(tried.broken for _, tried, _ in done))


if __name__ == "__main__":
    main()
