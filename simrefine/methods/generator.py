"""Learning to make faces: CVAE-GAN's four players, open-set identity and part-wise latents, in one method.

[1] CVAE-GAN (Bao et al. 2017, arXiv 1703.10155); [2] open-set identity (Bao et al. 2018, arXiv 1803.11182);
[3] SemanticStyleGAN (Shi et al. 2022, arXiv 2112.02236). f = I(x) says who a face is, z = A(x) how it looks, M makes
codes of both and G a face of those. What moves what:

- I, which is C as well, in the first steps: who is shown ([2], L_I), by contrast within a batch in place of a softmax
  over all people: a person of four views is seen too seldom for one. Then it stays as it is, and what it sees in every
  true face is kept, with each person's mean ([1], eq. 6): that is the vector of a person, the label of [1];
- A, M and G: divergence of z, reconstruction, likeness, matching of D's features by pairs, of their mean and of each
  person's mean identity, the adversarial loss and the masks;
- D: true faces against made ones, a domain each, with R1. With `generator_loss.adversarial` 0, D and G are asymmetric
  as in [1]: D tells true from made, and G matches what D sees.
"""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import ops

from simrefine import backend
from simrefine.config import Config
from simrefine.data.batches import Pile
from simrefine.data.images import to_signed
from simrefine.methods import generator_logged
from simrefine.methods.generator_batches import (
    DETAILS,
    MEANS,
    OUTSIDE,
    Batches,
    GeneratorBatch,
    GeneratorInputs,
    IdentityBatch,
    Phases,
)
from simrefine.methods.logged import Logged
from simrefine.methods.method import Published, weights_by_name
from simrefine.methods.shared import diversity
from simrefine.methods.state import put_state, take_state, variables_by_name
from simrefine.models import generator_losses as losses
from simrefine.models.augmentation import augment, shift_by_draws
from simrefine.models.average import follow
from simrefine.models.generator import Judgement, build_face_discriminator, coarse_side, judge_faces, player_builders
from simrefine.models.optimisers import build_optimiser, falling_share
from simrefine.threads import in_batches

CHUNK = 64  # true faces at a time
MOVE = 0.1  # by which D's slope is found, standard deviation in units of [-1, 1]
# Which weight of [generator_loss] multiplies which number.
WEIGHTS = {"attributes/divergence": "kl"} | {
    f"generator/{name}": name
    for name in (
        "reconstruction",
        "likeness",
        "features",
        "mean_features",
        "class_features",
        "adversarial",
        "masks",
        "coarse",
    )
}
# What is not asked of faces that are reconstructed alone. It rises from 0: all at once, gradients ten times as large
# met Adam's memory of small ones, and its first steps threw the networks out.
LATER = ("adversarial", "likeness", "mean_features", "class_features")
IDENTITY, MAKERS = ("identity",), ("attributes", "mapping", "generator")  # who moves together


