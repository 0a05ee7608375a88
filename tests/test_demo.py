"""The demo, from nothing to a report, on a setting so small that it takes seconds."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import TINY

import simrefine.demo
from simrefine.cli import main
from simrefine.config import Config
from simrefine.data.images import read_picture
from simrefine.demo import ENLARGED, SHEET, SHOWN, Extent, Look, Outcome, draw_faces, hold_against_truth, run_demo
from simrefine.errors import EXIT_INTERRUPTED, UserError
from simrefine.evaluation import two_sample
from simrefine.files import TEMPORARY_PREFIX
from simrefine.refining.refiner import load
from simrefine.training.train import Result, train

SMALL = Extent(
    faces=160, held_out=24, size=32, steps=300, values=(("parts.steps", 150), ("discriminator.name", "multiscale"))
)
TINY_VALUES = tuple(TINY.items())
SMALLEST = Extent(faces=20, held_out=20, size=16, steps=1, values=TINY_VALUES)


OWN_OF_A_RUN = {
    "data.synthetic",
    "data.real",
    "data.size",
    "labels.file",
    "parts.masks",
    "training.steps",
    "training.seed",
}
GOOD = Outcome(
    raw=Look(200.0, (100.0, 80.0), 17.0, 0.9),
    unrefined=Look(150.0, (200.0, 140.0), 15.0, 0.5),
    refined=Look(80.0, (30.0, 30.0), 14.0, 0.95),
    nearer=0.8,
    displacement=(0.3, 0.6),
    seconds=200.0,
)


@pytest.fixture(scope="module", autouse=True)
def _classifiers_learn_shortly():
    """Nothing here asks what they say, and at full length they are two thirds of a tiny demo."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_sample, "FOLDS", 3)
        patch.setattr(two_sample, "STEPS", 3)
        yield


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out, said = tmp_path_factory.mktemp("demo") / "out", []
    return out, run_demo(out, extent=SMALL, progress=said.append), said


def test_refined_faces_are_nearer_to_the_photo_pile_by_two_fifths(small):
    _, outcome, _ = small
    assert outcome.swd_down >= 0.4


def test_the_network_brings_fine_detail_that_colours_and_rooms_alone_do_not(small):
    _, outcome, _ = small
    assert outcome.refined.fine[0] < 0.8 * outcome.unrefined.fine[0]
    assert outcome.unrefined.sharpness < outcome.refined.sharpness


def test_labels_stay_where_they_are(small):
    _, outcome, _ = small
    assert outcome.displacement[0] < 2  # percent, of a distance of 10 px


def test_the_demo_trains_as_users_do_and_says_which_options_are_its_own(small):
    out, _, said = small
    config = Config.load(out / "run" / "config.toml", environment={})
    assert config.parts.masks == str(out / "data" / "renders-masks") and config.parts.scene
    assert load(out / "run").dresser.has_scenes
    differing = set(config.differences(Config.load(environment={}))) - OWN_OF_A_RUN - set(dict(SMALL.values))
    assert differing == {line.split()[3] for line in said if line.startswith("the demo sets ")}


@pytest.mark.parametrize(
    "look, says",
    [
        (Look(80.0, (30.0, 30.0), 14.0, 0.6), "as sharp as"),  # blurred
        (Look(80.0, (30.0, 30.0), 14.0, 1.4), "as sharp as"),  # noisy
        (Look(80.0, (51.0, 30.0), 14.0, 0.95), "two finest levels"),
        (Look(80.0, (30.0, 41.0), 14.0, 0.95), "two finest levels"),
        (Look(130.0, (30.0, 30.0), 14.0, 0.95), "photo pile is not"),
        (Look(80.0, (30.0, 30.0), 18.0, 0.95), "farther from their own"),
    ],
)
def test_whatever_falls_short_is_said_and_is_no_success(look, says):
    outcome = replace(GOOD, refined=look)
    assert not outcome.worked
    assert says in outcome.describe() and "fell short" in outcome.describe()


