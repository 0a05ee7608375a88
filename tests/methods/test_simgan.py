"""Algorithm 1: which update moves what, and that the logged numbers are what their names say.

Each test stands against a defect found in public ports of SimGAN.
"""

import numpy as np
import pytest
from portraits import portrait
from tiny import ArrayPile, draw_face, tiny_config, tiny_inputs

from simrefine.catalogue import REALISM
from simrefine.data.dressing import PartLooks, read_looks
from simrefine.data.images import to_signed, to_uint8
from simrefine.data.scenes import read_scenes
from simrefine.methods.method import Frozen, Inputs
from simrefine.methods.simgan import DiscriminatorBatch, RefinerBatch, SimGAN
from simrefine.models.augmentation import draw_augmentation
from simrefine.models.history import Places
from simrefine.models.keepers import draw_disturbance
from simrefine.models.landmarks import build_landmark_network
from simrefine.models.losses import margin
from simrefine.models.networks import judge

N = 4
EVERYWHERE = np.ones((N, 1, 1, 1), np.float32)  # the change is regularised at every pixel
FREE = {"self_regularisation__l1": 0, "self_regularisation__high_pass": 0}
PLAIN_SGD = {"refiner_optimizer__name": "sgd", "refiner_optimizer__learning_rate": 0.1}


def faces(n, real=False, seed=0):
    rng = np.random.default_rng([seed, real])
    return to_signed(np.stack([draw_face(rng, real=real) for _ in range(n)]))


def build(frozen=Frozen(), points=None, **options):  # noqa: B008 immutable
    config = tiny_config(**options)
    return SimGAN(config, tiny_inputs(points=points, candidates=config.style.candidates), "float32", frozen)


def refiner_batch(n=N, seed=0, draws=None, **more):
    draws = draw_augmentation(n, np.random.default_rng(seed)) if draws is None else draws
    more = {"hold": EVERYWHERE[:n], "points": None, "disturbance": None} | more
    return RefinerBatch(synthetic=faces(n, seed=seed), draws=draws, **more)


def discriminator_batch(n_refined=2, seed=0, draws=None):
    draws = draw_augmentation(2 * N, np.random.default_rng(seed)) if draws is None else draws
    places = Places(*np.int32([[0, 1], [0, 1]]))
    return DiscriminatorBatch(faces(n_refined, seed=seed + 10), faces(N, real=True, seed=seed), draws, places)


def weights(network):
    return [np.asarray(variable).copy() for variable in network.variables]


def moved(before, network):
    """How many of the arrays changed."""
    return sum((old != np.asarray(new)).any() for old, new in zip(before, network.variables, strict=True))


def test_the_refiners_update_moves_the_refiner_and_its_average_only(uncompiled):
    gan = build()
    # The last layer starts at zero and lets no gradient past: after this first update all move.
    gan.update_refiner(refiner_batch(), 0.0)
    assert np.any(np.asarray(gan.refiner.variables[-2])), "the first update moves the last layer"
    before = {network: weights(network) for network in (gan.refiner, gan.average, gan.discriminator)}
    gan.update_refiner(refiner_batch(seed=1), 1.0)
    assert moved(before[gan.refiner], gan.refiner) == len(gan.refiner.variables)
    assert moved(before[gan.average], gan.average) > 0
    assert moved(before[gan.discriminator], gan.discriminator) == 0


def test_the_discriminators_update_moves_all_of_the_discriminator_and_nothing_else(uncompiled):
    gan = build()
    before = {network: weights(network) for network in (gan.refiner, gan.average, gan.discriminator)}
    gan.update_discriminator(discriminator_batch())
    assert moved(before[gan.discriminator], gan.discriminator) == len(gan.discriminator.variables)
    assert moved(before[gan.refiner], gan.refiner) == 0 and moved(before[gan.average], gan.average) == 0


def test_pretraining_the_refiner_moves_the_refiner_towards_the_identity_and_no_discriminator():
    pretraining = {"training__pretrain_refiner": 40, "refiner_optimizer__learning_rate": 0.01}
    gan = build(refiner__residual=False, **pretraining)
    before = weights(gan.discriminator)
    first = gan.step(gan.batch(0), 0)
    for step in range(30):
        last = gan.step(gan.batch(step), step)
    assert last["refiner/change"] < first["refiner/change"] / 2
    assert moved(before, gan.discriminator) == 0


