"""What label files say of pictures beside points: numbers and classes, as a table."""

import json

import numpy as np
import pytest

from simrefine.data.attributes import read_attributes
from simrefine.errors import UserError


def write_rows(folder, rows, name="annotations.jsonl"):
    lines = [json.dumps({"file": f"{place}.png"} | row) for place, row in enumerate(rows)]
    (folder / name).write_text("\n".join(lines))
    return folder / name, [f"{place}.png" for place in range(len(rows))]


def table(found):
    return dict(zip(found.names, found.values.T, strict=True))


def test_numbers_objects_colours_and_sides_become_columns(tmp_path):
    rows = [
        {"yaw": 1, "expression": {"smile_L": 1.0, "smile_R": 0.5}, "person": {"skin": [0.1, 0.2, 0.3]}, "identity": 1},
        {"yaw": 2.5, "expression": {"jaw": 0.3}, "person": {"skin": [0.4, 0.4, 0.4]}, "landmarks": [[1, 2], [3, 4]]},
        {"expression": {}, "person": {"skin": [0.1, 0.1, 0.1]}},
    ]
    file, names = write_rows(tmp_path, rows)
    found = table(read_attributes(file, tmp_path, names))
    assert sorted(found) == ["jaw", "skin", "smile", "yaw"]
    np.testing.assert_allclose(found["yaw"], [1, 2.5, np.nan])
    np.testing.assert_allclose(found["smile"], [0.75, 0, 0])  # an object that others have it in, and this one not
    np.testing.assert_allclose(found["jaw"], [0, 0.3, 0])
    np.testing.assert_allclose(found["skin"], [0.2, 0.4, 0.1])


def test_texts_are_a_class_for_each_value_that_is_not_rare(tmp_path):
    rows = [{"hair": "bald" if place % 4 else "long", "name": f"n{place}"} for place in range(99)]
    file, names = write_rows(tmp_path, [*rows, {"hair": "mohawk"}])
    found = read_attributes(file, tmp_path, names)
    assert found.names == ("hair=bald", "hair=long") and found.classes.all()
    assert table(found)["hair=long"].sum() == 25


def test_one_key_in_two_objects_keeps_the_object_in_its_name(tmp_path):
    rows = [{"view": {"light": place}, "person": {"light": -place, "age": place}} for place in range(3)]
    file, names = write_rows(tmp_path, rows)
    assert set(read_attributes(file, tmp_path, names).names) == {"view.light", "person.light", "age"}


def test_a_csv_says_the_same_as_rows_of_json(tmp_path):
    (tmp_path / "t.csv").write_text("file,age,glasses\n0.png,20,yes\n1.png,,no\n2.png,30,no\n")
    found = table(read_attributes(tmp_path / "t.csv", tmp_path, [f"{place}.png" for place in range(4)]))
    np.testing.assert_allclose(found["age"], [20, np.nan, 30, np.nan])
    np.testing.assert_allclose(found["glasses=yes"], [1, 0, 0, np.nan])


def test_faults_are_told(tmp_path):
    file, names = write_rows(tmp_path, [{"yaw": 1}, {"yaw": 1}])
    with pytest.raises(UserError, match="nothing that differs"):
        read_attributes(file, tmp_path, names)
    with pytest.raises(UserError, match="no row for the pictures"):
        read_attributes(file, tmp_path, ["other.png"])
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(UserError, match=r"neither a \.jsonl nor a \.csv"):
        read_attributes(tmp_path / "c.json", tmp_path, names)
