"""The demo, from nothing to a report, on a setting so small that it takes seconds."""

import numpy as np
import pytest
from click.testing import CliRunner

import simrefine.demo
from simrefine.cli import main
from simrefine.demo import Extent, distance_to_truth, run_demo
from simrefine.errors import EXIT_INTERRUPTED, UserError
from simrefine.training.train import Result

SMALL = Extent(faces=160, held_out=24, size=32, steps=350)
SMALLEST = Extent(faces=4, held_out=2, size=16, steps=1)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, run_demo(out, keep_data=True, extent=SMALL)


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
    assert (out / "report" / "report.html").exists() and any((out / "run" / "tensorboard").iterdir())
    assert len(list((out / "refined").glob("*.png"))) == SMALL.held_out
    for pile, count in (("renders", SMALL.faces), ("photos", SMALL.faces), ("held-out/renders", SMALL.held_out)):
        pictures = [path for path in (out / "data" / pile).iterdir() if path.suffix in (".png", ".jpg")]
        assert len(pictures) == count


def test_faces_are_removed_unless_they_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(simrefine.demo, "train", lambda config, run: Result(run, 0, EXIT_INTERRUPTED))
    for keep_data in (False, True):
        out = tmp_path / str(keep_data)
        with pytest.raises(UserError, match="interrupted") as caught:
            run_demo(out, keep_data=keep_data, extent=SMALLEST)
        assert caught.value.exit_code == EXIT_INTERRUPTED
        assert (out / "data" / "renders").exists() == keep_data


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
