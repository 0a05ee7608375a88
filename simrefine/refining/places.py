"""The two folders of a refinement: which files of the input are refined or carried over, where their outputs belong,
and which refiner the output folder belongs to. Pictures are not decoded here.

The manifest `simrefine.json` in the output folder names the refiner and the strength, so that the results of two
refiners are never mixed, and says to people which model, step, seed and style they are of.
"""

import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from simrefine.addresses import Place, Url
from simrefine.data.folders import (
    MANIFEST,
    REJECTS,
    Listing,
    Record,
    Reject,
    list_files,
    list_folder,
    list_names,
    matches,
    mirrored,
    resolved,
)
from simrefine.data.images import EXTENSIONS, ImageError, read_sides, sides_of
from simrefine.data.masks import MaskFolder
from simrefine.errors import UserError
from simrefine.files import publishing_file, remove_leftovers, reporting_disk_faults
from simrefine.reading import Unreadable, parse_json, read_regular

MAX_MANIFEST_BYTES = 2**20
LEADS_OUT = "a link that leads out of the folder, not followed: put a copy in its place"
OF_REJECTS = re.compile(rf"{REJECTS.removesuffix('.csv')}(-\d+-of-\d+)?\.csv")
COMPARE = PurePosixPath("_compare")  # below the output folder, for pictures side by side
# Entries of a manifest: those that must agree, those that say what decides over a refiner's pictures, and those of them
# whose values a message names.
DECISIVE = ("format", "refiner", "strength")
IDENTITY = ("model", "step", "style", "photographs", "masks", "heads", "seed", "scale", "precision")
SHOWN = {"model", "step", "masks", "heads", "seed", "scale", "precision", "strength"}


@dataclass(frozen=True)
class Job:
    """A picture to refine: where it is, where the refined one belongs, and where both belong side by side."""

    record: Record
    target: Path
    compare: Path
    mask: Record | None = None  # of its parts


@dataclass(frozen=True)
class Work:
    """What there is to do: pictures to refine, files to carry over with the place where each belongs, those that are
    not, and the linked folders that are not followed."""

    jobs: list[Job]
    labels: list[tuple[Record, Path]]
    refused: list[Reject]
    linked: tuple[Record, ...]

    def shard(self, part: int, parts: int) -> "Work":
        """One of `parts` parts, from 1 on, that together are the whole, each picture in one of them.

        A name decides, without its ending and the folders above, so that a picture that comes or goes moves no other,
        and a mask goes with its picture. What belongs to no picture, such as a label file, is in every part.
        """
        jobs = [job for job in self.jobs if _part_of(job.record, parts) == part]
        stems = {job.record.relative.stem for job in self.jobs}
        labels = [
            label for label in self.labels if label[0].relative.stem not in stems or _part_of(label[0], parts) == part
        ]
        return Work(jobs, labels, self.refused, self.linked)


def _part_of(record: Record, parts: int) -> int:
    return zlib.crc32(os.fsencode(record.relative.stem)) % parts + 1


def rejects_name(part: int, parts: int) -> str:
    """What the list of rejects is called: each shard has its own."""
    return REJECTS if parts == 1 else f"{REJECTS.removesuffix('.csv')}-{part}-of-{parts}.csv"


def check_places(inputs: Sequence[Path], out: Path) -> None:
    """Checks that writing to `out` cannot endanger the input: a folder, or pictures.

    Raises:
        UserError: `out` is the folder of the input, contains it, or is a file.
    """
    for folder in {path.parent if path.is_file() else path for path in inputs}:
        if folder.exists() and out.exists() and folder.samefile(out):
            raise UserError(f"the output folder {out} is the input folder", "name another folder for the output")
        if resolved(folder).is_relative_to(resolved(out)):
            raise UserError(
                f"the input folder {folder} lies inside the output folder {out}", "name another folder for the output"
            )
    if out.exists() and not out.is_dir():
        raise UserError(f"the output folder {out} is a file", "name another folder for the output")