def test_pretraining_the_discriminator_moves_no_refiner(uncompiled):
    gan = build(training__pretrain_discriminator=2)
    before = weights(gan.refiner), weights(gan.discriminator)
    numbers = gan.step(gan.batch(0), 0)
    assert not moved(before[0], gan.refiner) and moved(before[1], gan.discriminator)
    assert "refiner/loss" not in numbers and "discriminator/loss" in numbers


def test_a_whole_step_moves_both_players_and_fills_the_history():
    gan = build()
    before = weights(gan.refiner), weights(gan.discriminator)
    fills = [gan.step(gan.batch(step), step)["history/fill"] for step in range(3)]
    assert moved(before[0], gan.refiner) and moved(before[1], gan.discriminator)
    assert fills == sorted(fills) and fills[0] < fills[-1] == 1


def test_the_refiner_learns_from_the_discriminator_as_it_is_now():
    # Guards against a missing adversarial term, and against a discriminator baked into the graph at its first values.
    # Plain SGD: Adam's memory of earlier gradients would make equal gradients look different.
    gan = build(**FREE, **PLAIN_SGD)
    batch, kept = refiner_batch(), weights(gan.refiner)

    def change():
        for variable, value in zip(gan.refiner.variables, kept, strict=True):
            variable.assign(value)
        gan._update_refiner(batch, np.zeros((), np.float32))
        return np.asarray(gan.refiner.variables[-1]) - kept[-1]  # the last layer is the first to get a gradient

    first, again = change(), change()
    assert np.abs(first).max() > 0
    np.testing.assert_array_equal(first, again, err_msg="the same discriminator gives the same lesson")
    for variable in gan.discriminator.variables:
        variable.assign(-np.asarray(variable))
    assert np.abs(change() - first).max() > 0.1 * np.abs(first).max(), "the opposite discriminator gives another one"


@pytest.mark.parametrize("loss", REALISM)
def test_training_the_discriminator_alone_tells_the_two_piles_apart(loss):
    alone = {"training__pretrain_discriminator": 60, "training__learning_rate_decay": 0}
    easy = {"discriminator_optimizer__learning_rate": 2e-3, "style__candidates": 0}
    gan = build(loss__realism=loss, **alone, **easy)
    steps = [gan.step(gan.batch(step), step) for step in range(60)]
    for name in ("discriminator/accuracy_real", "discriminator/accuracy_refined"):
        assert np.mean([numbers[name] for numbers in steps[-20:]]) > 0.7


@pytest.mark.parametrize("loss", REALISM)
def test_training_the_refiner_alone_makes_the_discriminator_take_its_faces_for_real(loss):
    gan = build(loss__realism=loss, refiner_optimizer__learning_rate=5e-3, **FREE)
    batch = refiner_batch(draws=np.zeros((N, 4), np.float32))

    def margin_of_refined():
        return np.mean([np.mean(margin(maps)) for maps in judge(gan.discriminator, gan.refiner(batch.synthetic))])

    before = margin_of_refined()
    losses = [float(gan._update_refiner(batch, np.float32(step))["refiner/realism"]) for step in range(40)]
    assert losses[-1] < 0.8 * losses[0] and margin_of_refined() < before


