"""The two folders of a refinement: which files of the input are refined or carried over, where their outputs belong,
and which refiner the output folder belongs to. Pictures are not opened here.

The manifest `simrefine.json` in the output folder names the refiner and the strength, so that the results of two
refiners are never mixed.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from simrefine.data.folders import MANIFEST, REJECTS, Record, list_folder, matches, mirrored, resolved
from simrefine.data.images import EXTENSIONS
from simrefine.errors import UserError
from simrefine.files import reporting_disk_faults, write_file
from simrefine.reading import Unreadable, parse_json, read_regular

MAX_MANIFEST_BYTES = 2**20
COMPARE = PurePosixPath("_compare")  # below the output folder, for pictures side by side


@dataclass(frozen=True)
class Job:
    """A picture to refine: where it is, where the refined one belongs, and where both belong side by side."""

    record: Record
    target: Path
    compare: Path


def check_places(folder: Path, out: Path) -> None:
    """Checks that writing to `out` cannot endanger the input.

    Raises:
        UserError: `out` is the input folder, contains it, or is a file.
    """
    if folder.exists() and out.exists() and folder.samefile(out):
        raise UserError(f"the output folder {out} is the input folder", "name another folder for the output")
    if resolved(folder).is_relative_to(resolved(out)):
        raise UserError(
            f"the input folder {folder} lies inside the output folder {out}", "name another folder for the output"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"the output folder {out} is a file", "name another folder for the output")


def list_work(
    folder: Path, out: Path, exclude: Sequence[str], copy: Sequence[str]
) -> tuple[list[Job], list[tuple[Record, Path]]]:
    """What there is to do: the pictures to refine, and the files to carry over with the place where each belongs.

    Args:
        folder: the input.
        out: the output folder; what lies in it is not part of the input, also where `out` lies in `folder`.
        exclude, copy: patterns, see `folders.matches`: files to leave out, and pictures to carry over like labels.

    Raises:
        UserError: there is no picture to refine, a picture lies where comparisons go, or an output would lie outside
            of `out`.
    """
    pictures, labels = _sort_files(folder, out, exclude, copy)
    if not pictures:
        but = f" apart from {', '.join((*exclude, *copy))}" if (exclude or copy) else ""
        raise UserError(
            f"folder {folder} holds no picture ({', '.join(sorted(EXTENSIONS))}){but}",
            "name a folder that holds pictures, or leave fewer out",
        )

    @cache  # links are resolved once per folder, not once per file: on a network disk that is slow
    def place(parent: PurePosixPath) -> Path:
        return mirrored(out, parent / "file").parent

    jobs = []
    for record in pictures:
        parent, name = record.relative.parent, record.relative.name
        jobs.append(Job(record, place(parent) / name, place(COMPARE / parent) / f"{name}.png"))
    return jobs, [(record, place(record.relative.parent) / record.relative.name) for record in labels]


def _sort_files(
    folder: Path, out: Path, exclude: Sequence[str], copy: Sequence[str]
) -> tuple[list[Record], list[Record]]:
    """The pictures to refine, and the files to carry over."""
    listing = list_folder(folder, exclude, what="folder to refine")
    home, outside = resolved(folder), resolved(out)
    pictures, labels = [], []
    for records, kind in ((listing.pictures, pictures), (listing.others, labels)):
        for record in records:
            real = resolved(record.path) if record.path.is_symlink() else home / record.relative
            if real.is_relative_to(outside):  # `out` lies in `folder`, or a link leads there
                continue
            if record.relative.is_relative_to(COMPARE):
                raise UserError(
                    f"{record.path}: {COMPARE} is where side-by-side pictures go", f"rename it, or --exclude {COMPARE}"
                )
            if str(record.relative) in (MANIFEST, REJECTS):  # of an earlier refinement, not labels
                continue
            (labels if matches(record.relative, copy) else kind).append(record)
    return pictures, labels


def claim(out: Path, fingerprint: str, strength: float, redo: Sequence[Job] | None) -> None:
    """Makes `out` the folder of one refiner and strength, by its manifest.

    Args:
        out: the output folder; made if it does not exist.
        fingerprint: of the refiner.
        strength: see `refine_folder`.
        redo: jobs whose outputs are removed first; None to keep what this refiner wrote before.

    Raises:
        UserError: `redo` is None and `out` belongs to another refiner or strength or holds other files; or see
            `reporting_disk_faults`.
    """
    path, manifest = out / MANIFEST, {"format": 1, "refiner": fingerprint, "strength": float(strength)}
    with reporting_disk_faults(out):
        if redo is None:
            _check_owner(out, path, manifest)
        else:
            # Removed before the new manifest stands: a run that stops halfway must not pass old results off as new.
            for file in (path, *(file for job in redo for file in (job.target, job.compare))):
                if file.is_symlink() or file.is_file():
                    file.unlink()
        if not path.exists():
            write_file(path, json.dumps(manifest, indent=2).encode() + b"\n")


def _check_owner(out: Path, path: Path, manifest: dict[str, Any]) -> None:
    if path.exists():
        if _read_manifest(path) != manifest:
            raise UserError(
                f"{out} holds pictures of another refiner or strength (see {path})",
                "name another --out, or use --overwrite to replace them",
            )
    elif out.exists() and any(not name.startswith(".") for name in os.listdir(out)):
        raise UserError(
            f"the output folder {out} holds files that simrefine did not write",
            "name an empty or new folder with --out, or use --overwrite to write among them",
        )


def _read_manifest(path: Path) -> Any:
    try:
        return parse_json(read_regular(path, MAX_MANIFEST_BYTES))
    except (ValueError, Unreadable):  # no JSON of ours: simrefine did not write it
        return None


def is_done(job: Job, compare: bool) -> bool:
    """Whether the outputs of a picture are there and not older than the picture: its labels are always renewed, so an
    old face must not stay beside them.

    Args:
        job: the picture.
        compare: its comparison is wanted too.
    """
    # A link is no result: it may lead to an input. Writing replaces the link and leaves what it leads to alone.
    files = (job.target, job.compare) if compare else (job.target,)
    try:
        changed = job.record.path.stat().st_mtime_ns
        return all(not file.is_symlink() and file.is_file() and file.stat().st_mtime_ns >= changed for file in files)
    except OSError:
        return False  # reading the picture will report the fault
