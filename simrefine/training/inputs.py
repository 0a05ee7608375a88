"""What a training learns from, read from the user's folders: both piles and the label points."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from simrefine.catalogue import METHODS
from simrefine.config import Config
from simrefine.data.faces import Faces, label_faces, read_faces
from simrefine.data.folders import REJECTS, Listing, Reject, check_folder, list_folder, write_rejects
from simrefine.data.images import ImageError, sides_of
from simrefine.data.labels import check_label_file
from simrefine.data.points import mirror_order
from simrefine.errors import UserError

MAX_SIZED = 200  # renders of which the side is looked up
REFERENCE_SIZE = 64  # px, to which the work of other sizes is compared
SHOWN_REJECTS = 3
COMPRESSED = (".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst", ".zip")  # what may be meant to be read, and is not


def check_paths(config: Config) -> None:
    """Checks that the paths of a configuration lead somewhere. It needs no backend, so the command line does it first:
    a wrong path is named at once.

    Raises:
        UserError: a folder, the label file or the folder of masks is not given, missing or cannot be read.
    """
    for name, folder in _given_folders(config).items():
        check_folder(Path(folder), f"{name} folder")
    if config.labels.file:
        check_label_file(Path(config.labels.file))
    if config.parts.masks:
        check_folder(Path(config.parts.masks), "folder of masks")


def read_piles(config: Config, run: Path | None, say: Callable[[str], None]) -> tuple[Faces, Faces]:
    """Reads the synthetic folder, with its label points where there are any, and the real one.

    Args:
        config: `data.synthetic` and `data.real` must be set.
        run: where the rejected files are listed, in rejects.csv; None = nowhere.
        say: called with a line on what was found in each.

    Raises:
        UserError: a folder is missing, holds too few usable pictures or is given twice; the labels fit no picture.
    """
    faces = read_folders(config, run, say)
    return _with_points(faces["synthetic"], config, say), faces["real"]


def read_folders(config: Config, run: Path | None, say: Callable[[str], None]) -> dict[str, Faces]:
    """The pictures of the folders that a configuration asks for, without labels, by "synthetic" and "real"; see
    `read_piles`. A generator that is not to learn from photographs has no use for the second."""
    data = config.data
    listings = _list_folders(config)
    for listing in listings.values():
        for record in listing.linked:
            say(f"  not followed: {record.path} is a linked folder; link its pictures, or name the folder it leads to")
        for record in listing.others:
            if record.path.name.lower().endswith(COMPRESSED):
                say(f"  not read: {record.path} is compressed; unpack it, or write it as .tar without compression")
    faces = {
        name: read_faces(
            Path(getattr(data, name)),
            name,
            size=data.size,
            channels=data.channels,
            memory_gib=data.memory_gib,
            records=listing.pictures,
            partly=True,
        )
        for name, listing in listings.items()
    }
    for name, pile in faces.items():
        packed = sum(record.member is not None for record in pile.pile.records)
        where = f" ({packed} in .tar files)" if packed else ""
        say(f"{name:<11} {pile.folder}: {len(pile)} pictures{where}, {len(pile.rejects)} rejected")
    _report_rejects(faces, run, say)
    for name, pile in faces.items():
        if len(pile) < config.training.batch_size:
            where = f", see {run / REJECTS}" if pile.rejects and run else ""
            raise UserError(
                f"the {name} folder {pile.folder} holds {len(pile)} usable pictures, at least "
                f"{config.training.batch_size} (one batch) are needed ({len(pile.rejects)} rejected{where})",
                "add pictures, or lower --batch-size",
            )
    return faces


def resolve_size(config: Config, run: Path | None, say: Callable[[str], None], slow: bool = False) -> Config:
    """`config` with a number for `data.size`: where that is 0, the renders' own side (see `Config.sized_for`), which is
    the median of the shorter sides of at most MAX_SIZED of them.

    Args:
        config: `data.synthetic` and `data.real` must be set.
        run: a run to be resumed, which keeps its size; None for a new one.
        say: called with a line on what was chosen.
        slow: a machine that computes several times slower than others: at most REFERENCE_SIZE.

    Raises:
        UserError: a folder is missing or given twice.
    """
    if config.data.size:
        return config
    if run and (run / "config.toml").exists():
        size = Config.load(run / "config.toml", environment={}, recorded=True).data.size
        return replace(config, data=replace(config.data, size=size))
    records = _list_folders(config)["synthetic"].pictures
    sides = []
    for place in spread(len(records), MAX_SIZED):
        with suppress(ImageError):  # `read_piles` reports it
            sides.append(sides_of(records[place].read())[0])
    side = int(np.median(sides)) if sides else REFERENCE_SIZE
    config = config.sized_for(min(side, REFERENCE_SIZE) if slow else side)
    size = config.data.size
    whose = "the renders' own side" if size == side else f"the renders have {side}; --size names another"
    if slow and side > REFERENCE_SIZE:
        whose = f"a CPU without bfloat16 is several times slower than one with it; {whose}"
    # Pixels, not minutes: those depend on the machine.
    work = (
        ""
        if size == REFERENCE_SIZE
        else f"; about {(size / REFERENCE_SIZE) ** 2:.2g} times the work of {REFERENCE_SIZE}"
    )
    say(f"size        {size} px: {whose}{work}")
    return config


def spread(length: int, count: int) -> np.ndarray:
    """At most `count` places, spread evenly over `length`."""
    return np.linspace(0, length - 1, min(count, length)).astype(int)


def _given_folders(config: Config) -> dict[str, str]:
    folders = {"synthetic": config.data.synthetic, "real": config.data.real}
    if METHODS[config.method.name].makes == "generator" and not config.generator.photographs:
        del folders["real"]
    for name, folder in folders.items():
        if not folder:
            raise UserError(f"no {name} folder is given", f"add --{name} DIR")
    return folders


def _list_folders(config: Config) -> dict[str, Listing]:
    folders = _given_folders(config)
    listings = {
        name: list_folder(Path(folder), config.data.exclude, what=f"{name} folder", shards=True)
        for name, folder in folders.items()
    }
    both = set.intersection(*(_files_of(listing) for listing in listings.values()))
    if both and len(listings) > 1:
        shown = ": ".join(filter(None, min(both)))
        raise UserError(
            f"{len(both)} pictures are in both the synthetic folder {folders['synthetic']} and the real folder "
            f"{folders['real']}, such as {shown}",
            "give two separate folders, or leave one out with --exclude",
        )
    return listings


def _files_of(listing: Listing) -> set[tuple[str, str]]:
    """The files that its pictures are, without links: a path, and the name in the shard there, or nothing."""
    resolve = lru_cache(1024)(os.path.realpath)  # a shard's path is asked for once a picture
    return {(resolve(record.path), record.member.name if record.member else "") for record in listing.pictures}


def _report_rejects(faces: Mapping[str, Faces], run: Path | None, say: Callable[[str], None]) -> None:
    rejects = [
        Reject(str(pile.folder / reject.relative), reject.reason) for pile in faces.values() for reject in pile.rejects
    ]
    if rejects and run:
        write_rejects(run / REJECTS, rejects)
    for reject in rejects[:SHOWN_REJECTS]:
        say(f"  rejected  {reject.relative}: {reject.reason}")


def _with_points(synthetic: Faces, config: Config, say: Callable[[str], None]) -> Faces:
    """The label points of the synthetic pile, where there is a label file and something that asks for them."""
    keeper, file = config.keeper.landmarks, config.labels.file
    if file and (config.labels.elsewhere < 1 or keeper or config.style.by != "picture"):
        synthetic = label_faces(synthetic, file, partly=True)
        if synthetic.points is None:
            say(f"labels      {file} has no points: features are held everywhere alike")
        else:
            known = np.isfinite(synthetic.points).any(axis=(1, 2)).sum()
            say(f"labels      {file}: points of {known} pictures say where features are held")
    if keeper and synthetic.points is None:
        raise UserError(
            "keeper.landmarks needs label points of the synthetic pictures, and there are none",
            "name a label file with --labels, or set keeper.landmarks = 0",
        )
    if keeper and config.data.flip and mirror_order(synthetic.points.shape[1]) is None:
        raise UserError(
            f"keeper.landmarks cannot mirror {synthetic.points.shape[1]} points, whose order is not known",
            "set data.flip = false, or keeper.landmarks = 0",
        )
    return synthetic
