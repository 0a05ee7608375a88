"""CycleGAN: which update moves what, and that cycle and identity are what their names say."""

import numpy as np
import pytest
from tiny import draw_face, tiny_config, tiny_inputs

from simrefine.data.images import to_signed, to_uint8
from simrefine.methods.cyclegan import CycleGAN
from simrefine.models.losses import least_squares, patch_loss
from simrefine.models.networks import judge

N = 4
NO_AUGMENTATION = {"augmentation__brightness": 0, "augmentation__contrast": 0, "augmentation__shift": 0}
DRAWS = np.zeros((N, 4), np.float32)


def build(**options):
    return CycleGAN(tiny_config(method__name="cyclegan", **options), tiny_inputs(), "float32")


def faces(real=False, n=N):
    rng = np.random.default_rng([2, real])
    return to_signed(np.stack([draw_face(rng, real=real) for _ in range(n)]))


def weights(network):
    return [np.asarray(variable).copy() for variable in network.variables]


def moved(before, network):
    return any((old != np.asarray(new)).any() for old, new in zip(before, network.variables, strict=True))


def networks(gan):
    return {
        name: getattr(gan, name)
        for name in ("refiner", "inverse", "average", "inverse_average", "for_photographs", "for_renders")
    }


def test_each_update_moves_its_own_players(uncompiled):
    gan = build()
    before = {name: weights(network) for name, network in networks(gan).items()}
    made, _ = gan._update_refiners(faces(), faces(real=True), (DRAWS, DRAWS), np.float32(0))
    after = {name for name, network in networks(gan).items() if moved(before[name], network)}
    assert after == {"refiner", "inverse", "average", "inverse_average"}
    before = {name: weights(network) for name, network in networks(gan).items()}
    draws = np.zeros((2 * N, 4), np.float32)
    gan._update_discriminators(made, (faces(real=True), faces()), (draws, draws), gan.batch(0).places)
    after = {name for name, network in networks(gan).items() if moved(before[name], network)}
    assert after == {"for_photographs", "for_renders"}


def test_the_logged_numbers_are_what_their_names_say(uncompiled):
    gan = build(cyclegan__cycle=3.0, cyclegan__identity=2.0, **NO_AUGMENTATION)
    gan.refiner.variables[-1].assign([0.2, 0.1, -0.1])
    gan.inverse.variables[-1].assign([-0.1, 0.1, 0.3])
    render, photo = faces(), faces(real=True)

    def l1(one, other):
        return float(np.abs(np.asarray(one) - np.asarray(other)).mean())

    refined, rendered = gan.refiner(render), gan.inverse(photo)
    expected = {
        "refiner/realism": float(patch_loss(least_squares, judge(gan.for_photographs, refined), False)),
        "inverse/realism": float(patch_loss(least_squares, judge(gan.for_renders, rendered), False)),
        "refiner/cycle": l1(gan.inverse(refined), render) + l1(gan.refiner(rendered), photo),
        "refiner/identity": l1(gan.refiner(photo), photo) + l1(gan.inverse(render), render),
        "refiner/change": 127.5 * l1(refined, render),
    }
    expected["refiner/loss"] = (
        expected["refiner/realism"]
        + expected["inverse/realism"]
        + 3 * expected["refiner/cycle"]
        + 2 * expected["refiner/identity"]
    )
    _, numbers = gan._update_refiners(render, photo, (DRAWS, DRAWS), np.float32(0))
    got = {name: float(numbers[name]) for name in expected}
    assert got == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_each_side_has_a_history_of_its_own_and_sees_half_of_it(uncompiled):
    gan = build()
    made, update = [], gan._update_refiners
    gan._update_refiners = lambda *arrays: made.append(update(*arrays)) or made[-1]
    for step in range(2):
        numbers = gan.step(gan.batch(step), step)
    assert numbers["history/fill"] == 1
    assert all(len(places.past) == len(places.replaced) == 2 for places in gan.batch(2).places)
    for side, history in enumerate(gan.histories.values()):
        first, second = (to_uint8(np.asarray(pictures[side])) for pictures, _ in made)
        np.testing.assert_array_equal(history.held(), np.concatenate([first[2:], first[:2], second[:2]]))


def test_without_a_history_the_discriminators_see_all_that_was_made(uncompiled):
    gan = build(history__half_batches=0)
    numbers = gan.step(gan.batch(0), 0)
    assert "discriminator/accuracy_history" not in numbers and "history/fill" not in numbers


def test_an_identity_weight_of_zero_leaves_its_networks_out(uncompiled):
    gan = build(cyclegan__identity=0.0)
    assert "refiner/identity" not in gan.step(gan.batch(0), 0)
