"""What the training of a face generator puts into the loop: renders with their people and part masks, photographs
without anything, and a grid of faces, people down and attributes across."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from simrefine import backend
from simrefine.catalogue import PART_COLOURS, PARTS
from simrefine.config import Config
from simrefine.data.faces import Faces, label_faces
from simrefine.data.images import to_channels, to_signed, to_uint8
from simrefine.data.labels import read_labels
from simrefine.data.parts import UNKNOWN
from simrefine.errors import UserError
from simrefine.methods.generator import FaceGenerator
from simrefine.methods.generator_batches import GeneratorInputs, Phases
from simrefine.threads import Prefetcher
from simrefine.training.checkpoint import Checkpoint
from simrefine.training.dressing import read_parts
from simrefine.training.estimate import TRIED
from simrefine.training.inputs import read_folders, spread
from simrefine.training.landmarks import augment_people
from simrefine.training.monitor import Monitor
from simrefine.training.montage import sheet
from simrefine.training.pace import Pace, in_words

GRID_PICTURE = (
    "First row and column: true faces. The others: the person of the row with the attributes of the column. **Look "
    "for:** one person along a row, one pose, light and expression down a column; the last column from photographs."
)
PARTS_PICTURE = "The parts that the generator drew of the same faces. **Look for:** parts where the picture has them."


class GeneratorMonitor(Monitor):
    """A monitor whose pictures are the generator's."""

    def grid(self, step: int, grid: np.ndarray, parts: np.ndarray) -> None:
        """Both uint8 [h, w, 3]."""
        self._add_picture(step, "faces/people down, attributes across", grid, GRID_PICTURE)
        self._add_picture(step, "faces/parts", parts, PARTS_PICTURE)
        self._events.flush()


class GeneratorTask:
    """See `training.train.Task`."""

    monitor = GeneratorMonitor

    def __init__(self, config: Config, say: Callable[[str], None], run: Path | None):
        self._config, self._say = config, say
        self._inputs = read_people(config, run, say)
        say(f"steps       {describe_phases(config)}")

    def estimate(self, run: Path, dtype: str) -> str:
        self._say("time        trying a few steps")
        method, pace, total = FaceGenerator(self._config, self._inputs, dtype), Pace(), self._config.training.steps
        steps = range(max(0, total - TRIED), total)
        batches = Prefetcher(lambda step: backend.to_device(method.batch(step)), steps)
        for step, batch in zip(steps, batches, strict=True):
            for number in method.step(batch, step).values():
                float(number)  # the step has ended when its numbers are there
            pace.tick()
        if not pace.measured:
            return "not estimated: there are too few steps"
        return f"{in_words(total * pace.seconds_a_step)} on this machine: {total} steps of {pace.seconds_a_step:.2g} s"

    def hold_out(self, run: Path, resumed: bool) -> None:
        pass  # people are held out by giving them in a folder of their own

    def build(self, run: Path, dtype: str, checkpoint: Checkpoint | None) -> FaceGenerator:
        inputs, count = self._inputs, self._config.monitor.faces
        # One face each of people spread over all; the last column is of photographs where there are some.
        first = np.array([np.flatnonzero(inputs.people == person)[0] for person in spread(len(inputs.names), count)])
        self._people = to_signed(inputs.renders[first])
        attributes = inputs.renders[spread(len(inputs.renders), count)]
        if inputs.photographs:
            attributes[-1] = inputs.photographs[[0]][0]
        self._attributes = to_signed(attributes)
        return FaceGenerator(self._config, inputs, dtype)

    def begin(self, method: FaceGenerator, monitor: GeneratorMonitor, first: int) -> None:
        pass

    def show(self, method: FaceGenerator, done: int, monitor: GeneratorMonitor) -> None:
        pictures, masks = method.inspect(self._people, self._attributes)
        pictures = to_uint8(pictures)
        monitor.grid(done, framed(to_uint8(self._people), to_uint8(self._attributes), pictures), part_grid(masks))

    def looks(self, done: int, last: bool) -> bool:
        return False

    def look(self, method: FaceGenerator, done: int, monitor: GeneratorMonitor) -> None:
        pass

    def tell_how_to_use(self, run: Path, monitor: GeneratorMonitor) -> None:
        monitor.say(f"to use it: simrefine generate sample --model {run} --new --count 8 --out DIR")


