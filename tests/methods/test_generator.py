from dataclasses import replace

import numpy as np
import pytest
from tiny_people import PEOPLE, part_labels, small_config, small_inputs

from simrefine.catalogue import PARTS
from simrefine.data.images import to_signed
from simrefine.errors import UserError
from simrefine.methods.generator import WEIGHTS, FaceGenerator
from simrefine.methods.generator_batches import OUTSIDE, Batches
from simrefine.methods.generator_logged import WINDOWS
from simrefine.training.health import Health

pytestmark = pytest.mark.usefixtures("pooled_pixels")


def build(photographs=True, **options):
    options |= {"generator__photographs": photographs, "training__batch_size": 8, "generator__views": 2}
    return FaceGenerator(small_config(**options), small_inputs(photographs), "float32")


def batches(photographs=True, **options):
    options |= {"generator__photographs": photographs, "training__batch_size": 16, "data__flip": False}
    return Batches(small_config(**options), small_inputs(photographs))


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(value, other[name]) for name, value in one.items())


def moved(before, after):
    """Which players, "average_..." among them, are not what they were."""
    return {name.split("/")[0] for name in before if not np.array_equal(before[name], after[name])}


def test_a_batch_is_a_function_of_the_step_alone():
    one, other = batches(), batches()
    ahead = other.make(3)
    for step in range(3):
        one.make(step)
    for left, right in zip(one.make(3), ahead, strict=True):
        np.testing.assert_array_equal(left, right)
    assert not np.array_equal(ahead.wanted, other.make(4).wanted)


@pytest.mark.parametrize("photographs", [True, False])
def test_pairs_are_of_one_person_where_they_say_so_and_of_two_elsewhere(photographs):
    inputs, makes = small_inputs(photographs), batches(photographs)
    who = {face.tobytes(): person for face, person in zip(inputs.renders[:], inputs.people, strict=True)}
    for step in range(8):
        batch = makes.make(step)
        faces = [who.get(np.rint((picture + 1) * 127.5).astype(np.uint8).tobytes()) for picture in batch.wanted]
        places, sources = (
            [inputs.people[place] if place < len(inputs.people) else None for place in given]
            for given in (batch.places, batch.sources)
        )
        assert faces == places
        domains = batch.domains[: len(faces)]
        assert [person is None for person in faces] == list(domains[:, 1] == 1)
        assert photographs == (None in faces)
        renders = [row for row in zip(faces, sources, batch.same, strict=True) if row[0] is not None]
        assert all((face == source) == bool(is_same) for face, source, is_same in renders)
        assert 0 < sum(row[2] for row in renders) < len(renders)
        assert all(parts.any() == (person is not None) for parts, person in zip(batch.parts, faces, strict=True))


def test_samples_are_of_as_many_faces_a_person_as_views():
    batch = batches(generator__views=4).make(0)
    assert len(batch.asked) == 4 and len(set(batch.asked)) == 1
    assert len(batch.wanted) + len(batch.asked) == len(batch.noise) == 16


def test_one_part_of_a_share_of_the_faces_is_another_faces():
    never, always = (batches(generator__mixing=share).make(0).mixed for share in (0, 1))
    assert not never.any()
    np.testing.assert_array_equal(always.sum(axis=1), 1)


def test_a_mixed_face_has_a_part_of_the_face_before_and_the_others_are_as_they_were(uncompiled):
    method, rng = build(), np.random.default_rng(0)
    options = method.config.generator
    f, z = (rng.standard_normal((3, width)).astype(np.float32) for width in (options.identity, options.attributes))
    mixed, nothing = np.zeros((2, 3, len(PARTS)), np.float32)
    mixed[1, PARTS.index("skin")] = 1
    looks = np.float32([[1, 0]] * 3)
    before, after = (np.asarray(method.draw(method.now, f, z, looks, which)[0]) for which in (nothing, mixed))
    changed = np.abs(before - after).max(axis=(1, 2, 3))
    assert changed[1] > 1e-4 and changed[0] == changed[2] == 0


def test_hair_clothes_and_room_are_hidden_from_the_identity_network_and_the_face_is_not():
    plain, hidden = (batches(generator__face_only=share, generator__identity_steps=1).make(0) for share in (0, 1))
    np.testing.assert_array_equal(plain.people, hidden.people)
    renders = {face.tobytes() for face in small_inputs().renders[:]}
    assert all(np.rint((face + 1) * 127.5).astype(np.uint8).tobytes() in renders for face in plain.shown)
    changed = np.abs(plain.shown - hidden.shown).max(axis=(0, 3)) > 0
    outside = np.isin(part_labels(), OUTSIDE)
    assert changed[outside].any() and not changed[~outside & ~_beside(outside)].any()


