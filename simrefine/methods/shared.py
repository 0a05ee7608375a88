"""What several methods do alike: the discriminator's loss, the look at fixed faces, and the small measures they log."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from simrefine.data.images import GRAY_LEVELS, to_signed
from simrefine.methods.method import Inspection
from simrefine.models.history import HistoryBuffer
from simrefine.models.losses import margin, patch_accuracy, patch_loss
from simrefine.models.networks import judge


def tell_apart(realism: Callable, discriminator: keras.Model, pictures, made: int, past: int):
    """L_D of one discriminator (eq. 1 of arXiv 1612.07828): made faces, current and past, are 1, real ones 0.

    Args:
        realism: see `models.losses.realism_loss`.
        pictures: [made + past + m, h, w, c]: faces just made, past ones of the history, real ones.

    Returns:
        The loss, and the numbers to log by name.
    """
    logits = judge(discriminator, pictures, training=True)
    on_fakes = [maps[: made + past] for maps in logits]
    on_real = [maps[made + past :] for maps in logits]
    loss = (patch_loss(realism, on_fakes, says_refined=True) + patch_loss(realism, on_real, says_refined=False)) / 2.0
    numbers = {
        "discriminator/loss": loss,
        "discriminator/accuracy_real": patch_accuracy(on_real, is_refined=False),
        "discriminator/accuracy_refined": patch_accuracy([maps[:made] for maps in on_fakes], is_refined=True),
    }
    if past:
        on_past = [maps[made:] for maps in on_fakes]
        numbers["discriminator/accuracy_history"] = patch_accuracy(on_past, is_refined=True)
    return loss, numbers


def look(
    refine: Callable, given: np.ndarray, real: np.ndarray, history: HistoryBuffer, realism: Callable
) -> Inspection:
    """The look at fixed faces.

    Args:
        refine: refine(given, real, past) -> (pictures by name: "current", "refined", perhaps "back"; margin maps of the
            averaged refiner's faces, the real and the past ones, by name).
        given: rendered faces in the colours they were given, float32 [n, h, w, c] in [-1, 1], as all others.
    """
    past = to_signed(history.held(len(real)))
    pictures, margins = refine(given, real, past if len(past) else real)
    pictures = {name: np.asarray(values) for name, values in pictures.items()}
    seen = {name: maps for name, maps in margins.items() if name != "history" or len(past)}
    return Inspection(
        columns={"synthetic": given} | {name: pictures[name] for name in ("refined", "back") if name in pictures},
        probabilities=[np.asarray(realism(maps).probability) for maps in margins["refined"]],
        margins={
            f"discriminator/logits_{name}": np.concatenate([np.ravel(np.asarray(values)) for values in maps])
            for name, maps in seen.items()
        },
        numbers={
            # The refiner of one step can swing while its average stands still: only both together tell.
            f"refiner/change_{name}": float(np.mean(np.abs(pictures[which] - given)) * GRAY_LEVELS)
            for name, which in (("current", "current"), ("average", "refined"))
        },
    )


def margins_of(discriminator: keras.Model, **faces) -> dict[str, list]:
    """The margin maps of sets of faces by their name, a list with a map a patch size."""
    return {name: [margin(maps) for maps in judge(discriminator, pictures)] for name, pictures in faces.items()}


def gray_levels(refined, synthetic):
    """Mean absolute change of a pixel and channel, in gray levels of 0..255; pictures in [-1, 1]."""
    return ops.mean(ops.abs(refined - synthetic)) * GRAY_LEVELS


def diversity(refined, synthetic):
    """How much the faces of a batch differ from one another, the standard deviation over them averaged over the places,
    as a share of what the rendered ones do."""
    return _spread(refined) / (_spread(synthetic) + 1e-6)


def _spread(pictures):
    return ops.mean(ops.std(pictures, axis=0))
