"""Axes: found where there are some, moved by what was asked, and locks that hold."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from simrefine.data.attributes import Attributes
from simrefine.errors import UserError
from simrefine.generating.axes import learn_axes, read_axes, write_axes
from simrefine.generating.generator import Faces
from simrefine.generating.moves import Moves
from simrefine.generating.recipes import Recipe, read_recipe

F, Z, PEOPLE, VIEWS = 4, 6, 40, 6


class Drawn:
    """A generator whose pictures are its latents, so that everything is known: it draws z[0] by half and z[3] not at
    all. f is of unit length, as it must be, and z[0] and z[1] go together."""

    attributes, size, fingerprint, names = Z, 16, "of a test", ()

    def __init__(self):
        self.latents = []

    def faces(self, latents):
        self.latents.append(np.asarray(latents, np.float64))
        start = sum(map(len, self.latents[:-1]))
        return Faces(np.arange(start, start + len(latents))[:, None], np.zeros((len(latents), 4, 4), np.uint8))

    def encode(self, pictures):
        known = np.concatenate(self.latents)[pictures[:, 0]]
        return known[:, :F].astype(np.float32), known[:, F:].astype(np.float32)

    def __call__(self, f, z, look="render"):
        z = z * np.array([0.5, 1, 1, 0, 1, 1])
        return self.faces(np.concatenate([f, z], axis=1))


@pytest.fixture(scope="module")
def learnt():
    rng = np.random.default_rng(0)
    f = rng.standard_normal((PEOPLE, F)).repeat(VIEWS, axis=0)
    f = f / np.linalg.norm(f, axis=1, keepdims=True)
    z = rng.standard_normal((PEOPLE * VIEWS, Z))
    z[:, 1] = 0.8 * z[:, 0] + 0.6 * z[:, 1]
    drawer, people = Drawn(), np.arange(PEOPLE).repeat(VIEWS)
    noise = 0.1 * rng.standard_normal(len(z))
    columns = {
        "yaw": 10 * z[:, 0] + noise,
        "smile": z[:, 1] + noise,
        "still": z[:, 3] + noise,
        "skin": f[:, 0] + 0.1 * noise,
        "chance": rng.standard_normal(len(z)),
        "hat=yes": (z[:, 2] > 0.5).astype(float),
    }
    classes = np.array([name == "hat=yes" for name in columns])
    attributes = Attributes(tuple(columns), np.stack([*columns.values()], axis=1), classes)
    points = np.stack([z[:, :2], z[:, 2:4]], axis=1).repeat(34, axis=1) + np.arange(68)[:, None]
    faces = drawer.faces(np.concatenate([f, z], axis=1))
    return drawer, learn_axes(drawer, faces.pictures, attributes, list(people), points)


def at(axes, name):
    return axes.names.index(name)


def test_what_latents_say_and_the_generator_draws_has_an_axis_and_nothing_else(learnt):
    _, axes = learnt
    assert {name for name, usable in zip(axes.names, axes.usable, strict=True) if usable} == {
        "yaw",
        "smile",
        "skin",
        "hat=yes",
    }
    assert axes.r2[at(axes, "yaw")] > 0.95 and axes.r2[at(axes, "chance")] < 0.1
    assert axes.drawn[at(axes, "yaw")] == pytest.approx(0.5, abs=0.05) and axes.drawn[at(axes, "still")] < 0.05
    with pytest.raises(UserError, match="still has no axis: the generator does not draw it"):
        axes.place("still")
    with pytest.raises(UserError, match="chance has no axis: the latents do not say it"):
        axes.place("chance")


def test_what_changes_within_a_person_is_moved_without_who_is_shown(learnt):
    _, axes = learnt
    assert not axes.direction(at(axes, "yaw"))[:F].any()
    assert np.linalg.norm(axes.direction(at(axes, "skin"))[:F]) > 0.1


def test_a_step_is_what_is_drawn_of_it(learnt):
    _, axes = learnt
    yaw = at(axes, "yaw")
    moved = axes.weights @ axes.direction(yaw)
    # Half of a move is drawn, so it is twice as long; and what goes together, goes along.
    assert moved[yaw] == pytest.approx(2 * axes.deviation[yaw], rel=0.1)
    assert moved[at(axes, "smile")] == pytest.approx(2 * 0.8 * axes.deviation[at(axes, "smile")], rel=0.15)


def test_locks_hold_and_say_when_they_leave_nothing(learnt):
    _, axes = learnt
    yaw, smile, skin = (at(axes, name) for name in ("yaw", "smile", "skin"))
    moved = axes.weights @ axes.direction(yaw, (smile, skin))
    assert moved[yaw] == pytest.approx(2 * axes.deviation[yaw], rel=0.1)
    np.testing.assert_allclose(moved[[smile, skin]] / axes.deviation[[smile, skin]], 0, atol=0.01)
    twin = SimpleNamespace(**vars(axes))
    twin.weights = np.vstack([axes.weights, axes.weights[yaw] * 1.01])
    twin.deviation = np.append(axes.deviation, axes.deviation[yaw] * 1.01)
    twin.names = (*axes.names, "twin")
    with pytest.raises(UserError, match="the locks leave nothing of yaw: twin"):
        type(axes)(**vars(twin)).direction(yaw, (len(axes.names),))


def test_texts_become_steps_in_degrees_or_deviations(learnt):
    _, axes = learnt
    moves = Moves.parse(axes, ["yaw=-20..20:10", "hat=yes=+1.5"], ["smile"])
    assert len(moves.turns) == 5 and moves.said(axes, (0, 0)) == {"yaw": "-20 degrees", "hat=yes": "+1.5 sd"}
    moved = axes.weights @ moves.offsets(axes)[4]
    assert moved[at(axes, "yaw")] == pytest.approx(2 * 20, rel=0.1)
    assert moved[at(axes, "smile")] == pytest.approx(0, abs=0.01)
    alone = axes.weights @ Moves.parse(axes, ["yaw=1sd"]).offsets(axes)[0]
    assert alone[at(axes, "yaw")] == pytest.approx(2 * axes.deviation[at(axes, "yaw")], rel=0.1)
    assert Moves.parse(axes, ["SMI=1"]).asked[0].place == at(axes, "smile")
    assert set(Moves.parse(axes, ["yaw=1"], ["all"]).locked) == {
        at(axes, name) for name in ("smile", "skin", "hat=yes")
    }


@pytest.mark.parametrize(
    ("steps", "locks", "words"),
    [
        ([], [], "no axis is named"),
        (["yaw"], [], "--axis yaw cannot be read"),
        (["yaw=fast"], [], "--axis yaw=fast cannot be read"),
        (["yaw=0..10:-1"], [], "is no sweep"),
        (["yaw=0..10:0"], [], "is no sweep"),
        (["nose=1"], [], "there is no axis 'nose'.*yaw"),
        (["s=1"], [], "'s' could be smile, skin, hat=yes"),
        (["yaw=1", "yaw=2"], [], "named twice"),
        (["yaw=1"], ["smile,yaw"], "yaw is both moved and locked"),
    ],
)
def test_what_cannot_be_asked_is_told(learnt, steps, locks, words):
    with pytest.raises(UserError, match=words):
        Moves.parse(learnt[1], steps, locks)


def test_points_follow_the_latents(learnt):
    drawer, axes = learnt
    latents = np.concatenate(drawer.latents)[:5]
    np.testing.assert_allclose(axes.predict_points(latents)[:, 0], latents[:, F : F + 2], atol=0.1)
    assert axes.points_error < 5


def test_axes_are_kept_and_refused_where_they_belong_to_another(learnt, tmp_path):
    drawer, axes = learnt
    write_axes(tmp_path, axes)
    again = read_axes(tmp_path, drawer)
    for name, value in vars(axes).items():
        np.testing.assert_array_equal(getattr(again, name), value, err_msg=name)
    with pytest.raises(UserError, match="of another generator"):
        read_axes(tmp_path, SimpleNamespace(attributes=Z, fingerprint="other"))
    with pytest.raises(UserError, match="no axes yet.*simrefine generate axes"):
        read_axes(tmp_path / "nothing", drawer)
    about = json.loads((tmp_path / "axes" / "axes.json").read_text())
    (tmp_path / "axes" / "axes.json").write_text(json.dumps(about | {"names": ["one"]}))
    with pytest.raises(UserError, match="damaged"):
        read_axes(tmp_path, drawer)


def test_a_recipe_comes_back_as_it_was_saved(tmp_path):
    recipe = Recipe(("yaw=-20..20:5", 'hair "x"=long=1.5'), ("skin",), ("hair",), 3)
    (tmp_path / "r.toml").write_text(recipe.as_toml())
    assert read_recipe(tmp_path / "r.toml") == recipe
    assert recipe.with_more(["roll=1"], ["yaw"], "light, clothes", 4) == Recipe(
        (*recipe.axes, "roll=1"), ("skin", "yaw"), ("light", "clothes"), 4
    )
    for text, words in (
        ("axes = 3", "a axes"),
        ("[axes]\nyaw = [1]", "a step"),
        ("x = 1", "a x"),
        ("= 3", "cannot be read"),
    ):
        (tmp_path / "r.toml").write_text(text)
        with pytest.raises(UserError, match=words):
            read_recipe(tmp_path / "r.toml")
