"""The one place that opens what somebody else may have made: a regular file of at most so many bytes, or a reason.

Opening a pipe waits for its other end, a device never ends, and a sparse file claims more than the memory holds: all
are refused before anything is read.
"""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


class Unreadable(Exception):
    """Why a file cannot be read; the text is for people: "not a regular file"."""


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a regular file, or of one that a link leads to.

    Args:
        path: the file.
        limit: the most bytes that it may have.

    Raises:
        Unreadable: it is missing, forbidden, no regular file, or larger.
    """
    with _open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        _check_size(size, limit)
        return file.read(size)


def read_part(path: Path, start: int, size: int, changed: int, limit: int) -> bytes:
    """Some bytes of a regular file, which may itself be of any size. No file stays open, and any thread may read.

    Args:
        path: the file.
        start, size: its first byte, and how many there are.
        changed: when the file was changed for the last time, ns since the epoch, as it was when its parts were listed.
        limit: the most bytes that a part may have.

    Raises:
        Unreadable: the file is missing, forbidden or no regular one, has been changed since, or ends before the part
            does; the part is larger than the limit.
    """
    _check_size(size, limit)
    with _open_regular(path) as file:
        if os.fstat(file.fileno()).st_mtime_ns != changed:  # other bytes may stand there, of another picture
            raise Unreadable("the file it is in has been changed since")
        file.seek(start)
        content = file.read(size)
    if len(content) < size:
        raise Unreadable("the file it is in ends before it does")
    return content


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is no JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


@contextmanager
def _open_regular(path: Path) -> Iterator[BinaryIO]:
    try:
        # Asked before opening too: opening some devices does something.
        _check_kind(os.stat(path))
        # Should a pipe have taken its place meanwhile, O_NONBLOCK does not wait for its other end.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:
            _check_kind(os.fstat(file.fileno()))
            yield file
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null byte in the name
        raise Unreadable(f"cannot be read: {error}") from error


def _check_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("not a regular file")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise Unreadable(f"{size} bytes, more than the limit of {limit}")