def test_the_identity_network_is_shown_as_many_faces_a_person_as_views():
    batch = batches(generator__identity_steps=1, generator__identity_batch=12, generator__views=4).make(0)
    people, counts = np.unique(batch.people, return_counts=True)
    assert len(batch.shown) == 12 and len(people) == 3 and set(counts) == {4}


def _beside(where):
    """The places with a neighbour in `where`: labels are averaged over two pixels."""
    grown = np.zeros_like(where)
    for axis in (0, 1):
        for step in (-1, 1):
            grown |= np.roll(where, step, axis)
    return grown


def test_each_loss_moves_its_own_players_only(uncompiled):
    method = build(generator__identity_steps=1)
    before = method.state()
    method.update_identity(method.batch(0), np.float32(0))
    identity = method.state()
    assert moved(before, identity) == {"identity", "average_identity", "identity_optimizer"}
    method.know()
    known, batch = method.state(), method.batch(1)
    assert moved(identity, known) == {"means"}
    made, _ = method.update_makers(batch, np.float32(0))
    makers = method.state()
    assert moved(known, makers) == {
        *("attributes", "mapping", "generator", "makers_optimizer", "means"),
        *("average_attributes", "average_mapping", "average_generator"),
    }
    method.update_discriminator(batch, *made)
    assert moved(makers, method.state()) == {"discriminator", "discriminator_optimizer"}


def test_the_identity_network_learns_alone_at_first_and_then_stays(uncompiled):
    method = build(generator__identity_steps=1)
    before = method.state()
    assert "generator/loss" not in method.step(method.batch(0), 0)
    learnt = method.state()
    assert {"identity", "generator"} & moved(before, learnt) == {"identity"}
    assert "identity/loss" not in method.step(method.batch(1), 1)
    assert {"average_identity", "generator"} & moved(learnt, method.state()) == {"generator"}


def test_faces_are_reconstructed_before_there_are_opponents_samples_or_swaps(uncompiled):
    method = build(generator__reconstruction_steps=1, generator__mixing=1)
    batch, before = method.batch(0), method.state()
    assert len(batch.wanted) == 8 and batch.same.all() and not len(batch.asked) and not batch.mixed.any()
    numbers = method.step(batch, 0)
    assert not {"generator/adversarial", "generator/likeness", "discriminator/judgement"} & numbers.keys()
    assert {"discriminator", "generator"} & moved(before, method.state()) == {"generator"}
    assert {"generator/adversarial", "discriminator/judgement"} <= method.step(method.batch(1), 1).keys()


def test_weights_rise_from_nothing_when_their_losses_come(uncompiled):
    method = build(generator__reconstruction_steps=4, generator_loss__kl_warm_up=4, generator_loss__warm_up=2)

    def shares(name, key):
        full = getattr(method.config.generator_loss, key)
        return [float(method._weight(name, np.float32(step))) / full for step in (0, 2, 4, 5, 6, 9)]

    assert shares("attributes/divergence", "kl") == pytest.approx([0, 0.5, 1, 1, 1, 1])
    assert shares("generator/reconstruction", "reconstruction") == pytest.approx([1] * 6)
    assert shares("generator/likeness", "likeness")[2:] == pytest.approx([0, 0.5, 1, 1])


def test_every_weight_that_is_in_no_sum_counts(uncompiled):
    """Another weight moves the networks elsewhere."""
    method = build(generator__mixing=0)
    options, batch, begun = method.config, method.batch(0), method.state()

    def end(**weights):
        method.config = replace(options, generator_loss=replace(options.generator_loss, **weights))
        method.restore(begun, "checkpoint")
        method.step(batch, 0)
        return method.state()

    plain = end()
    for name in ("other", "background", "details", "slope"):  # the others are in the sum below
        expected = "discriminator" if name == "slope" else "generator"
        assert expected in moved(plain, end(**{name: 0.7})), name