def list_work(
    inputs: Sequence[Path],
    out: Path,
    exclude: Sequence[str],
    copy: Sequence[str],
    masks: MaskFolder | None = None,
    packed: bool = False,
) -> Work:
    """What there is to do.

    Args:
        inputs: a single folder, or pictures, which go by their names alone.
        out: the output folder; what lies in it is not part of the input, also where `out` lies in the input folder.
        packed: the pictures in a folder's .tar files are refined too; otherwise such a file is carried over as it is.
        exclude, copy: patterns, see `folders.matches`: files to leave out, and pictures to carry over like labels.
        masks: of the parts of these pictures.

    Raises:
        UserError: there is no picture to refine, none has a mask, a picture lies where comparisons go, or an output
            would lie outside of `out`; see also `folders.list_files`.
    """
    single = len(inputs) == 1 and not inputs[0].is_file()
    listing = (
        list_folder(inputs[0], exclude, what="folder to refine", shards=packed)
        if single
        else list_files(inputs, exclude)
    )
    home = resolved(inputs[0]) if single else None
    pictures, labels = _sort_files(_outside(listing, home, out), copy)
    outside = {record for record in labels if home and _leads_out(record, home)}
    _check_pictures(pictures, inputs[0], exclude, copy)

    @cache  # links are resolved once per folder, not once per file: on a network disk that is slow
    def place(parent: PurePosixPath) -> Path:
        return mirrored(out, parent / "file").parent

    jobs, known = [], masks.find(record.relative for record in pictures) if masks else {}
    for record, beside in zip(pictures, comparison_names(pictures), strict=True):
        parent, name = record.relative.parent, record.relative.name
        mask = known.get(record.relative)
        jobs.append(Job(record, place(parent) / name, place(COMPARE / parent) / beside, mask))
    if masks and not known:
        raise UserError(
            f"no picture of {inputs[0]} has a mask of its name in {masks.folder}",
            "name the folder of the masks with --masks, or do without by --masks ''",
        )
    carried = [
        (record, place(record.relative.parent) / record.relative.name) for record in labels if record not in outside
    ]
    return Work(jobs, carried, [Reject(str(record.relative), LEADS_OUT) for record in outside], listing.linked)


def work_of_names(names: Iterable[str], folder: Url, exclude: Sequence[str], copy: Sequence[str]) -> Work:
    """What there is to do for a folder that is not on this machine; all paths are below that folder or the output's.

    Args:
        names: of its files, see `folders.list_names`.
        folder: its address, for messages.
        exclude, copy: see `list_work`.

    Raises:
        UserError: there is no picture to refine, or one lies where comparisons go.
    """
    pictures, labels = _sort_files(list_names(names, exclude), copy)
    _check_pictures(pictures, folder, exclude, copy)
    jobs = [
        Job(record, record.path, Path(COMPARE / record.relative.parent / beside))
        for record, beside in zip(pictures, comparison_names(pictures), strict=True)
    ]
    return Work(jobs, [(record, record.path) for record in labels], [], ())


def _check_pictures(pictures: Sequence[Record], folder: Place, exclude: Sequence[str], copy: Sequence[str]) -> None:
    if not pictures:
        but = f" apart from {', '.join((*exclude, *copy))}" if (exclude or copy) else ""
        raise UserError(
            f"folder {folder} holds no picture ({', '.join(sorted(EXTENSIONS))}){but}",
            "name a folder that holds pictures, or leave fewer out",
        )


def _leads_out(record: Record, home: Path) -> bool:
    """Whether a file is a link to one outside of the folder `home`: what it leads to may be no label at all, and would
    be copied byte for byte into a folder that is passed on."""
    return record.path.is_symlink() and not resolved(record.path).is_relative_to(home)


def comparison_names(pictures: Sequence[Record]) -> list[str]:
    """What the comparison of each picture is called, a PNG: a.png for a.png, a.jpg.png for a.jpg; where there is such a
    PNG too, one more ending."""
    taken = {record.relative for record in pictures if record.relative.suffix == ".png"}
    names = []
    for record in pictures:
        place = record.relative
        while place.suffix != ".png" or (place in taken and place != record.relative):
            place = place.with_name(f"{place.name}.png")
        names.append(place.name)
    return names


def _outside(listing: Listing, home: Path | None, out: Path) -> Listing:
    """What of a listing does not lie in `out`, directly or by a link; `home` is the listed folder without links, None
    where single files were listed."""
    output = resolved(out)

    def lies_there(record: Record) -> bool:
        linked = home is None or record.path.is_symlink()
        return (resolved(record.path) if linked else home / record.relative).is_relative_to(output)

    kinds = (listing.pictures, listing.others)
    return Listing(*(tuple(record for record in kind if not lies_there(record)) for kind in kinds), listing.linked)


def _sort_files(listing: Listing, copy: Sequence[str]) -> tuple[list[Record], list[Record]]:
    """The pictures to refine, and the files to carry over."""
    pictures, labels = [], []
    for records, kind in ((listing.pictures, pictures), (listing.others, labels)):
        for record in records:
            if record.relative.is_relative_to(COMPARE):
                raise UserError(
                    f"{record.path}: {COMPARE} is where side-by-side pictures go", f"rename it, or --exclude {COMPARE}"
                )
            if str(record.relative) == MANIFEST or OF_REJECTS.fullmatch(str(record.relative)):
                # Of an earlier refinement, not labels.
                continue
            (labels if matches(record.relative, copy) else kind).append(record)
    return pictures, labels


