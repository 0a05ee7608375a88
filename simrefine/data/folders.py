"""A folder in, a sorted list of its pictures and other files out; and the way back: where an output belongs, and
the list of what was left out. Nothing here opens a picture."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from simrefine.data.images import EXTENSIONS
from simrefine.errors import UserError
from simrefine.files import write_file

MANIFEST = "simrefine.json"  # marks a folder as the output of `simrefine refine`
REJECTS = "rejects.csv"  # what was left out and why, at the top of an output folder
# Formats of pictures that are not read: rejected by name, not copied as labels.
_UNREADABLE = frozenset({".tif", ".tiff", ".gif", ".exr", ".heic", ".avif", ".jp2"})
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})  # what Windows leaves in picture folders


@dataclass(frozen=True)
class Record:
    """A file: where it is, and its path below the listed folder."""

    path: Path
    relative: PurePosixPath


@dataclass(frozen=True)
class Reject:
    """A file that was left out, by its path below the folder, and why."""

    relative: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """What a folder holds: pictures by extension, other regular files (labels), and the linked folders that were not
    entered; all sorted."""

    pictures: tuple[Record, ...]
    others: tuple[Record, ...]
    linked: tuple[Record, ...] = ()


def list_folder(folder: Path, exclude: Sequence[str] = (), *, what: str) -> Listing:
    """Lists `folder` with its sub-folders, sorted by the bytes of the relative path.

    Left out are linked folders, hidden files, and folders below that an earlier refinement wrote, whose faces would
    otherwise be read as renders; links to files are read. A name with a picture's extension counts as
    a picture whatever it is, so that a dead link is rejected by name instead of disappearing.

    Args:
        folder: the folder.
        exclude: see `matches`; an excluded folder is not entered.
        what: the folder's role, for messages: "synthetic folder".

    Raises:
        UserError: the folder, or one in it, is missing, unreadable or not a folder.
    """
    pictures, others, linked, waiting = [], [], [], [PurePosixPath()]
    while waiting:
        parent = waiting.pop()
        entries = _scan(Path(folder) / parent, what)
        if parent.parts and any(entry.name == MANIFEST for entry in entries):
            continue
        for entry in entries:
            relative = parent / entry.name
            if _is_left_out(relative, exclude):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(relative)
            elif os.path.isdir(entry.path):
                linked.append(Record(Path(entry.path), relative))  # may lead in a circle, or out of the folder
            elif _is_picture(relative):
                pictures.append(Record(Path(entry.path), relative))
            elif os.path.isfile(entry.path):
                others.append(Record(Path(entry.path), relative))
    return Listing(*(tuple(sorted(records, key=_order)) for records in (pictures, others, linked)))


def list_names(names: Iterable[str], exclude: Sequence[str] = ()) -> Listing:
    """The listing that `list_folder` would give of a folder with these files in it.

    Args:
        names: of files that are not on this machine, by their paths below the folder; the `path` of their records is
            just that.
        exclude: see `matches`.
    """
    paths = [PurePosixPath(name) for name in names]
    refined = {path.parent for path in paths if path.name == MANIFEST and path.parent.parts}
    pictures, others = [], []
    for path in paths:
        folders = path.parents[:-1]  # all but the listed one
        if refined.isdisjoint(folders) and not any(_is_left_out(each, exclude) for each in (path, *folders)):
            (pictures if _is_picture(path) else others).append(Record(Path(path), path))
    return Listing(*(tuple(sorted(records, key=_order)) for records in (pictures, others)))


def list_files(paths: Sequence[Path], exclude: Sequence[str] = ()) -> Listing:
    """A listing of single pictures, each by its name alone.

    Args:
        paths: picture files.
        exclude: see `matches`.

    Raises:
        UserError: a path is missing or no picture, or two have one name.
    """
    records: dict[str, Record] = {}
    for path in map(Path, paths):
        if not os.path.lexists(path):
            raise UserError(f"{path} does not exist", "check the path")
        if path.is_dir() or not _is_picture(path):
            kind = "a folder" if path.is_dir() else f"no picture ({', '.join(sorted(EXTENSIONS))})"
            raise UserError(f"{path} is {kind}", "name a single folder, or pictures")
        if path.name in records:
            raise UserError(
                f"{path} and {records[path.name].path} have one name, and so would what is made of them",
                "name the folder that holds both, or take one at a time",
            )
        records[path.name] = Record(path, PurePosixPath(path.name))
    left = (record for record in records.values() if not matches(record.relative, exclude))
    return Listing(tuple(sorted(left, key=_order)), ())


def evenly(length: int, most: int) -> np.ndarray:
    """At most so many of `length` places, evenly from the first to the last."""
    return np.linspace(0, length - 1, min(length, most)).round().astype(int)


def check_folder(folder: Path, what: str) -> None:
    """Checks that a folder can be listed, before anything slow is begun.

    Raises:
        UserError: it is missing, unreadable or not a folder; `what` is its role, for the message.
    """
    _scan(Path(folder), what)


def matches(relative: PurePosixPath, patterns: Sequence[str]) -> bool:
    """Whether a glob pattern fits the whole relative path or one of its parts: `masks`, `*-masks`, `masks/*` and
    `*_mask.png` all find masks/a_mask.png. Case counts; `*` also crosses `/`."""
    names = (str(relative), *relative.parts)
    return any(fnmatchcase(name, pattern.rstrip("/")) for pattern in patterns for name in names)


def mirrored(out: Path, relative: PurePosixPath) -> Path:
    """The place of `relative` below `out`.

    Raises:
        UserError: it lies outside, because of a link in `out` or a `..` in the path.
    """
    target = Path(out) / relative
    if ".." in relative.parts or not resolved(target.parent).is_relative_to(resolved(out)):
        raise UserError(f"{target} lies outside the output folder {out}", "remove the link, or name another folder")
    return target


def resolved(path: Path) -> Path:
    """`path` without links; unlike `Path.resolve` it does not fail on links that lead in a circle."""
    return Path(os.path.realpath(path))


def write_rejects(path: Path, rejects: Iterable[Reject]) -> None:
    """Writes a CSV file with the columns file and reason: UTF-8, bytes that are not UTF-8 written as \\udcXX.

    Raises:
        UserError: it cannot be written.
    """
    table = io.StringIO()
    table.write("file,reason\n")
    # All quoted: left to itself, csv does not quote a carriage return in a name, and readers take it for a new row.
    writer = csv.writer(table, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows((reject.relative, reject.reason) for reject in rejects)
    write_file(path, table.getvalue().encode("utf-8", "backslashreplace"))


def _scan(folder: Path, what: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        raise UserError(f"{what} {folder} does not exist", "check the path") from None
    except NotADirectoryError:
        raise UserError(f"{what} {folder} is a file", "name the folder that holds it") from None
    except OSError as error:
        raise UserError(f"{what} {folder} cannot be read: {error.strerror}", "check its permissions") from error


def _is_left_out(relative: PurePosixPath, exclude: Sequence[str]) -> bool:
    name = relative.name
    return name.startswith(".") or name.lower() in _SYSTEM_FILES or matches(relative, exclude)


def _is_picture(path: PurePath) -> bool:
    return path.suffix.lower() in EXTENSIONS | _UNREADABLE


def _order(record: Record) -> bytes:
    return os.fsencode(str(record.relative))