def test_without_the_adversarial_loss_the_discriminator_still_learns(uncompiled):
    method = build(generator_loss__adversarial=0)
    before = method.state()
    numbers = method.step(method.batch(0), 0)
    assert {"discriminator", "generator"} <= moved(before, method.state())
    total = sum(getattr(method.config.generator_loss, key) * numbers[name] for name, key in WEIGHTS.items())
    assert float(numbers["generator/loss"]) == pytest.approx(float(total), rel=1e-3)


def test_what_is_known_of_every_true_face_and_person_is_what_the_identity_network_sees(uncompiled):
    method, inputs = build(), small_inputs()
    method.know()
    renders, photographs = (to_signed(pile[:]) for pile in (inputs.renders, inputs.photographs))
    seen = np.asarray(method.identify(np.concatenate([renders, photographs])))
    np.testing.assert_allclose(np.asarray(method.means["true_faces"]), seen, atol=1e-5)
    means = method.publish().arrays["people_means"]
    for person in range(PEOPLE):
        own = seen[: len(renders)][inputs.people == person]
        np.testing.assert_allclose(means[person], own.mean(axis=0), atol=1e-5)


def test_likeness_is_judged_through_moved_pictures_in_other_light(uncompiled):
    """A mark that the identity network falls for is learnt where it is always shown in one place and one light."""
    method, batch = build(), build().batch(1)
    made = batch.wanted[[0]].repeat(len(batch.domains), axis=0)
    identities = np.asarray(method.identify(made))

    def likeness(draws):
        return float(method._identity_of(batch._replace(draws=draws), made, identities)["generator/likeness"])

    assert likeness(np.zeros_like(batch.draws)) < 1e-5 < 1e-3 < likeness(batch.draws)


def test_a_restored_method_goes_on_as_if_it_had_never_stopped(uncompiled):
    whole, parts = build(), build()
    for step in range(2):
        whole.step(whole.batch(step), step)
    parts.restore(whole.state(), "checkpoint")
    for method in (whole, parts):
        method.step(method.batch(2), 2)
    assert same(whole.state(), parts.state())


def test_the_state_of_another_configuration_is_refused(uncompiled):
    method = build()
    before = method.state()
    with pytest.raises(UserError, match="another architecture"):
        method.restore(build(generator__code=5).state(), "checkpoint")
    assert same(before, method.state())


@pytest.mark.parametrize("options", [{}, {"generator__parts": False}, {"photographs": False}])
def test_all_that_is_logged_is_declared_and_finite(options, uncompiled):
    method = build(generator__identity_steps=1, **options)
    numbers = method.step(method.batch(0), 0) | method.step(method.batch(1), 1)
    assert numbers.keys() == {entry.name for entry in method.logged}
    assert np.isfinite(list(numbers.values())).all()


def test_the_grid_has_people_down_and_attributes_across(uncompiled):
    method = build()
    faces = method.batch(0).wanted
    pictures, masks = method.inspect(faces[:2], faces[:3])
    assert pictures.shape == (2, 3, 16, 16, 3) and masks.shape == (2, 3, 16, 16, len(PARTS))
    alone, _ = method.inspect(faces[1:2], faces[2:3])
    np.testing.assert_allclose(pictures[1, 2], alone[0, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("alarm", "numbers"),
    [("posterior collapse", {"attributes/divergence": 0.001}), ("identity leaks", {"identity/kept": 0.5})],
)
def test_collapse_and_leaks_ring(alarm, numbers):
    fine = {"attributes/divergence": 0.4, "identity/kept": 0.95}
    health = Health(FaceGenerator.logged)
    for _ in range(WINDOWS):
        assert not health.observe(fine)
    rung = [name for _ in range(WINDOWS) for name, _ in health.observe(fine | numbers)]
    assert rung == [alarm]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"data__size": 48}, "48 is no power of two.*use 64"),
        ({"training__batch_size": 9}, "9 does not hold 2 faces"),
        ({"generator__views": 4, "training__batch_size": 4}, "4 does not hold 4 faces .* of each of at least 2"),
        (
            {"generator__identity_batch": 5, "generator__views": 3, "training__batch_size": 6},
            "identity_batch = 5 does not hold 3 faces",
        ),
        ({"keeper__cycle": 1.0}, "keeper.cycle = 1.0 does nothing where method.name = generator"),
    ],
)
def test_options_that_do_not_fit_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        small_config(**values)


def test_a_single_decoder_mixes_no_parts():
    assert small_config(generator__parts=False).generator.mixing == 0
