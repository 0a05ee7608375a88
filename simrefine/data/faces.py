"""The one way to read a labelled folder, for training and for evaluation: a folder and a label file in, Faces out.

Labels are in the order of the usable pictures, and points where the crop and the resizing of `Pile` have moved them.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from simrefine.data.batches import Pile
from simrefine.data.folders import Record, Reject, list_folder
from simrefine.data.labels import Labels, read_labels, select_points
from simrefine.data.points import check_inside, fit_points
from simrefine.errors import UserError


@dataclass(frozen=True)
class Faces:
    """The usable pictures of one folder, with what is known of them.

    Args:
        folder: where they are from.
        pile: the n pictures, see `Pile`.
        points: [n, k, 2] in px of the pile's pictures, NaN where a point is not labelled; None without points.
        classes: [n], the class of each, as text; None without classes.
        groups: [n], one key a picture for who it shows; None where that is not known of all.
        clips: [n], one key a picture for the clip it is a frame of; None where that is not known of all.
    """

    folder: Path
    pile: Pile
    points: np.ndarray | None = None
    classes: list[str] | None = None
    groups: list[Hashable] | None = None
    clips: list[Hashable] | None = None

    def __len__(self) -> int:
        return len(self.pile)

    @property
    def names(self) -> list[str]:
        """Posix paths below the folder."""
        return [str(record.relative) for record in self.pile.records]

    @cached_property
    def images(self) -> np.ndarray:
        """All pictures, uint8 [n, size, size, c]: decoded when first asked for, and kept."""
        return self.pile[np.arange(len(self.pile))]

    @property
    def rejects(self) -> list[Reject]:
        """The files that could not be read."""
        return self.pile.rejects

    @property
    def labelled(self) -> bool:
        return self.points is not None or self.classes is not None

    def take(self, places: Sequence[int]) -> "Faces":
        """Those at `places` only, in that order."""
        places = np.asarray(places, int)
        listed = (self.classes, self.groups, self.clips)
        classes, groups, clips = (keys and [keys[place] for place in places] for keys in listed)
        points = None if self.points is None else self.points[places]
        return Faces(self.folder, self.pile.take(places), points, classes, groups, clips)


def read_faces(
    folder: Path,
    what: str,
    label_file: Path | str | None = None,
    *,
    size: int,
    channels: int,
    exclude: Sequence[str] = (),
    memory_gib: float,
    records: Sequence[Record] | None = None,
    partly: bool = False,
) -> Faces:
    """All usable pictures of `folder` and of the shards in it, and their labels where `label_file` is given.

    Args:
        folder: the folder.
        what: its role, for messages: "synthetic".
        label_file: see `data.labels.read_labels`.
        size: side of the square that each picture is brought to, px.
        channels: 1 or 3.
        exclude: see `data.folders.matches`.
        memory_gib: see `Pile`.
        records: the pictures, where the caller has listed the folder already.
        partly: a folder without a usable picture is the caller's to refuse, and labels may be missing, see
            `label_faces`.

    Raises:
        UserError: the folder cannot be read or, unless `partly`, holds no usable picture; see also `label_faces`.
    """
    if records is None:
        records = list_folder(folder, exclude, what=f"{what} folder", shards=True).pictures
    faces = Faces(folder, Pile(records, size, channels, memory_gib))
    if not len(faces) and not partly:
        raise UserError(
            f"the {what} folder {folder} holds no usable picture ({len(faces.rejects)} rejected)", "check the path"
        )
    return label_faces(faces, label_file, partly=partly) if label_file and len(faces) else faces


def label_faces(faces: Faces, label_file: Path | str, *, partly: bool = False) -> Faces:
    """`faces` with the labels of a file: its points, or its classes where it has no points.

    Args:
        faces: at least one picture.
        label_file: see `data.labels.read_labels`.
        partly: pictures without points get rows of NaN, a file without any points leaves `points` None, and classes
            are not read. Otherwise every picture must be labelled.

    Raises:
        UserError: labels that are malformed or of another size, or that do not belong to these pictures.
    """
    labels = read_labels(Path(label_file), faces.folder, faces.names)
    if labels.points:
        points = _some_points(labels, faces) if partly else select_points(labels, faces.names)
        height, width = faces.pile.source_sizes.T
        check_inside(points, faces.names, height, width, labels.source)
        faces = replace(faces, points=fit_points(points, height, width, faces.pile.size))
    elif not partly:
        faces = replace(faces, classes=_select_classes(labels, faces.names))
    return replace(faces, groups=labels.groups_of(faces.names), clips=labels.clips_of(faces.names))


def _some_points(labels: Labels, faces: Faces) -> np.ndarray:
    """[n, k, 2], NaN for pictures without points."""
    known = [name for name in faces.names if name in labels.points]
    if not known:
        raise UserError(
            f"{labels.source} has no points for the pictures of {faces.folder}",
            "name the label file that belongs to them, or turn it off with --labels ''",
        )
    nowhere = np.full_like(labels.points[known[0]], np.nan)
    return np.stack([labels.points.get(name, nowhere) for name in faces.names])


def _select_classes(labels: Labels, names: Sequence[str]) -> list[str]:
    missing = [name for name in names if name not in labels.classes]
    if missing:
        raise UserError(
            f"{labels.source} has no label for {len(missing)} of {len(names)} pictures: {', '.join(missing[:3])}",
            "name the label file that belongs to these pictures",
        )
    return [labels.classes[name] for name in names]
