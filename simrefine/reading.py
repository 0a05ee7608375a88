"""The one place that opens what somebody else may have made: a regular file of at most so many bytes, or a reason.

Opening a pipe waits for its other end, a device never ends, and a sparse file claims more than the memory holds: all
are refused before anything is read.
"""

import json
import os
import stat
from pathlib import Path
from typing import Any


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
    try:
        # Asked before opening too: opening some devices does something.
        _check(os.stat(path), limit)
        # Should a pipe have taken its place meanwhile, O_NONBLOCK does not wait for its other end.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            _check(status, limit)
            return file.read(status.st_size)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null byte in the name
        raise Unreadable(f"cannot be read: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is no JSON, or nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _check(status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("not a regular file")
    if status.st_size > limit:
        raise Unreadable(f"{status.st_size} bytes, more than the limit of {limit}")
