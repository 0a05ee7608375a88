"""A CycleGAN of the same networks, data and minutes, as a baseline for simrefine's refiner.

    python experiments/cyclegan.py RUN --synthetic DIR --real DIR --minutes 25

Two of simrefine's refiners, render to photograph and back, against two of its discriminators: least squares, cycle L1
with lambda 10, identity L1 with half of it (Zhu et al. 2017, arXiv 1703.10593, section 3 and appendix). Batch size, learning
rates and their fall over the second half, history and moving average of the weights are the defaults of `simrefine
train`; styles, labels and augmentation, which CycleGAN does not have, are left out. The averaged render-to-photograph
network is published in RUN/refiner, so `simrefine evaluate --model RUN` and `simrefine refine --model RUN` take it as
any other.
"""

import time
from pathlib import Path

import click
import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.config import Config
from simrefine.data.batches import Pile, Sampler
from simrefine.data.folders import list_folder
from simrefine.data.images import to_signed, to_uint8
from simrefine.models.history import HistoryBuffer
from simrefine.models.losses import l1, least_squares, patch_loss
from simrefine.models.networks import build_discriminator, build_refiner, judge
from simrefine.randomness import generator
from simrefine.threads import Prefetcher
from simrefine.training.checkpoint import publish_refiner

CYCLE, IDENTITY = 10.0, 5.0
MAX_STEPS = 1_000_000  # the minutes end it


class CycleGAN:
    """Generators `to_photo` and `to_render`, and a discriminator of each kind of picture."""

    def __init__(self, config: Config, dtype: str):
        channels, size, n = config.data.channels, config.data.size, config.training.batch_size
        self.to_photo, self.to_render, self.average = (
            build_refiner(config.refiner, channels, dtype, seed) for seed in (0, 10, 0)
        )
        self.photos, self.renders = (build_discriminator("multiscale", channels, dtype, seed) for seed in (1, 11))
        self._generator_variables = self.to_photo.trainable_variables + self.to_render.trainable_variables
        self._judge_variables = self.photos.trainable_variables + self.renders.trainable_variables
        self._generator_optimizer, self._judge_optimizer = (
            keras.optimizers.Adam(options.learning_rate, beta_1=options.beta_1)
            for options in (config.refiner_optimizer, config.discriminator_optimizer)
        )
        self._generator_optimizer.build(self._generator_variables)
        self._judge_optimizer.build(self._judge_variables)
        self._rates = config.refiner_optimizer.learning_rate, config.discriminator_optimizer.learning_rate
        self._decay = config.training.ema_decay
        capacity = config.history.half_batches * (n // 2)
        self._histories = [HistoryBuffer(capacity, (size, size, channels)) for _ in range(2)]
        self._update_generators = backend.compile_step(self.update_generators)
        self._update_judges = backend.compile_step(self.update_judges)

    def set_learning_rates(self, share: float) -> None:
        """`share` of the configured ones."""
        self._generator_optimizer.learning_rate, self._judge_optimizer.learning_rate = (
            share * rate for rate in self._rates
        )

    def step(self, render: np.ndarray, photo: np.ndarray, step: int, rng: np.random.Generator) -> dict:
        """One update of both generators, then of both discriminators, on float32 [n, h, w, c] in [-1, 1]."""
        fakes, numbers = self._update_generators(render, photo, np.float32(step))
        half = len(render) // 2
        mixed = []
        for fake, history in zip(fakes, self._histories, strict=True):
            now, later = np.split(np.asarray(fake), [half])
            if not history.count:  # before the first push there is no past
                history.push(to_uint8(later), rng)
            mixed.append(np.concatenate([now, to_signed(history.sample(len(later), rng))]))
            history.push(to_uint8(later), rng)
        return numbers | self._update_judges(*mixed, render, photo)

    def update_generators(self, render, photo, step):
        made = []

        def loss():
            as_photo, as_render = self.to_photo(render, training=True), self.to_render(photo, training=True)
            made[:] = as_photo, as_render
            adversarial = patch_loss(least_squares, judge(self.photos, as_photo), says_refined=False)
            adversarial += patch_loss(least_squares, judge(self.renders, as_render), says_refined=False)
            cycle = l1(self.to_render(as_photo, training=True), render)
            cycle += l1(self.to_photo(as_render, training=True), photo)
            identity = l1(self.to_photo(photo, training=True), photo)
            identity += l1(self.to_render(render, training=True), render)
            total = adversarial + CYCLE * cycle + IDENTITY * identity
            return total, {"adversarial": adversarial, "cycle": cycle, "identity": identity}

        numbers = backend.minimise(loss, self._generator_variables, self._generator_optimizer)
        decay = ops.minimum(self._decay, (step + 1.0) / (step + 10.0))
        for slow, fast in zip(self.average.variables, self.to_photo.variables, strict=True):
            slow.assign(decay * slow + (1.0 - decay) * fast)
        return tuple(made), numbers

    def update_judges(self, as_photo, as_render, render, photo):
        def loss():
            total = 0.0
            for discriminator, fake, true in ((self.photos, as_photo, photo), (self.renders, as_render, render)):
                total += patch_loss(least_squares, judge(discriminator, fake, training=True), says_refined=True) / 2.0
                total += patch_loss(least_squares, judge(discriminator, true, training=True), says_refined=False) / 2.0
            return total, {"discriminators": total}

        return backend.minimise(loss, self._judge_variables, self._judge_optimizer)


@click.command(help=__doc__.partition("\n")[0])
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--synthetic", required=True, type=click.Path(path_type=Path), help="rendered faces")
@click.option("--real", required=True, type=click.Path(path_type=Path), help="photographs")
@click.option("--minutes", required=True, type=float, help="how long to train")
def main(run, synthetic, real, minutes):
    config = Config.load(values={"style.candidates": 0}, environment={})
    options, data = config.training, config.data
    piles = [Pile(list_folder(d, what="folder").pictures, data.size, data.channels, 4) for d in (synthetic, real)]
    renders, photos = (
        Sampler(pile, options.batch_size, options.seed, what, data.flip)
        for pile, what in zip(piles, ("renders", "photos"), strict=True)
    )
    gan = CycleGAN(config, backend.resolve_precision(options.precision))
    batches = Prefetcher(lambda k: (renders.batch(k).pictures, photos.batch(k).pictures), range(MAX_STEPS))
    start = time.monotonic()
    for step, (render, photo) in enumerate(batches):
        left = 1 - (time.monotonic() - start) / (60 * minutes)
        if left <= 0:
            break
        gan.set_learning_rates(min(1.0, left / options.learning_rate_decay))
        numbers = gan.step(render, photo, step, generator(options.seed, step, "history"))
        if step % 50 == 0:
            print(f"step {step}  " + "  ".join(f"{k} {float(v):.3f}" for k, v in numbers.items()), flush=True)
    no_styles = np.zeros((1, 1 + data.channels, data.channels))
    publish_refiner(run / "refiner", config, step, [each.numpy() for each in gan.average.variables], no_styles)
    print(f"{step} steps in {minutes:g} minutes: {run}")


if __name__ == "__main__":
    main()
