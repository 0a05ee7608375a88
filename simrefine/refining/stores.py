"""A folder in an object store refined, or refined into one: parts of it, through a temporary folder of this machine.

While a part is refined the next one is fetched, so there are never more than three on the disk. What `refine_folder`
promises of a folder holds here: it refines the parts, and what spans them (whose folder the output is, what is done,
the names of comparisons, the list of rejects) is settled here, once.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, takewhile
from math import floor
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from simrefine.addresses import Place, Url, place, places
from simrefine.data.folders import MANIFEST, REJECTS, Record, Reject, write_rejects
from simrefine.errors import UserError
from simrefine.files import remove_leftovers, temporary_folder
from simrefine.refining import folder as folders
from simrefine.refining.folder import LINKED, Refiner, Summary, add_up, check_asked, order_rejects, refine_folder
from simrefine.refining.places import (
    COMPARE,
    Job,
    Work,
    check_owner,
    comparison_names,
    manifest_bytes,
    manifest_of,
    parse_manifest,
    rejects_name,
)
from simrefine.refining.trees import Entry, Tree, open_tree
from simrefine.threads import run_ahead, thread_pool

PART_FILES = 256
PART_BYTES = 2**30  # of the files of a part, unless it is a single one


class Way(NamedTuple):
    """How a folder is refined between two places.

    Args:
        refine: `refine_folder`, or what does the same.
        begin, leave_rejects: what comes before and after its shards, see `folder.begin` and `folder.leave_rejects`.
    """

    refine: Callable[..., Summary]
    begin: Callable[..., Work]
    leave_rejects: Callable[[Any, Sequence[Reject], int], Place]


def way_between(inputs: Sequence[Place], out: Place) -> Way:
    """The way from a folder, or pictures, to the output folder.

    Raises:
        UserError: a store is among several inputs.
    """
    if not any(isinstance(each, Url) for each in (*inputs, out)):
        return Way(refine_folder, folders.begin, folders.leave_rejects)
    if len(inputs) > 1 or (isinstance(inputs[0], Path) and inputs[0].is_file()):
        raise UserError(
            f"{inputs[0]} is not a single folder", "where a store is one of both ends, name one folder to refine"
        )
    return Way(refine_store, begin, leave_rejects)


def refine_store(
    refiner: Refiner,
    folder: Place | Sequence[Place],
    out: Place,
    *,
    exclude: Sequence[str] = (),
    copy: Sequence[str] = (),
    strength: float = 1.0,
    compare: bool = False,
    overwrite: bool = False,
    shard: tuple[int, int] = (1, 1),
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    **options: Any,
) -> Summary:
    """What `refine_folder` does, from or to a store, or both: the same files with the same bytes.

    A picture is done when its output is there, not empty, and not older than it, in whole seconds, each by the clock of
    its own store. Where the output's clock is behind, what changed lately is done twice; where it is ahead, a picture
    that changes within that time after it was refined is taken for done.

    Args:
        folder: one folder; `folder` or `out` is a Url.
        options: batch_size, threads and memory_gib; these and all others as in `refine_folder`.

    Raises:
        UserError: also where a store cannot be reached, read or written, or a package for it is missing.
    """
    started, out = monotonic(), place(out)
    check_asked(strength, shard, overwrite)
    source, target = _open_ends(places(folder), out)
    plan = _plan(refiner, source, target, exclude, copy, strength, overwrite)
    plan = replace(plan, work=plan.work.shard(*shard))
    jobs = {_name(job.record): job for job in plan.work.jobs if not plan.is_done(job, compare)}
    found = len(plan.work.jobs)
    progress = progress or (lambda done, found: None)
    options |= {"strength": strength, "compare": compare, "stopped": stopped}
    with _workshop() as home:
        in_parts = partial(_fetch_in_parts, source, size_of=plan.size_of, stopped=stopped, home=home)
        # Labels first: a refined picture never stands there without its labels.
        labels = _carry_over(in_parts(plan.labels_to_carry()), target)
        summaries, done = [_summarise_rest(plan.work, found - len(jobs), labels)], found - len(jobs)
        progress(done, found)
        for part, names in in_parts(jobs):
            follow = partial(_count_on, progress, done, found)
            summaries.append(_refine_part(refiner, part, [jobs[name] for name in names], target, follow, options))
            done += len(names)
    rejects = order_rejects(reject for summary in summaries for reject in summary.rejects)
    rejects_csv = _store_rejects(target, rejects, rejects_name(*shard))
    return add_up(summaries, found, len(plan.work.labels), rejects, rejects_csv, monotonic() - started)


def begin(refiner: Refiner, inputs: Sequence[Place], out: Place, *, overwrite: bool, **asked: Any) -> Work:
    """What there is to do in all, once `out` is the refiner's own; see `folder.begin`."""
    return _plan(refiner, *_open_ends(inputs, out), overwrite=overwrite, **asked).work


