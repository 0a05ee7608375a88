"""Algorithm 1 of SimGAN (arXiv 1612.07828): which loss moves which weights, in which order.

In go the batches of one step; the refiner, its moving average, the discriminator and the history move; out come
the numbers to log. Nothing here opens a file or knows a clock.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from simrefine.config import Config, OptimizerOptions
from simrefine.data.images import GRAY_LEVELS, to_signed, to_uint8
from simrefine.models.augmentation import augment
from simrefine.models.history import HistoryBuffer
from simrefine.models.losses import (
    REALISM,
    SELF_REGULARISATION,
    margin,
    patch_accuracy,
    patch_loss,
    self_regularisation,
)
from simrefine.models.networks import build_discriminator, build_refiner, judge


class StepBatch(NamedTuple):
    """All that one step consumes; pictures float32 in [-1, 1], draws as `draw_augmentation` makes them."""

    synthetic_for_refiner: list[np.ndarray]  # K_g times [n, h, w, c]
    hold_for_refiner: list[np.ndarray]  # K_g times [n, h or 1, w or 1, 1]: the share of the change that is regularised
    draws_for_refiner: list[np.ndarray]  # K_g times [n, DRAWS]
    synthetic_for_discriminator: list[np.ndarray]  # K_d times [n or n / 2, h, w, c]
    real: list[np.ndarray]  # K_d times [n, h, w, c]
    draws_for_discriminator: list[np.ndarray]  # K_d times [2 n, DRAWS]: refined, history, real
    history_rng: np.random.Generator


class Inspection(NamedTuple):
    """What the networks make of a fixed set of faces, for pictures and histograms."""

    current: np.ndarray  # [n, h, w, c], by the refiner as it stands
    average: np.ndarray  # [n, h, w, c], by its moving average
    probabilities: list[np.ndarray]  # P(refined) of the averaged refiner's faces, a map [n, h', w'] a patch size
    margins: dict[str, np.ndarray]  # "real", "refined", "history" -> margins of all patches, flat


class SimGAN:
    """The two players and what they share.

    Args:
        config: the run's configuration.
        dtype: "float32" or "mixed_bfloat16", the layers' compute precision.
        minimise: minimise(loss_and_aux, variables, optimizer) -> aux, a backend's gradient step.
        compile_step: turns a method into a compiled function of arrays.
        features: the feature-map term, needed where `self_regularisation.features` is not 0.
    """

    def __init__(
        self,
        config: Config,
        dtype: str,
        minimise: Callable,
        compile_step: Callable,
        features: Callable | None = None,
    ):
        seed, channels, size = config.training.seed, config.data.channels, config.data.size
        self.config = config
        self.refiner = build_refiner(config.refiner, channels, dtype, seed)
        self.average = build_refiner(config.refiner, channels, dtype, seed)
        self.discriminator = build_discriminator(config.discriminator.name, channels, dtype, seed + 1)
        # Both are built before anything is traced: an optimiser that makes its variables inside a trace loses them.
        self.refiner_optimizer = _build_optimizer(config.refiner_optimizer, self.refiner.trainable_variables)
        self.discriminator_optimizer = _build_optimizer(
            config.discriminator_optimizer, self.discriminator.trainable_variables
        )
        half = config.training.batch_size // 2
        self.history = HistoryBuffer(config.history.half_batches * half, (size, size, channels))
        self._terms = SELF_REGULARISATION | ({"features": features} if features else {})
        self._lambdas = vars(config.self_regularisation)
        self._penalty, self._probability = REALISM[config.loss.realism]
        self._minimise = minimise
        everything = list(self.variables().values())
        self._update_refiner = compile_step(self.update_refiner, everything)
        self._pretrain_refiner = compile_step(self.pretrain_refiner, everything)
        self._update_discriminator = compile_step(self.update_discriminator, everything)
        self._inspect = compile_step(self.inspect_arrays, everything)

    def set_learning_rates(self, step: int) -> None:
        """Those of step `step`: the full ones at first, then falling linearly to zero after the last step.

        Full rates keep R and D chasing each other through tints to the end; falling ones let them settle.
        """
        options = self.config.training
        falling = options.learning_rate_decay * options.all_steps
        share = min(1.0, (options.all_steps - step) / falling) if falling else 1.0
        self.refiner_optimizer.learning_rate = share * self.config.refiner_optimizer.learning_rate
        self.discriminator_optimizer.learning_rate = share * self.config.discriminator_optimizer.learning_rate

    def step(self, batch: StepBatch, step: int) -> dict[str, float]:
        """One pass of Algorithm 1's outer loop; returns the numbers of the last update of each kind."""
        numbers = {}
        for synthetic, hold, draws in zip(
            batch.synthetic_for_refiner, batch.hold_for_refiner, batch.draws_for_refiner, strict=True
        ):
            numbers |= self._update_refiner(synthetic, hold, draws, np.float32(step))
        return _floats(numbers) | self.step_discriminator(batch)

    def step_discriminator(self, batch: StepBatch) -> dict[str, float]:
        """The K_d discriminator updates of a step, with the history; alone, it is the discriminator's pretraining."""
        numbers = {}
        for synthetic, real, draws in zip(
            batch.synthetic_for_discriminator, batch.real, batch.draws_for_discriminator, strict=True
        ):
            past = self._past(len(synthetic), batch.history_rng, synthetic)
            refined, numbers = self._update_discriminator(synthetic, past, real, draws)
            if len(self.history.faces):
                self.history.push(to_uint8(np.asarray(refined)), batch.history_rng)
        return _floats(numbers) | {"history/fill": self.history.fill if len(self.history.faces) else 0.0}

    def step_pretraining(self, batch: StepBatch, step: int) -> dict[str, float]:
        """The paper's pretraining of the refiner: self-regularisation alone."""
        numbers = {}
        for synthetic, hold in zip(batch.synthetic_for_refiner, batch.hold_for_refiner, strict=True):
            numbers |= self._pretrain_refiner(synthetic, hold, np.float32(step))
        return _floats(numbers)

    def _past(self, n: int, rng: np.random.Generator, synthetic: np.ndarray) -> np.ndarray:
        """Float32 [n, h, w, c] from the history; [0, h, w, c] where there is none."""
        if not len(self.history.faces):
            return synthetic[:0]
        if self.history.count < n:
            # Before the first push there is no past. The paper's schedule has D see refined faces only, so the
            # buffer opens with what the refiner makes now.
            first = np.asarray(ops.convert_to_numpy(self.refiner(synthetic, training=False)))
            self.history.push(to_uint8(first), rng)
        return to_signed(self.history.sample(n, rng))

    def update_refiner(self, synthetic, hold, draws, step):
        """L_R = L_real + sum of lambda * L_reg moves the refiner only (eq. 2 and 4), then the average follows."""

        def loss():
            refined = self.refiner(synthetic, training=True)
            logits = judge(self.discriminator, augment(refined, draws, self.config.augmentation), training=True)
            realism = patch_loss(self._penalty, logits, says_refined=False)
            regularisation = self._regularise(refined, synthetic, hold)
            total = realism + regularisation
            return total, {
                "refiner/loss": total,
                "refiner/realism": realism,
                "refiner/self_regularisation": regularisation,
                "refiner/change": _gray_levels(refined, synthetic),
                "refiner/diversity": _spread(refined) / (_spread(synthetic) + 1e-6),
            }

        numbers = self._minimise(loss, self.refiner.trainable_variables, self.refiner_optimizer)
        self._follow(step)
        return numbers

    def pretrain_refiner(self, synthetic, hold, step):
        """L_reg alone moves the refiner."""

        def loss():
            refined = self.refiner(synthetic, training=True)
            regularisation = self._regularise(refined, synthetic, hold)
            return regularisation, {
                "refiner/self_regularisation": regularisation,
                "refiner/change": _gray_levels(refined, synthetic),
            }

        numbers = self._minimise(loss, self.refiner.trainable_variables, self.refiner_optimizer)
        self._follow(step)
        return numbers

    def update_discriminator(self, synthetic, past, real, draws):
        """L_D (eq. 1): refined faces, half current and half past, are 1, real faces 0; moves the discriminator only."""
        refined = ops.stop_gradient(self.refiner(synthetic, training=False))
        n_refined, n_past = synthetic.shape[0], past.shape[0]
        pictures = ops.concatenate([refined, past, real])
        pictures = augment(pictures, draws, self.config.augmentation)

        def loss():
            logits = judge(self.discriminator, pictures, training=True)
            on_fakes = [each[: n_refined + n_past] for each in logits]
            on_real = [each[n_refined + n_past :] for each in logits]
            total = (
                patch_loss(self._penalty, on_fakes, says_refined=True)
                + patch_loss(self._penalty, on_real, says_refined=False)
            ) / 2.0
            numbers = {
                "discriminator/loss": total,
                "discriminator/accuracy_real": patch_accuracy(on_real, is_refined=False),
                "discriminator/accuracy_refined": patch_accuracy([each[:n_refined] for each in on_fakes], True),
            }
            if n_past:
                numbers["discriminator/accuracy_history"] = patch_accuracy([e[n_refined:] for e in on_fakes], True)
            return total, numbers

        numbers = self._minimise(loss, self.discriminator.trainable_variables, self.discriminator_optimizer)
        return refined, numbers

    def inspect(self, synthetic: np.ndarray, real: np.ndarray) -> Inspection:
        """Both refiners and the discriminator on fixed faces, float32 [n, h, w, c] in [-1, 1]; nothing moves."""
        past = to_signed(self.history.faces[: min(self.history.count, len(real))])
        current, average, on_refined, on_real, on_past = self._inspect(synthetic, real, past if len(past) else real)
        margins = {"refined": on_refined, "real": on_real} | ({"history": on_past} if len(past) else {})
        return Inspection(
            current=np.asarray(current),
            average=np.asarray(average),
            probabilities=[np.asarray(self._probability(each)) for each in on_refined],
            margins={k: np.concatenate([np.ravel(np.asarray(each)) for each in maps]) for k, maps in margins.items()},
        )

    def inspect_arrays(self, synthetic, real, past):
        """The compiled part of `inspect`."""
        current = self.refiner(synthetic, training=False)
        average = self.average(synthetic, training=False)
        judged = [[margin(logits) for logits in judge(self.discriminator, each)] for each in (average, real, past)]
        return current, average, *judged

    def variables(self) -> dict[str, keras.Variable]:
        """Every variable that training moves, under a name that is the same in every process: Keras's own names
        count the layers made so far in it."""
        owners = {
            "refiner": self.refiner,
            "average": self.average,
            "discriminator": self.discriminator,
            "refiner_optimizer": self.refiner_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
        }
        return {
            f"{owner}/{index:03d}": variable
            for owner, holder in owners.items()
            for index, variable in enumerate(holder.variables)
        }

    def _regularise(self, refined, synthetic, hold):
        """L_reg, of the share of the change that `hold` says: all of it where labels are, less elsewhere."""
        held = synthetic + hold * (refined - synthetic)
        return self_regularisation(self._terms, self._lambdas, held, synthetic)

    def _follow(self, step) -> None:
        """Moves the average towards the refiner; a shorter memory at first, or it would remember the start."""
        decay = ops.minimum(self.config.training.ema_decay, (step + 1.0) / (step + 10.0))
        for slow, fast in zip(self.average.variables, self.refiner.variables, strict=True):
            slow.assign(decay * slow + (1.0 - decay) * fast)


def _build_optimizer(options: OptimizerOptions, variables: list) -> keras.optimizers.Optimizer:
    if options.name == "sgd":
        optimizer = keras.optimizers.SGD(options.learning_rate)
    else:
        optimizer = keras.optimizers.Adam(options.learning_rate, beta_1=options.beta_1)
    optimizer.build(variables)
    return optimizer


def _gray_levels(refined, synthetic):
    """Mean absolute change of a pixel and channel, in gray levels of 0..255."""
    return ops.mean(ops.abs(refined - synthetic)) * GRAY_LEVELS


def _spread(pictures):
    """How much the faces of a batch differ from one another: the standard deviation over them, averaged."""
    return ops.mean(ops.std(pictures, axis=0))


def _floats(numbers: dict) -> dict[str, float]:
    return {name: float(value) for name, value in numbers.items()}
