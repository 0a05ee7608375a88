"""A blind look: which of these faces is a photograph? Makes the pictures, and scores the answers.

    python experiments/blind.py make --made refined/ --real photos/val --out look/ --key keys/look.json --sheets
    python experiments/blind.py pairs --left refined-a/ --right refined-b/ --out look/ --key keys/look.json
    python experiments/blind.py score --key keys/look.json --answers answers.txt

`make` mixes as many made faces as photographs, `pairs` puts the same renders of two folders side by side; both number
what they show, and the key stays away from the pictures. An answer is a line with a number and, after `make`,
"photograph" or "made"; after `pairs`, "left" or "right", the side that looks more like a photograph. Pictures and key go
where you say, but never into this repository: photographs are not ours to publish.

Pictures are drawn from the sorted folder by the seed alone. All are shrunk to the smallest side among them and then
brought to --size, so that no pile is sharper because its files are larger.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np

from simrefine.cli import Group
from simrefine.data.folders import Record, list_folder
from simrefine.data.images import ImageError, Picture, encode_picture, fit_square, read_picture, to_channels
from simrefine.errors import UserError
from simrefine.files import write_file
from simrefine.randomness import generator

REPOSITORY = Path(__file__).resolve().parents[1]
SIDES = ("left", "right")
ROWS, COLUMNS = 3, 4  # of a sheet
STRIP, GAP = 40, 8  # px: above a picture, for its number; and between two
WHITE = 255
Z = 1.959964  # of the normal distribution, two-sided 95 %


def draw(records: Sequence[Record], count: int, seed: int, purpose: str) -> list[tuple[Record, np.ndarray]]:
    """`count` records in an order that follows from the seed, with their pixels, uint8 [h, w, 3]; what cannot be read
    is passed over.

    Raises:
        UserError: there are fewer.
    """
    drawn = []
    for place in generator(seed, 0, purpose).permutation(len(records)):
        if len(drawn) == count:
            break
        try:
            drawn.append((records[place], to_channels(read_picture(records[place].path).pixels, 3)))
        except ImageError as error:
            click.echo(f"passed over: {records[place].path}: {error}", err=True)
    if len(drawn) < count:
        raise UserError(f"{len(drawn)} usable pictures for the {purpose}, {count} are asked for", "lower --count")
    return drawn


def alike(pictures: Sequence[np.ndarray], size: int) -> list[np.ndarray]:
    """uint8 [h, w, 3] of any size to [size, size, 3], all through the smallest side among them."""
    common = min(size, *(min(pixels.shape[:2]) for pixels in pictures))
    return [fit_square(fit_square(pixels, common), size) for pixels in pictures]


def labelled(pixels: np.ndarray, number: int) -> np.ndarray:
    """The picture under a white strip with its number."""
    strip = np.full((STRIP, pixels.shape[1], 3), WHITE, np.uint8)
    cv2.putText(strip, str(number), (4, STRIP - 10), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2, cv2.LINE_AA)
    return np.concatenate([strip, pixels])


def sheet_of(pictures: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size in rows of `columns`, on white."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), WHITE, np.uint8)
    for place, pixels in enumerate(pictures):
        top, left = (
            index * (extent + GAP) + GAP for index, extent in zip(divmod(place, columns), (height, width), strict=True)
        )
        sheet[top : top + height, left : left + width] = pixels
    return sheet


def write_look(pictures: Sequence[np.ndarray], out: Path, sheets: bool, columns: int) -> None:
    """Picture n of 1, 2, ... as n.png, or many on sheets with their numbers above."""
    files = {f"{number:03d}": pixels for number, pixels in enumerate(pictures, 1)}
    if sheets:
        shown = [labelled(pixels, number) for number, pixels in enumerate(pictures, 1)]
        groups = [shown[start : start + ROWS * columns] for start in range(0, len(shown), ROWS * columns)]
        files = {f"sheet-{index:02d}": sheet_of(group, columns) for index, group in enumerate(groups, 1)}
    for name, pixels in files.items():
        write_file(out / f"{name}.png", encode_picture(Picture(pixels), ".png"))
    click.echo(f"{len(pictures)} numbers in {len(files)} pictures under {out}")


def check_places(out: Path, key: Path) -> None:
    """Raises a UserError where the key would lie with the pictures, either in the repository, or something is there."""
    out, key = out.resolve(), key.resolve()
    if key.is_relative_to(out):
        raise UserError(f"the key {key} would lie among the pictures in {out}", "keep it in another folder")
    for place in (out, key):
        if place.is_relative_to(REPOSITORY):
            raise UserError(
                f"{place} lies in the repository", "name a place outside: the faces are not to be published"
            )
    if key.exists() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise UserError(f"{key} or {out} is there already", "name a new key and a new or empty folder")


def write_key(key: Path, question: str, classes: Sequence[str], truths: Sequence[str], shown: Sequence) -> None:
    """`truths` are the right answers to 1, 2, ..., each one of `classes`; `shown` says which files they are of."""
    about = {
        "question": question,
        "classes": list(classes),
        "truth": {str(number): truth for number, truth in enumerate(truths, 1)},
        "shown": {str(number): files for number, files in enumerate(shown, 1)},
    }
    write_file(key, json.dumps(about, indent=2).encode() + b"\n")
    click.echo(f"the key is {key}: do not open it before the answers are written")


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share of `right` in `total`, in [0, 1] (Wilson 1927)."""
    share, spread = right / total, Z**2 / total
    middle = (share + spread / 2) / (1 + spread)
    reach = Z * math.sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def read_answers(path: Path, truth: dict[str, str], classes: Sequence[str]) -> dict[str, str]:
    """Number to answer; empty lines and those that begin with # say nothing.

    Raises:
        UserError: no answer at all, a line that is no answer, an unknown number, or one that is answered twice.
    """
    answers = {}
    for line in path.read_text("utf-8-sig").splitlines():
        number, *words = line.split() or ["#"]
        if number.startswith("#"):
            continue
        number = number.rstrip(".:").lstrip("0")
        if number not in truth or number in answers or len(words) != 1 or words[0].lower() not in classes:
            raise UserError(
                f"{path}: {line!r} is no answer, or a second one",
                f"write a number of 1 to {len(truth)} and one of: {', '.join(classes)}",
            )
        answers[number] = words[0].lower()
    if not answers:
        raise UserError(f"{path} has no answers", "write a number and a word on each line")
    return answers


