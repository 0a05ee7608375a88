"""CycleGAN (Zhu et al. 2017, arXiv 1703.10593): two refiners, render to photograph and back, two discriminators.

What holds the faces is not the render but the way back: lambda_cycle (|B(R(x)) - x| + |R(B(y)) - y|), and a refiner
leaves alone what is already of its kind: lambda_identity (|R(y) - y| + |B(x) - x|). Networks, styles, the
discriminators' augmentation, the moving averages and the histories are those of SimGAN, on both sides.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.config import Config
from simrefine.data.batches import Sampler
from simrefine.methods import logged
from simrefine.methods.logged import Logged
from simrefine.methods.method import Frozen, Inputs, Inspection, Published, publish_refiner
from simrefine.methods.shared import diversity, gray_levels, look, margins_of, tell_apart
from simrefine.methods.state import put_state, take_state, variables_by_name
from simrefine.models.augmentation import augment, draw_augmentation
from simrefine.models.average import follow
from simrefine.models.history import HistoryBuffer, Places, draw_places
from simrefine.models.kinks import magnitude
from simrefine.models.losses import patch_loss, realism_loss
from simrefine.models.networks import build_discriminator, build_refiner, judge
from simrefine.models.optimisers import build_optimiser, set_learning_rates
from simrefine.randomness import generator


class StepBatch(NamedTuple):
    """What one step consumes: pictures float32 [n, h, w, c] in [-1, 1], draws as `draw_augmentation` makes them."""

    synthetic: np.ndarray  # in the colours they were given
    real: np.ndarray
    draws_for_refiners: tuple[np.ndarray, np.ndarray]  # [n, DRAWS]: of refined faces, of rendered photographs
    draws_for_discriminators: tuple[np.ndarray, np.ndarray]  # [2 n, DRAWS]: of the photographs' side, of the renders'
    places: tuple[Places, Places]  # of the histories, likewise


class CycleGAN:
    """Two directions, `refiner` and `inverse`; see `methods.method.Method` for what each public function promises."""

    logged: tuple[Logged, ...] = (
        *logged.OF_THE_REFINER,
        Logged(
            "inverse/realism",
            "with cyclegan: the loss by which photographs made into renders fail to pass for renders",
            "not reaching 0",
            chart="Realism",
            unit="loss of the refiner",
            legend="the way back",
        ),
        Logged(
            "refiner/cycle",
            "with cyclegan: L1 between a face and what comes back of it, both ways added, in units of [-1, 1]",
            "falling, then flat",
            label="cycle",
            chart="Cycle and identity",
            unit="L1, without lambda",
            legend="cycle",
        ),
        Logged(
            "refiner/identity",
            "with cyclegan: L1 by which each refiner changes what is already of its kind, both added",
            "falling, then flat",
            label="identity",
            chart="Cycle and identity",
            unit="L1, without lambda",
            legend="identity",
        ),
        *logged.OF_THE_PLAY,
    )

    def __init__(self, config: Config, inputs: Inputs, dtype: str, frozen: Frozen = Frozen()):  # noqa: B008 immutable
        seed, channels, size = config.training.seed, config.data.channels, config.data.size
        n, flip, half = config.training.batch_size, config.data.flip, config.training.batch_size // 2
        self.config, self.inputs, self.frozen = config, inputs, frozen
        self.refiner, self.average = (build_refiner(config.refiner, channels, dtype, seed) for _ in range(2))
        self.inverse, self.inverse_average = (
            build_refiner(config.refiner, channels, dtype, seed + 2) for _ in range(2)
        )
        self.for_photographs, self.for_renders = (
            build_discriminator(config.discriminator.name, channels, dtype, seed + offset, config.refiner.borders)
            for offset in (1, 3)
        )
        self.histories = {
            name: HistoryBuffer(config.history.half_batches * half, (size, size, channels))
            for name in ("photographs", "renders")
        }
        self._refiners_move = [*self.refiner.trainable_variables, *self.inverse.trainable_variables]
        self._discriminators_move = [*self.for_photographs.trainable_variables, *self.for_renders.trainable_variables]
        self.refiner_optimiser = build_optimiser(config.refiner_optimizer, self._refiners_move)
        self.discriminator_optimiser = build_optimiser(config.discriminator_optimizer, self._discriminators_move)
        self._synthetic = Sampler(inputs.synthetic, n, seed, "refiner synthetic", flip)
        self._real = Sampler(inputs.real, n, seed, "discriminator real", flip)
        self._realism = realism_loss(config.loss.realism)
        variables = [*self._variables().values(), *(history.faces for history in self.histories.values())]
        self._update_refiners = backend.compile_step(self.update_refiners, variables)
        self._update_discriminators = backend.compile_step(self.update_discriminators, variables)
        self._inspect = backend.compile_step(self._inspect_arrays, variables)
        self._refine = backend.compile_inference(lambda pictures: self.average(pictures, training=False))

    def batch(self, step: int) -> StepBatch:
        options = self.config.training
        rng, style_rng, history_rng = (
            generator(options.seed, step, purpose) for purpose in ("augmentation", "style", "history")
        )
        n = options.batch_size
        return StepBatch(
            synthetic=self.inputs.dresser.dress(self._synthetic.batch(step), style_rng).pictures,
            real=self._real.batch(step).pictures,
            draws_for_refiners=(draw_augmentation(n, rng), draw_augmentation(n, rng)),
            draws_for_discriminators=(draw_augmentation(2 * n, rng), draw_augmentation(2 * n, rng)),
            places=tuple(
                draw_places(step, n // 2, history.capacity, history_rng) for history in self.histories.values()
            ),
        )

    def step(self, batch: StepBatch, step: int) -> dict:
        """Both refiners, then both discriminators, which see half of the faces just made and half past ones."""
        set_learning_rates(self.config, step, self.refiner_optimiser, self.discriminator_optimiser)
        made, numbers = self._update_refiners(batch.synthetic, batch.real, batch.draws_for_refiners, np.float32(step))
        histories = self.histories.values()
        for history, faces in zip(histories, made, strict=True):
            self._open(history, faces)
        shown, more = self._update_discriminators(
            made, (batch.real, batch.synthetic), batch.draws_for_discriminators, batch.places
        )
        history = self.histories["photographs"]
        if not history.capacity:
            return numbers | more
        for each, faces, places in zip(histories, shown, batch.places, strict=True):
            each.push(faces, places.replaced)
        return numbers | more | {"history/fill": history.fill}

    def _open(self, history: HistoryBuffer, made) -> None:
        """Before the first push there is no past: the history opens with the half of the faces just made that no
        discriminator sees as current ones."""
        rest = made[len(made) // 2 :]
        if history.count < min(len(rest), history.capacity):
            history.push(rest, np.arange(len(rest), dtype=np.int32))

    def update_refiners(self, synthetic, real, draws, step):
        """Adversarial, cycle and identity loss (eq. 3 and section 5.2) move both refiners only; then the averages
        follow. Returns what was made, as photographs and as renders, and the numbers."""
        options, augmentation = self.config.cyclegan, self.config.augmentation

        def loss():
            refined, rendered = self.refiner(synthetic, training=True), self.inverse(real, training=True)
            judged = judge(self.for_photographs, augment(refined, draws[0], augmentation), training=True)
            realism = patch_loss(self._realism, judged, says_refined=False)
            judged = judge(self.for_renders, augment(rendered, draws[1], augmentation), training=True)
            inverse_realism = patch_loss(self._realism, judged, says_refined=False)
            cycle = _l1(self.inverse(refined, training=True), synthetic)
            cycle += _l1(self.refiner(rendered, training=True), real)
            total = realism + inverse_realism + options.cycle * cycle
            numbers = {"refiner/realism": realism, "inverse/realism": inverse_realism, "refiner/cycle": cycle}
            if options.identity:
                identity = _l1(self.refiner(real, training=True), real)
                identity += _l1(self.inverse(synthetic, training=True), synthetic)
                total += options.identity * identity
                numbers["refiner/identity"] = identity
            numbers |= {
                "refiner/loss": total,
                "refiner/change": gray_levels(refined, synthetic),
                "refiner/diversity": diversity(refined, synthetic),
            }
            return total, ((refined, rendered), numbers)

        made = backend.minimise(loss, self._refiners_move, self.refiner_optimiser)
        follow(self.average, self.refiner, self.config.training.ema_decay, step)
        follow(self.inverse_average, self.inverse, self.config.training.ema_decay, step)
        return made

    def update_discriminators(self, made, reals, draws, places):
        """Each side's made faces, the first half of them or without a history all, and past ones against its real ones;
        moves the discriminators only. Returns the made faces that were seen, and the numbers of the photographs' side.
        """
        histories = self.histories.values()
        shown = [faces[: place.past.shape[0] or None] for faces, place in zip(made, places, strict=True)]
        pasts = [history.sample(place.past) for history, place in zip(histories, places, strict=True)]
        on_photographs, on_renders = (
            augment(ops.concatenate([current, past, real]), side_draws, self.config.augmentation)
            for current, past, real, side_draws in zip(shown, pasts, reals, draws, strict=True)
        )
        counts = shown[0].shape[0], pasts[0].shape[0]

        def loss():
            total, numbers = tell_apart(self._realism, self.for_photographs, on_photographs, *counts)
            return total + tell_apart(self._realism, self.for_renders, on_renders, *counts)[0], numbers

        return shown, backend.minimise(loss, self._discriminators_move, self.discriminator_optimiser)

    # What the loop, the monitor and the checkpoints ask for

    def refine(self, pictures: np.ndarray) -> np.ndarray:
        return self._refine(self.dress(pictures))

    def dress(self, pictures: np.ndarray) -> np.ndarray:
        return self.inputs.dresser.dress_alone(pictures, seed=0).pictures

    def inspect(self, synthetic: np.ndarray, real: np.ndarray) -> Inspection:
        return look(self._inspect, self.dress(synthetic), real, self.histories["photographs"], self._realism)

    def _inspect_arrays(self, given, real, past):
        refined = self.average(given, training=False)
        pictures = {
            "current": self.refiner(given, training=False),
            "refined": refined,
            "back": self.inverse_average(refined, training=False),
        }
        return pictures, margins_of(self.for_photographs, refined=refined, real=real, history=past)

    def _variables(self) -> dict[str, keras.Variable]:
        parser = {"parser": self.frozen.parser} if self.frozen.parser else {}
        return variables_by_name(
            {
                "refiner": self.refiner,
                "average": self.average,
                "inverse": self.inverse,
                "inverse_average": self.inverse_average,
                "for_photographs": self.for_photographs,
                "for_renders": self.for_renders,
                "refiner_optimizer": self.refiner_optimiser,
                "discriminator_optimizer": self.discriminator_optimiser,
            }
            | parser
        )

    def state(self) -> dict[str, np.ndarray]:
        return take_state(self._variables(), self.histories)

    def restore(self, arrays: Mapping[str, np.ndarray], source: Path) -> None:
        put_state(arrays, self._variables(), self.histories, source)

    def publish(self) -> Published:
        return publish_refiner(self.config, self.average, self.inputs.dresser, self.frozen.parser)


def _l1(pictures, others):
    return ops.mean(magnitude(pictures - others))
