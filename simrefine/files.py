"""Files that are either complete or absent.

Results are written here: to a temporary name in the same folder, flushed to the disk, then renamed. A kill at any
moment leaves the old file or the new one, never half of either.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from simrefine.errors import UserError

TEMPORARY_PREFIX = ".simrefine-tmp-"  # hidden, so that no scan takes a leftover for a picture


@contextmanager
def reporting_disk_faults(path: Path) -> Iterator[None]:
    """Turns the faults of a disk that the user can mend into a UserError naming `path`.

    Raises:
        UserError: the disk is full, over quota or read-only, or the permission is missing.
    """
    try:
        yield
    except OSError as error:
        fixes = {
            errno.ENOSPC: "free some space and run the command again: what is finished is kept",
            errno.EDQUOT: "free some of your quota and run the command again: what is finished is kept",
            errno.EROFS: "name a folder on a disk that can be written",
            errno.EACCES: "check the permissions, or name another folder",
            errno.EPERM: "check the permissions, or name another folder",
            errno.ENOENT: "name a place where a folder can be made",
            errno.EEXIST: "a file stands where a folder is needed; move it or name another folder",
            errno.ENOTDIR: "a file stands where a folder is needed; move it or name another folder",
            errno.ENAMETOOLONG: "the name is too long for this disk; shorten it",
        }
        if error.errno not in fixes:
            raise
        raise UserError(f"cannot write {path}: {os.strerror(error.errno)}", fixes[error.errno]) from error


def check_name(what: str, name: str) -> None:
    """Refuses a name of bytes that are no UTF-8: neither a configuration nor TensorBoard can hold it.

    Raises:
        UserError: `what`, such as "run folder", has such a name.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{what} {os.fsencode(name)!r} has a name that is not UTF-8", "rename it") from None


def write_file(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, making its folder: complete or not at all.

    Raises:
        UserError: see `reporting_disk_faults`.
    """
    with publishing_file(path) as file:
        file.write(content)


@contextmanager
def publishing_file(path: Path) -> Iterator[BinaryIO]:
    """Gives a temporary file to fill; on leaving without an error it appears as `path`, replacing what was there. Makes
    the folder of `path`.

    Raises:
        UserError: see `reporting_disk_faults`.
    """
    temporary = _temporary_name(path)
    with reporting_disk_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def publishing_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder to fill; on leaving without an error it appears as `path`, replacing what was there.

    A folder cannot replace a full one in a single rename, so the old one is moved aside first; a kill between
    the two renames leaves `path` absent and the old content under a temporary name, where `standing_folder` finds it.

    Raises:
        UserError: see `reporting_disk_faults`.
    """
    temporary, aside = _temporary_name(path), _aside(path)
    with reporting_disk_faults(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                _flush(file)
            _flush(temporary)
            _restore_folder(path)
            if path.exists():
                os.replace(path, aside)
            os.replace(temporary, path)
            _flush(path.parent)
            shutil.rmtree(aside, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def standing_folder(path: Path) -> Path:
    """Where a reader finds what `publishing_folder` last made of `path`: there, or under the name where a kill
    left it. It moves nothing, because the writer may be alive and between its two renames."""
    aside = _aside(path)
    return aside if not path.exists() and aside.exists() else path


def _restore_folder(path: Path) -> None:
    """Finishes what a kill inside `publishing_folder` interrupted: the old folder comes back if no new one is there."""
    aside = _aside(path)
    if aside.exists():
        if path.exists():
            shutil.rmtree(aside)
        else:
            os.replace(aside, path)


def drop(stream) -> None:
    """Sends what `stream` still holds nowhere: the interpreter would stumble over it when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except OSError:  # no stream of the operating system's
        pass


def _temporary_name(path: Path) -> Path:
    """A hidden sibling of `path`, on the same disk. One writer per path, so the name needs no random part;
    a digest stands for the name, because a name may already have all of the 255 bytes that a disk allows."""
    return path.parent / (TEMPORARY_PREFIX + _digest(path))


def _aside(path: Path) -> Path:
    return path.parent / (".simrefine-old-" + _digest(path))


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
