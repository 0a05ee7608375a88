"""Kills: of each command at each of its changes of the disk, or at random moments."""

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from faults.children import Tried, at_each_change, fork, kill_self, wait
from faults.workloads import WORKLOADS, Workload, tree

KILLED = -9


def undisturbed(work: Workload, place: Path) -> tuple[dict[str, bytes], int, float]:
    """What a run that nobody disturbs makes, how often it changes the disk, and its seconds."""
    folder, changes = place / "undisturbed", place / "changes"
    folder.mkdir(parents=True)
    work.prepare(folder)

    def run() -> None:
        log = os.open(changes, os.O_WRONLY | os.O_CREAT)
        at_each_change(lambda number: os.pwrite(log, f"{number:9}".encode(), 0), folder)
        work.run(folder)

    began = time.monotonic()
    code = wait(fork(run, place / "said"))
    if code != 0:
        raise RuntimeError(f"a run that nobody disturbed ended with {code}: {(place / 'said').read_text()}")
    seconds = time.monotonic() - began
    return tree(folder), int(changes.read_text()), seconds


def kill_at_changes(name: str, most: int, place: Path, progress: Callable[[str], None]) -> Tried:
    """Kills a command right before each of its changes of the disk, or before `most` of them, evenly spread."""
    work, tried = WORKLOADS[name], Tried()
    wanted, changes, _ = undisturbed(work, place)
    count = min(most, changes)
    for index in range(count):
        number = 1 + round(index * (changes - 1) / max(1, count - 1))

        def run(folder: Path, number: int = number) -> None:
            at_each_change(lambda now: kill_self() if now == number else None, folder)
            work.run(folder)

        _try_one(work, wanted, run, None, place, f"{name}, change {number} of {changes}", tried)
        progress(f"{name}: {index + 1} of {count} changes, {len(tried.broken)} broken")
    return tried


def kill_at_moments(name: str, count: int, seed: int, place: Path, progress: Callable[[str], None]) -> Tried:
    """Kills a command at random moments of the time that it takes."""
    work, tried, rng = WORKLOADS[name], Tried(), random.Random(f"{name} {seed}")
    wanted, _, seconds = undisturbed(work, place)
    for index in range(count):
        moment = rng.uniform(0, seconds)
        _try_one(work, wanted, work.run, moment, place, f"{name}, after {moment:.3f} s", tried)
        progress(f"{name}: {index + 1} of {count} moments, {len(tried.broken)} broken")
    return tried


def _try_one(
    work: Workload,
    wanted: dict[str, bytes],
    run: Callable[[Path], None],
    moment: float | None,
    place: Path,
    what: str,
    tried: Tried,
) -> None:
    """Runs, kills, checks and finishes once; in children, because checks open what may be damaged."""
    folder, said = place / "killed", place / "said"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    work.prepare(folder)
    began = time.monotonic()
    process = fork(lambda: run(folder), said)
    if moment is not None:
        time.sleep(moment)
        os.kill(process, 9)  # a child that has ended by itself is still there to be waited for
    code = wait(process)
    tried.cases += 1
    tried.hold(code in (0, KILLED), f"{what}: ended with {code}: {said.read_text()[-2000:]}")
    for step in (work.check, work.finish):

        def checked(step: Callable = step) -> None:
            found = Tried()
            step(folder, wanted, found)
            assert not found.broken, found.broken[:3]

        code = wait(fork(checked, said))
        tried.hold(code == 0, f"{what}: {said.read_text()[-2000:] if code is not None else 'hangs'}")
        if code != 0:
            break
    tried.slowest = max(tried.slowest, time.monotonic() - began)
