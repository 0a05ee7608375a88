"""A folder of generated faces: pictures, their part masks beside them, and generated.jsonl, which says of each from
what it was made, with which seed, who it shows, and which labels hold. It can be read as a label file.

Each file is complete or absent; the folder belongs to one order, named in its manifest, so that the same command does
only what is missing.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simrefine.catalogue import PART_COLOURS, PARTS
from simrefine.config import MASKS
from simrefine.data.folders import MANIFEST
from simrefine.data.images import Picture, encode_picture
from simrefine.data.masks import encode_palette
from simrefine.errors import UserError
from simrefine.files import remove_leftovers, write_file
from simrefine.generating.generator import Faces
from simrefine.reading import Unreadable, parse_json, read_regular

RECORDS = "generated.jsonl"
AT_ONCE = 16  # faces between two writes of the records
MAX_BYTES = 2**30
_COLOURS = np.array([PART_COLOURS[part] for part in PARTS], np.uint8)


@dataclass(frozen=True)
class Summary:
    """What became of an order: `written + skipped + left == asked`."""

    asked: int
    written: int
    skipped: int  # that an earlier run had made
    left: int  # that were not begun because the work was stopped


def fill_folder(
    out: Path,
    order: Mapping[str, Any],
    names: Sequence[str],
    make: Callable[[Sequence[int]], tuple[Faces, list[dict[str, Any]]]],
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Makes the faces that are not there yet, and writes each with its masks and its record.

    Args:
        out: a new or empty folder, or one that the same order was begun in. Masks go to OUT-masks beside it.
        order: all that decides the faces, ready for JSON; it becomes the manifest.
        names: the pictures' names, with the extension .png, all different.
        make: makes the faces of these places in `names`, and says of each what is known of it, ready for JSON.
        overwrite: begin anew, also in a folder of another order.
        progress: called as `progress(done, asked)`.
        stopped: asked before each batch; where it says so, no further one is begun.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    out = Path(os.path.abspath(out))
    records = {} if overwrite else _read_records(out, order)
    _claim(out, order, overwrite)
    masks = out.with_name(out.name + MASKS)
    records = {name: record for name, record in records.items() if (out / name).is_file() and (masks / name).is_file()}
    todo = [place for place, name in enumerate(names) if name not in records]
    skipped, written = len(names) - len(todo), 0
    for start in range(0, len(todo), AT_ONCE):
        if stopped():
            break
        places = todo[start : start + AT_ONCE]
        faces, said = make(places)
        for place, picture, parts, record in zip(places, faces.pictures, faces.parts, said, strict=True):
            name = names[place]
            write_file(masks / name, encode_palette(parts, _COLOURS))
            write_file(out / name, encode_picture(Picture(picture), ".png"))
            records[name] = {"file": name, "mask": os.path.relpath(masks / name, out)} | record
        _write_records(out, [records[name] for name in names if name in records])
        written += len(places)
        if progress:
            progress(skipped + written, len(names))
    if not todo:
        _write_records(out, [records[name] for name in names])
    return Summary(len(names), written, skipped, len(todo) - written)


def _claim(out: Path, order: Mapping[str, Any], overwrite: bool) -> None:
    """Makes the manifest, or checks that it is of this order.

    Raises:
        UserError: the folder holds something else.
    """
    manifest = json.dumps(dict(order), indent=2, sort_keys=True).encode()
    file = out / MANIFEST
    if file.exists() and not overwrite:
        found = _read_json(file)
        differing = sorted(key for key in {*found, *order} if found.get(key) != json.loads(manifest).get(key))
        if differing:
            key = differing[0]
            raise UserError(
                f"{out} holds faces of another order: {key} is {found.get(key)!r} there and {order.get(key)!r} here",
                "name another --out, or add --overwrite",
            )
        remove_leftovers(out)
        return
    if out.exists() and not file.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty, and simrefine generate did not make it", "name a new folder with --out")
    write_file(file, manifest)


def _read_records(out: Path, order: Mapping[str, Any]) -> dict[str, dict]:
    """The records of an earlier run, by name; none of a damaged file, whose faces are then made again."""
    try:
        lines = read_regular(out / RECORDS, MAX_BYTES).decode().splitlines()
        records = [parse_json(line) for line in lines]
        return {record["file"]: record for record in records}
    except (Unreadable, ValueError, KeyError, TypeError):
        return {}


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = parse_json(read_regular(file, MAX_BYTES))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        return found
    except (Unreadable, ValueError) as error:
        raise UserError(f"{file} is damaged: {error}", "name another --out, or add --overwrite") from error


def _write_records(out: Path, records: Sequence[Mapping[str, Any]]) -> None:
    write_file(out / RECORDS, "".join(json.dumps(record) + "\n" for record in records).encode())