def test_the_logged_numbers_are_what_their_names_say(uncompiled):
    off = {"augmentation__brightness": 0, "augmentation__contrast": 0, "augmentation__shift": 0}
    lambdas = {"self_regularisation__l1": 0.5, "self_regularisation__l2": 3.0, "self_regularisation__high_pass": 0}
    gan = build(loss__realism="cross_entropy", **lambdas, **off)
    gan.refiner.variables[-1].assign([0.1, 0.2, -0.1])  # no longer the identity
    draws = np.zeros((2 * N, 4), np.float32)
    for_refiner, for_discriminator = refiner_batch(2, draws=draws[:2]), discriminator_batch(draws=draws)
    for_discriminator = for_discriminator._replace(synthetic=for_refiner.synthetic)
    synthetic, real, past = for_refiner.synthetic, for_discriminator.real, faces(2, seed=5)
    refined = np.asarray(gan.refiner(synthetic))

    def mean_over_patch_sizes(pictures, value):
        return np.mean([np.mean(value(np.asarray(margin(maps)))) for maps in judge(gan.discriminator, pictures)])

    def not_refined(margins):
        return np.log1p(np.exp(margins))

    def not_real(margins):
        return np.log1p(np.exp(-margins))

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
    got = gan.update_refiner(for_refiner, 0.0)
    # The refiner has moved; put it back so that the discriminator meets the same faces.
    gan.refiner.variables[-1].assign([0.1, 0.2, -0.1])
    gan.refiner.variables[-2].assign(0 * gan.refiner.variables[-2])
    gan.history.hold(to_uint8(past))
    got = got | gan.update_discriminator(for_discriminator)[1]
    assert {name: float(value) for name, value in got.items()} == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_the_discriminator_sees_half_current_and_half_past_refined_faces(uncompiled):
    gan = build()
    seen = []
    gan._update_discriminator = lambda batch: (
        seen.append((len(batch.synthetic), len(batch.places.past), len(batch.real))),
        (batch.synthetic, {}),
    )[1]
    for step in range(3):
        gan.step(gan.batch(step), step)
    assert seen == [(2, 2, 4)] * 3


def test_the_history_opens_with_what_the_refiner_makes_and_then_takes_every_face_in(uncompiled):
    gan = build(refiner_optimizer__learning_rate=0.0)
    batches = [gan.batch(step) for step in range(2)]
    for step, batch in enumerate(batches):
        gan.step(batch, step)
    made = [to_uint8(batch.discriminator[0].synthetic) for batch in batches]  # the refiner is still the identity
    np.testing.assert_array_equal(gan.history.held(), np.concatenate([made[0], made[0], made[1]]))


def test_without_a_history_the_discriminator_sees_current_faces_only(uncompiled):
    gan = build(history__half_batches=0)
    numbers = gan.step(gan.batch(0), 0)
    assert "history/fill" not in numbers and "discriminator/accuracy_history" not in numbers


def test_k_g_and_k_d_are_the_numbers_of_updates_a_step(uncompiled):
    gan = build(training__refiner_updates=3, training__discriminator_updates=2)
    gan.step(gan.batch(0), 0)
    assert int(gan.refiner_optimiser.iterations) == 3 and int(gan.discriminator_optimiser.iterations) == 2


def test_every_update_gets_faces_of_its_own():
    updates = {"training__refiner_updates": 2, "training__discriminator_updates": 2}
    gan = build(**updates, style__candidates=0, data__flip=False)
    steps = [gan.batch(step) for step in range(2)]
    for player in ("refiner", "discriminator"):
        seen = [batch.synthetic.tobytes() for step in steps for batch in getattr(step, player)]
        assert len(set(seen)) == 4, player
    assert len({batch.real.tobytes() for step in steps for batch in step.discriminator}) == 4


def test_looking_moves_nothing_and_probabilities_are_probabilities(uncompiled):
    gan = build()
    gan.step(gan.batch(0), 0)
    before = gan.state()
    seen = gan.inspect(faces(2), faces(2, real=True))
    after = gan.state()
    assert all(np.array_equal(value, after[name]) for name, value in before.items())
    assert all(0 <= maps.min() <= maps.max() <= 1 and len(maps) == 2 for maps in seen.probabilities)
    assert set(seen.margins) == {f"discriminator/logits_{name}" for name in ("real", "refined", "history")}
    assert seen.columns["refined"].shape == (2, 16, 16, 3)


def points_of_a_face(n=10):
    """Two eyes, nose, two mouth corners in the middle of a 16 px picture, the left eye higher: [n, 5, 2] px."""
    return np.tile([[5.0, 6.0], [11.0, 7.0], [8.0, 9.0], [6.0, 11.0], [10.0, 11.0]], (n, 1, 1))


def test_the_map_of_a_mirrored_picture_is_mirrored():
    gan = build(points=points_of_a_face(), labels__reach=0.02)
    batch = gan._for_refiner.batch(0)
    holds = gan._hold(gan._points(batch), N)
    assert batch.mirrored.any() and not batch.mirrored.all()
    for hold, mirrored in zip(holds, batch.mirrored, strict=True):
        left_eye, its_mirror = hold[5, 5, 0], hold[5, 10, 0]
        assert (its_mirror > left_eye) if mirrored else (left_eye > its_mirror)


