"""A run folder and a folder of renders in, a folder of refined faces out: loading and refining in one call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simrefine.addresses import place, places
from simrefine.refining.folder import Summary
from simrefine.refining.refiner import TRAINING, load
from simrefine.refining.stores import way_between


def refine(
    folder: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    model: Path | str,
    precision: str = "float32",
    style: Path | str | None = None,
    photographs: Path | str | None = None,
    masks: Path | str = "auto",
    heads: bool = True,
    seed: int = 0,
    scale: str = TRAINING,
    memory_gib: float | None = None,
    **options: Any,
) -> Summary:
    """Refines every picture below `folder`, or single pictures, into `out`, as `simrefine refine` does.

    Args:
        folder: rendered faces, read recursively; or pictures.
        out: gets the same tree, names, formats and labels. Both may be in a store: "s3://bucket/renders".
        model: the run folder of a training.
        masks: of the parts of single faces, see `Refiner.with_masks`.
        precision, style, photographs, heads, seed, scale: how the model is loaded, see `simrefine.load`.
        memory_gib: what the process may take in all, GiB. None = half of what the machine or its container has.
        options: exclude, copy, strength, compare, overwrite, batch_size, threads, progress: see
            `simrefine.refining.folder.refine_folder`.

    Returns:
        What became of the pictures: how many were found, written, skipped and rejected, and why.

    Raises:
        UserError: see `simrefine.load` and `refine_folder`.
    """
    inputs, out = places(folder), place(out)
    way = way_between(inputs, out)
    how = {"style": style, "photographs": photographs, "heads": heads, "seed": seed, "scale": scale}
    refiner = load(model, precision, memory_gib=memory_gib, **how)
    refiner = refiner.with_masks(masks, (*inputs, out))
    return way.refine(refiner, inputs, out, memory_gib=memory_gib, **options)
