"""The order of `simrefine generate axes`: a labelled folder in, the axes of a generator out, in its run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from simrefine.config import ANNOTATIONS
from simrefine.data.attributes import Attributes, read_attributes
from simrefine.data.faces import read_faces
from simrefine.errors import UserError
from simrefine.generating.axes import LEAST_R2, Axes, learn_axes, write_axes
from simrefine.generating.generator import Generator
from simrefine.generating.records import MEMORY_GIB


def find_axes(
    generator: Generator,
    run: Path,
    folder: Path,
    labels: Path | None = None,
    table: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Axes, Path]:
    """Learns axes from the faces of `folder`, and writes them into the run; returns them, and where they are.

    Args:
        labels: label file of the folder: its people, its points and, without a table, its attributes; None =
            annotations.jsonl in it.
        table: a .csv or .jsonl of attributes.

    Raises:
        UserError: the labels do not say who the faces show, or nothing else that can be learnt; see `learn_axes`.
    """
    file = labels or folder / ANNOTATIONS
    faces = read_faces(
        folder,
        "synthetic",
        file,
        size=generator.size,
        channels=generator.channels,
        memory_gib=MEMORY_GIB,
        partly=True,
    )
    if not len(faces):
        raise UserError(f"the synthetic folder {folder} holds no usable picture", "check the path")
    if faces.groups is None:
        raise UserError(
            f"{file} does not say who every picture shows, and axes are tried on people they were not learnt from",
            'give each row "identity", "person" or "subject"',
        )
    attributes: Attributes = read_attributes(table or file, folder, faces.names)
    axes = learn_axes(generator, faces.images, attributes, faces.groups, faces.points, say)
    return axes, write_axes(run, axes)


def describe_axes(axes: Axes) -> list[str]:
    """The lines of a table of what can be turned, best first, and what cannot with the reason."""
    order = np.argsort(-axes.r2)
    lines = [f"{'axis':<28}{'R2':>6}{'error':>10}{'one sd':>10}{'drawn':>7}  moves"]
    for place in order[axes.usable[order]]:
        numbers = f"{axes.r2[place]:>6.2f}{axes.error[place]:>10.3g}{axes.deviation[place]:>10.3g}"
        whose = "how a face looks" if axes.within[place] else "who it is, too"
        lines.append(f"{axes.names[place]:<28}{numbers}{axes.drawn[place]:>7.0%}  {whose}")
    said = [place for place in order if not axes.usable[place]]
    unknown = [axes.names[place] for place in said if axes.r2[place] < LEAST_R2]
    undrawn = [axes.names[place] for place in said if axes.r2[place] >= LEAST_R2]
    if undrawn:
        lines.append(f"no axis, the generator does not draw them: {', '.join(undrawn)}")
    if unknown:
        lines.append(f"no axis, the latents do not say them of other people: {', '.join(unknown)}")
    lines.append(
        "R2, error: of people who were not learnt from; of classes 2 AUC - 1 and log-odds; drawn: what is found again "
        "of a move of one sd"
    )
    if len(axes.points):
        lines.append(f"label points: {axes.points_error:.1f} % of the inter-ocular distance")
    return lines