class FaceGenerator:
    """The players, and what they share; see `methods.method.Method` for what each public function promises."""

    logged: tuple[Logged, ...] = generator_logged.LOGGED

    def __init__(self, config: Config, inputs: GeneratorInputs, dtype: str):
        options, size, channels = config.generator, config.data.size, config.data.channels
        seed, people = config.training.seed, len(inputs.names)
        self.config, self.inputs = config, inputs
        self.batch = Batches(config, inputs).make
        builders = player_builders(options, size, channels, dtype, seed)
        self.now, self.average = ({name: build() for name, build in builders.items()} for _ in range(2))
        self.discriminator = build_face_discriminator(options, size, channels, dtype, seed + 5)
        self._moves = {
            "identity": [variable for name in IDENTITY for variable in self.now[name].trainable_variables],
            "makers": [variable for name in MAKERS for variable in self.now[name].trainable_variables],
            "discriminator": self.discriminator.trainable_variables,
        }
        self._rates = {
            "identity": config.identity_optimizer,
            "makers": config.generator_optimizer,
            "discriminator": config.discriminator_optimizer,
        }
        self.optimisers = {name: build_optimiser(self._rates[name], self._moves[name]) for name in self._moves}
        photographs = len(inputs.photographs) if inputs.photographs else 0
        shapes = {
            "true_faces": (len(inputs.people) + photographs, options.identity),  # what I sees, by place
            "people": (people, options.identity),
            "true_features": (options.judged,),
            "made_features": (options.judged,),
        }
        self.means = {
            name: keras.Variable(np.zeros(shape, np.float32), trainable=False) for name, shape in shapes.items()
        }
        variables = list(self._variables().values())
        self._reconstruct = backend.compile_step(partial(self.update_makers, whole=False), variables)
        self._update_identity, self._update_makers, self._update_discriminator, self._make, self._identify = (
            backend.compile_step(function, variables)
            for function in (
                *(self.update_identity, self.update_makers, self.update_discriminator),
                *(self.make, self.identify),
            )
        )

    def step(self, batch: IdentityBatch | GeneratorBatch, step: int) -> dict:
        """I; then A, M and G on faces to be reconstructed; then these on all, and D on what they made: see `Phases`."""
        training, phases = self.config.training, Phases.of(self.config)
        for name, optimiser in self.optimisers.items():
            share = falling_share(training, step, phases.identity if name == "identity" else training.all_steps)
            optimiser.learning_rate = share * self._rates[name].learning_rate
        if step < phases.identity:
            return self._update_identity(batch, np.float32(step))
        if step == phases.identity:
            self.know()
        done = np.float32(step - phases.identity)
        if step < phases.reconstruction:
            return self._reconstruct(batch, done)[1]
        made, numbers = self._update_makers(batch, done)
        return numbers | self._update_discriminator(batch, *made)

    def update_identity(self, batch: IdentityBatch, step):
        """The contrast between people moves I; then its average follows."""

        def loss():
            vectors = self.now["identity"](batch.shown, training=True)
            nearest = ops.argmax(ops.matmul(vectors, ops.transpose(vectors)) - 3.0 * ops.eye(len(batch.shown)), axis=-1)
            right = ops.equal(ops.take(batch.people, nearest), batch.people)
            total = losses.contrast(vectors, batch.people)
            return total, {"identity/loss": total, "identity/accuracy": ops.mean(ops.cast(right, "float32"))}

        numbers = backend.minimise(loss, self._moves["identity"], self.optimisers["identity"])
        self._follow(IDENTITY, step)
        return numbers

    def know(self) -> None:
        """Keeps what the average of I, which no longer moves, sees in every true face, and each person's mean of it."""
        piles = [pile for pile in (self.inputs.renders, self.inputs.photographs) if pile]
        seen = np.concatenate([self._see(pile) for pile in piles])
        people = np.zeros(self.means["people"].shape, np.float32)
        np.add.at(people, self.inputs.people, seen[: len(self.inputs.people)])
        self.means["true_faces"].assign(seen)
        self.means["people"].assign(people / np.bincount(self.inputs.people, minlength=len(people))[:, None])

    def _see(self, pile: Pile) -> np.ndarray:
        return in_batches(lambda places: self._identify(to_signed(pile[places])), np.arange(len(pile)), CHUNK)

    def update_makers(self, batch: GeneratorBatch, step, whole: bool = True):
        """What A, M and G minimise: all of it, or how far faces are from those that they are to be; then their averages
        follow. Returns what was made, pictures and soft parts, and the numbers."""
        m = batch.wanted.shape[0]
        # A face and the one whose attributes it has are shown to D moved alike, or their maps could not be compared.
        true = self._judge(batch.wanted, batch.parts, batch.domains[:m], batch.draws[m : 2 * m], batch)
        people = ops.take(self.means["people"], batch.asked, axis=0)  # [1]: the class
        people = people / ops.maximum(ops.norm(people, axis=-1, keepdims=True), 1e-6)
        identities = ops.concatenate([ops.take(self.means["true_faces"], batch.sources, axis=0), people])

        def loss():
            mean, log_variance = self.now["attributes"](batch.wanted, training=True)
            z = ops.concatenate([mean + ops.exp(log_variance / 2.0) * batch.noise[:m], batch.noise[m:]])
            made, logits, coarse = self.draw(self.now, identities, z, batch.domains, batch.mixed)
            masks = ops.softmax(logits, axis=-1)
            judged = self._judge(made, masks, batch.domains, batch.draws[m:], batch)
            apart = losses.perceptual([seen[:m] for seen in judged.maps], true.maps)
            numbers = {
                "attributes/divergence": ops.mean(losses.divergence(mean, log_variance)),
                "generator/features": self._pairs_of(batch, apart, self.config.generator_loss.other),
                "generator/coarse": ops.mean(ops.square(coarse - pooled(masks, coarse.shape[1]))),
                **self._against_truth(batch, made[:m], logits[:m]),
            }
            means = {}
            if whole:
                matched, means = self._means_of(batch, true, judged, step)
                numbers |= matched | self._identity_of(batch, made, identities)
                numbers["generator/diversity"] = diversity(made[m:], batch.wanted)
                logits_of = losses.of_domain(judged.logits, batch.domains)
                numbers["generator/adversarial"] = losses.over_scales(lambda logits: ops.softplus(-logits), logits_of)
            total = sum(self._weight(name, step) * numbers[name] for name in WEIGHTS if name in numbers)
            return total, (made, masks, means, numbers | {"generator/loss": total})

        made, masks, means, numbers = backend.minimise(loss, self._moves["makers"], self.optimisers["makers"])
        self._follow(MAKERS, step)
        for name, mean in means.items():
            self.means[name].assign(mean)
        return (made, masks), numbers

    def _means_of(self, batch: GeneratorBatch, true: Judgement, judged: Judgement, step) -> tuple[dict, dict]:
        """How far D's features of samples are in the mean from those of true faces ([1], eq. 5), and both means, which
        move slowly."""
        m, since = batch.wanted.shape[0], step - self.config.generator.reconstruction_steps
        renders = batch.domains[:m, :1]  # of which samples are to be
        here = {
            "true_features": ops.sum(true.features * renders, axis=0) / ops.sum(renders),
            "made_features": ops.mean(judged.features[m:], axis=0),
        }
        means = {name: losses.running(self.means[name], mean, since) for name, mean in here.items()}
        return {"generator/mean_features": losses.squared_distance(*means.values())}, means

    def draw(self, players: Mapping[str, keras.Model], identities, z, domains, mixed):
        """G(M(f, z)): a picture, logits of its parts and the coarse masks, see `build_generator`. Where `mixed`
        [n, parts] is 1, a part has the shape and texture of the face before ([3])."""
        base, shape, texture = players["mapping"]([identities, z], training=True)
        if self.config.generator.parts:
            shape, texture = (code + mixed[..., None] * (ops.roll(code, 1, axis=0) - code) for code in (shape, texture))
        return players["generator"]([base, shape, texture, ops.convert_to_tensor(domains)], training=True)

    def _pairs_of(self, batch: GeneratorBatch, values, other: float = 1.0):
        """Mean of values [m] over the pairs of one person, and `other` times those of two. Faces with a part of another
        face, which can be held to neither, count 0."""
        whole = 1.0 - ops.sum(batch.mixed[: values.shape[0]], axis=-1)
        return losses.mean_where(values, whole * (batch.same + other * (1.0 - batch.same)))

    def _against_truth(self, batch: GeneratorBatch, made, logits) -> dict:
        """What is compared pixel by pixel: |x' - x_a|, of one person, and `other` of it of two ([2], L_GR); and the
        parts of renders, of one person."""
        options = self.config.generator_loss
        room, details = batch.parts[..., :1], sum(batch.parts[..., part, None] for part in DETAILS)
        places = 1.0 + (options.background - 1.0) * room + (options.details - 1.0) * details
        apart = losses.reconstruction(made, batch.wanted, places)
        return {
            "generator/reconstruction": self._pairs_of(batch, apart, options.other),
            "generator/masks": self._pairs_of(batch, losses.cross_entropy(logits, batch.parts, places), 0.0),
        }

    def _identity_of(self, batch: GeneratorBatch, made, identities) -> dict:
        """1 - cos(f(x'), f(x_s)) by the average of I, which no gradient moves here; how far each person's samples are
        in the mean from that person's true faces ([1], eq. 6); and how often a face with the attributes of another
        person is nearer to the one it was to show."""
        m, views = batch.wanted.shape[0], self.config.generator.views
        # Moved and in other light: a mark that a few of I's weights fall for does not survive that, a face does.
        found = self.identify(augment(made, batch.draws[m:], self.config.augmentation))
        # Where a part of the face itself is another's, nobody knows whose face it is.
        known = 1.0 - ops.sum(batch.mixed, axis=-1) + sum(batch.mixed[:, part] for part in OUTSIDE)
        samples = ops.mean(ops.reshape(found[m:], (-1, views, found.shape[-1])), axis=1)
        wanted = ops.take(self.means["people"], batch.asked[::views], axis=0)
        apart = found.shape[-1] * losses.squared_distance(samples, wanted)
        theirs, swapped = ops.take(self.means["true_faces"], batch.places, axis=0), 1.0 - batch.same
        nearer = losses.distance(found[:m], identities[:m]) < losses.distance(found[:m], theirs)
        return {
            "generator/likeness": losses.mean_where(losses.distance(found, identities), known),
            "generator/class_features": ops.mean(apart),
            "identity/kept": ops.sum(ops.cast(nearer, "float32") * swapped) / ops.maximum(ops.sum(swapped), 1.0),
        }

    def _judge(self, pictures, masks, domains, draws, batch: GeneratorBatch) -> Judgement:
        """D of faces as it is shown them: moved, in other light, and with the masks of renders alone, coarse, so that
        it cannot live on how crisp they are. Where no render's parts are known, it sees no masks."""
        masks = masks * domains[:, None, None, :1] * ops.cast(ops.max(batch.parts) > 0, "float32")
        pictures = augment(pictures, draws, self.config.augmentation)
        masks = shift_by_draws(masks, draws, self.config.augmentation)
        return judge_faces(self.discriminator, pictures, pooled(masks, coarse_side(pictures.shape[1])), training=True)

    def _weight(self, name: str, step):
        options, key = self.config.generator_loss, WEIGHTS[name]
        later = (self.config.generator.reconstruction_steps, options.warm_up)
        begin, steps = ({"kl": (0, options.kl_warm_up)} | dict.fromkeys(LATER, later)).get(key, (0, 0))
        return getattr(options, key) * (ops.minimum(1.0, (step - begin) / steps) if steps else 1.0)

    def update_discriminator(self, batch: GeneratorBatch, made, masks):
        """-log D(x) - log(1 - D(x')), a domain each ([1], eq. 4), and R1, at a few of the true faces, move D only."""
        m, few = batch.wanted.shape[0], batch.moves.shape[0]
        # The true faces, the few moved, and the made ones.
        pictures = ops.concatenate([batch.wanted, batch.wanted[-few:] + MOVE * batch.moves, made])
        masks = ops.concatenate([batch.parts, batch.parts[-few:], masks])
        domains = ops.concatenate([batch.domains[:m], batch.domains[m - few : m], batch.domains])
        draws = ops.concatenate([batch.draws[:m], batch.draws[m - few : m], batch.draws[m:]])

        def loss():
            maps = losses.of_domain(self._judge(pictures, masks, domains, draws, batch).logits, domains)
            true, near, made = zip(*(ops.split(logits, [m, m + few]) for logits in maps), strict=True)
            slope = losses.slope([logits[-few:] for logits in true], near, MOVE)
            judgement = losses.over_scales(lambda logits: ops.softplus(-logits), true)
            judgement += losses.over_scales(ops.softplus, made)
            return judgement + self.config.generator_loss.slope / 2.0 * slope, {
                "discriminator/judgement": judgement,
                "discriminator/slope": slope,
                "discriminator/true": losses.over_scales(lambda logits: ops.cast(logits > 0, "float32"), true),
                "discriminator/made": losses.over_scales(lambda logits: ops.cast(logits < 0, "float32"), made),
            }

        return backend.minimise(loss, self._moves["discriminator"], self.optimisers["discriminator"])

    # What the loop, the monitor and the checkpoints ask for

    def identify(self, pictures):
        """f of pictures by the averaged I: [n, h, w, c] to [n, identity]."""
        return self.average["identity"](pictures, training=False)

    def make(self, people, wanted, domains):
        """Faces by the averaged networks: the identity of each of `people` with the attributes of each of `wanted`,
        [p, h, w, c] and [a, h, w, c] to [p a, h, w, c] and their soft parts."""
        identities = ops.repeat(self.identify(people), wanted.shape[0], axis=0)
        z, _ = self.average["attributes"](wanted, training=False)
        codes = self.average["mapping"]([identities, ops.tile(z, (people.shape[0], 1))], training=False)
        pictures, logits, _ = self.average["generator"]([*codes, ops.convert_to_tensor(domains)], training=False)
        return pictures, ops.softmax(logits, axis=-1)

    def inspect(self, faces: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The averaged networks on fixed faces, the identity of each of `faces` with the attributes of each of
        `others`: pictures [p, a, h, w, c] in [-1, 1] and soft parts [p, a, h, w, parts]; nothing moves."""
        domains = np.tile(np.float32([1, 0]), (len(faces) * len(others), 1))
        pictures, masks = (np.asarray(values) for values in self._make(faces, others, domains))
        return tuple(values.reshape(len(faces), len(others), *values.shape[1:]) for values in (pictures, masks))

    def _follow(self, names: tuple[str, ...], step) -> None:
        for name in names:
            follow(self.average[name], self.now[name], self.config.training.ema_decay, step)

    def _variables(self) -> dict[str, keras.Variable]:
        owners = self.now | {f"average_{name}": network for name, network in self.average.items()}
        owners |= {"discriminator": self.discriminator}
        owners |= {f"{name}_optimizer": optimiser for name, optimiser in self.optimisers.items()}
        return variables_by_name(owners) | {f"means/{name}": variable for name, variable in self.means.items()}

    def state(self) -> dict[str, np.ndarray]:
        return take_state(self._variables(), {})

    def restore(self, arrays: Mapping[str, np.ndarray], source: Path) -> None:
        put_state(arrays, self._variables(), {}, source)

    def publish(self) -> Published:
        data = self.config.data
        options = {
            "data": {"size": data.size, "channels": data.channels},
            "generator": asdict(self.config.generator),
            "people": {"names": list(self.inputs.names)},
        }
        arrays = {
            f"{player}/{name}": values
            for player, network in self.average.items()
            for name, values in weights_by_name(network).items()
        }
        arrays[MEANS] = np.asarray(self.means["people"])
        return Published("generator", options, arrays)


def pooled(masks, side: int):
    """Soft masks [n, h, h, k] averaged to [n, side, side, k]."""
    factor = masks.shape[1] // side
    return ops.average_pool(masks, factor, factor) if factor > 1 else masks
