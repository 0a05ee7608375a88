"""A refiner's network in a format that other programs run: ONNX, LiteRT, or TensorFlow's SavedModel. In goes a run; out
comes a folder with the network and about.json, which says what it takes and gives.

The network is all there is in it. Faces are dressed before (`Refiner.dress`), and that stays outside: a face draws its
photograph by the checksum of its pixels, and its colours take eigenvectors, neither of which the formats have.
"""

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

from simrefine import backend
from simrefine.catalogue import EXPORTS, REFINERS, ExportFacts
from simrefine.data.dressing import STYLES
from simrefine.errors import UserError
from simrefine.files import publishing_folder
from simrefine.refining.refiner import restore_network
from simrefine.training.published import PublishedRefiner, read_refiner


def export(run: Path | str, to: str, out: Path | str) -> Path:
    """Writes the network of a refiner as the folder `out`, complete or not at all: float32 [n, h, w, channels] in
    [-1, 1], dressed, to the same, refined. In every format n, h and w are free, h and w in multiples of the refiner's
    stride (about.json has it).

    Args:
        run: a run folder, or the `refiner` folder of one.
        to: a name of `catalogue.EXPORTS`.
        out: must not be there yet.

    Returns:
        The network's file, or for a SavedModel its folder, inside `out`.

    Raises:
        UserError: there is no refiner, `to` is unknown, its packages are missing, the backend is not TensorFlow, `out`
            is there or cannot be written.
    """
    run, out = Path(run), Path(out)
    if to not in EXPORTS:
        raise UserError(f"the export format {to!r} is unknown", f"choose one of {', '.join(EXPORTS)}")
    if backend.name != "tensorflow":
        raise UserError(f"Keras exports through TensorFlow, and runs on {backend.name}", "set KERAS_BACKEND=tensorflow")
    facts = EXPORTS[to]
    if missing := [package for package in facts.packages if importlib.util.find_spec(package) is None]:
        raise UserError(
            f"exporting to {to} needs {' and '.join(missing)}",
            f"install them: pip install -c constraints.txt '.[{to}]'",
        )
    if out.exists():
        raise UserError(f"{out} is there already", "name a folder that is not, or delete it")
    published = read_refiner(run)
    backend.use_device()
    network = restore_network(run, published, "float32")
    with publishing_folder(out) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Keras asks numpy for names that it had before 2.0
            file, signature = str(folder / facts.file), [network.input]  # given, as a new network has none to infer
            network.export(file, format=facts.keras_name, input_signature=signature, verbose=False)
        about = describe(published, to, facts, network.input.name)
        (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n")
    return out / facts.file


def describe(published: PublishedRefiner, to: str, facts: ExportFacts, input_name: str) -> dict[str, Any]:
    """What a program, and who writes it, must know of an exported network."""
    channels, stride = published.config.data.channels, REFINERS[published.config.refiner.name].stride
    return {
        "format": to,
        "file": facts.file,
        "input": input_name,
        "shape": ["n", "h", "w", channels],
        "colour": "RGB" if channels == 3 else "gray",
        "dtype": "float32",
        "range": [-1, 1],
        "multiple_of": stride,
        "size": published.config.data.size,
        "step": published.step,
        "fingerprint": published.fingerprint,
        "before": _dressing(published),
        "after": "the one output has the input's shape, range and type; gray levels are (output + 1) * 127.5, rounded",
    }


def _dressing(published: PublishedRefiner) -> str:
    """What the faces that the network learnt from had, and so must have."""
    if STYLES in published.looks and not published.config.style.candidates:
        return "gray levels / 127.5 - 1"
    colours = "a photograph's colours"
    if STYLES not in published.looks:
        colours += ", part by part" + (", and its room" if published.config.parts.scene else "")
    return f"simrefine.load(RUN).dress(images), which gives uint8 faces {colours}"
