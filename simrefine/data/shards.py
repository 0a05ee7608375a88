"""Shards: uncompressed .tar files that hold the pictures of a folder. A shard in, its members and where their bytes lie
out, so that each can be read alone, in any order, without unpacking anything."""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from simrefine.data.images import MAX_BYTES, ImageError
from simrefine.errors import UserError
from simrefine.reading import Unreadable, read_part

ENDING = ".tar"
_BLOCK = 512  # bytes; the end mark is two blocks of zeros
_PADDING = 2**20  # bytes: what may follow it; mostly zeros up to 10 KiB
_MAGIC = b"ustar"  # in each file's header
_FIX = "write it again with `tar cf`, or leave it out with --exclude"


class Member(NamedTuple):
    """A file in a shard.

    Args:
        shard: the shard's path below the listed folder.
        name: its posix path in the shard.
        start, size: where its bytes lie in the shard, and how many they are.
        changed: when the shard was changed for the last time, ns since the epoch.
        fault: why it cannot be read, for people; "" where it can.
    """

    shard: PurePosixPath
    name: str
    start: int
    size: int
    changed: int
    fault: str = ""


def list_members(path: Path, relative: PurePosixPath) -> list[Member]:
    """The files in a shard, in its order; folders are left out, and links have a fault: nothing is read through them.

    Args:
        path: the shard.
        relative: its path below the listed folder.

    Raises:
        UserError: it cannot be read, is damaged or truncated, or is no uncompressed tar.
    """
    try:
        changed = os.stat(path).st_mtime_ns
        with tarfile.open(path, "r:") as archive:
            return [
                Member(relative, info.name.removeprefix("./"), info.offset_data, info.size, changed, _fault(info))
                for info in whole_members(archive)
                if not info.isdir()
            ]
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path} cannot be read: {reason}", f"check its permissions, or {_FIX}") from error
    except (tarfile.TarError, ValueError, OverflowError, MemoryError) as error:  # a header may hold any number
        raise UserError(f"{path} is damaged, or no uncompressed tar: {error}", _FIX) from error


def whole_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of an archive that has been opened for reading, to its end.

    Raises:
        tarfile.ReadError: it is damaged or truncated. `tarfile` by itself takes a damaged header for the end, and so
            does it take the end of the file, and members would be missing without a word.
    """
    while info := archive.next():
        yield info
        archive.members.clear()  # it keeps them all, which for a million takes a gigabyte
    archive.fileobj.seek(archive.offset)
    rest = archive.fileobj.read(_PADDING)
    if len(rest) < _BLOCK:
        raise tarfile.ReadError("it has no end mark")
    if rest[:_BLOCK].strip(b"\0"):
        raise tarfile.ReadError(f"at byte {archive.offset} is neither a file nor the end mark")
    if _MAGIC in rest:
        raise tarfile.ReadError(f"files follow its end mark at byte {archive.offset}")


def read_member(path: Path, member: Member) -> bytes:
    """The bytes of a file in the shard at `path`. Threads may read at once.

    Raises:
        ImageError: it has a fault or is larger than a picture may be; the shard has been changed since it was listed.
    """
    try:
        if member.fault:
            raise Unreadable(member.fault)
        return read_part(path, member.start, member.size, member.changed, MAX_BYTES)
    except Unreadable as error:
        raise ImageError(str(error)) from error


def _fault(info: tarfile.TarInfo) -> str:
    if info.issparse():
        return "a sparse file: write the shard without --sparse"
    if not info.isreg():
        return "no regular file but a link or a device: write the shard with --dereference and --hard-dereference"
    if info.name.startswith("/") or ".." in info.name.split("/"):
        return "its path leads out of the folder: write the shard with relative paths"
    return ""