def test_what_colours_and_rooms_alone_gave_is_no_success_of_the_network():
    outcome = replace(GOOD, unrefined=Look(150.0, (35.0, 19.0), 15.0, 0.9))
    assert not outcome.worked and "colours and rooms alone" in outcome.describe()


def test_labels_that_moved_are_no_success():
    assert not replace(GOOD, displacement=(1.6, 3.0)).worked


def test_the_table_shows_what_colours_and_rooms_alone_gave():
    assert GOOD.worked and "it worked" in GOOD.describe()
    heading, distance = GOOD.describe().splitlines()[:2]
    assert heading.split()[-3:] == ["raw", "unrefined", "refined"]
    assert distance.split()[6:9] == ["200.0", "150.0", "80.0"]


def test_everything_that_the_demo_names_is_there(small):
    out, _, _ = small
    assert "drawn photo look" in (out / "report" / "report.html").read_text()
    assert (out / "report" / "evaluation.json").exists() and any((out / "run" / "tensorboard").iterdir())
    assert len(list((out / "refined" / "renders").glob("*.png"))) == SMALL.held_out
    assert read_picture(out / SHEET).pixels.shape == (4 * 32 * ENLARGED, SHOWN * 32 * ENLARGED, 3)
    for pile, count in (("renders", SMALL.faces), ("photos", SMALL.faces), ("held-out/renders", SMALL.held_out)):
        pictures = [path for path in (out / "data" / pile).iterdir() if path.suffix in (".png", ".jpg")]
        assert len(pictures) == count


def test_the_faces_are_drawn_alone_where_only_they_are_asked_for(tmp_path):
    draw_faces(tmp_path, extent=SMALLEST)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert len(list((tmp_path / "data" / "renders").glob("*.png"))) == SMALLEST.faces


def test_the_faces_are_removed_where_that_is_asked_for(tmp_path):
    run_demo(tmp_path / "out", clean=True, extent=SMALLEST)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["faces.png", "refined", "report", "run"]


def test_a_training_of_the_demo_is_resumed_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_demo("out", extent=SMALLEST)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    run = tmp_path / "out" / "run"
    config = Config.load(run / "config.toml", values={"training.steps": 6}, environment={})
    assert train(config, run, resume=True, quiet=True) == Result(run, 6, 0)


def test_an_interrupted_training_says_how_to_go_on_and_leaves_what_that_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(simrefine.demo, "train", lambda config, run: Result(run, 0, EXIT_INTERRUPTED))
    with pytest.raises(UserError, match="interrupted.*go on by hand") as caught:
        run_demo(tmp_path / "out", extent=SMALLEST)
    assert caught.value.exit_code == EXIT_INTERRUPTED
    assert (tmp_path / "out" / "data" / "renders" / "00000.png").exists()


def test_what_a_kill_left_is_no_obstacle(tmp_path, monkeypatch):
    monkeypatch.setattr(simrefine.demo, "train", lambda config, run: Result(run, 0, EXIT_INTERRUPTED))
    (tmp_path / f"{TEMPORARY_PREFIX}1").mkdir()
    with pytest.raises(UserError, match="interrupted"):
        run_demo(tmp_path, extent=SMALLEST)


def test_a_folder_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path)])
    assert result.exit_code == 2 and "is there already" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_truth_is_held_against_the_face_alone():
    rng = np.random.default_rng(0)
    truth = np.full((1, 16, 16, 3), 128, np.uint8) + rng.integers(0, 20, (1, 16, 16, 3), np.uint8)
    masks = np.zeros((1, 16, 16), np.uint8)
    masks[0, :8], masks[0, 8:12] = 1, 6  # skin, hair, background
    picture = truth.copy()
    picture[0, :8] += 3
    picture[0, 9:] = rng.integers(0, 255, (7, 16, 3))
    near = hold_against_truth(picture, truth, masks)
    assert near.distances == pytest.approx([3.0])
    assert near.sharpness == pytest.approx([1.0], abs=0.05)  # the last row of skin has hair beside it
    blurred = hold_against_truth(np.full_like(truth, 138), truth, masks)
    assert blurred.sharpness == pytest.approx([0.0])
