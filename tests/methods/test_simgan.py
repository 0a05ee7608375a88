"""Algorithm 1: which update moves what, and that the logged numbers are what their names say.

Each test stands against a defect found in public ports of SimGAN.
"""

import numpy as np
import pytest
from simrefine.models.simgan import SimGAN, StepBatch
from tiny import draw_face, tiny_config

from simrefine.backend import compile_step, minimise
from simrefine.data.images import to_signed
from simrefine.models.augmentation import draw_augmentation
from simrefine.models.losses import REALISM, margin
from simrefine.models.networks import judge

LOSSES = list(REALISM)
N = 4

EVERYWHERE = np.ones((N, 1, 1, 1), np.float32)  # the change is regularised at every pixel


def faces(n, real=False, seed=0):
    rng = np.random.default_rng([seed, real])
    return to_signed(np.stack([draw_face(rng, real=real) for _ in range(n)]))


def build(compiled=False, **options):
    return SimGAN(
        tiny_config(**options), "float32", minimise, compile_step if compiled else lambda function, _: function
    )


def step_batch(gan, seed=0, real=None):
    options = gan.config.training
    half = N // 2 if gan.config.history.half_batches else N
    rng = np.random.default_rng(seed)
    k_g, k_d = options.refiner_updates, options.discriminator_updates
    return StepBatch(
        synthetic_for_refiner=[faces(N, seed=seed + k) for k in range(k_g)],
        hold_for_refiner=[EVERYWHERE for _ in range(k_g)],
        draws_for_refiner=[draw_augmentation(N, rng) for _ in range(k_g)],
        synthetic_for_discriminator=[faces(half, seed=seed + 10 + k) for k in range(k_d)],
        real=[faces(N, real=True, seed=seed + k) if real is None else real for k in range(k_d)],
        draws_for_discriminator=[draw_augmentation(2 * N, rng) for _ in range(k_d)],
        history_rng=rng,
    )


def weights(network):
    return [np.asarray(variable).copy() for variable in network.variables]


def moved(before, network):
    """How many of the arrays changed."""
    return sum((old != np.asarray(new)).any() for old, new in zip(before, network.variables, strict=True))


def test_the_refiners_update_moves_the_refiner_and_its_average_only():
    gan = build()
    # The last layer starts at zero and lets no gradient past: after this first update all move.
    gan.update_refiner(faces(N), EVERYWHERE, draw_augmentation(N, np.random.default_rng(0)), 0.0)
    assert np.any(np.asarray(gan.refiner.variables[-2])), "the first update moves the last layer"
    before = {each: weights(each) for each in (gan.refiner, gan.average, gan.discriminator)}
    gan.update_refiner(faces(N), EVERYWHERE, draw_augmentation(N, np.random.default_rng(1)), 1.0)
    assert moved(before[gan.refiner], gan.refiner) == len(gan.refiner.variables)
    assert moved(before[gan.average], gan.average) > 0
    assert moved(before[gan.discriminator], gan.discriminator) == 0


def test_the_discriminators_update_moves_all_of_the_discriminator_and_nothing_else():
    gan = build()
    before = {each: weights(each) for each in (gan.refiner, gan.average, gan.discriminator)}
    gan.update_discriminator(
        faces(2), faces(2), faces(N, real=True), draw_augmentation(2 * N, np.random.default_rng(0))
    )
    assert moved(before[gan.discriminator], gan.discriminator) == len(gan.discriminator.variables)
    assert moved(before[gan.refiner], gan.refiner) == 0 and moved(before[gan.average], gan.average) == 0


def test_pretraining_the_refiner_moves_the_refiner_towards_the_identity_and_no_discriminator():
    gan = build(refiner__residual=False, refiner_optimizer__learning_rate=0.01)
    before = weights(gan.discriminator)
    first = gan.step_pretraining(step_batch(gan), 0)
    for step in range(30):
        last = gan.step_pretraining(step_batch(gan), step)
    assert last["refiner/change"] < first["refiner/change"] / 2
    assert moved(before, gan.discriminator) == 0


