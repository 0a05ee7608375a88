"""Readers of label files: an annotation file of any known format in, one form out: for each picture its label points in
continuous pixel coordinates, or its class.

Formats differ in where they count from: JSON lines and Hugging Face metadata are taken as continuous, 300-W .pts
(Sagonas et al. 2013) counts pixels from 1 and COCO (Lin et al. 2014) from 0. The geometry of points is in points.py.
"""

import csv
import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from simrefine.data.folders import list_folder, resolved
from simrefine.errors import UserError
from simrefine.reading import Unreadable, parse_json, read_regular

MAX_BYTES = 512 * 2**20  # of one label file
_NAMES = ("file", "file_name")
_POINTS = ("landmarks", "keypoints")
_GROUPS = ("subject", "identity", "person")  # who a picture shows, where a row says so
_CLIPS = ("clip", "video")  # what it is a frame of: frames of one clip are near-duplicates
_KNOWN = "known are .jsonl, COCO .json, Hugging Face metadata.jsonl or .csv, and a folder of 300-W .pts files"


@dataclass(frozen=True)
class Labels:
    """What a label file says about the pictures of a folder. The dicts go by the picture's posix path below the folder.

    Args:
        points: float64 [k, 2] of x, y in px, the same k for all; the picture spans 0 to width, pixel (i, j) has its
            centre at (i + 0.5, j + 0.5). NaN where a point is not labelled. Pictures without any point are not listed.
        classes: the class, as text; empty where the file has none.
        source: the file or folder it was read from.
        groups: who a picture shows ("subject", "identity" or "person" in its row); empty where the file does not say.
        clips: what a picture is a frame of ("clip" or "video" in its row); empty where the file does not say.
    """

    points: dict[str, np.ndarray]
    classes: dict[str, str]
    source: Path
    groups: dict[str, str] = field(default_factory=dict)
    clips: dict[str, str] = field(default_factory=dict)

    def groups_of(self, names: Sequence[str]) -> list[str] | None:
        """Who the pictures show; None unless that is known of all."""
        return _of_all(self.groups, names)

    def clips_of(self, names: Sequence[str]) -> list[str] | None:
        """What clips the pictures are from; None unless that is known of all."""
        return _of_all(self.clips, names)


def _of_all(keys: dict[str, str], names: Sequence[str]) -> list[str] | None:
    return [keys[name] for name in names] if all(name in keys for name in names) else None


@dataclass(frozen=True)
class _Row:
    """One picture's entry; `where` names its file and line, for messages."""

    where: str
    name: str
    points: np.ndarray | None = None
    label: str | None = None
    group: str | None = None
    clip: str | None = None


def read_labels(path: Path, folder: Path, pictures: Iterable[str] = ()) -> Labels:
    """Reads the labels of the pictures in `folder`.

    - `.jsonl` and `.csv` (Hugging Face metadata too): `file` or `file_name`, and `landmarks` or `keypoints` ([x, y] for
      each point, continuous; JSON text in a .csv) or `label`, a row a picture. Other fields are left alone.
    - `.json`: COCO keypoints. Of several faces in a picture the one with the largest box counts.
    - a `.pts` file, or a folder of them: `a/x.pts` belongs to the picture `a/x.jpg`, or `.png`, ...

    A name is looked for below the label file's folder, then below `folder`.

    Args:
        path: the label file or folder.
        folder: the folder of the pictures; they are not opened.
        pictures: posix paths below the folder of those that are known to be there: no file tells that of a picture in a
            shard.

    Raises:
        UserError: `path` is missing, of another format, empty, malformed, no regular file or larger than
            MAX_BYTES, holds numbers that are not finite or different numbers of points, or names a picture twice; the
            message names the file and the line.
    """
    path, folder = Path(path), Path(folder)
    check_label_file(path)
    suffix = path.suffix.lower()
    rows = _READERS[suffix](path) if suffix in _READERS and not path.is_dir() else _read_pts(path, folder)
    return _collect(rows, path, folder, frozenset(pictures))