def claim(
    out: Path, fingerprint: str, strength: float, redo: Sequence[Job] | None, about: Mapping[str, Any] | None = None
) -> None:
    """Makes `out` the folder of one refiner and strength, by its manifest.

    Args:
        out: the output folder; made if it does not exist.
        fingerprint: of the refiner.
        strength: see `refine_folder`.
        redo: jobs whose outputs are removed first; None to keep what this refiner wrote before.
        about: of the refiner, for people: the manifest names it too, beside the version of simrefine.

    Raises:
        UserError: `redo` is None and `out` belongs to another refiner or strength or holds other files; or see
            `reporting_disk_faults`.
    """
    path, manifest = out / MANIFEST, manifest_of(fingerprint, strength, about)
    with reporting_disk_faults(out):
        if redo is None:
            _check_owner(out, path, manifest)
        else:
            # Removed before the new manifest stands: a run that stops halfway must not pass old results off as new.
            for file in (path, *(file for job in redo for file in (job.target, job.compare))):
                if file.is_symlink() or file.is_file():
                    file.unlink()
        _write_manifest(out, path, manifest)


def manifest_of(fingerprint: str, strength: float, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the manifest says; see `claim`."""
    decisive = {"format": 1, "refiner": fingerprint, "strength": float(strength)}
    return {**decisive, "simrefine": version("simrefine"), **(about or {})}


def manifest_bytes(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as it is written."""
    return json.dumps(manifest, indent=2).encode() + b"\n"


def _write_manifest(out: Path, path: Path, manifest: dict[str, Any]) -> None:
    """Writes the manifest where there is none; another process may be first, so the one that is there is checked."""
    try:
        with publishing_file(path, replace=False) as file:
            file.write(manifest_bytes(manifest))
    except UserError as error:
        if not isinstance(error.__cause__, FileExistsError):
            raise
        _check_owner(out, path, manifest)


def _check_owner(out: Path, path: Path, manifest: dict[str, Any]) -> None:
    # Listed before the manifest is looked for: another process may write it, and then pictures, at this moment.
    names = os.listdir(out) if out.exists() else []
    check_owner(out, names, _read_manifest(path) if path.exists() else None, manifest)


def check_owner(out: Place, names: Iterable[str], found: Mapping[str, Any] | None, manifest: Mapping[str, Any]) -> None:
    """Checks that `out` is, or can become, the folder of the refiner of `manifest`.

    Args:
        out: the output folder, for messages.
        names: what lies in it, listed before its manifest was looked for.
        found: its manifest, see `parse_manifest`; None where there is none.

    Raises:
        UserError: it belongs to another refiner or strength, or holds other files.
    """
    if found is not None:
        if any(found.get(key) != manifest[key] for key in DECISIVE):
            raise UserError(
                f"{out} holds pictures of another {_difference(found, manifest)} (see {out / MANIFEST})",
                "name another --out, or use --overwrite to replace them",
            )
    elif any(not name.startswith(".") for name in names):
        raise UserError(
            f"the output folder {out} holds files that simrefine did not write",
            "name an empty or new folder with --out, or use --overwrite to write among them",
        )


def _difference(found: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """In what two manifests differ, in words: where both say so, rather "seed" than "refiner"."""
    if found.get("refiner") == manifest["refiner"]:
        return "strength" if found.get("format") == manifest["format"] else "format"
    said = [key for key in (*IDENTITY, "strength") if key in found and key in manifest and found[key] != manifest[key]]
    if not set(said) & set(IDENTITY):
        said = ["refiner", *said]
    return " and ".join(f"{key} ({found[key]}, now {manifest[key]})" if key in SHOWN else key for key in said)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        return parse_manifest(read_regular(path, MAX_MANIFEST_BYTES))
    except Unreadable:  # simrefine did not write it
        return {}


def parse_manifest(content: bytes) -> dict[str, Any]:
    """What a manifest says; nothing if simrefine did not write it."""
    try:
        found = parse_json(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def remove_all_leftovers(out: Path, work: Work) -> None:
    """Removes what killed runs left under temporary names wherever this work writes."""
    targets = [target for job in work.jobs for target in (job.target, job.compare)]
    for folder in {out, *(target.parent for target in (*targets, *(target for _, target in work.labels)))}:
        remove_leftovers(folder)


def is_done(job: Job, compare: bool) -> bool:
    """Whether the outputs of a picture are there, whole as far as their header and end say, of the right size, and not
    older than the picture or its mask: its labels are always renewed, so an old face must not stay beside them.

    Args:
        job: the picture.
        compare: its comparison is wanted too.
    """
    files = (job.target, job.compare) if compare else (job.target,)
    try:
        changed = max(record.path.stat().st_mtime_ns for record in (job.record, job.mask) if record)
        # A link is no result: it may lead to an input. Writing replaces the link and leaves what it leads to alone.
        if any(file.is_symlink() or file.stat().st_mtime_ns < changed for file in files):
            return False
        short, long = sides_of(job.record.read())
        beside = {tuple(sorted((short, 2 * long))), tuple(sorted((long, 2 * short)))}  # side by side, lying or upright
        return read_sides(job.target) == (short, long) and (not compare or read_sides(job.compare) in beside)
    except (OSError, ImageError):
        return False  # reading the picture will report the fault
