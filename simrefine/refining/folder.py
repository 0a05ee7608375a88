"""A folder of renders in; a folder with the same tree, names and formats out, refined, with the labels beside it.

Threads read and write while the refiner works on batches of equal size; pictures so large that few of them fit into
memory come last, one by one. Every output is complete or absent and belongs to the refiner named in the manifest, so a
rerun does only what is missing; a file that cannot be used is listed and left out. Where files belong is in places.py,
what happens to one picture in pictures.py.
"""

import filecmp
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from simrefine.addresses import Place, places
from simrefine.data.dressing import Known
from simrefine.data.folders import REJECTS, Record, Reject, write_rejects
from simrefine.data.images import to_channels
from simrefine.data.masks import MaskFolder
from simrefine.errors import UserError
from simrefine.files import publishing_file
from simrefine.memory import working_bytes
from simrefine.refining.pictures import (
    Large,
    Raw,
    gather_by_size,
    read_raw,
    refine_alone,
    say_size,
    write_refined,
)
from simrefine.refining.places import (
    Job,
    Work,
    check_places,
    claim,
    is_done,
    list_work,
    rejects_name,
    remove_all_leftovers,
)
from simrefine.threads import run_ahead, thread_pool

COUNTED = ("written", "skipped", "rejected")  # of a Summary
HELD_BYTES = 9  # a pixel of a picture on its way: raw and refined, and its file, which may be as large
LINKED = "a linked folder, not followed: refine the folder it leads to"


class Refiner(Protocol):
    """What `refine_folder` asks of a refiner: uint8 [n, h, w, channels] in, the same shape out. Where it has masks, it
    is also given what they say of the parts of each, see `data.dressing.Known`."""

    channels: int  # 1 or 3
    masks: MaskFolder | None  # of the pictures' parts
    fingerprint: str  # SHA-256 of the weights
    about: Mapping[str, Any]  # what the manifest says of it, see `places.IDENTITY`

    def __call__(self, images: np.ndarray, known: Known = None) -> np.ndarray: ...


@dataclass(frozen=True)
class Summary:
    """What became of a folder. `written + skipped + rejected + left == found`; label files are counted apart.

    Args:
        found: pictures to refine.
        written: pictures refined now.
        skipped: pictures that an earlier run had refined.
        rejected: pictures that could not be read or written; named in `rejects_csv`.
        left: pictures that were not begun because the work was stopped.
        labels_copied: files carried across now; those already there and equal are not copied again.
        labels_rejected: files that could not be carried across; named in `rejects_csv`.
        seconds: from start to end.
        mean_change: mean absolute difference between a picture and its refined version, over those written, in
            gray levels.
        sizes: how many pictures were written, by (height, width).
        rejects_csv: always written.
        rejects: what stands in it: all that was rejected, and the linked folders that were not followed.
        linked: how many those are.
    """

    found: int
    written: int
    skipped: int
    rejected: int
    left: int
    labels_copied: int
    labels_rejected: int
    seconds: float
    mean_change: float
    sizes: Counter[tuple[int, int]]
    rejects_csv: Place
    rejects: list[Reject]
    linked: int


