"""Whole folders: two refinements into one at the same time, and whether every file is accounted for."""

import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from faults.children import Tried, fork, wait
from faults.workloads import Brighter, leftovers, make_refine, run_refine, tree
from tiny import write_pile

from simrefine.data.images import EXTENSIONS
from simrefine.refining.folder import refine_folder


def refine_in_pairs(count: int, place: Path, progress: Callable[[str], None]) -> Tried:
    """Pairs of refinements into one new folder at the same time: both end well, each accounts for all files, and what
    they leave is what a single one makes."""
    tried, alone = Tried(), place / "alone"
    alone.mkdir(parents=True)
    make_refine(alone)
    run_refine(alone)
    wanted = tree(alone)
    for index in range(count):
        folder = place / "together"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        make_refine(folder)
        said = [place / "one", place / "other"]
        processes = [fork(partial(run_refine, folder), file) for file in said]  # `run_refine` also sums up
        for process, file in zip(processes, said, strict=True):
            code = wait(process)
            tried.hold(code == 0, f"pair {index}: {code}: {file.read_text()[-1000:]}")
        tried.hold(tree(folder) == wanted, f"pair {index}: not what one of them makes alone")
        tried.cases += 1
        progress(f"{index + 1} of {count} pairs, {len(tried.broken)} broken")
    return tried


def account_for_folders(count: int, seed: int, place: Path, progress: Callable[[str], None]) -> Tried:
    """Random folders of good, damaged, linked, hidden and foreign files, refined twice: found is what is there, and
    written + skipped + rejected = found."""
    tried = Tried()
    for index in range(count):
        folder, out = place / "random", place / "random-out"
        for old in (folder, out):
            shutil.rmtree(old, ignore_errors=True)
        found = draw_folder(folder, random.Random(f"folder {seed} {index}"))
        done = 0
        for _ in range(2):
            summary = refine_folder(Brighter(), folder, out, batch_size=3, threads=2)
            accounted = summary.written + summary.skipped + summary.rejected
            tried.hold(accounted == summary.found == found, f"folder {index}: {found} files, {summary}")
            tried.hold(summary.skipped == done, f"folder {index}: {done} were done, {summary.skipped} skipped")
            pictures = [name for name in tree(out) if "." + name.rpartition(".")[2].lower() in EXTENSIONS]
            done = summary.written + summary.skipped
            tried.hold(len(pictures) == done, f"folder {index}: {done} done, {len(pictures)} there")
        tried.hold(not leftovers(out), f"folder {index}: left behind {leftovers(out)}")
        tried.cases += 1
        progress(f"{index + 1} of {count} folders, {len(tried.broken)} broken")
    return tried


def draw_folder(folder: Path, rng: random.Random) -> int:
    """Makes a folder of a few files of every kind; how many of them count as pictures."""
    pictures = 0
    for part in range(rng.randint(1, 3)):
        below = folder / "/".join(["sub"] * part) / f"p{part}"
        count = rng.randint(1, 4)
        write_pile(below, count, size=rng.choice([8, 16, 20]), seed=part, extension=rng.choice([*sorted(EXTENSIONS)]))
        good = [*below.iterdir()]
        pictures += count
        for kind in rng.choices(["empty", "half", "junk", "tiff", "dead", "link", "label", "hidden", "out"], k=4):
            name = f"{kind}{rng.randrange(10**6)}"
            source = rng.choice(good)
            if kind in ("empty", "half", "junk"):
                content = {"empty": b"", "half": source.read_bytes()[: source.stat().st_size // 2], "junk": b"junk"}
                (below / f"{name}.PNG").write_bytes(content[kind])
            elif kind == "tiff":
                (below / f"{name}.tiff").write_bytes(b"II*\0")
            elif kind == "dead":
                (below / f"{name}.png").symlink_to("nowhere")
            elif kind == "link":
                (below / f"{name}{source.suffix}").symlink_to(source.name)
            elif kind == "label":
                (below / f"{name}.json").write_text("{}")
            elif kind == "out":
                (below / f"{name}.txt").symlink_to("/etc/hostname")
            else:
                (below / f".{name}.png").write_bytes(source.read_bytes())
            pictures += kind not in ("label", "hidden", "out")
    return pictures
