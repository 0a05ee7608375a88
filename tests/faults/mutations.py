"""Damaged files: pictures, label files and models with bytes, numbers or words changed. Each is read in a child of
limited memory and time: it gives a result or a message, never a traceback, a crash or a wait."""

import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from faults.children import Tried, fork
from random_refiner import write_random_refiner
from tiny import draw_face

from simrefine.data.images import EXTENSIONS, ImageError, Picture, encode_picture, read_picture, read_sides
from simrefine.data.labels import read_labels
from simrefine.errors import UserError
from simrefine.refining.refiner import restore_network
from simrefine.training.published import read_refiner

MEMORY = 6 * 2**30  # bytes of addresses, of which TensorFlow takes three without using them
SECONDS = 20  # of a case
WORDS = [
    *(b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"18446744073709551616", b"1" * 400, b"null", b"true", b'""', b"{}"),
    *(b"[" * 2000, b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b]0;x\x07", b"../../x", b"/dev/zero", b'"' + b"a" * 300),
]
VALUES = [
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    {},
    [[]],
    {"x": 1},
    "\x1b[2J",
    "9" * 5000,
]


def mutated(content: bytes, rng: random.Random, words: bool = False) -> bytes:
    """`content` after one to four changes: bits, runs, lengths, pieces moved, and where `words`, tokens exchanged."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(changed) + 1) if rng.random() < 0.6 else rng.randrange(min(64, len(changed)) + 1)
        length = rng.choice([1, 1, 2, 4, 16, 256])
        kind = rng.randrange(9 if words else 7)
        if kind == 0:
            changed[place : place + length] = rng.randbytes(length)
        elif kind == 1:
            changed[place : place + length] = bytes([rng.choice([0, 0xFF])]) * length
        elif kind == 2:
            del changed[place : place + length]
        elif kind == 3:
            changed[place:place] = rng.randbytes(length)
        elif kind == 4:
            del changed[place:]
        elif kind == 5:
            changed[place:place] = changed[: rng.randrange(len(changed) + 1)]
        elif kind == 6 and place < len(changed):
            changed[place] ^= 1 << rng.randrange(8)
        elif kind >= 7:
            changed[place : place + rng.choice([0, length])] = rng.choice(WORDS)
    return bytes(changed[: 2**20])


def sample_pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    color, gray = draw_face(rng, 33), draw_face(rng, 17, channels=1)
    alpha = rng.integers(0, 256, (33, 33), np.uint8)
    found = [encode_picture(Picture(pixels), end) for pixels in (color, gray) for end in sorted(EXTENSIONS)]
    found += [encode_picture(Picture(color, alpha), end) for end in (".png", ".webp")]
    found.append(cv2.imencode(".jpg", color, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())
    return found


def picture_case(samples: list[bytes], rng: random.Random, folder: Path) -> None:
    file = folder / "a.png"
    file.write_bytes(mutated(rng.choice(samples), rng))
    for read in (read_sides, read_picture):
        with suppress(ImageError):
            read(file)


def sample_labels() -> list[tuple[str, bytes]]:
    points = [[1.5, 2.5], [3.25, 4.0], [5.0, 6.0]]
    rows = [{"file": f"{n}.png", "landmarks": points, "label": n, "subject": f"p{n}", "clip": n} for n in range(4)]
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(3)]
    flat = [number for point in points for number in (*point, 2)]
    coco = {"images": images, "annotations": [{"image_id": n, "keypoints": flat, "bbox": [1, 2, 3, 4]} for n in (0, 1)]}
    pts = "version: 1\nn_points: 3\n{\n" + "".join(f"{x} {y}\n" for x, y in points) + "}\n"
    table = "file_name,keypoints,label\n" + "".join(f'{n}.png,"{json.dumps(points)}",{n}\n' for n in range(3))
    return [
        ("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode()),
        ("a.json", json.dumps(coco).encode()),
        ("0.pts", pts.encode()),
        ("a.csv", table.encode()),
    ]


def label_case(samples: list[tuple[str, bytes]], rng: random.Random, folder: Path) -> None:
    (folder / "0.png").touch()
    name, content = rng.choice(samples)
    file = folder / name
    file.write_bytes(mutated(content, rng, words=True))
    with suppress(UserError):
        read_labels(file, folder)


def sample_models(folder: Path) -> list[tuple[bytes, bytes]]:
    """Pairs of model.json and weights.safetensors."""
    found = []
    for name, values in {"unet": {}, "resnet": {"refiner__name": "resnet"}}.items():
        place = write_random_refiner(folder / name, **values) / "refiner"
        found.append(((place / "model.json").read_bytes(), (place / "weights.safetensors").read_bytes()))
    return found


def changed_values(about: dict, rng: random.Random) -> dict:
    """A model's description with one or two values exchanged, taken out or put in."""
    about = json.loads(json.dumps(about))
    for _ in range(rng.randint(1, 2)):
        place = about
        while True:
            key = rng.choice([*place])
            if not isinstance(place[key], dict) or not place[key] or rng.random() < 0.2:
                break
            place = place[key]
        kind = rng.randrange(3)
        if kind == 0:
            place[key] = rng.choice(VALUES)
        elif kind == 1 and isinstance(place[key], int | float):
            place[key] = rng.choice([place[key] * 2, place[key] + 1, -place[key], 1024, 10**9, 0.5])
        elif kind == 2:
            place[f"{key}s"] = place.pop(key)
        if not about:
            break
    return about