def test_with_scenes_the_room_is_held_and_the_head_is_free_and_skin_and_lips_are_known():
    pictures, soft = (np.repeat(values[None], 10, axis=0) for values in portrait())
    bank, *own, _ = read_looks(pictures, lambda images: soft[: len(images)])
    dresser = PartLooks(bank, 2, lambda images: soft[: len(images)], read_scenes(*own), soft)
    inputs = Inputs(ArrayPile(pictures), ArrayPile(pictures), np.full((10, 1, 2), 16.0, np.float32), dresser)
    gan = SimGAN(tiny_config(data__size=32, data__flip=False), inputs, "float32")
    batch = gan.batch(0).refiner[0]
    assert batch.areas["room"][:, 16, 0] == pytest.approx(1) and batch.areas["room"][:, 6, 16] == pytest.approx(0)
    head, colours = batch.areas["head"], batch.areas["colours"]
    assert head[:, 20, 16] == pytest.approx(1) and head[:, 16, 0] == pytest.approx(0)
    assert colours[:, 16, 0] == pytest.approx(1) and colours[:, 20, 16] == pytest.approx(1)


def test_the_map_weighs_the_regularisation_in_training_and_pretraining(uncompiled):
    gan = build(self_regularisation__l1=1.0, self_regularisation__high_pass=0)
    gan.refiner.variables[-1].assign([0.1, 0.1, 0.1])
    kept = weights(gan.refiner)

    def regularisation(update, weight):
        for variable, value in zip(gan.refiner.variables, kept, strict=True):
            variable.assign(value)
        return float(update(refiner_batch(hold=weight * EVERYWHERE), 0.0)["refiner/self_regularisation"])

    for update in (gan.update_refiner, gan.pretrain_refiner):
        assert regularisation(update, 0.25) == pytest.approx(0.25 * regularisation(update, 1.0))


def test_the_cycle_keeper_trains_an_inverse_that_finds_the_render_again():
    gan = build(keeper__cycle=1.0, refiner_optimizer__learning_rate=5e-3, **FREE)
    tint = np.float32([0.4, -0.4, 0.4])
    batch = refiner_batch(disturbance=draw_disturbance((N, 16, 16, 3), np.random.default_rng(0)))
    cycles = []
    for step in range(80):
        gan.refiner.variables[-1].assign(tint)  # the refiner tints; only the inverse can make up for it
        cycles.append(float(gan._update_refiner(batch, np.float32(step))["keeper/cycle"]))
    assert cycles[-1] < 0.7 * cycles[0]
    assert "inverse/000" in gan.state() and "back" in gan.inspect(faces(2), faces(2, real=True)).columns


def test_the_landmark_keeper_holds_the_refiner_and_never_moves_itself(uncompiled):
    network = build_landmark_network(5, 3, "float32", seed=0)
    points = points_of_a_face()
    gan = build(Frozen(landmarks=network), points, keeper__landmarks=10.0, **FREE, **PLAIN_SGD)
    without = build(points=points, **FREE, **PLAIN_SGD)
    before = weights(network)
    numbers = gan.step(gan.batch(0), 0)
    without.step(without.batch(0), 0)
    assert moved(before, network) == 0 and numbers["keeper/landmarks"] > 0
    loss, realism, kept = (float(numbers[name]) for name in ("refiner/loss", "refiner/realism", "keeper/landmarks"))
    assert loss == pytest.approx(realism + 10 * kept)
    assert (np.asarray(gan.refiner.variables[-1]) != np.asarray(without.refiner.variables[-1])).any()


def test_a_batch_has_what_the_keepers_need_and_only_where_they_are_on():
    plain = build(points=points_of_a_face()).batch(0).refiner[0]
    assert plain.points is None and plain.disturbance is None
    gan = build(points=points_of_a_face(), keeper__cycle=1.0, keeper__landmarks=1.0)
    kept = gan.batch(0).refiner[0]
    assert kept.points.shape == (N, 5, 2) and 0 < kept.points.min() < kept.points.max() < 1
    again = draw_disturbance(kept.synthetic.shape, np.random.default_rng(0))
    assert kept.disturbance.noise.shape == again.noise.shape
