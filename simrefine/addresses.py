"""Where a folder is: on this machine, which is a Path, or in a store, which is a Url."""

import os
from collections.abc import Sequence
from pathlib import Path

LOCAL = ("file://", "local://")  # what fsspec calls the disk of this machine


class Url(str):
    """The address of a folder in a store, such as s3://bucket/renders. `/` leads below it, as with a Path."""

    def __truediv__(self, name: object) -> "Url":
        return Url(f"{self.rstrip('/')}/{name}")


Place = Path | Url


def place(text: str | os.PathLike) -> Place:
    """What somebody wrote as a Path or, where it has a protocol, as a Url; file:///a/b is the Path /a/b."""
    if isinstance(text, Url) or not isinstance(text, str):
        return text if isinstance(text, Url) else Path(text)
    for protocol in LOCAL:
        if text.startswith(protocol):
            return Path(text.removeprefix(protocol))
    return Url(text) if "://" in text else Path(text)


def places(given: str | os.PathLike | Sequence[str | os.PathLike]) -> list[Place]:
    """Those of one or of several."""
    return [place(each) for each in ([given] if isinstance(given, str | os.PathLike) else given)]
