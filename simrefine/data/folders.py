"""A folder in, a sorted list of its pictures and other files out; and the way back: where an output belongs, and
the list of what was left out. Nothing here decodes a picture."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from simrefine.data import shards as tar
from simrefine.data.images import EXTENSIONS, read_content
from simrefine.errors import UserError
from simrefine.files import write_file

MANIFEST = "simrefine.json"  # marks a folder as the output of `simrefine refine`
REJECTS = "rejects.csv"  # what was left out and why, at the top of an output folder
# Formats of pictures that are not read: rejected by name, not copied as labels.
_UNREADABLE = frozenset({".tif", ".tiff", ".gif", ".exr", ".heic", ".avif", ".jp2"})
_PICTURES = EXTENSIONS | _UNREADABLE
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})  # what Windows leaves in picture folders


@dataclass(frozen=True)
class Record:
    """A file.

    Args:
        path: where it is; the shard, where it is in one.
        relative: its path below the listed folder, as if a shard had been unpacked where it lies.
        member: which file of a shard it is; None for a file of its own.
    """

    path: Path
    relative: PurePosixPath
    member: tar.Member | None = None

    @property
    def place(self) -> str:
        """Where it is, for people: "renders/a.png", or "renders/shard.tar: a.png"."""
        return f"{self.path}: {self.member.name}" if self.member else str(self.path)

    @property
    def shown(self) -> str:
        """The same below the listed folder: "a.png", or "shard.tar: a.png"."""
        return f"{self.member.shard}: {self.member.name}" if self.member else str(self.relative)

    @property
    def size(self) -> int:
        """How many bytes it has; 0 where that cannot be told, which reading it will."""
        try:
            return self.member.size if self.member else self.path.stat().st_size
        except OSError:
            return 0

    def read(self) -> bytes:
        """The bytes of a picture or mask; threads may read at once.

        Raises:
            ImageError: it cannot be read, is no regular file, or is larger than a picture may be.
        """
        return tar.read_member(self.path, self.member) if self.member else read_content(self.path)


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


def list_folder(folder: Path, exclude: Sequence[str] = (), *, what: str, shards: bool = False) -> Listing:
    """Lists `folder` with its sub-folders, sorted by the bytes of the relative path.

    Left out are linked folders, hidden files, and folders below that an earlier refinement wrote, whose faces would
    otherwise be read as renders; links to files are read. A name with a picture's extension counts as
    a picture whatever it is, so that a dead link is rejected by name instead of disappearing.

    Args:
        folder: the folder.
        exclude: see `matches`; an excluded folder is not entered.
        what: the folder's role, for messages: "synthetic folder".
        shards: the pictures in each .tar are listed in its place, as if it had been unpacked where it lies. What else
            it holds is not. Otherwise it is a file like any other.

    Raises:
        UserError: the folder, or one in it, is missing, unreadable or not a folder; a shard is damaged, lies in what
            `simrefine refine` wrote, or holds a picture that is there twice.
    """
    pictures, others, linked, packed, waiting = [], [], [], [], [PurePosixPath()]
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
                is_shard = shards and relative.suffix.lower() == tar.ENDING
                (packed if is_shard else others).append(Record(Path(entry.path), relative))
    if packed:
        pictures = _with_members(Path(folder), pictures, packed, exclude)
    return Listing(*(tuple(sorted(records, key=_order)) for records in (pictures, others, linked)))


def find_pictures(folder: Path, relatives: Iterable[PurePosixPath], *, what: str) -> dict[PurePosixPath, Record]:
    """Those of some pictures that lie in a folder or in a shard of it. The folder is listed where some do not lie there
    by themselves.

    Args:
        folder: the folder.
        relatives: the pictures' paths below it.
        what: see `list_folder`.

    Raises:
        UserError: see `list_folder`.
    """
    wanted = [*relatives]
    found = {relative: Record(Path(folder, relative), relative) for relative in wanted}
    found = {relative: record for relative, record in found.items() if record.path.exists()}
    if len(found) < len(wanted):
        listed = {record.relative: record for record in list_folder(folder, what=what, shards=True).pictures}
        found |= {relative: listed[relative] for relative in wanted if relative in listed and relative not in found}
    return found


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
    """Whether a file or folder is not listed, by its own name or by `exclude`; the folders above it are not asked."""
    name = relative.name
    hidden = name.startswith(".") and name != ".."  # which only a shard can have, and is rejected for
    return hidden or name.lower() in _SYSTEM_FILES or matches(relative, exclude)


def _is_picture(path: PurePath) -> bool:
    return path.suffix.lower() in _PICTURES


def _with_members(
    folder: Path, loose: Sequence[Record], shards: Sequence[Record], exclude: Sequence[str]
) -> list[Record]:
    """The pictures of a folder, with those in its shards.

    Raises:
        UserError: see `list_folder`.
    """
    if os.path.lexists(folder / MANIFEST):
        raise UserError(
            f"{shards[0].path} lies in a folder that simrefine wrote: it may be a copy of unrefined pictures",
            "pack pictures into a folder of their own, or leave it out with --exclude '*.tar'",
        )
    found = {str(record.relative): record for record in loose}
    for shard in sorted(shards, key=_order):
        for record in _list_shard(shard, exclude):
            other = found.setdefault(str(record.relative), record)
            if other is not record:
                raise UserError(
                    f"{other.place} and {record.place} are both the picture {record.relative}",
                    "take one of them away, or leave one out with --exclude",
                )
    return [*found.values()]


def _list_shard(shard: Record, exclude: Sequence[str]) -> Iterable[Record]:
    """The pictures that unpacking a shard where it lies would add to the listing of the folder."""

    @cache
    def is_open(folder: PurePosixPath) -> bool:
        return folder.parent == folder or (is_open(folder.parent) and not _is_left_out(folder, exclude))

    parent, pictures, refined = shard.relative.parent, {}, set()
    for member in tar.list_members(shard.path, shard.relative):
        relative = parent / member.name
        if relative.name == MANIFEST and relative.parent.parts:
            refined.add(relative.parent)
        if _is_picture(relative) and is_open(relative.parent) and not _is_left_out(relative, exclude):
            # Of two members of one name, unpacking leaves the later.
            pictures[str(relative)] = Record(shard.path, relative, member)
    return [record for record in pictures.values() if not refined or refined.isdisjoint(record.relative.parents)]


def _order(record: Record) -> bytes:
    return os.fsencode(str(record.relative))