def leave_rejects(out: Place, rejects: Sequence[Reject], parts: int) -> Place:
    """Writes one list of rejects in place of those of `parts` shards; says where it is."""
    target = open_tree(out)
    rejects_csv = _store_rejects(target, rejects, REJECTS)
    target.remove({rejects_name(part, parts) for part in range(1, parts + 1)} & target.entries().keys())
    return rejects_csv


def _open_ends(inputs: Sequence[Place], out: Place) -> tuple[Tree, Tree]:
    """The input and the output, once it is sure that writing cannot endanger the input; see `places.check_places`."""
    source, target = open_tree(inputs[0]), open_tree(out)
    inside = target.name_of(source)
    if inside is not None:
        said = f"the input folder {inputs[0]} lies inside the output folder {out}"
        raise UserError(
            said if inside else f"the output folder {out} is the input folder", "name another folder for the output"
        )
    return source, target


@dataclass(frozen=True)
class _Plan:
    """What there is to do, and the files of both ends by name."""

    work: Work
    here: dict[str, Entry]
    there: dict[str, Entry]

    def is_done(self, job: Job, compare: bool) -> bool:
        """Whether the outputs of a picture are there, see `refine_store`."""
        name = _name(job.record)
        outputs = (name, _name_beside(job)) if compare else (name,)
        return all(self._is_newer(output, name) and self.there[output].size for output in outputs)

    def labels_to_carry(self) -> list[str]:
        """Files that are not there yet, or have another size, or are older; the bytes of the others are not compared,
        as they would all have to be fetched."""
        names = (_name(record) for record, _ in self.work.labels)
        return [name for name in names if not (self._is_newer(name, name) and self._is_as_large(name))]

    def size_of(self, name: str) -> int:
        """Bytes of a file of the input."""
        return self.here[name].size if name in self.here else 0  # of a dead link

    def _is_newer(self, output: str, name: str) -> bool:
        if name not in self.here or output not in self.there:
            return False
        changed, written = self.here[name].changed, self.there[output].changed
        return changed is None or written is None or floor(changed) <= floor(written)

    def _is_as_large(self, name: str) -> bool:
        return self.there[name].size == self.here[name].size


def _plan(
    refiner: Refiner,
    source: Tree,
    target: Tree,
    exclude: Sequence[str],
    copy: Sequence[str],
    strength: float,
    overwrite: bool,
) -> _Plan:
    """What there is to do in all, once the output folder is the refiner's own."""
    if refiner.masks:
        raise UserError(f"the masks in {refiner.masks.folder} cannot be used with a store", "leave out --masks")
    work, here = source.work(exclude, copy, target)
    there = target.entries()
    manifest = manifest_of(refiner.fingerprint, strength, refiner.about)
    if overwrite:
        # The old manifest goes first and the new one comes last: a run that stops halfway must not pass old results off
        # as new.
        outputs = (name for job in work.jobs for name in (_name(job.record), _name_beside(job)))
        for names in ([MANIFEST], outputs):
            target.remove([name for name in names if name in there])
        there = {}
    else:
        _check_owner(target, there, manifest)
    if not target.create(MANIFEST, manifest_bytes(manifest)):
        _check_owner(target, there, manifest)  # of this refiner, or another process was first
    return _Plan(work, here, there)


