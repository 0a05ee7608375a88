"""Pictures with landmarks in, out of a folder or straight out of an archive; a folder of face crops out.

Every crop is framed by the rule in `data.crops`. `annotations.jsonl` beside the crops has their landmarks, and
`rejects.csv` what could not be used and why; the folder appears when it is complete, or not at all.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from simrefine.config import ANNOTATIONS
from simrefine.data.archives import Reader, read_text
from simrefine.data.crops import FIVE, Square, cut, cut_labels, face_square, move_points, outside_share
from simrefine.data.folders import REJECTS, Record, Reject, evenly, list_folder, write_rejects
from simrefine.data.images import EXTENSIONS, ImageError, Picture, decode_picture, encode_picture, read_content
from simrefine.data.labels import read_labels
from simrefine.data.masks import decode_mask, encode_mask
from simrefine.data.points import check_inside
from simrefine.errors import UserError
from simrefine.files import publishing_folder, write_file
from simrefine.threads import run_ahead, thread_pool

THREADS = 4
# What is asked of a crop where nothing else is said; see `prepare`.
SIZE, MAX_SCALE, MAX_OUTSIDE = 128, 1.5, 0.25


@dataclass(frozen=True)
class Face:
    """A face to cut out: the picture, and where the face is in it.

    Args:
        name: the picture's path below its folder or archive; the crop gets the same, ending in .png (see `number`).
        read: gives the bytes of the picture.
        points: [k, 2] in px, see `crops.face_square`; None where it has none.
        square: where to cut where there are no points, in px; None: the picture is rejected without points.
        stated_width: width in px of the picture to which `points` and `square` refer; a picture of another size
            scales them. None: this very picture.
        fields: more for its line in annotations.jsonl.
        read_mask: gives the bytes of a part mask of the same size (see `masks.decode_mask`), to be cut out alike.
        number: which face of its picture it is, from 1; the crops of a.jpg are a.png, a-face2.png, a-face3.png, ...
        reject: why it cannot be used, where that is known before; None where it is to be cut out.
    """

    name: str
    read: Reader
    points: np.ndarray | None = None
    square: Square | None = None
    stated_width: float | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    read_mask: Reader | None = None
    number: int = 1
    reject: str | None = None


@dataclass(frozen=True)
class Summary:
    """What became of the faces: `written + rejected == found`.

    Args:
        scale: the median of px of the crop per px of the source; above 1, faces were enlarged.
    """

    found: int
    written: int
    rejected: int
    scale: float
    seconds: float
    rejects_csv: Path


@dataclass(frozen=True)
class _Rules:
    """What `prepare` was asked for."""

    size: int
    max_scale: float
    max_outside: float


@dataclass(frozen=True)
class _Crop:
    """A face that was cut out: its line in annotations.jsonl, and its points and picture size in the source."""

    row: dict[str, Any]
    points: np.ndarray | None
    height: int
    width: int


def prepare(
    faces: Sequence[Face],
    out: Path,
    *,
    source: Path | None,
    size: int,
    max_scale: float,
    max_outside: float,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Cuts faces out and writes them to `out`; part masks go to the folder beside it whose name ends in "-masks", as
    8-bit gray PNGs of class indices with the names of the crops.

    Args:
        faces: what to cut.
        out: new or empty; it appears when all is done.
        source: where the landmarks come from, for messages; None where they were found in the pictures themselves.
        size: side of the crops, px.
        max_scale: faces that would be enlarged more than this are rejected: they are blurred, and by its
            blur a discriminator recognises a pile.
        max_outside: the largest share of a crop, 0 to 1, that may lie outside its picture.
        limit: take at most this many faces, evenly spread over all.
        progress: called as `progress(done, found)`.

    Raises:
        UserError: nothing to cut or nothing that could be used, `out` is not empty, labels of pictures of another
            size, or a full disk. Nothing is left behind.
    """
    started, out = time.monotonic(), Path(out)
    mask_folder = out.with_name(f"{out.name}-masks") if any(face.read_mask for face in faces) else None
    check_empty(out, mask_folder)
    if not faces:
        raise UserError(f"{source}: there is no picture of a face to cut out", "check the path, and any --exclude")
    faces = spread(faces, limit)
    rules, crops, rejects = _Rules(size, max_scale, max_outside), [], []
    with ExitStack() as stack:
        place = stack.enter_context(publishing_folder(out))
        mask_place = stack.enter_context(publishing_folder(mask_folder)) if mask_folder else None
        pool = stack.enter_context(thread_pool(THREADS))
        work = partial(_write_crop, rules=rules, place=place, mask_place=mask_place, mask_folder=mask_folder)
        for outcome in run_ahead(pool, work, _read_all(faces), ahead=2 * THREADS):
            (rejects if isinstance(outcome, Reject) else crops).append(outcome)
            if progress:
                progress(len(crops) + len(rejects), len(faces))
        if not crops:
            raise UserError(
                f"none of {len(faces)} faces could be used; {rejects[0].relative}: {rejects[0].reason}",
                "check that the labels belong to these pictures, or relax --max-scale and --max-outside"
                if source
                else "relax --min-face, --min-confidence, --max-scale or --max-outside",
            )
        if source:
            _check_sizes(crops, source)
        lines = "".join(json.dumps(crop.row, ensure_ascii=False) + "\n" for crop in crops)
        write_file(place / ANNOTATIONS, lines.encode("utf-8", "backslashreplace"))
        write_rejects(place / REJECTS, rejects)
    scale = float(np.median([crop.row["scale"] for crop in crops]))
    return Summary(len(faces), len(crops), len(rejects), scale, time.monotonic() - started, out / REJECTS)