def read_facts(path: Path, folder: Path, pictures: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """All that the rows of a .jsonl or a .csv say of the pictures of `folder`, by their posix paths below it, but for
    names, points, people and clips. Found as in `read_labels`.

    Raises:
        UserError: see `read_labels`; here a row need not label anything.
    """
    path, folder = Path(path), Path(folder)
    check_label_file(path)
    if path.is_dir() or path.suffix.lower() not in (".jsonl", ".csv"):
        raise UserError(f"{path} has no attributes: it is neither a .jsonl nor a .csv", "name a file of rows")
    base, root, known = resolved(path.parent), resolved(folder), frozenset(pictures)
    rows = _jsonl_rows(path) if path.suffix.lower() == ".jsonl" else _csv_rows(path)
    left_out = {*_NAMES, *_POINTS, *_GROUPS, *_CLIPS, "mask"}
    return {
        _locate(_name_of(row, where), base, root, known): {
            key: value for key, value in row.items() if key not in left_out or isinstance(value, dict)
        }
        for row, where in rows
    }


def check_label_file(path: Path) -> None:
    """Checks that a label file is there and of a known format, without reading it.

    Raises:
        UserError: it is not.
    """
    if not os.path.exists(path):  # unlike Path.exists it takes a name that is too long for one that is not there
        raise UserError(f"label file {path} does not exist", "check the path")
    if not path.is_dir() and path.suffix.lower() not in (*_READERS, ".pts"):
        raise UserError(f"{path} is no label file that can be read", _KNOWN)


def select_points(labels: Labels, names: Sequence[str]) -> np.ndarray:
    """The points of the pictures `names`: float64 [n, k, 2].

    Raises:
        UserError: pictures without points; it counts them and names the first.
    """
    missing = [name for name in names if name not in labels.points]
    if missing:
        first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise UserError(
            f"{labels.source} has no points for {len(missing)} of {len(names)} pictures: {first}",
            "name the label file that belongs to these pictures, or take them out of the folder",
        )
    return np.stack([labels.points[name] for name in names])


def _collect(rows: Iterable[_Row], source: Path, folder: Path, known: Collection[str]) -> Labels:
    points: dict[str, np.ndarray] = {}
    classes: dict[str, str] = {}
    groups: dict[str, str] = {}
    clips: dict[str, str] = {}
    seen: dict[str, str] = {}
    count = None
    base, root = resolved(source if source.is_dir() else source.parent), resolved(folder)
    for row in rows:
        key = _locate(row.name, base, root, known)
        if key in seen:
            raise UserError(f"{row.where}: {row.name} was already named in {seen[key]}", "keep one of the two")
        seen[key] = row.where
        if row.label is not None:
            classes[key] = row.label
        if row.group is not None:
            groups[key] = row.group
        if row.clip is not None:
            clips[key] = row.clip
        if row.points is None:
            continue
        count = count or len(row.points)
        if len(row.points) != count:
            raise UserError(
                f"{row.where}: {row.name} has {len(row.points)} points, those before it have {count}",
                "give all pictures the same points",
            )
        points[key] = row.points
    if not points and not classes:
        raise UserError(
            f"{source} holds no label of any picture",
            "name one with points or classes; a .pts file needs its picture's name",
        )
    return Labels(points, classes, source, groups, clips)


def _locate(name: str, base: Path, root: Path, known: Collection[str]) -> str:
    """The path below `root` of a picture that is named relative to `base` or to `root`; what exists, or is `known` to,
    decides."""
    places = [Path(os.path.normpath(start / name)) for start in (base, root)]
    below = [place.relative_to(root).as_posix() for place in places if place.is_relative_to(root)]
    there = (picture for picture in below if picture in known or os.path.exists(root / picture))
    return next(there, below[0] if below else name)


def _read_json_lines(path: Path) -> Iterator[_Row]:
    for row, where in _jsonl_rows(path):
        yield _parse_row(row, where)


def _jsonl_rows(path: Path) -> Iterator[tuple[Any, str]]:
    """Rows, and where each is from."""
    for number, line in enumerate(_read_text(path).split("\n"), 1):  # splitlines would also split inside a string
        if line.strip():
            where = f"{path}, line {number}"
            yield _parse_json(line, where), where


def _read_csv(path: Path) -> Iterator[_Row]:
    for row, where in _csv_rows(path):
        parsed = {key: _parse_json(row[key], where) for key in _POINTS if row.get(key)}
        yield _parse_row(row | parsed, where)


def _csv_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Rows with None for what is empty, and where each is from."""
    reader = csv.DictReader(io.StringIO(_read_text(path), newline=""))
    try:
        for row in reader:
            yield {key: value if value != "" else None for key, value in row.items()}, f"{path}, line {reader.line_num}"
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}", "save it as comma-separated UTF-8") from error


def _read_coco(path: Path) -> Iterator[_Row]:
    content = _parse_json(_read_text(path), str(path))
    try:
        images = {image["id"]: str(image["file_name"]) for image in content["images"]}
        annotations = content["annotations"]
    except (KeyError, TypeError) as error:
        raise UserError(
            f'{path} is no COCO file: it lacks "images" with "id" and "file_name", or "annotations"', _KNOWN
        ) from error
    if len(images) < len(content["images"]):
        raise UserError(f"{path}: two images have the same id", "give each image an id of its own")
    if not isinstance(annotations, list):
        raise UserError(f'{path} is no COCO file: its "annotations" are no list', _KNOWN)
    largest: dict[Any, tuple[float, _Row]] = {}
    for number, annotation in enumerate(annotations, 1):
        where = f"{path}, annotation {number}"
        try:
            image, keypoints, box = annotation["image_id"], annotation.get("keypoints") or [], annotation.get("bbox")
            name = images.get(image)
            triples = [keypoints[i : i + 3] for i in range(0, len(keypoints), 3)]
            area = float(box[2] * box[3]) if box else None
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise UserError(
                f'{where}: needs "image_id", "keypoints" as a list and, if any, "bbox" as [x, y, w, h]', "mend it"
            ) from error
        if name is None:
            raise UserError(f'{where}: image_id {image} is not among the "images"', "add the image to the file")
        if not triples:
            continue
        values = _parse_points(triples, 3, where)
        points = np.where(values[:, 2:] > 0, values[:, :2] + 0.5, np.nan)
        if np.isnan(points).all():
            continue
        if area is None:
            area = float(np.prod(np.nanmax(points, axis=0) - np.nanmin(points, axis=0)))
        if image not in largest or area > largest[image][0]:
            largest[image] = (area, _Row(where, name, points))
    yield from (row for _, row in largest.values())


def _read_pts(path: Path, folder: Path) -> Iterator[_Row]:
    if path.is_dir():
        others = list_folder(path, what="label folder").others
        files = {record.relative: record.path for record in others if record.relative.suffix.lower() == ".pts"}
    else:
        files = {PurePosixPath(path.name): path}
    if not files:
        raise UserError(f"{path} holds no .pts files", _KNOWN)
    pictures: dict[str, list[str]] = {}
    for record in list_folder(folder, what="picture folder", shards=True).pictures:
        pictures.setdefault(str(record.relative.with_suffix("")), []).append(str(record.relative))
    base, root = resolved(path if path.is_dir() else path.parent), resolved(folder)
    for relative, file in files.items():
        points = _parse_pts(_read_text(file), file)
        stem = str(relative.with_suffix(""))
        below = os.path.relpath(base / stem, root)
        for picture in pictures.get(below, pictures.get(stem, [])):
            yield _Row(str(file), str(root / picture), points)


_READERS: dict[str, Callable[[Path], Iterator[_Row]]] = {
    ".jsonl": _read_json_lines,
    ".csv": _read_csv,
    ".json": _read_coco,
}


def _parse_pts(text: str, path: Path) -> np.ndarray:
    points, declared, inside = [], None, False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if words == ["{"]:
            inside = True
        elif words == ["}"]:
            break
        elif inside and words:
            points.append(_parse_points([words], 2, f"{path}, line {number}")[0])
        elif words and words[0] == "n_points:":
            declared = words[-1]
    else:
        raise UserError(f"{path}: no points between {{ and }}", "restore the file, it may be cut off")
    if not points or declared not in (None, str(len(points))):
        raise UserError(f"{path}: {len(points)} points, n_points says {declared}", "restore the file")
    return np.array(points) - 0.5


def _parse_row(row: Any, where: str) -> _Row:
    name = _name_of(row, where)
    keys = [key for key in (*_POINTS, "label") if key in row]
    if not keys:
        raise UserError(f'{where}: no "landmarks", "keypoints" or "label"', "add what the picture is labelled with")
    values = next((row[key] for key in _POINTS if row.get(key)), None)
    label = row.get("label")
    if not isinstance(label, str | int | float | None):
        raise UserError(f'{where}: "label" is neither text nor a number', "give one class a picture")
    group, clip = (
        next((str(row[key]) for key in keys if row.get(key) is not None), None) for keys in (_GROUPS, _CLIPS)
    )
    points = values and _parse_points(values, 2, where)
    return _Row(where, name, points, None if label is None else str(label), group, clip)


def _name_of(row: Any, where: str) -> str:
    name = next((row[key] for key in _NAMES if row.get(key)), None) if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise UserError(f'{where}: no "file" or "file_name"', "name the picture in each row")
    return name


def _parse_points(values: Any, columns: int, where: str) -> np.ndarray:
    """float64 [k, columns]."""
    try:
        points = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        points = np.zeros(0)
    if points.ndim != 2 or points.shape[1] != columns:
        raise UserError(f"{where}: the points are not {columns} numbers each", "mend the line")
    if not np.isfinite(points).all():
        raise UserError(f"{where}: a point is not finite", "mend the line, or leave the picture out")
    return points


def _parse_json(text: str, where: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        row = getattr(error, "lineno", 1)  # only of text that is no JSON
        line = f", line {row}" if row > 1 else ""
        raise UserError(f"{where}{line}: no valid JSON ({error})", "mend it") from error


def _read_text(path: Path) -> str:
    try:
        return read_regular(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"label file {path} is not UTF-8 text", "save it as UTF-8") from error
    except Unreadable as error:
        raise UserError(f"label file {path}: {error}", "check the path and its permissions") from error
