"""A refiner works at the scale it was trained at, whatever the size of the picture, and keeps what is finer."""

import numpy as np
import pytest
from click.testing import CliRunner
from random_refiner import write_random_refiner
from tiny import SIZE, draw_face, write_pile

import simrefine
from simrefine.cli import main
from simrefine.errors import EXIT_OK, EXIT_USER_ERROR, UserError
from simrefine.refining import refiner as refiner_module
from simrefine.refining.refiner import at_scale, load


class Recording:
    """A refiner of float pictures that adds a change, and remembers the shapes of its batches."""

    def __init__(self, change=0.2):
        self.change, self.shapes = change, []

    def __call__(self, pictures):
        self.shapes.append(pictures.shape[:3])
        return pictures + np.asarray(self.change, np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_random_refiner(tmp_path_factory.mktemp("run"))


def faces(size, count=2):
    return np.stack([draw_face(np.random.default_rng(seed), size) for seed in range(count)])


def noise(*shape):
    return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("height", "width", "worked"),
    [(64, 64, (16, 16)), (64, 96, (16, 24)), (96, 64, (24, 16)), (50, 61, (16, 20)), (8, 12, (16, 24))],
)
def test_pictures_are_refined_at_the_side_of_the_training_and_come_out_at_their_own(height, width, worked):
    refine, pictures = Recording(), noise(2, height, width, 3)
    result = at_scale(16, refine, pictures)
    assert refine.shapes == [(2, *worked)] and result.dtype == np.float32
    # The change reaches every pixel, and nothing of the picture is lost: its noise is finer than the training's pixels.
    np.testing.assert_allclose(result, pictures + 0.2, atol=1e-6)


def test_a_change_is_added_where_it_was_made():
    pictures = noise(1, 64, 96, 1)
    spot = np.zeros((1, 16, 24, 1), np.float32)
    spot[0, 4, 18] = 1
    change = at_scale(16, Recording(spot), pictures) - pictures
    rows, columns = (np.indices((64, 96))[axis] + 0.5 for axis in (0, 1))
    weight = change[0, ..., 0]
    centre = (weight * rows).sum() / weight.sum(), (weight * columns).sum() / weight.sum()
    np.testing.assert_allclose(centre, (4.5 * 4, 18.5 * 4), atol=0.05)


@pytest.mark.parametrize("shape", [(16, 16), (16, 23), (30, 16), (200, 20)])
def test_pictures_of_the_trainings_side_and_strips_are_refined_as_they_are(shape):
    # Near 0 a float32 has bits that taking the picture away and adding it again would round.
    pictures, refined = noise(1, *shape, 3), 0.001 * noise(1, *shape, 3)[:, ::-1]
    np.testing.assert_array_equal(at_scale(16, lambda seen: refined if seen is pictures else None, pictures), refined)


def test_small_pictures_that_become_large_do_not_go_through_the_network_all_at_once(monkeypatch):
    monkeypatch.setattr(refiner_module, "MAX_BATCH_PIXELS", 3 * 16 * 16)
    refine = Recording()
    at_scale(16, refine, noise(8, 4, 4, 3))
    assert [shape[0] for shape in refine.shapes] == [3, 3, 2]


def test_where_sizes_agree_the_scale_changes_nothing_and_elsewhere_it_does(run):
    trainings, own = load(run), load(run, scale="own")
    np.testing.assert_array_equal(trainings(faces(SIZE)), own(faces(SIZE)))
    assert (trainings(faces(SIZE)) != faces(SIZE)).mean() > 0.9, "else this refiner could not tell"
    large = faces(4 * SIZE)
    assert trainings(large).shape == large.shape and trainings(large).dtype == np.uint8
    assert (trainings(large) != own(large)).mean() > 0.5
    np.testing.assert_array_equal(trainings(large)[1], trainings(large[1:])[0])


def test_a_large_face_gets_the_change_of_the_same_face_at_the_size_of_the_training(run, tmp_path):
    style = write_pile(tmp_path / "style", 1, real=True) / "000.png"  # one, as the large face would draw another
    small = faces(SIZE)
    large = small.repeat(4, axis=1).repeat(4, axis=2)

    def likeness(scale):
        refiner = load(run, style=style, scale=scale)
        change, wanted = (refiner(each).astype(float) - each for each in (large, small))
        means = change.reshape(2, SIZE, 4, SIZE, 4, 3).mean((2, 4))
        return np.corrcoef(means.ravel(), wanted.ravel())[0, 1]

    assert likeness("training") > 0.95 > 0.85 > likeness("own")


def test_pictures_of_two_scales_are_not_mixed_in_one_folder(run, tmp_path):
    write_pile(tmp_path / "large", 2, size=64)
    command = ["refine", str(tmp_path / "large"), "--model", str(run), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == EXIT_OK and "its change was scaled" in " ".join(done.output.split()), done.output
    done = CliRunner().invoke(main, [*command, "--scale", "own"])
    assert done.exit_code == EXIT_USER_ERROR and "another scale (training, now own)" in done.output
    done = CliRunner().invoke(main, [*command, "--scale", "own", "--overwrite"])
    assert done.exit_code == EXIT_OK and "scaled" not in done.output


@pytest.mark.parametrize("other", [{"refiner__bound": 0.5}, {"style__candidates": 2}])
def test_pictures_of_other_options_and_the_same_weights_are_not_mixed_in_one_folder(run, tmp_path, other):
    folder = write_pile(tmp_path / "in", 1)
    changed = write_random_refiner(tmp_path / "other", **other)
    out, done = tmp_path / "out", []
    for model in (run, changed):
        arguments = ("refine", folder, "--model", model, "--out", out)
        done.append(CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False))
    assert [each.exit_code for each in done] == [EXIT_OK, EXIT_USER_ERROR]
    assert "holds pictures of another" in done[1].output


def test_pictures_of_two_precisions_are_not_mixed_in_one_folder(run):
    assert load(run, "bfloat16").fingerprint != load(run).fingerprint == load(run, "float32").fingerprint


def test_an_unknown_scale_is_refused(run):
    with pytest.raises(UserError, match="choose training or own"):
        simrefine.load(run, scale="huge")


def test_a_refiner_of_another_seed_is_the_one_that_is_loaded_with_it(run):
    images = faces(3, 32)
    first, other, loaded = load(run), load(run).with_seed(1), load(run, seed=1)
    np.testing.assert_array_equal(other(images), loaded(images))
    assert other.fingerprint == loaded.fingerprint != first.fingerprint and other.about == loaded.about
    assert np.abs(other(images).astype(float) - first(images)).mean() > 1


def test_several_looks_of_a_refiner_without_styles_are_refused_before_the_first_is_made(run, tmp_path, monkeypatch):
    refiner = load(run)
    monkeypatch.setattr(refiner, "_styled", False)
    assert refiner.looks(1, tmp_path) == [(refiner, tmp_path)]
    with pytest.raises(UserError, match="without styles"):
        refiner.looks(2, tmp_path)
