"""A folder of renders in; a folder with the same tree, names and formats out, refined, with the labels beside it.

Threads read and write while the refiner works on batches of equal size. Every output is complete or absent and
belongs to the refiner named in `simrefine.json`, so a rerun does only what is missing; one bad file stops nothing.
"""

import errno
import filecmp
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np

from simrefine.data.folders import MANIFEST, Record, Reject, list_folder, matches, mirrored, resolved, write_rejects
from simrefine.data.images import (
    EXTENSIONS,
    ImageError,
    Picture,
    encode_picture,
    read_picture,
    round_to_uint8,
    to_channels,
)
from simrefine.errors import UserError
from simrefine.files import reporting_disk_faults, temporary_name, write_file
from simrefine.threads import run_ahead

REJECTS = "rejects.csv"  # at the top of the output folder, beside MANIFEST
COMPARE = PurePosixPath("_compare")  # below it, for pictures side by side
MAX_BATCH_PIXELS = 2**22  # 32 pictures of 362 x 362: what a refiner needs per pixel is far more than the picture
MAX_WAITING_PIXELS = 2**26  # of pictures whose batch is not full yet: 192 MiB of colour


class Refiner(Protocol):
    """What `refine_folder` asks of a refiner: uint8 [n, h, w, channels] in, the same shape out."""

    channels: int  # 1 or 3
    fingerprint: str  # SHA-256 of the weights

    def __call__(self, images: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Summary:
    """What became of a folder. `written + skipped + rejected == found`; label files are counted apart.

    Args:
        found: pictures to refine.
        written: pictures refined now.
        skipped: pictures that an earlier run had refined.
        rejected: pictures that could not be read or written; named in `rejects_csv`.
        labels_copied: files carried across now; those already there and equal are not copied again.
        labels_rejected: files that could not be carried across; named in `rejects_csv`.
        seconds: from start to end.
        mean_change: mean absolute difference between a picture and its refined version, over those written, in
            gray levels.
        sizes: how many pictures were written, by (height, width).
        rejects_csv: always written.
    """

    found: int
    written: int
    skipped: int
    rejected: int
    labels_copied: int
    labels_rejected: int
    seconds: float
    mean_change: float
    sizes: Counter[tuple[int, int]]
    rejects_csv: Path


@dataclass(frozen=True)
class _Job:
    """One picture on its way through; `picture` and `refined` are filled in as it goes."""

    record: Record
    target: Path
    compare: Path
    picture: Picture | None = None
    refined: np.ndarray | None = None  # as it left the refiner

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.pixels.shape[:2]


def refine_folder(
    refiner: Refiner,
    folder: Path,
    out: Path,
    *,
    exclude: Sequence[str] = (),
    copy: Sequence[str] = (),
    strength: float = 1.0,
    compare: bool = False,
    overwrite: bool = False,
    batch_size: int = 32,
    threads: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Refines every picture below `folder` into `out`.

    A gray picture meets a colour refiner as colour and leaves it gray; a colour picture meets a gray refiner as luma,
    whose change is added to each channel. Transparency is passed through. Pictures come out upright, without EXIF.

    Args:
        refiner: see `Refiner`.
        folder: read, never written.
        out: the output folder; new, empty, or of an earlier run with the same refiner and strength. It may lie inside
            `folder`, and is then not read.
        exclude: patterns of what to leave out altogether (see `folders.matches`).
        copy: patterns of pictures that are labels, such as part masks: copied byte for byte like all that is no
            picture.
        strength: the share of the change that is applied: 0 gives the raw pixels, 1 the refined ones.
        compare: also write raw and refined side by side to `out`/_compare/NAME.png.
        overwrite: remove what an earlier run wrote and do it again; needed for another refiner or strength.
        batch_size: pictures of one size that the refiner gets at once, at most.
        threads: for reading and writing.
        progress: called as `progress(done, found)` from the calling thread.

    Raises:
        UserError: nothing to refine, a place that would endanger the input or mix two refiners, or a full disk.
    """
    started, folder, out = time.monotonic(), Path(folder), Path(out)
    if not 0 <= strength <= 1:
        raise UserError(f"strength {strength} is out of range", "choose 0 (raw) to 1 (refined)")
    _check_places(folder, out)
    pictures, labels = _list_work(folder, out, exclude, copy)

    @cache  # asked once per folder: a hundred thousand questions to a disk take their time
    def place(parent: PurePosixPath) -> Path:
        return mirrored(out, parent / "file").parent

    jobs = [_plan(record, place) for record in pictures]
    copies = [(record, place(record.relative.parent) / record.relative.name) for record in labels]
    _claim(out, refiner.fingerprint, strength, jobs if overwrite else None)
    todo = [job for job in jobs if not _is_done(job, compare)]
    rejects: list[Reject] = []
    changes: list[float] = []
    sizes: Counter[tuple[int, int]] = Counter()

    def report() -> None:
        if progress:
            progress(len(jobs) - len(todo) + len(changes) + len(rejects), len(jobs))

    def keep(outcomes: Iterable, rejects: list[Reject]) -> Iterator:
        for outcome in outcomes:
            if isinstance(outcome, Reject):
                rejects.append(outcome)
                report()
            else:
                yield outcome

    def refine(batches: Iterable[list[_Job]]) -> Iterator[_Job]:
        for batch in batches:
            images = np.stack([to_channels(job.picture.pixels, refiner.channels) for job in batch])
            for job, refined in zip(batch, refiner(images), strict=True):
                yield replace(job, refined=refined)

    with _pool(threads) as pool:
        ahead = batch_size + threads  # pictures in memory on either side of the refiner
        # Labels first: whoever finds a refined picture finds its labels.
        label_rejects: list[Reject] = []
        labels_copied = sum(keep(run_ahead(pool, _copy, copies, ahead), label_rejects))
        report()
        read = keep(run_ahead(pool, _read, todo, ahead), rejects)
        refined = refine(_by_size(read, batch_size))
        finish = partial(_write, strength=strength, compare=compare)
        for size, change in keep(run_ahead(pool, finish, refined, ahead), rejects):
            sizes[size] += 1
            changes.append(change)
            report()
    everything = sorted(rejects + label_rejects, key=lambda reject: os.fsencode(reject.relative))
    write_rejects(out / REJECTS, everything)
    return Summary(
        found=len(jobs),
        written=len(changes),
        skipped=len(jobs) - len(todo),
        rejected=len(rejects),
        labels_copied=labels_copied,
        labels_rejected=len(label_rejects),
        seconds=time.monotonic() - started,
        mean_change=float(np.mean(changes)) if changes else 0.0,
        sizes=sizes,
        rejects_csv=out / REJECTS,
    )


def _check_places(folder: Path, out: Path) -> None:
    if folder.exists() and out.exists() and folder.samefile(out):
        raise UserError(f"the output folder {out} is the input folder", "name another folder for the output")
    if resolved(folder).is_relative_to(resolved(out)):
        raise UserError(
            f"the input folder {folder} lies inside the output folder {out}", "name another folder for the output"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"the output folder {out} is a file", "name another folder for the output")


def _list_work(
    folder: Path, out: Path, exclude: Sequence[str], copy: Sequence[str]
) -> tuple[list[Record], list[Record]]:
    """The pictures to refine, and the files to copy."""
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
    if not pictures:
        but = f" apart from {', '.join((*exclude, *copy))}" if (exclude or copy) else ""
        raise UserError(
            f"folder {folder} holds no picture ({', '.join(sorted(EXTENSIONS))}){but}",
            "name a folder that holds pictures, or leave fewer out",
        )
    return pictures, labels


def _plan(record: Record, place: Callable[[PurePosixPath], Path]) -> _Job:
    parent, name = record.relative.parent, record.relative.name
    return _Job(record, place(parent) / name, place(COMPARE / parent) / f"{name}.png")


def _claim(out: Path, fingerprint: str, strength: float, redo: list[_Job] | None) -> None:
    """Makes `out` ours for one refiner and strength; with `redo`, after removing what an earlier run wrote for it."""
    path, manifest = out / MANIFEST, {"format": 1, "refiner": fingerprint, "strength": float(strength)}
    with reporting_disk_faults(out):
        if redo is not None:
            # Removed before the new manifest stands: a run that stops halfway must not pass old results off as new.
            for file in (path, *(file for job in redo for file in (job.target, job.compare))):
                if file.is_symlink() or file.is_file():
                    file.unlink()
        elif path.exists():
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
        if not path.exists():
            write_file(path, json.dumps(manifest, indent=2).encode() + b"\n")


def _read_manifest(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:  # not JSON, so not ours
        return None


def _is_done(job: _Job, compare: bool) -> bool:
    """Whether all that belongs to a picture is there, and not older than the picture: its labels are always renewed,
    so an old face must not stay beside them."""
    # A link is no result: it may lead to an input. Writing replaces the link and leaves what it leads to alone.
    files = (job.target, job.compare) if compare else (job.target,)
    try:
        changed = job.record.path.stat().st_mtime_ns
        return all(not file.is_symlink() and file.is_file() and file.stat().st_mtime_ns >= changed for file in files)
    except OSError:
        return False  # the reading of it will tell what is wrong


def _copy(task: tuple[Record, Path]) -> bool | Reject:
    """Carries a file across byte for byte; False if an equal one is there."""
    record, target = task
    temporary = temporary_name(target)
    try:
        if not target.is_symlink() and target.is_file() and filecmp.cmp(record.path, target, shallow=False):
            return False
        with open(record.path, "rb") as source, reporting_disk_faults(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(temporary, "wb") as file:
                    shutil.copyfileobj(source, file)  # in pieces: a label file may be larger than the memory
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        return Reject(str(record.relative), f"cannot be copied: {error.strerror}")
    return True


def _read(job: _Job) -> _Job | Reject:
    try:
        return replace(job, picture=read_picture(job.record.path))
    except ImageError as error:
        return Reject(str(job.record.relative), str(error))


def _by_size(jobs: Iterable[_Job], batch_size: int) -> Iterator[list[_Job]]:
    """Gathers pictures of equal size into batches, holding back at most MAX_WAITING_PIXELS."""
    groups: dict[tuple[int, int], list[_Job]] = {}
    waiting = 0  # pixels

    def pixels(size: tuple[int, int]) -> int:
        return len(groups[size]) * size[0] * size[1]

    for job in jobs:
        height, width = job.size
        groups.setdefault(job.size, []).append(job)
        waiting += height * width
        if len(groups[job.size]) >= max(1, min(batch_size, MAX_BATCH_PIXELS // (height * width))):
            size = job.size
        elif waiting > MAX_WAITING_PIXELS:
            size = max(groups, key=pixels)
        else:
            continue
        waiting -= pixels(size)
        yield groups.pop(size)
    yield from groups.values()


def _write(job: _Job, strength: float, compare: bool) -> tuple[tuple[int, int], float] | Reject:
    """Finishes, encodes and writes one picture; gives its size and mean change in gray levels."""
    raw = job.picture.pixels
    result = blend(raw, job.refined, strength)
    try:
        content = encode_picture(Picture(result, job.picture.alpha), job.target.suffix)
        if compare:  # before the picture itself, whose presence says that all is done
            write_file(job.compare, encode_picture(Picture(np.concatenate([raw, result], axis=1)), ".png"))
        write_file(job.target, content)
    except ImageError as error:
        return Reject(str(job.record.relative), str(error))
    except OSError as error:
        return Reject(str(job.record.relative), f"cannot be written: {error.strerror}")
    except UserError as error:
        if getattr(error.__cause__, "errno", None) == errno.ENAMETOOLONG:  # concerns this file, not the disk
            return Reject(str(job.record.relative), str(error))
        raise
    return job.size, float(np.abs(result.astype(np.int16) - raw).mean())


def blend(raw: np.ndarray, refined: np.ndarray, strength: float) -> np.ndarray:
    """`raw`, uint8 [h, w, c], changed by `strength` times what the refiner did; `refined` may be gray or colour."""
    if refined.shape[-1] < raw.shape[-1]:  # a gray refiner saw the luma; its change moves every channel alike
        change = refined.astype(np.float32) - to_channels(raw, 1)
    else:
        change = to_channels(refined, raw.shape[-1]).astype(np.float32) - raw
    return round_to_uint8(raw + strength * change)


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(threads, "refine-folder")
    try:
        yield pool
    finally:  # on an error or Ctrl-C, what waits is dropped; what is being written is finished
        pool.shutdown(cancel_futures=True)