def prepare_folder(
    folder: Path | str,
    out: Path | str,
    *,
    labels: Path | str,
    masks: Path | str | None = None,
    exclude: Sequence[str] = (),
    size: int = SIZE,
    max_scale: float = MAX_SCALE,
    max_outside: float = MAX_OUTSIDE,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Cuts the faces out of the pictures below `folder`, framed alike for renders and photographs, as `simrefine
    prepare` does.

    Args:
        folder: pictures, read recursively.
        out: new or empty, outside of `folder`: gets the crops as PNG, annotations.jsonl and rejects.csv.
        labels: their landmarks, 68 or 5 points, see `labels.read_labels`.
        masks: their part masks, cut alike into the folder beside `out` whose name ends in "-masks".
        exclude: see `folders.matches`.
        size, max_scale, max_outside, limit, progress: see `prepare`.

    Raises:
        UserError: `out` lies in `folder`; see also `labelled_faces` and `prepare`.
    """
    folder, out, labels = Path(folder), Path(out), Path(labels)
    check_outside(folder, out)
    faces = labelled_faces(folder, labels, masks and Path(masks), exclude)
    limits = {"size": size, "max_scale": max_scale, "max_outside": max_outside, "limit": limit}
    return prepare(faces, out, source=labels, progress=progress, **limits)


def check_outside(folder: Path, out: Path) -> None:
    """Checks that crops do not go among the pictures.

    Raises:
        UserError: `out` is `folder` or lies in it.
    """
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise UserError(
            f"--out {out} lies in {folder}, so its crops would be taken for pictures the next time",
            "name a folder elsewhere",
        )


def labelled_faces(folder: Path, labels: Path, masks: Path | None = None, exclude: Sequence[str] = ()) -> list[Face]:
    """The pictures of a folder with the points of a label file (see `labels.read_labels`). Who a picture shows goes
    along; so does its mask, which has the picture's path below `masks` (.png also for a .jpg).

    Raises:
        UserError: the folder or the labels cannot be read, or name no picture of it.
    """
    pictures = list_pictures(folder, exclude)
    if masks is not None and not masks.is_dir():
        raise UserError(f"the folder of masks {masks} does not exist", "check the path of --masks")
    known = read_labels(labels, folder)
    names = [str(record.relative) for record in pictures]
    if not any(name in known.points for name in names):
        first = next(iter(known.points), None)
        raise UserError(
            f"{labels} has no points of any picture in {folder}: "
            + (f"it names {first}, the folder has {names[0]}" if first else "it holds classes only"),
            "name the label file that belongs to these pictures",
        )
    return [
        Face(
            name,
            record.read,
            known.points.get(name),
            fields={"subject": known.groups[name]} if name in known.groups else {},
            read_mask=None if masks is None else partial(_read_mask, masks, record.relative),
        )
        for name, record in zip(names, pictures, strict=True)
    ]


def faces_by_person(files: dict[str, Reader], square: Square, width: int, points: dict[str, np.ndarray]) -> list[Face]:
    """The pictures of a set that keeps each person in a folder: the folder's name is the label.

    Args:
        files: see `archives.list_files`.
        square: where the faces are, for pictures without points; in px of pictures that are `width` px wide.
        points: by picture, see `find_points`; empty where there are none.
    """
    faces = []
    for name in pictures_of(files):
        person = PurePosixPath(name).parent.name
        found = find_points(points, name)
        place = {"square": square, "stated_width": width} if not points else {"points": found}
        faces.append(Face(name, files[name], fields={"label": person, "subject": person}, **place))
    return faces


def list_pictures(folder: Path, exclude: Sequence[str] = ()) -> tuple[Record, ...]:
    """The pictures of a folder of faces.

    Raises:
        UserError: the folder cannot be read, or holds none.
    """
    pictures = list_folder(folder, exclude, what="folder of faces").pictures
    if not pictures:
        raise UserError(f"{folder} holds no picture", "check the path, and any --exclude")
    return pictures


def spread(items: Sequence[Any], limit: int | None) -> Sequence[Any]:
    """At most `limit` of the items, evenly spread over all; None: all of them."""
    if limit is None or limit >= len(items):
        return items
    return [items[place] for place in evenly(len(items), limit)]


def pictures_of(files: Iterable[str]) -> list[str]:
    """The names with a picture's extension."""
    return [name for name in files if PurePosixPath(name).suffix.lower() in EXTENSIONS]


def find_points(points: dict[str, np.ndarray], name: str) -> np.ndarray | None:
    """The points of a picture, whose path may begin further up: lfw/a/b.jpg has those of a/b.jpg."""
    parts = PurePosixPath(name).parts
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((points[tail] for tail in tails if tail in points), None)


def read_points(path: Path, pictures: Path) -> dict[str, np.ndarray]:
    """Points by picture, [k, 2] in px, of any label file (see `labels.read_labels`), or of a .txt or .csv file with
    lines of a picture's name and five points in whole pixels, counted from 0: the form of CelebA.

    Raises:
        UserError: it cannot be read, or has no points.
    """
    found = {}
    if Path(path).suffix.lower() in (".txt", ".csv"):
        for line in read_text(path).splitlines():
            name, *numbers = line.replace(",", " ").split() or [""]
            if len(numbers) == 2 * FIVE and PurePosixPath(name).suffix.lower() in EXTENSIONS:
                try:
                    found[name] = np.array(numbers, np.float64).reshape(FIVE, 2) + 0.5
                except ValueError as error:
                    raise UserError(f"{path}: {name} has points that are no numbers", "restore the file") from error
    if not found and Path(path).suffix.lower() != ".txt":
        found = read_labels(path, pictures).points
    if not found:
        raise UserError(f"{path} holds no lines of a picture's name and five points", "check the path")
    return found


def check_empty(*folders: Path | None) -> None:
    """Whether crops can be written to these folders; None stands for none.

    Raises:
        UserError: one is not empty, or no folder.
    """
    for folder in filter(None, folders):
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UserError(f"{folder} is no folder", "name a new or empty folder with --out")
        if folder.exists() and any(folder.iterdir()):
            raise UserError(f"the output folder {folder} is not empty", "name a new or empty folder with --out")


def _read_all(faces: Iterable[Face]) -> Iterator[tuple[Face, Any]]:
    """Each face with the bytes of its picture and mask, or with why there are none. In one thread and in order: an
    archive is one file, and a compressed .tar can only be read forwards."""
    taken = set()
    for face in faces:
        target = _target(face)
        try:
            if face.reject is not None:
                raise ImageError(face.reject)
            if target is None:
                raise ImageError("its path leads out of the archive")
            if target in taken:
                raise ImageError(f"another picture already became {target}")
            taken.add(target)
            yield face, (face.read(), face.read_mask() if face.read_mask else None)
        except ImageError as error:
            yield face, error


def _write_crop(
    task: tuple[Face, Any], rules: _Rules, place: Path, mask_place: Path | None, mask_folder: Path | None
) -> _Crop | Reject:
    """Cuts and writes one face with its mask. `place` and `mask_place` are written to; `mask_folder` is the name under
    which the masks will appear."""
    face, contents = task
    try:
        if isinstance(contents, ImageError):
            raise contents
        picture = decode_picture(contents[0])
        height, width = picture.pixels.shape[:2]
        points, square = _locate(face, height, width)
        scale, outside = rules.size / square.side, outside_share(square, height, width)
        if scale > rules.max_scale:
            raise ImageError(f"too small: it would be enlarged {scale:.2f} times, more than {rules.max_scale:g}")
        if outside > rules.max_outside:
            raise ImageError(f"{outside:.0%} of its crop lie outside the picture, more than {rules.max_outside:.0%}")
        target = _target(face)
        row = {"file": str(target), "source": face.name, "scale": round(scale, 4), "outside": round(outside, 4)}
        if points is not None:
            row["landmarks"] = move_points(points, square, rules.size).round(2).tolist()
        row |= face.fields
        if contents[1] is not None:
            mask = _decode_mask(contents[1], height, width)
            row["mask"] = str(PurePosixPath("..", mask_folder.name, target))
            write_file(mask_place / target, encode_mask(cut_labels(mask, square, rules.size)))
        alpha = None if picture.alpha is None else cut(picture.alpha[..., None], square, rules.size)[..., 0]
        crop = Picture(cut(picture.pixels, square, rules.size), alpha)
        write_file(place / target, encode_picture(crop, target.suffix))
    except ImageError as error:
        return Reject(face.name, f"face {face.number}: {error}" if face.number > 1 else str(error))
    return _Crop(row, points, height, width)


def _locate(face: Face, height: int, width: int) -> tuple[np.ndarray | None, Square]:
    """The face's points, or None, and its square, in px of a picture of height x width."""
    factor = width / face.stated_width if face.stated_width else 1.0
    if face.points is None:
        if face.square is None:
            raise ImageError("has no landmarks in the label file")
        return None, face.square.times(factor)
    points = face.points * factor
    outside = int(((points < 0) | (points > (width, height))).any(-1).sum())
    if outside > len(points) / 2:
        raise ImageError(
            f"{outside} of its {len(points)} points lie outside its {width} x {height} pixels: labels of another size, "
            "or a face that is cut off"
        )
    return points, face_square(points)


def _check_sizes(crops: Sequence[_Crop], source: Path) -> None:
    """Labels of smaller pictures put every face into the upper left corner; see `points.check_inside`."""
    labelled = [crop for crop in crops if crop.points is not None]
    if labelled:
        heights, widths = np.array([(crop.height, crop.width) for crop in labelled]).T
        names = [crop.row["source"] for crop in labelled]
        check_inside(np.stack([crop.points for crop in labelled]), names, heights, widths, source)


def _target(face: Face) -> PurePosixPath | None:
    """A crop's path below the output folder; None for a name that leads out of it."""
    path = PurePosixPath(face.name)
    if path.is_absolute() or ".." in path.parts:
        return None
    return path.with_name(f"{path.stem}{f'-face{face.number}' if face.number > 1 else ''}.png")


def _decode_mask(content: bytes, height: int, width: int) -> np.ndarray:
    """The classes of a mask's pixels, uint8 [height, width]."""
    try:
        mask = decode_mask(content)
    except ImageError as error:
        raise ImageError(f"its mask: {error}") from error
    if mask.shape != (height, width):
        raise ImageError(f"its mask has {mask.shape[1]} x {mask.shape[0]} pixels, not {width} x {height}")
    return mask


def _read_mask(folder: Path, relative: PurePosixPath) -> bytes:
    places = [Path(folder) / relative, Path(folder) / relative.with_suffix(".png")]
    try:
        return read_content(next((place for place in places if place.exists()), places[-1]))
    except ImageError as error:
        raise ImageError(f"its mask {error}") from error
