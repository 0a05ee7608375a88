"""A folder of numbers: our own JSON beside a safetensors file, so that loading one cannot run code. It is complete or
absent, and damage is noticed, as are values that are no numbers.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save_file

from simrefine.errors import EXIT_DIVERGED, UserError
from simrefine.files import publishing_folder
from simrefine.reading import Unreadable, parse_json, read_regular

MAX_ABOUT_BYTES = 2**20  # of our JSON; what simrefine writes has a few thousand
MAX_BYTES = 64 * 2**30  # of the numbers


def write_arrays(
    folder: Path, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray], *, about_name: str, arrays_name: str
) -> None:
    """Writes `folder`/ABOUT_NAME.json and `folder`/ARRAYS_NAME.safetensors, replacing the folder in a single move.

    Args:
        about: "format", a whole number, and whatever else JSON can hold.

    Raises:
        UserError: the disk is full or cannot be written; a value is not finite, exit code EXIT_DIVERGED.
    """
    if bad := non_finite(arrays):
        raise UserError(
            f"{folder} is not written: {bad} is not finite",
            "the training diverged: lower the learning rates, or refiner.bound",
            exit_code=EXIT_DIVERGED,
        )
    with publishing_folder(folder) as temporary:
        file = temporary / f"{arrays_name}.safetensors"
        try:
            save_file({name: np.asarray(value, order="C") for name, value in arrays.items()}, file)
        except SafetensorError as error:  # it wraps the disk's own error into text
            raise UserError(
                f"cannot write {folder}: {error}", "free some space and continue with --resume: older files are kept"
            ) from error
        about = {"format": about["format"], "sha256": hashlib.sha256(file.read_bytes()).hexdigest()} | dict(about)
        about_file = temporary / f"{about_name}.json"
        about_file.write_text(json.dumps(about, indent=2) + "\n")
        # safetensors makes files that only their owner can read; the others follow the umask.
        file.chmod(about_file.stat().st_mode & 0o777)


def read_arrays(
    folder: Path, *, about_name: str, arrays_name: str, formats: range, limit: int = MAX_BYTES
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The way back.

    Args:
        formats: those that can be read.
        limit: the most bytes that the numbers may have.

    Raises:
        UserError: the files are missing, damaged, larger than they may be or no regular files, hold a value that is not
            finite, or are of a format that this simrefine does not read.
    """
    about_file, arrays_file = folder / f"{about_name}.json", folder / f"{arrays_name}.safetensors"
    try:
        about = parse_json(_read(about_file, MAX_ABOUT_BYTES))
        _check_format(about_file, about["format"], formats)
        content = _read(arrays_file, limit)
        if hashlib.sha256(content).hexdigest() != about["sha256"]:
            raise UserError(f"{arrays_file} is damaged: its SHA-256 is not the one in {about_file.name}")
        arrays = load(content)
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError, SafetensorError) as error:
        raise UserError(f"{folder} is damaged or incomplete: {error}") from error
    if bad := non_finite(arrays):
        raise UserError(f"{arrays_file} is of a training that diverged: {bad} is not finite", "use an older one")
    return about, arrays


def non_finite(values: Mapping[str, Any]) -> str:
    """The names of the numbers and arrays that hold a NaN or an infinity, the first three of them; "" if none does."""
    bad = [name for name, value in values.items() if not np.isfinite(value).all()]
    return ", ".join(bad[:3]) + ", ..." * (len(bad) > 3)


def _read(file: Path, limit: int) -> bytes:
    try:
        return read_regular(file, limit)
    except Unreadable as error:
        raise UserError(f"{file} is damaged or incomplete: {error}") from error


def _check_format(file: Path, found: Any, formats: range) -> None:
    if not isinstance(found, int):
        raise ValueError(f"its format is {found!r}")
    if found >= formats.stop:
        raise UserError(f"{file} has format {found}, this simrefine reads up to {formats[-1]}", "use a newer simrefine")
    if found < formats.start:
        raise UserError(
            f"{file} has format {found}, this simrefine reads {formats.start} and newer",
            "use the older simrefine that wrote it, or train again",
        )
