"""The files of a downloaded data set, read where they are: in a folder, or inside a .zip or .tar without unpacking it.

Readers raise ImageError, the reason why one picture cannot be used, so that one damaged file stops nothing.
"""

import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from simrefine.data.folders import list_folder
from simrefine.data.images import MAX_BYTES, ImageError
from simrefine.data.shards import whole_members
from simrefine.errors import UserError
from simrefine.reading import Unreadable, parse_json, read_regular

MAX_TEXT_BYTES = 512 * 2**20  # of a list or table that came with a data set
Reader = Callable[[], bytes]  # raises ImageError


def list_files(path: Path) -> dict[str, Reader]:
    """The files of a folder, a .zip or a .tar (.tar.gz, .tgz), by their path in it, each with what reads it. Nothing is
    unpacked, and an archive stays open for as long as its readers live; links in it and hidden files are left out.

    Raises:
        UserError: it is missing, damaged, or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        listing = list_folder(path, what="folder")
        records = listing.pictures + listing.others
        return {str(record.relative): record.read for record in records}
    if path.exists() and not path.is_file():  # asked before opening: opening a pipe waits for its other end
        raise UserError(f"{path} is no folder, .zip or .tar", "check the path")
    try:
        if zipfile.is_zipfile(path):
            archive = zipfile.ZipFile(path)
            members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        elif tarfile.is_tarfile(path):
            archive = tarfile.open(path)  # noqa: SIM115
            members = {info.name: info for info in whole_members(archive) if info.isfile()}
        else:
            raise UserError(f"{path} is no folder, .zip or .tar", "unpack it and name the folder, or download it again")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise UserError(f"{path} is damaged: {error}", "download it again") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}", "check the path") from error
    return {
        name.removeprefix("./"): partial(_read_member, archive, member)
        for name, member in members.items()
        if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts if part != "..")
    }


def read_text(path: Path) -> str:
    """A text file that came with a data set.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return read_regular(path, MAX_TEXT_BYTES).decode("utf-8-sig")
    except (Unreadable, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", "check the path") from error


def read_json(path: Path) -> Any:
    """A JSON file that came with a data set.

    Raises:
        UserError: it cannot be read, or is no JSON.
    """
    try:
        return parse_json(read_text(path))
    except ValueError as error:
        raise UserError(f"{path}: no valid JSON ({error})", "download it again") from error


def _read_member(archive: zipfile.ZipFile | tarfile.TarFile, member: zipfile.ZipInfo | tarfile.TarInfo) -> bytes:
    try:
        with (archive.open if isinstance(archive, zipfile.ZipFile) else archive.extractfile)(member) as file:
            return _read_limited(file)
    except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ImageError(f"cannot be read from the archive: {error}") from error


def _read_limited(file: Any) -> bytes:
    """At most MAX_BYTES, whatever an archive claims or unpacks to."""
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ImageError(f"more than {MAX_BYTES} bytes")
    return content
