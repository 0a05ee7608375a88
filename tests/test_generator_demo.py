"""The generator's demo: people are drawn, and faces of strangers are held against the truth."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tiny_people import NETWORKS

from simrefine.catalogue import PARTS
from simrefine.data.images import read_picture
from simrefine.drawing.example_faces import RENDER, VIEWS, draw_face, write_people
from simrefine.errors import UserError
from simrefine.generating.generator import Faces
from simrefine.generator_demo import SHEET, Extent, Outcome, hold_against_truth, pairs, run_demo

SIZE = 32
GOOD = Outcome(made=5.0, identity=12.0, attributes=10.0, wrong=15.0, iou=0.8, wrong_iou=0.6, seconds=1.0)
SHORT = {
    "generator.identity_steps": 1,
    "generator.reconstruction_steps": 1,
    "training.steps": 3,
    "generator.identity_batch": 8,
    "training.batch_size": 8,
}


def test_views_show_one_person_each_otherwise(tmp_path):
    write_people(tmp_path / "data", SIZE, people=2, strangers=1)
    rows = [json.loads(line) for line in (tmp_path / "data/people/annotations.jsonl").read_text().splitlines()]
    assert [row["identity"] for row in rows] == ["people-00000"] * VIEWS + ["people-00001"] * VIEWS
    assert (
        all(row["person"] == rows[0]["person"] for row in rows[:VIEWS]) and rows[VIEWS]["person"] != rows[0]["person"]
    )
    assert len({row["yaw"] for row in rows}) == len(rows)
    strangers = [json.loads(line) for line in (tmp_path / "data/strangers/annotations.jsonl").read_text().splitlines()]
    assert len(strangers) == VIEWS and strangers[0]["person"]["shape"] not in [row["person"]["shape"] for row in rows]


def test_the_truth_is_the_one_person_as_the_other_is_seen():
    one, other = draw_face(0, "strangers", 1, SIZE), draw_face(0, "strangers", VIEWS + 1, SIZE)
    truth = draw_face(0, "strangers", VIEWS + 1, SIZE, of=1)
    assert truth.facts["person"] == one.facts["person"] != other.facts["person"]
    for what in ("yaw", "pitch", "roll", "expression", "view"):
        assert truth.facts[what] == other.facts[what]
    same = draw_face(0, "strangers", 1, SIZE, of=0)
    np.testing.assert_array_equal(same.pictures[RENDER], one.pictures[RENDER])


def test_each_stranger_is_seen_as_others_are():
    identity, attributes = pairs(5)
    assert len(identity) == 5 * (VIEWS - 1) and (identity % VIEWS == 0).all() and (attributes % VIEWS > 0).all()
    assert (identity // VIEWS != attributes // VIEWS).all()
    assert len({*zip(identity, attributes, strict=True)}) == len(identity)


def test_the_truth_itself_is_perfect_and_another_is_not():
    truth = [draw_face(0, "strangers", VIEWS * place + 1, SIZE, of=0) for place in range(3)]
    pictures = np.stack([face.pictures[RENDER] for face in truth])
    # Class 1 of the masks is skin, and so is 7, the neck.
    parts = np.stack([np.isin(face.mask, (1, 7)) * PARTS.index("skin") for face in truth]).astype(np.uint8)
    numbers = hold_against_truth(Faces(pictures, parts), truth, 255 - pictures, np.roll(pictures, 1, axis=0))
    assert numbers["made"] == 0 and numbers["iou"] == 1
    assert numbers["wrong"] == pytest.approx(numbers["attributes"], abs=20) and numbers["wrong_iou"] < 1
    assert numbers["identity"] > 20 and numbers["wrong"] > 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"made": 11.0}, "not nearer to the truth than the faces they were made of"),
        ({"made": 9.0, "wrong": 8.0}, "not nearer to their own truth than to another"),
        ({"iou": 0.5}, "overlaps the true one by less than 70%"),
    ],
)
def test_whatever_falls_short_is_said(values, words):
    assert not GOOD.missed and "it worked" in GOOD.describe()
    fallen = replace(GOOD, **values)
    assert len(fallen.missed) == 1 and words in fallen.describe() and "it worked" not in fallen.describe()


def test_the_demo_leaves_its_people_a_generator_and_a_sheet(tmp_path, uncompiled):
    extent = Extent(people=4, strangers=3, size=SIZE, values=tuple((NETWORKS | SHORT | {"monitor.faces": 2}).items()))
    said = []
    outcome = run_demo(tmp_path / "out", extent=extent, progress=said.append)
    assert outcome.missed and outcome.made > 0  # three steps teach nothing
    rows = 1 + 2 * 3
    assert read_picture(tmp_path / "out" / SHEET).pixels.shape[:2] == (3 * SIZE * rows, 3 * SIZE * 4)
    assert (tmp_path / "out" / "run" / "generator" / "model.json").is_file()
    assert any("the demo sets generator.photographs = false" in line for line in said)
    with pytest.raises(UserError, match="is there already"):
        run_demo(tmp_path / "out", extent=extent)
