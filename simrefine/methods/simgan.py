"""Algorithm 1 of SimGAN (arXiv 1612.07828): which loss moves which weights, in which order.

The refiner learns from the realism loss and the self-regularisation, the discriminator from refined faces, half of them
from the history, against photographs. Two label keepers can be switched on beside the self-regularisation.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from keras import ops

from simrefine import backend
from simrefine.config import Config
from simrefine.data.batches import Batch, Sampler
from simrefine.data.looks import head_held, without_lips
from simrefine.data.points import hold_map, mirror_order, mirror_points
from simrefine.data.scenes import far_from_head
from simrefine.methods import logged
from simrefine.methods.logged import Logged
from simrefine.methods.method import Frozen, Inputs, Inspection, Published, publish_refiner
from simrefine.methods.shared import diversity, gray_levels, look, margins_of, tell_apart
from simrefine.methods.state import put_state, take_state, variables_by_name
from simrefine.models.augmentation import augment, draw_augmentation
from simrefine.models.average import follow
from simrefine.models.history import HistoryBuffer, Places, draw_places
from simrefine.models.keepers import Disturbance, cycle_loss, draw_disturbance, landmark_loss
from simrefine.models.losses import patch_loss, realism_loss, self_regularisation
from simrefine.models.networks import build_discriminator, build_refiner, judge
from simrefine.models.optimisers import build_optimiser, set_learning_rates
from simrefine.randomness import generator


class RefinerBatch(NamedTuple):
    """What one update of the refiner consumes."""

    synthetic: np.ndarray  # [n, h, w, c] in [-1, 1], dressed
    hold: np.ndarray  # [n, h or 1, w or 1, 1]: how much each place is regularised, in [0, 1]
    draws: np.ndarray  # [n, DRAWS], see `draw_augmentation`
    points: np.ndarray | None  # [n, k, 2] in shares of the side, for the landmark keeper
    disturbance: Disturbance | None  # for the cycle keeper
    areas: Mapping[str, np.ndarray] = {}  # [n, h, w, 1] each, see `models.losses.self_regularisation`


class DiscriminatorBatch(NamedTuple):
    """What one update of the discriminator consumes."""

    synthetic: np.ndarray  # [n or n / 2, h, w, c], dressed
    real: np.ndarray  # [n, h, w, c]
    draws: np.ndarray  # [2 n, DRAWS]: for refined, history, real
    places: Places  # of the history


class StepBatch(NamedTuple):
    refiner: list[RefinerBatch]  # K_g of them
    discriminator: list[DiscriminatorBatch]  # K_d of them


class SimGAN:
    """The two players and what they share; see `methods.method.Method` for what each public function promises."""

    logged: tuple[Logged, ...] = (
        *logged.OF_THE_REFINER,
        Logged(
            "refiner/self_regularisation",
            "what holds the refiner back, with its lambdas",
            "not reaching 0",
            label="R self-reg",
            chart="Self-regularisation",
            unit="loss of the refiner",
            legend="self-regularisation",
        ),
        Logged(
            "keeper/cycle",
            "with `keeper.cycle`: L1 by which the inverse refiner misses the render, in units of [-1, 1]",
            "falling, then flat",
            label="cycle",
            chart="Label keepers",
            unit="without their weights",
            legend="cycle",
        ),
        Logged(
            "keeper/landmarks",
            "with `keeper.landmarks`: how far the landmark network is off in refined faces, shares of the side",
            "not rising above what it is in the first steps",
            label="landmarks",
            format=".4f",
            chart="Label keepers",
            unit="without their weights",
            legend="landmarks",
        ),
        *logged.OF_THE_PLAY,
    )

    def __init__(self, config: Config, inputs: Inputs, dtype: str, frozen: Frozen = Frozen()):  # noqa: B008 immutable
        seed, channels, size = config.training.seed, config.data.channels, config.data.size
        n, flip, half = config.training.batch_size, config.data.flip, config.training.batch_size // 2
        self.config, self.inputs, self.frozen = config, inputs, frozen
        self.refiner = build_refiner(config.refiner, channels, dtype, seed)
        self.average = build_refiner(config.refiner, channels, dtype, seed)
        self.inverse = build_refiner(config.refiner, channels, dtype, seed + 2) if config.keeper.cycle else None
        self.discriminator = build_discriminator(
            config.discriminator.name, channels, dtype, seed + 1, config.refiner.borders
        )
        self.history = HistoryBuffer(config.history.half_batches * half, (size, size, channels))
        inverse = self.inverse.trainable_variables if self.inverse else []
        self._refiner_moves = [*self.refiner.trainable_variables, *inverse]
        self.refiner_optimiser = build_optimiser(config.refiner_optimizer, self._refiner_moves)
        self.discriminator_optimiser = build_optimiser(
            config.discriminator_optimizer, self.discriminator.trainable_variables
        )
        # Half of D's refined faces come from the history where there is one.
        refined = half if self.history.capacity else n
        self._for_refiner = Sampler(inputs.synthetic, n, seed, "refiner synthetic", flip)
        self._for_discriminator = Sampler(inputs.synthetic, refined, seed, "discriminator synthetic", flip)
        self._real = Sampler(inputs.real, n, seed, "discriminator real", flip)
        self._realism = realism_loss(config.loss.realism)
        variables = [*self._variables().values(), *(frozen.extractor.variables if frozen.extractor else ())]
        variables.append(self.history.faces)
        self._update_refiner = backend.compile_step(self.update_refiner, variables)
        self._pretrain_refiner = backend.compile_step(self.pretrain_refiner, variables)
        self._update_discriminator = backend.compile_step(self.update_discriminator, variables)
        self._inspect = backend.compile_step(self._inspect_arrays, variables)
        self._refine = backend.compile_inference(lambda pictures: self.average(pictures, training=False))

    # Batches, on the host

    def batch(self, step: int) -> StepBatch:
        options, config = self.config.training, self.config
        k_g, k_d, n = options.refiner_updates, options.discriminator_updates, options.batch_size
        rng, style_rng = (generator(options.seed, step, purpose) for purpose in ("augmentation", "style"))
        keeper_rng, history_rng = (generator(options.seed, step, purpose) for purpose in ("keeper", "history"))
        updates = max(0, step - options.pretrain_refiner) * k_d  # of the discriminator, before this step

        dresser = self.inputs.dresser

        def for_refiner(batch: Batch) -> RefinerBatch:
            (synthetic, parts), points = dresser.dress(batch, style_rng), self._points(batch)
            return RefinerBatch(
                synthetic=synthetic,
                hold=self._hold(points, n),
                draws=draw_augmentation(n, rng),
                points=(points / config.data.size).astype(np.float32) if config.keeper.landmarks else None,
                disturbance=draw_disturbance(synthetic.shape, keeper_rng) if config.keeper.cycle else None,
                areas=self._areas(parts),
            )

        return StepBatch(
            refiner=[for_refiner(self._for_refiner.batch(step * k_g + k)) for k in range(k_g)],
            discriminator=[
                DiscriminatorBatch(
                    synthetic=dresser.dress(self._for_discriminator.batch(step * k_d + k), style_rng).pictures,
                    real=self._real.batch(step * k_d + k).pictures,
                    draws=draw_augmentation(2 * n, rng),
                    places=draw_places(updates + k, n // 2, self.history.capacity, history_rng),
                )
                for k in range(k_d)
            ],
        )

    def _points(self, batch: Batch) -> np.ndarray | None:
        """The label points of a batch's pictures as they are, mirrored or not: [n, k, 2] px."""
        if self.inputs.points is None:
            return None
        points, size = self.inputs.points[batch.places], self.config.data.size
        if mirror_order(points.shape[1]) is None:  # then they are places only, which is enough for `_hold`
            mirrored = np.stack([size - points[..., 0], points[..., 1]], -1)
        else:
            mirrored = mirror_points(points, size)
        return np.where(batch.mirrored[:, None, None], mirrored, points)

    def _hold(self, points: np.ndarray | None, n: int) -> np.ndarray:
        """1 at the label points, falling to `labels.elsewhere`; 1 everywhere without points."""
        hold, options = np.ones((n, 1, 1, 1), np.float32), self.config.labels
        if points is not None:
            near = hold_map(points, self.config.data.size, options.reach)
            hold = options.elsewhere + (1.0 - options.elsewhere) * near
        return hold

    def _areas(self, parts: np.ndarray | None) -> dict[str, np.ndarray]:
        """See `models.losses.self_regularisation`. In the seam of a head in a room the light is free: it is to heal."""
        if parts is None:
            return {}
        areas = {"head": head_held(parts), "colours": without_lips(parts)}
        return areas | ({"room": far_from_head(parts)} if self.inputs.dresser.has_scenes else {})

    # Algorithm 1

    def step(self, batch: StepBatch, step: int) -> dict:
        """One pass of the outer loop, after both pretrainings; the numbers of the last update of each kind."""
        options = self.config.training
        set_learning_rates(self.config, step, self.refiner_optimiser, self.discriminator_optimiser)
        numbers = {}
        if step < options.pretrain_refiner:
            for refiner_batch in batch.refiner:
                numbers |= self._pretrain_refiner(refiner_batch, np.float32(step))
            return numbers
        if step >= options.pretrain_refiner + options.pretrain_discriminator:
            for refiner_batch in batch.refiner:
                numbers |= self._update_refiner(refiner_batch, np.float32(step))
        for discriminator_batch in batch.discriminator:
            self._open_history(discriminator_batch.synthetic)
            refined, discriminator_numbers = self._update_discriminator(discriminator_batch)
            numbers |= discriminator_numbers
            if self.history.capacity:
                self.history.push(refined, discriminator_batch.places.replaced)
        return numbers | ({"history/fill": self.history.fill} if self.history.capacity else {})

    def _open_history(self, synthetic) -> None:
        """Before the first push there is no past. The paper's schedule has D see refined faces only, so the buffer
        opens with what the refiner makes now."""
        if self.history.count < min(len(synthetic), self.history.capacity):
            self.history.push(self.refiner(synthetic, training=False), np.arange(len(synthetic), dtype=np.int32))

    def update_refiner(self, batch: RefinerBatch, step):
        """L_R = L_real + sum of lambda * L_reg, and the keepers, move the refiner only (eq. 2 and 4); then the average
        follows."""

        def loss():
            refined = self.refiner(batch.synthetic, training=True)
            logits = judge(self.discriminator, augment(refined, batch.draws, self.config.augmentation), training=True)
            realism = patch_loss(self._realism, logits, says_refined=False)
            regularisation = self._regularise(refined, batch)
            total, numbers = realism + regularisation, self._keep(refined, batch)
            for name, value in numbers.items():
                total = total + getattr(self.config.keeper, name.removeprefix("keeper/")) * value
            return total, numbers | {
                "refiner/loss": total,
                "refiner/realism": realism,
                "refiner/self_regularisation": regularisation,
                "refiner/change": gray_levels(refined, batch.synthetic),
                "refiner/diversity": diversity(refined, batch.synthetic),
            }

        numbers = backend.minimise(loss, self._refiner_moves, self.refiner_optimiser)
        follow(self.average, self.refiner, self.config.training.ema_decay, step)
        return numbers

    def pretrain_refiner(self, batch: RefinerBatch, step):
        """The paper's pretraining: L_reg alone moves the refiner."""

        def loss():
            refined = self.refiner(batch.synthetic, training=True)
            regularisation = self._regularise(refined, batch)
            return regularisation, {
                "refiner/self_regularisation": regularisation,
                "refiner/change": gray_levels(refined, batch.synthetic),
            }

        moves = self.refiner.trainable_variables
        numbers = backend.minimise(loss, moves, self.refiner_optimiser)
        follow(self.average, self.refiner, self.config.training.ema_decay, step)
        return numbers

    def _regularise(self, refined, batch: RefinerBatch):
        """L_reg: as much as `hold` says of it, all of it where labels are and less elsewhere."""
        lambdas = vars(self.config.self_regularisation)
        return self_regularisation(lambdas, refined, batch.synthetic, batch.hold, self.frozen.extractor, batch.areas)

    def _keep(self, refined, batch: RefinerBatch) -> dict:
        """The losses of the label keepers that are switched on, without their weights."""
        numbers = {}
        if self.inverse:
            numbers["keeper/cycle"] = cycle_loss(self.inverse, refined, batch.synthetic, batch.disturbance)
        if self.frozen.landmarks:
            numbers["keeper/landmarks"] = landmark_loss(self.frozen.landmarks, refined, batch.points)
        return numbers

    def update_discriminator(self, batch: DiscriminatorBatch):
        """L_D (eq. 1): refined faces, half current and half past, are 1, real faces 0; moves the discriminator only.
        Returns the current refined faces and the numbers."""
        refined = ops.stop_gradient(self.refiner(batch.synthetic, training=False))
        past = self.history.sample(batch.places.past)
        pictures = ops.concatenate([refined, past, batch.real])
        pictures = augment(pictures, batch.draws, self.config.augmentation)

        def loss():
            return tell_apart(self._realism, self.discriminator, pictures, refined.shape[0], past.shape[0])

        numbers = backend.minimise(loss, self.discriminator.trainable_variables, self.discriminator_optimiser)
        return refined, numbers

    # What the loop, the monitor and the checkpoints ask for

    def refine(self, pictures: np.ndarray) -> np.ndarray:
        return self._refine(self.dress(pictures))

    def dress(self, pictures: np.ndarray) -> np.ndarray:
        return self.inputs.dresser.dress_alone(pictures, seed=0).pictures

    def inspect(self, synthetic: np.ndarray, real: np.ndarray) -> Inspection:
        return look(self._inspect, self.dress(synthetic), real, self.history, self._realism)

    def _inspect_arrays(self, given, real, past):
        pictures = {"current": self.refiner(given, training=False), "refined": self.average(given, training=False)}
        if self.inverse:
            pictures["back"] = self.inverse(pictures["refined"], training=False)
        return pictures, margins_of(self.discriminator, refined=pictures["refined"], real=real, history=past)

    def _variables(self) -> dict:
        owners = {
            "refiner": self.refiner,
            "average": self.average,
            "discriminator": self.discriminator,
            "refiner_optimizer": self.refiner_optimiser,
            "discriminator_optimizer": self.discriminator_optimiser,
            "inverse": self.inverse,
            "landmarks": self.frozen.landmarks,
            "parser": self.frozen.parser,
        }
        return variables_by_name({name: owner for name, owner in owners.items() if owner})

    def state(self) -> dict[str, np.ndarray]:
        return take_state(self._variables(), {"history": self.history})

    def restore(self, arrays: Mapping[str, np.ndarray], source: Path) -> None:
        put_state(arrays, self._variables(), {"history": self.history}, source)

    def publish(self) -> Published:
        return publish_refiner(self.config, self.average, self.inputs.dresser, self.frozen.parser)
