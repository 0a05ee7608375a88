"""The demo, from nothing to a report, on a setting so small that it takes seconds."""

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import TINY

import simrefine.demo
from simrefine.cli import main
from simrefine.demo import Extent, distance_to_truth, draw_faces, run_demo
from simrefine.errors import EXIT_INTERRUPTED, UserError
from simrefine.files import TEMPORARY_PREFIX
from simrefine.training.train import Result

SMALL = Extent(faces=160, held_out=24, size=32, steps=500)
TINY_VALUES = tuple(TINY.items())
SMALLEST = Extent(faces=20, held_out=20, size=16, steps=1, values=TINY_VALUES)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, run_demo(out, extent=SMALL)


def test_refined_faces_are_nearer_to_the_photo_pile_by_two_fifths(small):
    _, outcome = small
    assert outcome.swd_down >= 0.4
    assert outcome.worked


def test_refined_faces_are_nearer_to_their_own_photo_look(small):
    _, outcome = small
    raw, refined = outcome.distance
    assert refined < raw
    assert outcome.nearer > 0.5


def test_labels_stay_where_they_are(small):
    _, outcome = small
    assert outcome.displacement[0] < 1.5


def test_everything_that_the_demo_names_is_there(small):
    out, _ = small
    assert "drawn photo look" in (out / "report" / "report.html").read_text()
    assert (out / "report" / "evaluation.json").exists() and any((out / "run" / "tensorboard").iterdir())
    assert len(list((out / "refined" / "renders").glob("*.png"))) == SMALL.held_out
    for pile, count in (("renders", SMALL.faces), ("photos", SMALL.faces), ("held-out/renders", SMALL.held_out)):
        pictures = [path for path in (out / "data" / pile).iterdir() if path.suffix in (".png", ".jpg")]
        assert len(pictures) == count


def test_the_faces_are_drawn_alone_where_only_they_are_asked_for(tmp_path):
    draw_faces(tmp_path, extent=SMALLEST)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert len(list((tmp_path / "data" / "renders").glob("*.png"))) == SMALLEST.faces


def test_the_faces_are_removed_where_that_is_asked_for(tmp_path):
    run_demo(tmp_path / "out", clean=True, extent=SMALLEST)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["refined", "report", "run"]


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


def test_distance_to_truth_looks_at_the_head_alone():
    truth = np.zeros((1, 2, 2, 3), np.uint8)
    picture = truth.copy()
    picture[0, 0, 0] = (3, 6, 0)  # on the head
    picture[0, 1, 1] = 200  # behind it
    heads = np.array([[[True, True], [False, False]]])
    assert distance_to_truth(picture, truth, heads) == pytest.approx([1.5])