def describe(right: int, total: int) -> str:
    low, high = wilson(right, total)
    return f"{right} of {total} = {right / total:.1%} (95 % interval {low:.1%} .. {high:.1%})"


def looks(command):
    """The options of both commands that make pictures."""
    for option in (
        click.option("--sheets", is_flag=True, help="several on a sheet, with their numbers, instead of single files"),
        click.option(
            "--seed", type=click.IntRange(0), default=0, show_default=True, help="other pictures, other order"
        ),
        click.option("--size", type=click.IntRange(16, 1024), default=128, show_default=True, help="side shown, px"),
        click.option("--key", required=True, type=click.Path(path_type=Path), help="file for the right answers"),
        click.option("--out", required=True, type=click.Path(path_type=Path), help="a new folder for the pictures"),
    ):
        command = option(command)
    return command


@click.group(cls=Group, help=__doc__.partition("\n")[0])
def main():
    pass


@main.command()
@click.option("--made", required=True, type=click.Path(path_type=Path), help="folder of made faces")
@click.option("--real", required=True, type=click.Path(path_type=Path), help="folder of photographs")
@click.option("--count", type=click.IntRange(1), default=40, show_default=True, help="pictures of each")
@looks
def make(made, real, out, key, count, size, seed, sheets):
    """Mix made faces and photographs, to be told apart."""
    check_places(out, key)
    drawn = [
        (record, pixels, name)
        for folder, name in ((made, "made"), (real, "photograph"))
        for record, pixels in draw(list_folder(folder, what=f"{name} folder").pictures, count, seed, f"{name} faces")
    ]
    drawn = [drawn[place] for place in generator(seed, 0, "order of the look").permutation(len(drawn))]
    records, pictures, truths = zip(*drawn, strict=True)
    write_look(alike(pictures, size), out, sheets, COLUMNS)
    write_key(key, "told apart rightly", ["photograph", "made"], truths, [str(record.path) for record in records])


@main.command()
@click.option("--left", required=True, type=click.Path(path_type=Path), help="folder of faces")
@click.option("--right", required=True, type=click.Path(path_type=Path), help="the same faces, made otherwise")
@click.option("--count", type=click.IntRange(1), default=40, show_default=True, help="pairs")
@looks
def pairs(left, right, out, key, count, size, seed, sheets):
    """Put the same renders of two folders side by side, the sides drawn at random: half of the pairs each way."""
    check_places(out, key)
    others = {record.relative.with_suffix(""): record for record in list_folder(right, what="right folder").pictures}
    records = [
        record for record in list_folder(left, what="left folder").pictures if record.relative.with_suffix("") in others
    ]
    drawn = draw(records, count, seed, "pairs")
    # The side of --right's picture. As often on either side, so that an answer by habit tells nothing.
    truths = [SIDES[place % 2] for place in generator(seed, 0, "sides of the look").permutation(len(drawn))]
    shown, files = [], []
    for (record, pixels), truth in zip(drawn, truths, strict=True):
        other = others[record.relative.with_suffix("")]
        both = [(record, pixels), (other, to_channels(read_picture(other.path).pixels, 3))]
        both = both if truth == "right" else both[::-1]
        shown += [pixels for _, pixels in both]
        files.append([str(record.path) for record, _ in both])
    shown = alike(shown, size)
    gap = np.full((size, GAP, 3), WHITE, np.uint8)
    joined = [
        np.concatenate([first, gap, second], axis=1) for first, second in zip(shown[::2], shown[1::2], strict=True)
    ]
    write_look(joined, out, sheets, COLUMNS // 2)
    write_key(key, f"{right} preferred to {left}", SIDES, truths, files)


@main.command()
@click.option("--key", required=True, type=click.Path(path_type=Path), help="the file that `make` or `pairs` wrote")
@click.option("--answers", required=True, type=click.Path(path_type=Path), help="lines of a number and an answer")
def score(key, answers):
    """Hold answers against the key."""
    about = json.loads(key.read_text())
    truth, classes = about["truth"], about["classes"]
    given = read_answers(answers, truth, classes)
    right = {number for number, answer in given.items() if answer == truth[number]}
    click.echo(f"{about['question']}: {describe(len(right), len(given))}")
    for name in classes:
        numbers = {number for number in given if truth[number] == name}
        if numbers:
            click.echo(f"  where it was {name}: {describe(len(right & numbers), len(numbers))}")
    if len(given) < len(truth):
        click.echo(f"  not answered: {len(truth) - len(given)} of {len(truth)}")


if __name__ == "__main__":
    main()