def read_people(config: Config, run: Path | None, say: Callable[[str], None]) -> GeneratorInputs:
    """The renders of a generator's training with who they show and their parts, and the photographs.

    Args:
        config: `data.synthetic` must be set, and `data.real` unless `generator.photographs` is false.
        run: where rejected files are listed, see `read_folders`.
        say: called with a line on what was found.

    Raises:
        UserError: see `read_folders`; the labels do not say who is shown, of too few people, or no parts are known
            while `generator_loss.masks` is not 0.
    """
    faces = read_folders(config, run, say)
    renders, people, names = _with_people(faces["synthetic"], config)
    needed = config.training.batch_size // config.generator.views
    if len(names) < needed:
        raise UserError(
            f"{config.labels.file} names {len(names)} people, a batch needs {needed}",
            "add people, lower --batch-size or raise generator.views",
        )
    say(f"people      {config.labels.file}: {len(names)} in {len(renders)} pictures")
    side = 2 * config.data.size
    labels = np.full((len(renders), side, side), UNKNOWN, np.uint8)
    known = read_parts(config, renders, np.arange(len(renders)), side, say)
    if known:
        labels[known.places] = known.labels
    elif config.generator_loss.masks:
        raise UserError(
            "generator_loss.masks needs the parts of the renders, and there are neither masks nor 68 label points",
            "name a folder of masks with --masks, or set generator_loss.masks = 0",
        )
    photographs = faces["real"].pile if "real" in faces else None
    return GeneratorInputs(renders.pile, people, names, labels, photographs, augment_people)


def describe_phases(config: Config) -> str:
    """What is learnt when, in words; and what is not, where there are too few steps."""
    total, (identity, reconstruction) = config.training.steps, Phases.of(config)
    alone, together = min(identity, total), max(0, total - reconstruction)
    said = f"{alone} on who is who, {max(0, min(reconstruction, total) - alone)} on reconstruction, {together} on all"
    return said if together else f"{said}: faces will be blurred; raise --steps above {reconstruction}"


def _with_people(faces: Faces, config: Config) -> tuple[Faces, np.ndarray, tuple[str, ...]]:
    """The faces of which it is known who they show, with their points where there are some; who that is, int [m]; and
    the people's names, in the order in which they first appear."""
    if not config.labels.file:
        raise UserError("a generator needs labels that say who each render shows", "name a label file with --labels")
    labels = read_labels(Path(config.labels.file), faces.folder, faces.names)
    places = [place for place, name in enumerate(faces.names) if name in labels.groups]
    if not places:
        raise UserError(
            f"{config.labels.file} does not say who the pictures of {faces.folder} show",
            'give each row "identity", "person" or "subject"',
        )
    faces = faces.take(places)
    names = tuple(dict.fromkeys(labels.groups[name] for name in faces.names))
    codes = {name: code for code, name in enumerate(names)}
    people = np.array([codes[labels.groups[name]] for name in faces.names])
    return (label_faces(faces, config.labels.file, partly=True) if labels.points else faces), people, names


def framed(people: np.ndarray, attributes: np.ndarray, made: np.ndarray) -> np.ndarray:
    """uint8 [p, h, w, c], [a, h, w, c] and [p, a, h, w, c] as one sheet [(p + 1) h, (a + 1) w, 3]: the faces that gave
    the identity in the first column, those that gave the attributes in the first row."""
    corner = np.full_like(people[:1], 255)
    top = np.concatenate([corner, attributes])[None]
    rows = np.concatenate([people[:, None], made], axis=1)
    return sheet(to_channels(np.concatenate([top, rows]), 3))


def part_grid(masks: np.ndarray) -> np.ndarray:
    """Soft parts [p, a, h, w, parts] as a sheet of colours, uint8 [p h, a w, 3]."""
    colours = np.array([PART_COLOURS[part] for part in PARTS], np.uint8)
    return sheet(colours[masks.argmax(axis=-1)])