def model_case(samples: list[tuple[bytes, bytes]], rng: random.Random, folder: Path) -> None:
    """A third with other values, a third with other bytes, a third with other weights under their right check sum; each
    also with the right sum of what it holds, or it would only ever be this that refuses it."""
    about, weights = rng.choice(samples)
    kind = rng.randrange(3)
    if kind == 0:
        about = json.dumps(changed_values(json.loads(about), rng)).encode()
    elif kind == 1:
        about = mutated(about, rng, words=True)
    else:
        weights = mutated(weights, rng, words=True)
        about = json.dumps(json.loads(about) | {"sha256": sha256(weights).hexdigest()}).encode()
    (folder / "model.json").write_bytes(about)
    (folder / "weights.safetensors").write_bytes(weights)
    with suppress(UserError):
        restore_network(folder, read_refiner(folder), "float32")


CASES: dict[str, tuple[Callable[[Path], list], Callable]] = {
    "pictures": (lambda folder: sample_pictures(), picture_case),
    "labels": (lambda folder: sample_labels(), label_case),
    "models": (sample_models, model_case),
}


def try_mutations(name: str, count: int, seed: int, place: Path, progress: Callable[[str], None]) -> Tried:
    """Reads `count` damaged files of a kind, each drawn by (seed, its number) alone."""
    tried, begun, log = Tried(), 0, place / f"{name}.log"
    place.mkdir(parents=True, exist_ok=True)
    while begun < count:
        log.write_text("")
        process = fork(lambda begun=begun: _read_all(name, range(begun, count), seed, place, log), place / "said")
        code = _watch(process, log, lambda read, begun=begun: progress(f"{name}: {begun + read} of {count} read"))
        for line in log.read_text().splitlines():
            number, seconds, what = line.split(" ", 2)
            tried.cases += 1
            tried.slowest = max(tried.slowest, float(seconds))
            tried.hold(what == "ok", f"{name} {number}: {what}")
            begun = int(number) + 1
        if begun < count:  # the next one ended the child
            tried.cases += 1
            tried.hold(False, f"{name} {begun}: the child ended with {code}: {(place / 'said').read_text()[-1000:]}")
            begun += 1
    return tried


def _read_all(name: str, numbers: range, seed: int, place: Path, log: Path) -> None:
    make, case = CASES[name]
    folder = place / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    samples = make(place / f"{name}-samples")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with open(log, "a") as file:
        for number in numbers:
            began, what = time.monotonic(), "ok"
            try:
                with _limited(SECONDS):
                    case(samples, random.Random(f"{name} {seed} {number}"), folder)
            except Exception as error:
                what = f"{type(error).__name__}: {str(error)[:300]}".replace("\n", " ")
            file.write(f"{number} {time.monotonic() - began:.4f} {ascii(what)[1:-1]}\n")
            file.flush()


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def hangs(*_) -> None:
        raise TimeoutError(f"no answer within {seconds} s")

    signal.signal(signal.SIGALRM, hangs)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _watch(process: int, log: Path, progress: Callable[[int], None]) -> int | None:
    """Waits for a child for as long as its log grows; reports how many lines it has."""
    size, since = -1, time.monotonic()
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if log.stat().st_size != size:
            size, since = log.stat().st_size, time.monotonic()
            progress(log.read_text().count("\n"))
        if time.monotonic() - since > 3 * SECONDS + 60:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.2)
