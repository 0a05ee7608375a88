"""The scripts behind the numbers in experiments/: they start, and what they compute is what they say."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from simrefine.catalogue import PARTS

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
IMPORTED = ("recogniser", "runs")  # by the others
SCRIPTS = sorted(file.stem for file in EXPERIMENTS.glob("*.py") if file.stem not in IMPORTED)


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    """As `python experiments/x.py` has it."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    yield
    for script in EXPERIMENTS.glob("*.py"):
        sys.modules.pop(script.stem, None)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_experiment_starts_and_says_what_it_does(name):
    result = CliRunner().invoke(importlib.import_module(name).main, ["--help"])
    assert result.exit_code == 0, result.output
    assert importlib.import_module(name).__doc__.partition("\n")[0][:40] in " ".join(result.output.split())


def test_a_faint_checkerboard_is_seen_and_noise_is_not():
    fold = importlib.import_module("checkerboard").fold
    noise = np.random.default_rng(0).integers(100, 130, (40, 64, 64, 3)).astype(np.uint8)
    board = (np.indices((64, 64)).sum(axis=0) % 2)[:, :, None].astype(np.uint8)
    clean, marked = (fold(pictures)[0] for pictures in (noise, noise + 2 * board))
    assert clean < 0.3
    assert marked > 0.9  # half of the two gray levels


def test_the_table_of_sets_holds_what_was_measured(capsys):
    def measured(error, faces=None):
        return {key: {"mean": error, "std": None} for key in ("error", "adapted")} | {"faces": faces}

    auc = {"auc": 0.5, "low": 0.4, "high": 0.6, "n": 10}
    skin = {"tinted": 0.02, "distance": {"median": 4.0}, "ita_change": {"median": 5.0}}
    faces = {"kid": 8.3, "swd": 40.0, "auc": auc, "percent_median": 0.5, "percent_p95": 1.0, "complexion": skin}
    sets = {"raw": measured(10.0), "run": measured(7.0, faces), "real": measured(5.0)}
    importlib.import_module("compare").print_table(sets)
    rows = capsys.readouterr().out.splitlines()
    assert (
        "| run | 7.00 | 60 % | 7.00 | 60 % | 8.3 | 40.0 | 0.50 (0.40 .. 0.60) | 0.50 / 1.00 | 2.0 % | 4.0 / 5.0 |"
        in rows
    )


def test_the_recogniser_tells_people_it_was_not_trained_on_from_each_other():
    train = importlib.import_module("recogniser").train_recogniser
    rng = np.random.default_rng(0)
    looks = rng.integers(0, 255, (12, 4, 4, 3))  # a person is a pattern, a view of it is noisy

    def views(of):
        faces = np.kron(looks[of], np.ones((8, 8, 1))) + rng.normal(0, 20, (len(of), 32, 32, 3))
        return np.clip(faces, 0, 255).astype(np.uint8)

    people = np.repeat(np.arange(8), 4)
    vectors = train(views(people), people, seed=0, steps=20)(views(np.repeat(np.arange(8, 12), 2)))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cosines = vectors @ vectors.T - 2 * np.eye(8)
    assert (cosines.argmax(axis=1) == np.arange(8) ^ 1).all()


def test_the_recogniser_learns_who_is_who_where_the_rooms_look_more_alike():
    train = importlib.import_module("recogniser").train_recogniser
    auc_of_people = importlib.import_module("generator").auc_of_people
    rng = np.random.default_rng(0)
    looks, rooms = rng.integers(0, 255, (32, 3, 3, 3)), rng.integers(78, 178, (4, 8, 8, 3))

    def views(people):
        """Four of each, in as many rooms."""
        faces = np.kron(rooms[np.arange(len(people)) % 4], np.ones((4, 4, 1)))
        faces[:, 10:22, 10:22] = np.kron(looks[people], np.ones((4, 4, 1)))
        return np.clip(faces + rng.normal(0, 10, faces.shape), 0, 255).astype(np.uint8)

    known, others = np.repeat(np.arange(24), 4), np.repeat(np.arange(24, 32), 4)
    faces, asked = views(known), views(others)

    def told(people):
        """0.93 to 0.98 of three seeds, 0.55 to 0.62 where there is nobody to learn."""
        return auc_of_people(train(faces, people, seed=0, steps=80)(asked), others)

    assert told(known) > 0.8
    assert told(rng.permutation(known)) < 0.75


def test_an_overlap_is_intersection_over_union():
    overlaps = importlib.import_module("generator").overlaps
    skin, hair, room = (PARTS.index(part) for part in ("skin", "hair", "background"))
    found = overlaps("iou", np.array([[[skin, skin, hair, room]]]), np.array([[[skin, room, hair, skin]]]))
    assert found == {"iou_skin": pytest.approx(1 / 3), "iou_hair": 1.0}