def test_a_whole_step_moves_both_players_and_fills_the_history():
    gan = build(compiled=True)
    before = weights(gan.refiner), weights(gan.discriminator)
    fills = [gan.step(step_batch(gan, seed), seed)["history/fill"] for seed in range(3)]
    assert moved(before[0], gan.refiner) and moved(before[1], gan.discriminator)
    assert fills == sorted(fills) and fills[0] < fills[-1] == 1


def test_the_refiner_learns_from_the_discriminator_as_it_is_now():
    # Guards against a missing adversarial term, and against a discriminator baked into the graph at its first values.
    # Plain SGD: Adam's memory of earlier gradients would make equal gradients look different.
    free = {"self_regularisation__l1": 0, "self_regularisation__high_pass": 0}
    sgd = {"refiner_optimizer__name": "sgd", "refiner_optimizer__learning_rate": 0.1}
    gan = build(compiled=True, **free, **sgd)
    draws, synthetic = draw_augmentation(N, np.random.default_rng(0)), faces(N)
    kept = weights(gan.refiner)

    def change():
        for variable, value in zip(gan.refiner.variables, kept, strict=True):
            variable.assign(value)
        gan._update_refiner(synthetic, EVERYWHERE, draws, np.zeros((), np.float32))
        return np.asarray(gan.refiner.variables[-1]) - kept[-1]  # the last layer is the first to get a gradient

    first, again = change(), change()
    assert np.abs(first).max() > 0
    np.testing.assert_array_equal(first, again, err_msg="the same discriminator gives the same lesson")
    for variable in gan.discriminator.variables:
        variable.assign(-np.asarray(variable))
    assert np.abs(change() - first).max() > 0.1 * np.abs(first).max(), "the opposite discriminator gives another one"


@pytest.mark.parametrize("loss", LOSSES)
def test_training_the_discriminator_alone_tells_the_two_piles_apart(loss):
    gan = build(compiled=True, loss__realism=loss, discriminator_optimizer__learning_rate=2e-3)
    for seed in range(60):
        numbers = gan.step_discriminator(step_batch(gan, seed))
    assert numbers["discriminator/accuracy_real"] > 0.7 and numbers["discriminator/accuracy_refined"] > 0.7


@pytest.mark.parametrize("loss", LOSSES)
def test_training_the_refiner_alone_makes_the_discriminator_take_its_faces_for_real(loss):
    free = {"self_regularisation__l1": 0, "self_regularisation__high_pass": 0}
    gan = build(compiled=True, loss__realism=loss, refiner_optimizer__learning_rate=5e-3, **free)
    losses = [
        float(gan._update_refiner(faces(N), EVERYWHERE, np.zeros((N, 4), np.float32), np.float32(s))["refiner/realism"])
        for s in range(25)
    ]
    assert losses[-1] < 0.8 * losses[0]