def _check_owner(target: Tree, there: Iterable[str], manifest: dict[str, Any]) -> None:
    content = target.read(MANIFEST)
    top = {name.partition("/")[0] for name in there}
    check_owner(target.address, top, None if content is None else parse_manifest(content), manifest)


@contextmanager
def _workshop() -> Iterator[Path]:
    """A temporary folder of this machine; what killed processes left of theirs goes."""
    temporary = Path(tempfile.gettempdir())
    remove_leftovers(temporary)
    with temporary_folder(temporary) as home:
        yield home


def _fetch_in_parts(
    source: Tree, names: Iterable[str], size_of: Callable[[str], int], stopped: Callable[[], bool], home: Path
) -> Iterator[tuple[Path, list[str]]]:
    """Fetches files in parts of at most PART_FILES and PART_BYTES, the next one beside the caller.

    Args:
        source: where they are.
        names: which.
        size_of: bytes of each.
        stopped: where it says so, no further part is begun.
        home: where the folders of the parts go.

    Yields:
        A folder, whose folder "in" holds files for as long as it is this one's turn, and their names.
    """
    numbers = count()

    def fetch(part: list[str]) -> tuple[Path, list[str]]:
        folder = home / str(next(numbers))
        source.fetch(part, folder / "in")
        return folder, part

    parts = takewhile(lambda _: not stopped(), _in_parts(names, size_of))
    with thread_pool(1) as pool:
        for folder, part in run_ahead(pool, fetch, parts, 1):
            yield folder, part
            shutil.rmtree(folder)


def _in_parts(names: Iterable[str], size_of: Callable[[str], int]) -> Iterator[list[str]]:
    part, size = [], 0
    for name in names:
        if part and (len(part) == PART_FILES or size + size_of(name) > PART_BYTES):
            yield part
            part, size = [], 0
        part.append(name)
        size += size_of(name)
    if part:
        yield part


def _carry_over(parts: Iterable[tuple[Path, list[str]]], target: Tree) -> int:
    """Writes files byte for byte; says how many."""
    carried = 0
    for folder, names in parts:
        target.store([(folder / "in" / name, name) for name in names])
        carried += len(names)
    return carried


def _refine_part(
    refiner: Refiner,
    folder: Path,
    jobs: Sequence[Job],
    target: Tree,
    progress: Callable[[int, int], None],
    options: dict[str, Any],
) -> Summary:
    """Refines the pictures in `folder`/in and writes what came of them."""
    out = folder / "out"
    summary = refine_folder(refiner, folder / "in", out, progress=progress, **options)
    # Among fewer pictures a comparison may have a shorter name than among all.
    beside = comparison_names([job.record for job in jobs])
    compared = [
        (out / COMPARE / job.record.relative.with_name(name), _name_beside(job))
        for job, name in zip(jobs, beside, strict=True)
    ]
    refined = [(out / _name(job.record), _name(job.record)) for job in jobs]
    for files in (compared, refined):  # the picture last: its presence says that all is done
        target.store([(path, name) for path, name in files if path.exists()])
    return summary


def _count_on(progress: Callable[[int, int], None], before: int, found: int, done: int, _: int) -> None:
    """Reports what is done of a part as what is done of all."""
    progress(before + done, found)


def _name(record: Record) -> str:
    return str(record.relative)


def _name_beside(job: Job) -> str:
    return str(COMPARE / job.record.relative.with_name(job.compare.name))


def _summarise_rest(work: Work, skipped: int, labels_copied: int) -> Summary:
    """What became of all that no part is made of."""
    links = [Reject(_name(record), LINKED) for record in work.linked]
    return Summary(
        found=skipped,
        written=0,
        skipped=skipped,
        rejected=0,
        left=0,
        labels_copied=labels_copied,
        labels_rejected=len(work.refused),
        seconds=0,
        mean_change=0,
        sizes=Counter(),
        rejects_csv=Path(),
        rejects=[*work.refused, *links],
        linked=len(links),
    )


def _store_rejects(target: Tree, rejects: Iterable[Reject], name: str) -> Place:
    """Writes a list of rejects; says where it is."""
    with _workshop() as home:
        write_rejects(home / name, rejects)
        target.store([(home / name, name)])
    return target.address / name
