"""What the scripts here share: a training's run folder in, its networks and the faces to look at out."""

from pathlib import Path

import keras
import numpy as np

from simrefine.config import Config
from simrefine.data.faces import Faces, read_faces
from simrefine.data.masks import decode_mask
from simrefine.data.parts import parts_of_mask
from simrefine.errors import UserError
from simrefine.methods import METHODS
from simrefine.methods.method import PARSER, Frozen, Inputs, Method
from simrefine.models.landmarks import build_landmark_network
from simrefine.models.parser import build_parser
from simrefine.refining.refiner import Refiner, load
from simrefine.threads import in_batches
from simrefine.training.checkpoint import Checkpoint, newest_checkpoint

BATCH = 50  # faces that go through a network at a time
MEMORY_GIB = 4.0  # a folder
DTYPE = "float32"  # whatever the training computed in: the weights are float32, and a look need not be fast


def read_config(run: Path) -> Config:
    return Config.load(run / "config.toml", environment={}, recorded=True)


def read_for(config: Config, folder: Path, what: str) -> Faces:
    """The faces of `folder` as the networks of `config` take them; `what` is their role, for messages."""
    return read_faces(folder, what, size=config.data.size, channels=config.data.channels, memory_gib=MEMORY_GIB)


def read_newest(run: Path) -> Checkpoint:
    """The newest whole checkpoint of a run.

    Raises:
        UserError: it has none.
    """
    checkpoint, damaged = newest_checkpoint(run / "checkpoints")
    if not checkpoint:
        raise UserError(f"{run} holds no whole checkpoint {' '.join(damaged)}", "name the run folder of a training")
    return checkpoint


def load_method(run: Path, checkpoint: Checkpoint, synthetic: Faces, real: Faces) -> Method:
    """The method of a run, simgan or cyclegan, as it was at `checkpoint`: to look at, not to train on.

    Args:
        run: its folder, with config.toml and refiner/.
        checkpoint: one of the run, see `read_newest` and `training.checkpoint.read_checkpoint`.
        synthetic, real: any faces of its size. They take the places of those it was trained on, which a look does not
            need and which may be gone.
    """
    config = read_config(run)
    inputs = Inputs(synthetic.pile, real.pile, None, load(run).dresser)
    # The feature extractor of a self-regularisation is in no checkpoint, and only a training step asks for it.
    frozen = Frozen(landmarks=_landmark_network(config, checkpoint), parser=_parser(config, checkpoint))
    method = METHODS[config.method.name](config, inputs, DTYPE, frozen)
    method.restore(checkpoint.arrays, checkpoint.path)
    return method


def _landmark_network(config: Config, checkpoint: Checkpoint) -> keras.Model | None:
    """That of the landmark keeper, without its weights; None where the run had no such keeper."""
    names = [name for name in checkpoint.arrays if name.startswith("landmarks/")]
    if not names:
        return None
    points = checkpoint.arrays[max(names)].shape[-1]  # the last variable is the bias of the heat maps, one a point
    return build_landmark_network(points, config.data.channels, DTYPE, config.training.seed)


def _parser(config: Config, checkpoint: Checkpoint) -> keras.Model | None:
    """The parser, without its weights; None where the run had none."""
    found = any(name.startswith(PARSER) for name in checkpoint.arrays)
    return build_parser(config.data.channels, DTYPE, config.training.seed) if found else None


def photograph_judge(method: Method) -> keras.Model | None:
    """The discriminator that tells refined faces from photographs; None where a method has none."""
    names = ("discriminator", "for_photographs")  # of simgan and of cyclegan
    return next((getattr(method, name) for name in names if hasattr(method, name)), None)


def refine_faces(refiner: Refiner, faces: Faces) -> np.ndarray:
    """What a refiner makes of faces, uint8 [n, h, w, c]; along the part masks that lie beside their folder, if any do,
    as `simrefine refine` does it."""
    masks = refiner.with_masks("auto", (faces.folder, Path("nowhere"))).masks
    relatives = [record.relative for record in faces.pile.records]
    found = masks.find(relatives) if masks else {}

    def known(place: int) -> np.ndarray | None:
        mask = found.get(relatives[place])
        return mask and parts_of_mask(decode_mask(mask.read()), masks.classes, 2 * faces.pile.size)

    def refine(places: np.ndarray) -> np.ndarray:
        return refiner(faces.images[places], [known(place) for place in places])

    return in_batches(refine, np.arange(len(faces)), BATCH)