def test_the_logged_numbers_are_what_their_names_say():
    off = {"augmentation__brightness": 0, "augmentation__contrast": 0, "augmentation__shift": 0}
    lambdas = {"self_regularisation__l1": 0.5, "self_regularisation__l2": 3.0, "self_regularisation__high_pass": 0}
    gan = build(loss__realism="cross_entropy", **lambdas, **off)
    gan.refiner.variables[-1].assign([0.1, 0.2, -0.1])  # no longer the identity
    synthetic, real, past = faces(2), faces(N, real=True), faces(2, seed=5)
    refined = np.asarray(gan.refiner(synthetic))

    def mean_over_patch_sizes(pictures, value):
        return np.mean([np.mean(value(np.asarray(margin(maps)))) for maps in judge(gan.discriminator, pictures)])

    def not_refined(margins):
        return np.log1p(np.exp(margins))

    def not_real(margins):
        return np.log1p(np.exp(-margins))

    draws = np.zeros((2 * N, 4), np.float32)
    expected = {
        "discriminator/loss": (
            (mean_over_patch_sizes(refined, not_real) + mean_over_patch_sizes(past, not_real)) / 2
            + mean_over_patch_sizes(real, not_refined)
        )
        / 2,
        "discriminator/accuracy_real": mean_over_patch_sizes(real, lambda m: m < 0),
        "discriminator/accuracy_refined": mean_over_patch_sizes(refined, lambda m: m > 0),
        "discriminator/accuracy_history": mean_over_patch_sizes(past, lambda m: m > 0),
        "refiner/realism": mean_over_patch_sizes(refined, not_refined),
        "refiner/self_regularisation": 0.5 * np.abs(refined - synthetic).mean()
        + 3 * ((refined - synthetic) ** 2).mean(),
        "refiner/change": np.abs(refined - synthetic).mean() * 127.5,
        "refiner/diversity": refined.std(axis=0).mean() / synthetic.std(axis=0).mean(),
    }
    expected["refiner/loss"] = expected["refiner/realism"] + expected["refiner/self_regularisation"]
    got = gan.update_refiner(synthetic, EVERYWHERE[:2], draws[:2], 0.0)
    # The refiner has moved; put it back so that the discriminator meets the same faces.
    gan.refiner.variables[-1].assign([0.1, 0.2, -0.1])
    gan.refiner.variables[-2].assign(0 * gan.refiner.variables[-2])
    got = got | gan.update_discriminator(synthetic, past, real, draws)[1]
    assert {name: float(value) for name, value in got.items()} == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_the_discriminator_sees_half_current_and_half_past_refined_faces():
    gan = build()
    seen = []
    gan._update_discriminator = lambda s, past, real, d: (seen.append((len(s), len(past), len(real))), (s, {}))[1]
    for seed in range(3):
        gan.step_discriminator(step_batch(gan, seed))
    assert seen == [(2, 2, 4)] * 3


def test_past_faces_come_out_of_the_history_as_they_went_in():
    gan = build()
    gan.step_discriminator(step_batch(gan))
    stored = to_signed(gan.history.faces[: gan.history.count])
    for face in gan._past(2, np.random.default_rng(0), faces(2)):
        assert any(np.array_equal(face, each) for each in stored)


def test_without_a_history_the_discriminator_sees_current_faces_only():
    gan = build(history__half_batches=0)
    numbers = gan.step(step_batch(gan), 0)
    assert numbers["history/fill"] == 0 and "discriminator/accuracy_history" not in numbers


def test_k_g_and_k_d_are_the_numbers_of_updates_a_step():
    gan = build(training__refiner_updates=3, training__discriminator_updates=2)
    gan.step(step_batch(gan), 0)
    assert int(gan.refiner_optimizer.iterations) == 3 and int(gan.discriminator_optimizer.iterations) == 2


def test_the_average_follows_the_refiner_and_settles_on_it():
    gan = build(training__ema_decay=0.5)
    gan.refiner.variables[-1].assign([0.3, 0.3, 0.3])
    for step in range(30):
        gan._follow(np.float32(step))
    np.testing.assert_allclose(gan.average.variables[-1], [0.3, 0.3, 0.3], rtol=1e-5)


def test_looking_moves_nothing_and_probabilities_are_probabilities():
    gan = build()
    gan.step(step_batch(gan), 0)
    before = {name: np.asarray(variable).copy() for name, variable in gan.variables().items()}
    seen = gan.inspect(faces(2), faces(2, real=True))
    assert all(np.array_equal(value, gan.variables()[name]) for name, value in before.items())
    assert all(0 <= maps.min() <= maps.max() <= 1 and len(maps) == 2 for maps in seen.probabilities)
    assert set(seen.margins) == {"real", "refined", "history"} and seen.average.shape == (2, 16, 16, 3)


def test_learning_rates_stay_then_fall_to_zero_after_the_last_step():
    gan = build(training__steps=10, training__learning_rate_decay=0.4, refiner_optimizer__learning_rate=1e-3)
    rates = []
    for step in range(11):
        gan.set_learning_rates(step)
        rates.append(float(gan.refiner_optimizer.learning_rate))
    np.testing.assert_allclose(rates[:7], 1e-3, rtol=1e-6)
    np.testing.assert_allclose(rates[7:], [7.5e-4, 5e-4, 2.5e-4, 0], rtol=1e-6, atol=1e-12)
    constant = build(training__steps=10, training__learning_rate_decay=0)
    constant.set_learning_rates(9)
    assert float(constant.discriminator_optimizer.learning_rate) == pytest.approx(2e-4)