def refine_folder(
    refiner: Refiner,
    folder: Path | Sequence[Path],
    out: Path,
    *,
    exclude: Sequence[str] = (),
    copy: Sequence[str] = (),
    strength: float = 1.0,
    compare: bool = False,
    overwrite: bool = False,
    batch_size: int = 32,
    threads: int = 4,
    memory_gib: float | None = None,
    shard: tuple[int, int] = (1, 1),
    packed: bool = False,
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> Summary:
    """Refines every picture below `folder`, or single pictures, into `out`.

    A gray picture meets a colour refiner as colour and leaves it gray; a colour picture meets a gray refiner as luma,
    whose change is added to each channel. Transparency is passed through. Pictures come out upright, without EXIF.

    Args:
        refiner: see `Refiner`.
        folder: read, never written. Or pictures, which come out under their names, without the files beside them.
        out: new, empty, or of this refiner and strength, also of a run that goes on. Inside `folder` it is not read.
        exclude: patterns of what to leave out altogether (see `folders.matches`).
        copy: patterns of pictures that are labels, such as part masks: copied byte for byte like what is no picture.
        strength: the share of the change that is applied: 0 gives the raw pixels, 1 the refined ones.
        compare: also write raw and refined side by side to `out`/_compare, as PNG: a.png, and a.jpg.png for a.jpg.
        overwrite: remove what an earlier run wrote and do it again; needed for another refiner or strength.
        batch_size, threads: pictures of one size that the refiner gets at once, at most; for reading and writing.
        memory_gib: GiB that the process may take; the largest pictures come last, alone. None = half of what there is.
        shard: (i, n) = the i-th of n parts alone, from 1 on, see `places.Work.shard`.
        packed: refine the pictures in .tar files of `folder` too, which are otherwise copied like labels.
        progress: called as `progress(done, found)` from the calling thread.
        stopped: asked before each file and batch; where it says so, no further one is begun.

    Raises:
        UserError: nothing to refine, a place that would endanger the input or mix two refiners, or a full disk.
    """
    started, out = time.monotonic(), Path(out)
    check_asked(strength, shard, overwrite)
    asked = {"exclude": exclude, "copy": copy, "strength": strength, "overwrite": overwrite, "packed": packed}
    work = begin(refiner, places(folder), out, **asked).shard(*shard)
    remove_all_leftovers(out, work)
    todo = [job for job in work.jobs if not is_done(job, compare)]
    tally, until_stopped = _Tally(len(work.jobs), len(todo), progress), partial(takewhile, lambda _: not stopped())
    ahead = batch_size + threads  # pictures in memory on either side of the refiner
    write = partial(write_refined, strength=strength, compare=compare)
    with thread_pool(threads) as pool:
        # Labels first: a refined picture never stands there without its labels.
        carried = [*work.refused, *run_ahead(pool, _carry_over, until_stopped(work.labels), ahead)]
        tally.report()
        for written in _pass_through(refiner, todo, write, tally, pool, batch_size, ahead, memory_gib, until_stopped):
            tally.count(*written)
    return _summarise(tally, carried, work.linked, out / rejects_name(*shard), started)


def begin(
    refiner: Refiner,
    inputs: Sequence[Path],
    out: Path,
    *,
    exclude: Sequence[str],
    copy: Sequence[str],
    strength: float,
    overwrite: bool,
    packed: bool = False,
) -> Work:
    """What there is to do in all, once `out` is the refiner's own; arguments and errors as in `refine_folder`."""
    check_places(inputs, out)
    work = list_work(inputs, out, exclude, copy, refiner.masks, packed)
    claim(out, refiner.fingerprint, strength, work.jobs if overwrite else None, refiner.about)
    return work


def leave_rejects(out: Path, rejects: Sequence[Reject], parts: int) -> Path:
    """Writes one list of rejects in place of those of `parts` shards; says where it is."""
    write_rejects(out / REJECTS, rejects)
    for part in range(1, parts + 1):
        (out / rejects_name(part, parts)).unlink(missing_ok=True)
    return out / REJECTS


def check_asked(strength: float, shard: tuple[int, int], overwrite: bool) -> None:
    """Checks options of `refine_folder`.

    Raises:
        UserError: one is out of range, or two do not go together.
    """
    if not 0 <= strength <= 1:
        raise UserError(f"strength {strength} is out of range", "choose 0 (raw) to 1 (refined)")
    if not 1 <= shard[0] <= shard[1]:
        raise UserError(f"shard {shard[0]}/{shard[1]} is none", "shards go from 1/n to n/n")
    if overwrite and shard[1] > 1:
        # The first shard to begin would pass what the others have not yet replaced off as new.
        raise UserError("--overwrite and --shard are both given", "name a new folder with --out, or remove the old one")


def order_rejects(rejects: Iterable[Reject]) -> list[Reject]:
    """Each of them once, in the order in which a folder is listed."""
    return sorted(dict.fromkeys(rejects), key=lambda reject: os.fsencode(reject.relative))


def add_up(
    summaries: Sequence[Summary],
    found: int,
    labels: int,
    rejects: list[Reject],
    rejects_csv: Place,
    seconds: float,
) -> Summary:
    """The summary that a single run would have given.

    Args:
        summaries: of the shards or parts, as far as they were begun.
        found, labels: pictures to refine and files to carry over, in all.
        rejects: of all summaries, see `order_rejects`.
        rejects_csv: where they stand.
        seconds: from start to end.
    """
    written, skipped, rejected = (sum(getattr(each, name) for each in summaries) for name in COUNTED)
    linked = max((each.linked for each in summaries), default=0)
    return Summary(
        found=found,
        written=written,
        skipped=skipped,
        rejected=rejected,
        left=found - written - skipped - rejected,
        # What belongs to no picture is carried over by every shard, and two may do so at once.
        labels_copied=min(labels, sum(each.labels_copied for each in summaries)),
        labels_rejected=len(rejects) - rejected - linked,
        seconds=seconds,
        mean_change=sum(each.mean_change * each.written for each in summaries) / max(1, written),
        sizes=sum((each.sizes for each in summaries), Counter()),
        rejects_csv=rejects_csv,
        rejects=rejects,
        linked=linked,
    )


def _carry_over(task: tuple[Record, Path]) -> bool | Reject:
    """Copies a file byte for byte; False if an equal one is there."""
    record, target = task
    try:
        if not target.is_symlink() and target.is_file() and filecmp.cmp(record.path, target, shallow=False):
            return False
        with open(record.path, "rb") as source, publishing_file(target) as file:
            shutil.copyfileobj(source, file)  # in pieces: a label file may be larger than the memory
    except OSError as error:
        return Reject(str(record.relative), f"cannot be copied: {error.strerror}")
    return True


def _pass_through(
    refiner: Refiner,
    todo: Sequence[Job],
    write: Callable,
    tally: "_Tally",
    pool: ThreadPoolExecutor,
    batch_size: int,
    ahead: int,
    memory_gib: float | None,
    until_stopped: Callable[[Iterable], Iterator],
) -> Iterator[tuple[tuple[int, int], float]]:
    """What `write` says of each picture once it is written; see `refine_folder` for the rest."""
    pixels = working_bytes(memory_gib) // 2 // HELD_BYTES  # on their way at once; the other half is the refiner's
    read = partial(read_raw, masks=refiner.masks, most_pixels=max(1, pixels // (2 * ahead + batch_size)))
    large: list[Job] = []
    raw = _set_aside(tally.pass_on(run_ahead(pool, read, until_stopped(todo), ahead)), large)
    refined = tally.pass_on(_refine(refiner, until_stopped(gather_by_size(raw, batch_size, pixels))))
    yield from tally.pass_on(run_ahead(pool, write, refined, ahead))
    alone = partial(refine_alone, masks=refiner.masks, refine=partial(_refine_one, refiner), write=write)
    yield from tally.pass_on(alone(job) for job in until_stopped(large))


def _set_aside(pictures: Iterable[Raw | Large], large: list[Job]) -> Iterator[Raw]:
    """The pictures that are read; the jobs of the others are added to `large`."""
    for picture in pictures:
        if isinstance(picture, Large):
            large.append(picture.job)
        else:
            yield picture


def _refine(refiner: Refiner, batches: Iterable[list[Raw]]) -> Iterator[tuple[Raw, np.ndarray] | Reject]:
    """The pictures of each batch with what the refiner makes of them, uint8 [h, w, refiner.channels]. A batch for which
    there is not enough memory is halved; a single picture is rejected."""
    for batch in batches:
        if len(batch) == 1:
            refined = _refine_one(refiner, batch[0])
            yield refined if isinstance(refined, Reject) else (batch[0], refined)
            continue
        try:
            refined = _refine_all(refiner, batch)
        except MemoryError:
            yield from _refine(refiner, (batch[: len(batch) // 2], batch[len(batch) // 2 :]))
        else:
            yield from zip(batch, refined, strict=True)


def _refine_one(refiner: Refiner, raw: Raw) -> np.ndarray | Reject:
    """What the refiner makes of a picture, uint8 [h, w, refiner.channels]."""
    try:
        return _refine_all(refiner, [raw])[0]
    except MemoryError:
        return Reject(str(raw.job.record.relative), f"{say_size(raw)}: not enough memory to refine it")


def _refine_all(refiner: Refiner, batch: Sequence[Raw]) -> np.ndarray:
    images = np.stack([to_channels(raw.picture.pixels, refiner.channels) for raw in batch])
    return refiner(images, [raw.known for raw in batch]) if refiner.masks else refiner(images)


class _Tally:
    """What has become of the pictures so far, reported to `progress` after every change."""

    def __init__(self, found: int, todo: int, progress: Callable[[int, int], None] | None):
        self.found, self.skipped, self._progress = found, found - todo, progress
        self.rejects: list[Reject] = []
        self.changes: list[float] = []  # of the pictures written, gray levels
        self.sizes: Counter[tuple[int, int]] = Counter()

    def pass_on(self, outcomes: Iterable[Any]) -> Iterator[Any]:
        """The outcomes that are no Reject; a Reject is counted and goes no further."""
        for outcome in outcomes:
            if isinstance(outcome, Reject):
                self.rejects.append(outcome)
                self.report()
            else:
                yield outcome

    def count(self, size: tuple[int, int], change: float) -> None:
        """Counts a picture that was written."""
        self.sizes[size] += 1
        self.changes.append(change)
        self.report()

    def report(self) -> None:
        if self._progress:
            self._progress(self.skipped + len(self.changes) + len(self.rejects), self.found)


def _summarise(
    tally: _Tally, carried: list[bool | Reject], linked: Sequence[Record], rejects_csv: Path, started: float
) -> Summary:
    """Writes the list of rejects, and counts."""
    label_rejects = [outcome for outcome in carried if isinstance(outcome, Reject)]
    links = [Reject(str(record.relative), LINKED) for record in linked]
    rejects = order_rejects([*tally.rejects, *label_rejects, *links])
    write_rejects(rejects_csv, rejects)
    return Summary(
        found=tally.found,
        written=len(tally.changes),
        skipped=tally.skipped,
        rejected=len(tally.rejects),
        left=tally.found - tally.skipped - len(tally.changes) - len(tally.rejects),
        labels_copied=carried.count(True),
        labels_rejected=len(label_rejects),
        seconds=time.monotonic() - started,
        mean_change=float(np.mean(tally.changes)) if tally.changes else 0.0,
        sizes=tally.sizes,
        rejects_csv=rejects_csv,
        rejects=rejects,
        linked=len(linked),
    )
