"""A folder refined by the workers of a Ray cluster: the parts of `refine_folder`, as tasks that Ray hands out.

Pictures do not pass through Ray. Each worker reads and writes its own, so all machines must see the model, the input
and the output under the same paths, or reach the same store. The part of a worker that dies is begun again, by any, and
does what is missing.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from simrefine import backend
from simrefine.addresses import Place, Url, place, places
from simrefine.choice import NO_GPU
from simrefine.errors import UserError
from simrefine.memory import SHARE, memory_bytes
from simrefine.refining.folder import Summary, add_up, order_rejects
from simrefine.refining.refiner import Refiner, load
from simrefine.refining.stores import way_between

PARTS = 4  # a worker: one that is slower takes fewer of them, and one that dies loses little time
RETRIES = 3  # of a part whose worker died
LOOK_UP = 0.5  # seconds between two looks at whether to stop
STORE_BYTES = 100 * 2**20  # of shared memory for a cluster of this machine alone, through which next to nothing passes
PRECISIONS = {"float32": "float32", "mixed_bfloat16": "bfloat16"}  # a Keras policy to what `load` calls it


class Share(NamedTuple):
    """How a cluster is divided.

    Args:
        workers: at once, at most.
        cpus, gpus: that each is given.
        neighbours: workers that may be on one machine, which divide its memory.
    """

    workers: int
    cpus: int
    gpus: int
    neighbours: int


def refine_on_ray(
    refiner: Refiner,
    folder: Place | Sequence[Place],
    out: Place,
    *,
    workers: int | None = None,
    exclude: Sequence[str] = (),
    copy: Sequence[str] = (),
    strength: float = 1.0,
    overwrite: bool = False,
    memory_gib: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    **options: Any,
) -> Summary:
    """What `refine_folder` does, by the workers of the Ray cluster that RAY_ADDRESS or `ray start` names, or of one
    that is started on this machine and stopped at the end. The output is that of one process, to the byte on machines
    of one kind.

    Args:
        refiner: of a run folder, by `load`; each worker loads its own.
        workers: how many refine at once. None = one for each GPU, or else for each machine.
        progress: called as each part ends.
        options: compare, batch_size and threads; these and all others as in `refine_folder`.

    Returns:
        The sum over the parts. What a worker had written before it died counts as skipped.

    Raises:
        UserError: ray is not installed, or a part's worker died more than RETRIES times; see also `refine_folder`.
    """
    ray, started, out = import_ray(), monotonic(), _absolute(place(out))
    inputs = [_absolute(each) for each in places(folder)]
    way = way_between(inputs, out)
    asked = {"exclude": exclude, "copy": copy, "strength": strength}
    work = way.begin(refiner, inputs, out, overwrite=overwrite, **asked)
    with _connected(ray):
        share = _divide(ray, workers)
        refine_part = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_retries=RETRIES)(_refine_part)
        common = (way.refine, _recipe(refiner), memory_gib, share.neighbours, inputs, out, options | asked)
        parts = PARTS * share.workers
        tasks = {refine_part.remote(*common, (part, parts)): part for part in range(1, parts + 1)}
        summaries: list[Summary] = []
        for summary in _gather(ray, tasks, stopped):
            summaries.append(summary)
            if progress:
                progress(sum(each.found for each in summaries), len(work.jobs))
    rejects = order_rejects(reject for summary in summaries for reject in summary.rejects)
    rejects_csv = way.leave_rejects(out, rejects, parts)
    return add_up(summaries, len(work.jobs), len(work.labels), rejects, rejects_csv, monotonic() - started)


def _absolute(path: Place) -> Place:
    """As a worker finds it, which has another working folder."""
    return path if isinstance(path, Url) else Path(os.path.abspath(path))


def _recipe(refiner: Refiner) -> tuple[tuple[str, Any], ...]:
    """How a worker loads the same refiner: arguments of `load`, and its masks, hashable."""
    about = refiner.about
    as_it_was = {name: about[name] for name in ("style", "photographs", "masks", "heads", "seed", "scale")}
    return tuple({"path": about["model"], "precision": PRECISIONS[about["precision"]], **as_it_was}.items())


@lru_cache(maxsize=1)  # a worker refines one part after the other
def _load(recipe: tuple, memory_gib: float) -> Refiner:
    how = dict(recipe)
    masks = how.pop("masks") or ""
    return load(**how, memory_gib=memory_gib).with_masks(masks)


def _refine_part(
    refine: Callable[..., Summary],
    recipe: tuple,
    memory_gib: float | None,
    neighbours: int,
    inputs: list[Place],
    out: Place,
    options: dict[str, Any],
    shard: tuple[int, int],
) -> Summary:
    """The task of a worker."""
    memory_gib = (memory_gib or SHARE * memory_bytes() / 2**30) / neighbours
    return refine(_load(recipe, memory_gib), inputs, out, shard=shard, memory_gib=memory_gib, **options)


def import_ray() -> Any:
    """The package, whose clusters are told to report nothing to its makers, unless the environment says otherwise.

    Raises:
        UserError: it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # does what it will do one day, and warns no more
    try:
        import ray
    except ImportError as error:
        raise UserError("--engine ray needs Ray", "install it: pip install -c constraints.txt '.[ray]'") from error
    return ray


@contextmanager
def _connected(ray: Any) -> Iterator[None]:
    """Within the block there is a cluster: the one that was there, or one of this machine."""
    if ray.is_initialized():  # in a program that has other uses for it
        yield
        return
    own = {"KERAS_BACKEND": backend.name} | (NO_GPU if _wants_no_gpu() else {})
    quiet = {"logging_level": "ERROR", "log_to_driver": False, "runtime_env": {"env_vars": own}}
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        ray.init(include_dashboard=False, object_store_memory=STORE_BYTES, **quiet)
    try:
        yield
    finally:
        ray.shutdown()


def _wants_no_gpu() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES") == NO_GPU["CUDA_VISIBLE_DEVICES"]


def _divide(ray: Any, workers: int | None) -> Share:
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = 0 if _wants_no_gpu() else int(sum(each.get("GPU", 0) for each in machines))
    workers = workers or gpus or len(machines)
    cpus = [max(1, int(each.get("CPU", 1))) for each in machines]
    own = max(1, min(min(cpus), sum(cpus) // workers))
    return Share(workers, own, int(workers <= gpus), max(1, min(workers, max(cpus) // own)))


def _gather(ray: Any, tasks: dict[Any, int], stopped: Callable[[], bool]) -> Iterator[Summary]:
    """What became of each part, in the order in which they end; where `stopped` says so, the others are broken off."""
    waiting = list(tasks)
    while waiting:
        if stopped():
            for task in waiting:
                ray.cancel(task, force=True)
            return
        ended, waiting = ray.wait(waiting, timeout=LOOK_UP)
        for task in ended:
            try:
                yield ray.get(task)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, UserError):
                    raise error.cause from None
                raise
            except ray.exceptions.RayError as error:
                raise UserError(
                    f"part {tasks[task]} of {len(tasks)} was lost {RETRIES + 1} times: {type(error).__name__}",
                    "where it was for want of memory, give fewer --workers; the same command does the rest",
                ) from error
