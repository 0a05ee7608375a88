"""What every method promises to the loop, the monitor and the checkpoints."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tiny import draw_face, tiny_config, tiny_inputs, write_pile

import simrefine
from simrefine import catalogue
from simrefine.data.images import to_signed
from simrefine.errors import UserError
from simrefine.methods import METHODS
from simrefine.methods.generator import FaceGenerator
from simrefine.methods.logged import OF_EVERY_RUN, table_rows
from simrefine.training.train import train

SOURCE = Path("checkpoint")


def build(name, **options):
    return METHODS[name](tiny_config(method__name=name, **options), tiny_inputs(), "float32")


def faces(n=2, real=False):
    rng = np.random.default_rng([1, real])
    return to_signed(np.stack([draw_face(rng, real=real) for _ in range(n)]))


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(value, other[name]) for name, value in one.items())


def test_the_methods_are_those_of_the_catalogue():
    assert METHODS.keys() == {name for name, facts in catalogue.METHODS.items() if facts.makes == "refiner"}


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_is_a_function_of_the_step_alone(name):
    def leaves(value):
        if isinstance(value, list | tuple):
            return [leaf for part in value for leaf in leaves(part)]
        return [value]

    method = build(name)
    ahead = leaves(method.batch(3))
    for step in range(3):
        method.batch(step)
    for one, other in zip(ahead, leaves(method.batch(3)), strict=True):
        np.testing.assert_array_equal(one, other)
    first = leaves(build(name).batch(0))
    assert any(not np.array_equal(one, other) for one, other in zip(ahead, first, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_a_restored_method_goes_on_as_if_it_had_never_stopped(name, uncompiled):
    whole, parts = build(name, training__steps=4), build(name, training__steps=4)
    for step in range(2):
        whole.step(whole.batch(step), step)
    parts.restore(whole.state(), SOURCE)
    assert same(whole.state(), parts.state())
    for method in (whole, parts):
        method.step(method.batch(2), 2)
    assert same(whole.state(), parts.state())
    assert not same(whole.state(), build(name).state())


@pytest.mark.parametrize("name", METHODS)
def test_the_state_of_another_configuration_is_refused_and_nothing_is_taken(name, uncompiled):
    method, other = build(name), build(name, refiner__width=8)
    before = method.state()
    with pytest.raises(UserError, match="checkpoint is of another architecture"):
        method.restore(other.state(), SOURCE)
    with pytest.raises(UserError, match="another architecture: .* fit nothing"):
        method.restore(before | {"surplus/000": np.zeros(3)}, SOURCE)
    assert same(before, method.state())


@pytest.mark.parametrize("name", METHODS)
def test_all_that_is_logged_is_declared(name, uncompiled):
    method = build(name)
    declared = {entry.name for entry in method.logged}
    numbers = method.step(method.batch(0), 0) | method.inspect(faces(), faces(real=True)).numbers
    assert numbers.keys() <= declared and len(declared) == len(method.logged)
    optional = {"keeper/cycle", "keeper/landmarks", "refiner/self_regularisation"}
    assert declared - numbers.keys() <= optional


@pytest.mark.parametrize("name", METHODS)
def test_the_published_network_is_the_average_and_refines_as_the_method_does(name, uncompiled):
    method = build(name, training__ema_decay=0.9)
    for step in range(3):
        method.step(method.batch(step), step)
    published, state = method.publish(), method.state()
    weights = [published.arrays[key] for key in sorted(published.arrays) if key.isdigit()]
    averages = [value for key, value in sorted(state.items()) if key.startswith("average/")]
    assert all(np.array_equal(*pair) for pair in zip(weights, averages, strict=True))
    assert published.kind == "refiner" and json.dumps(published.options)
    refined = method.inspect(faces(), faces(real=True)).columns["refined"]
    np.testing.assert_allclose(method.refine(faces()), refined, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_of_every_method_resumes_bit_for_bit_and_its_refiner_loads(name, tmp_path):
    piles = {
        "data__synthetic": str(write_pile(tmp_path / "synthetic", 8)),
        "data__real": str(write_pile(tmp_path / "real", 8, real=True)),
    }

    def options(steps):
        more = {"monitor__checkpoint_every": 2, "training__learning_rate_decay": 0}
        return tiny_config(method__name=name, training__steps=steps, **piles, **more)

    train(options(4), tmp_path / "whole", quiet=True)
    train(options(2), tmp_path / "parts", quiet=True)
    train(options(4), tmp_path / "parts", resume=True, quiet=True)
    files = [tmp_path / run / "refiner" / "weights.safetensors" for run in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert simrefine.load(tmp_path / "whole")(np.zeros((1, 16, 16, 3), np.uint8)).shape == (1, 16, 16, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method__name": "cyclegan", "self_regularisation__l1": 0.5}, "self_regularisation.l1 = 0.5 does nothing"),
        ({"method__name": "cyclegan", "keeper__cycle": 1.0}, "keeper.cycle = 1.0 does nothing"),
        ({"method__name": "cyclegan", "labels__file": "a.jsonl"}, "labels.file = .* does nothing"),
        ({"method__name": "cyclegan", "training__refiner_updates": 2}, "training.refiner_updates = 2 does nothing"),
        ({"cyclegan__cycle": 1.0}, "cyclegan.cycle = 1.0 does nothing where method.name = simgan"),
        ({"method__name": "pix2pix"}, "not one of 'simgan', 'cyclegan', 'generator'"),
    ],
)
def test_an_option_that_does_nothing_for_the_method_is_refused(values, message):
    with pytest.raises(UserError, match=message):
        tiny_config(**values)


def test_the_docs_explain_what_the_methods_declare():
    methods = [*METHODS.values(), FaceGenerator]
    entries = list(dict.fromkeys(entry for method in methods for entry in method.logged))
    assert len({entry.name for entry in entries}) == len(entries), "one name, one meaning"
    page = (Path(__file__).parents[2] / "docs" / "curves.md").read_text()
    entries += OF_EVERY_RUN
    missing = [row for row in table_rows(entries) if row not in page]
    assert not missing, "put these rows into the table of docs/curves.md:\n" + "\n".join(table_rows(entries))


def test_a_new_network_is_one_function_and_one_entry(monkeypatch, uncompiled):
    from simrefine.models import networks

    def plain(x, options, conv, dtype):
        return conv(x, options.width, 3, activation="relu")

    def few(x, conv, dtype):
        return [conv(x, 2, 4, strides=4, dtype="float32")]

    monkeypatch.setattr(networks, "plain", plain, raising=False)
    monkeypatch.setattr(networks, "few", few, raising=False)
    facts = dataclasses.replace(catalogue.REFINERS["resnet"], width=5)
    monkeypatch.setitem(catalogue.REFINERS, "plain", facts)
    monkeypatch.setitem(catalogue.DISCRIMINATORS, "few", catalogue.DiscriminatorFacts(patches=(4,)))
    method = build("simgan", refiner__name="plain", discriminator__name="few", refiner__width=0)
    assert method.config.refiner.width == 5
    numbers = method.step(method.batch(0), 0)
    assert np.isfinite(list(numbers.values())).all()


def test_a_new_realism_loss_is_one_function_and_one_entry(monkeypatch, uncompiled):
    from simrefine.models import losses

    def hinge(margins):
        real, refined = (losses.ops.relu(1.0 + sign * margins) for sign in (1.0, -1.0))
        return losses.Patches(real, refined, losses.ops.sigmoid(margins))

    monkeypatch.setattr(losses, "hinge", hinge, raising=False)
    monkeypatch.setattr(catalogue, "REALISM", catalogue.REALISM)
    catalogue.REALISM.append("hinge")
    try:
        method = build("simgan", loss__realism="hinge")
        assert np.isfinite(method.step(method.batch(0), 0)["refiner/realism"])
    finally:
        catalogue.REALISM.remove("hinge")
