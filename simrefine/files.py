"""Files that are either complete or absent.

Results are written here: to a temporary name in the same folder, flushed to the disk, then renamed. A kill at any
moment leaves the old file or the new one, never half of either.

Several processes may write into one folder. Temporary names are random and never those of something that exists, so no
two writers share one and no link is followed; a lock that ends with its process tells those in use from leftovers.
"""

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from simrefine.errors import UserError

TEMPORARY_PREFIX = ".simrefine-tmp-"  # hidden, so that no scan takes a leftover for a picture
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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
def publishing_file(path: Path, replace: bool = True) -> Iterator[BinaryIO]:
    """Gives a temporary file to fill; on leaving without an error it appears as `path`, replacing what was there: a
    link itself, not what it leads to. Makes the folder of `path`.

    Args:
        path: the file.
        replace: False to fail where there is something by then, so that the first of several writers wins.

    Raises:
        UserError: see `reporting_disk_faults`; without `replace` its cause is FileExistsError where something is there.
    """
    with reporting_disk_faults(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path.parent, _make_file) as (temporary, descriptor):
            with open(descriptor, "wb", closefd=False) as file:  # closed, and so unlocked, after it has its name
                yield file
                file.flush()
                os.fsync(descriptor)
            if replace:
                os.replace(temporary, path)
            else:
                _rename_to_new(temporary, path)


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Gives a new hidden folder in `parent`, which is made if need be; on leaving it is removed, if it is still there.

    Raises:
        UserError: see `reporting_disk_faults`.
    """
    with reporting_disk_faults(parent):
        parent.mkdir(parents=True, exist_ok=True)
        with _temporary(parent, _make_folder) as (temporary, _):
            yield temporary


def remove_leftovers(folder: Path) -> None:
    """Removes from `folder` what killed processes left under temporary names; those in use by a living process stay,
    and so does what cannot be removed."""
    try:
        names = [name for name in os.listdir(folder) if name.startswith(TEMPORARY_PREFIX)]
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            _remove_leftover(folder / name)


@contextmanager
def publishing_folder(path: Path) -> Iterator[Path]:
    """Gives a temporary folder to fill; on leaving without an error it appears as `path`, replacing what was there.

    A folder cannot replace a full one in a single rename, so the old one is moved aside first; a kill between
    the two renames leaves `path` absent and the old content under a temporary name, where `standing_folder` finds it.
    What killed processes left beside `path` goes, see `remove_leftovers`.

    Raises:
        UserError: see `reporting_disk_faults`.
    """
    aside = _aside(path)
    remove_leftovers(path.parent)
    with reporting_disk_faults(path), temporary_folder(path.parent) as temporary:
        yield temporary
        for file in temporary.rglob("*"):
            _flush(file)
        _flush(temporary)
        _restore_folder(path)
        try:
            if path.exists():
                os.replace(path, aside)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:  # also where Ctrl-C comes between the two
            _restore_folder(path)


def standing_folder(path: Path) -> Path:
    """Where a reader finds what `publishing_folder` last made of `path`: there, or under the name where a kill
    left it. It moves nothing, because the writer may be alive and between its two renames."""
    aside = _aside(path)
    return aside if not path.exists() and aside.exists() else path


def _restore_folder(path: Path) -> None:
    """Finishes what a kill inside `publishing_folder` interrupted: the old folder comes back if no new one is there."""
    aside = _aside(path)
    if aside.is_symlink():  # no folder of ours
        aside.unlink()
    elif aside.exists():
        if path.exists():
            _remove(aside)
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


@contextmanager
def _temporary(parent: Path, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """Something new in `parent` under a temporary name, with a descriptor of it that holds its lock. On leaving it is
    removed if it still has that name.

    Args:
        parent: a folder.
        make: makes it and opens it; raises FileExistsError where something has that name, even a dead link.
    """
    while True:
        temporary = parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        descriptor = make(temporary)
        with suppress(OSError):  # a disk without locks: then `remove_leftovers` gets none either, and leaves it
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():
            break
        os.close(descriptor)  # `remove_leftovers` of another process came between making and locking
    try:
        yield temporary, descriptor
    finally:
        _remove(temporary)
        os.close(descriptor)


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Gives a file the name `path` as well.

    Raises:
        FileExistsError: something has that name.
    """
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP) or os.path.lexists(path):
            raise
        os.replace(temporary, path)  # a disk without second names


def _make_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)  # less the umask


def _make_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, _OPEN_FOLDER)


def _remove_leftover(path: Path) -> None:
    """Removes a temporary file or folder that no process holds.

    Raises:
        OSError: one holds it, or it cannot be opened or removed.
    """
    if path.is_symlink():
        path.unlink()
        return
    # For writing, as an NFS disk gives no exclusive lock otherwise; at once, as a pipe would wait for its other end.
    flags = _OPEN_FOLDER if path.is_dir() else os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Removes a file, a link or a folder with all that is in it; nothing if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _aside(path: Path) -> Path:
    """A hidden sibling of `path`. A digest stands for the name, which may have all of the 255 bytes that a disk
    allows."""
    return path.with_name(".simrefine-old-" + hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16])


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
