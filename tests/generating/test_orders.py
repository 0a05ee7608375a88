"""Folders of generated faces: what the orders make, that they go on where they stopped, and what they say."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_people import PEOPLE, SMALL, VIEWS, small_config, write_people

import simrefine
from simrefine.catalogue import PARTS
from simrefine.cli import main
from simrefine.config import Config
from simrefine.data.images import read_picture
from simrefine.data.labels import read_labels
from simrefine.data.masks import read_mask
from simrefine.errors import EXIT_USER_ERROR, UserError
from simrefine.generating.axes import Axes
from simrefine.generating.find_axes import find_axes
from simrefine.generating.folder import AT_ONCE, fill_folder
from simrefine.generating.generator import Faces
from simrefine.generating.invert import FACES, Inverter
from simrefine.generating.landmarks import landmark_error
from simrefine.generating.move import moved
from simrefine.generating.orders import recombine, sample, vary
from simrefine.generating.records import label_points
from simrefine.generating.variations import Variations, light_directions
from simrefine.training.learn_generator import describe_phases
from simrefine.training.train import train


def records(out):
    return [json.loads(line) for line in (out / "generated.jsonl").read_text().splitlines()]


def contents(out):
    return {
        path.name: path.read_bytes()
        for folder in (out, out.with_name(out.name + "-masks"))
        for path in folder.iterdir()
    }


def test_a_run_has_a_grid_and_a_generator_and_its_people(run, generator):
    assert set(generator.names) <= {str(person) for person in range(PEOPLE)} and len(generator.names) >= 4
    assert any((run / "tensorboard").iterdir()) and (run / "generator" / "model.json").exists()
    with pytest.raises(UserError, match="holds no refiner"):
        simrefine.load(run)


def test_samples_come_with_masks_and_a_label_file(generator, tmp_path):
    done = sample(generator, tmp_path / "out", count=3)
    assert (done.asked, done.written, done.skipped, done.left) == (3, 3, 0, 0)
    said = records(tmp_path / "out")
    assert [record["place"] for record in said] == [0, 1, 2] and len({record["person"] for record in said}) == 3
    for record in said:
        picture, mask = (tmp_path / "out" / record[key] for key in ("file", "mask"))
        assert read_picture(picture).pixels.shape == (16, 16, 3) and read_mask(mask).max() < len(PARTS)
    labels = read_labels(tmp_path / "out" / "generated.jsonl", tmp_path / "out")
    assert labels.groups_of(["00000.png"]) == [said[0]["person"]]


def test_the_seed_decides_and_a_new_person_is_one_person(generator, tmp_path):
    for name, options in {"a": {}, "b": {}, "c": {"seed": 1}}.items():
        sample(generator, tmp_path / name, new=True, count=2, **options)
    once, again, other = (contents(tmp_path / name) for name in "abc")
    assert once["00000.png"] == again["00000.png"] != other["00000.png"]
    assert once["00000.png"] != once["00001.png"]
    assert {record["person"] for record in records(tmp_path / "a")} == {"new-0"}


def test_what_is_there_is_not_made_again_and_what_is_missing_is(generator, tmp_path):
    out = tmp_path / "out"
    asked = iter([False, True])
    first = sample(generator, out, count=AT_ONCE + 2, stopped=lambda: next(asked))
    assert (first.written, first.left) == (AT_ONCE, 2) and len(records(out)) == AT_ONCE
    (out / "00003.png").unlink()
    second = sample(generator, out, count=AT_ONCE + 2)
    assert (second.written, second.skipped) == (3, AT_ONCE - 1)
    sample(generator, tmp_path / "whole", count=AT_ONCE + 2)
    assert {k: v for k, v in contents(out).items() if k.endswith(".png")} == {
        k: v for k, v in contents(tmp_path / "whole").items() if k.endswith(".png")
    }


def test_a_folder_of_another_order_is_left_alone(generator, tmp_path):
    sample(generator, tmp_path / "out", count=1)
    with pytest.raises(UserError, match="faces of another order: seed is 0 there and 5 here"):
        sample(generator, tmp_path / "out", count=1, seed=5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        sample(generator, tmp_path / "mine", count=1)
    sample(generator, tmp_path / "out", count=1, seed=5, overwrite=True)
    assert records(tmp_path / "out")[0]["seed"] == 5


def test_recombined_faces_are_those_of_the_encoders(generator, renders, tmp_path):
    done = recombine(generator, renders / "000.png", renders, tmp_path / "out")
    assert done.written == PEOPLE * VIEWS
    said = records(tmp_path / "out")
    assert {record["identity_from"] for record in said} == {"000.png"} and said[4]["attributes_from"] == "004.png"
    pictures = np.stack([read_picture(renders / name).pixels for name in ("000.png", "004.png")])
    f, z = generator.encode(pictures)
    made = generator(f[:1], z[1:]).pictures[0]
    np.testing.assert_array_equal(made, read_picture(tmp_path / "out" / "00000-00004.png").pixels)


def test_variations_change_the_part_and_keep_the_rest_of_the_codes(generator, renders, tmp_path, monkeypatch):
    pictures = np.stack([read_picture(renders / "000.png").pixels])
    f, z = generator.encode(pictures)
    codes = generator.codes(f, z)
    changed = Variations(generator, ("hair",)).vary(codes, f, z, np.random.default_rng(0))
    moved = np.abs(changed.shape - codes.shape).max(axis=(0, 2)) > 0
    assert list(moved) == [part == "hair" for part in PARTS]
    np.testing.assert_array_equal(changed.base, codes.base)
    monkeypatch.setattr("simrefine.generating.variations.light_directions", lambda _: np.float32([[1, 0, 0]]))
    lit = Variations(generator, ("light",)).vary(codes, f, z, np.random.default_rng(0))
    np.testing.assert_array_equal(lit.shape, codes.shape)
    assert np.abs(lit.texture - codes.texture).max() > 0
    done = vary(generator, renders / "000.png", tmp_path / "out", parts=("hair",), count=2, steps=2, tune=2)
    assert (
        done.written == 2
        and records(tmp_path / "out")[1] | {"place": 1, "varied": "000.png"} == records(tmp_path / "out")[1]
    )
    with pytest.raises(UserError, match="'nose' cannot be changed.*hair"):
        vary(generator, renders, tmp_path / "other", parts=("nose",))


def test_each_variation_is_drawn_by_the_generator_that_is_tuned_to_its_face(generator, renders, tmp_path):
    """Faces are tuned for FACES at a time, and a batch of AT_ONCE may hold faces of two groups."""
    assert AT_ONCE > FACES and PEOPLE * VIEWS > FACES
    how = {"parts": ("hair",), "count": 1, "steps": 0, "tune": 3}
    vary(generator, renders, tmp_path / "out", **how)
    for face in (0, FACES):  # of the first group and of the second, made again alone
        picture = tmp_path / "out" / f"{face:05d}-0.png"
        made = picture.read_bytes()
        picture.unlink()
        vary(generator, renders, tmp_path / "out", **how)
        assert picture.read_bytes() == made


def test_inversion_comes_nearer_and_leaves_the_generator_as_it_was(generator, renders):
    pictures = np.stack([read_picture(renders / name).pixels for name in ("000.png", "001.png")])
    before = generator(*generator.encode(pictures))
    inverter = Inverter(generator)
    distances = []
    for steps, tune in ((0, 0), (30, 0), (30, 60)):
        made = generator.draw(inverter.fit(pictures, steps, tune)).pictures
        distances.append(np.abs(made.astype(float) - pictures).mean())
    assert distances[0] > distances[1] > distances[2]
    inverter.restore()
    np.testing.assert_array_equal(before.pictures, generator(*generator.encode(pictures)).pictures)


def test_directions_of_light_follow_light_and_not_place():
    class Lit:
        """A generator whose first two numbers are the light, and the second also where the face is."""

        attributes = 6

        def new_person(self, rng):
            return rng.standard_normal(2)

        def new_attributes(self, count, rng):
            return rng.standard_normal((count, self.attributes)).astype(np.float32)

        def __call__(self, identities, z):
            parts = np.zeros((len(z), 16, 16), np.uint8)
            for face, (_, place, *_) in zip(parts, z, strict=True):
                left = int(np.clip(4 + 2 * place, 0, 10))
                face[4:12, left : left + 6] = PARTS.index("skin")
            light = np.clip(128 + 20 * (z[:, 0] + z[:, 1]), 0, 255).astype(np.uint8)
            return Faces(np.broadcast_to(light[:, None, None, None], (len(z), 16, 16, 3)), parts)

    found = light_directions(Lit())
    assert found.shape == (1, 6)  # it has no light from a side
    assert abs(found[0, 0]) > 0.9 and abs(found[0, 1]) < 0.2


def test_landmarks_hold_where_the_parts_are_drawn_where_they_are():
    from drawn_faces import points_68

    from simrefine.data.parts import parts_of_points

    points = points_68(32, 32, 22)
    parts = parts_of_points(points, 64)
    eyes = np.linalg.norm(points[42:48].mean(0) - points[36:42].mean(0))
    assert landmark_error(parts, points) == pytest.approx(0, abs=0.5)
    assert landmark_error(np.roll(parts, 3, axis=1), points) == pytest.approx(100 * 3 / eyes, rel=0.2)
    assert landmark_error(np.where(parts == PARTS.index("lips"), 0, parts), points) is None
    assert landmark_error(parts, points[:5]) is None


def test_faults_of_the_user_are_told(run, generator, tmp_path):
    with pytest.raises(UserError, match="knows nobody called 'Bob'"):
        sample(generator, tmp_path / "out", person="Bob")
    with pytest.raises(UserError, match=r"takes uint8 \[n, 16, 16, 3\], got uint8 \[1, 8, 8, 3\]"):
        generator.encode(np.zeros((1, 8, 8, 3), np.uint8))
    done = CliRunner().invoke(main, ["generate", "sample", "--model", str(tmp_path), "--out", str(tmp_path / "o")])
    assert done.exit_code == EXIT_USER_ERROR and "holds no generator" in done.output
    done = CliRunner().invoke(
        main,
        ["generate", "recombine", "--model", str(run), "--identity", "/nowhere.png", "--attributes", "x", "--out", "o"],
    )
    assert done.exit_code == EXIT_USER_ERROR and "/nowhere.png is not there" in done.output


def test_renders_without_people_or_parts_are_refused(tmp_path):
    renders = write_people(tmp_path / "renders")
    config = {"data__synthetic": str(renders), "generator__photographs": False, "training__batch_size": 8}
    lines = [json.loads(line) for line in (renders / "annotations.jsonl").read_text().splitlines()]
    with pytest.raises(UserError, match="needs the parts of the renders"):
        train(small_config(**config, parts__masks=""), tmp_path / "run", quiet=True)
    with pytest.raises(UserError, match="names 8 people, a batch needs 10"):
        train(small_config(**config | {"training__batch_size": 20}), tmp_path / "run", quiet=True)
    for line in lines:
        del line["identity"]
    (renders / "annotations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match="does not say who"):
        train(small_config(**config), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_stopped_training_goes_on_as_if_it_had_never_stopped(run, tmp_path, uncompiled):
    home = run.parent
    config = {
        "data__synthetic": str(home / "renders"),
        "data__real": str(home / "photographs"),
        "training__batch_size": 8,
    }
    config |= {"training__learning_rate_decay": 0, "monitor__checkpoint_every": 1}
    train(small_config(**config, training__steps=3), tmp_path / "whole", quiet=True)
    train(small_config(**config, training__steps=1), tmp_path / "parts", quiet=True)
    train(small_config(**config, training__steps=3), tmp_path / "parts", resume=True, quiet=True)
    files = [tmp_path / name / "generator" / "weights.safetensors" for name in ("whole", "parts")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_faces_that_cannot_be_made_leave_no_half(tmp_path):
    def make(places):
        raise MemoryError

    with pytest.raises(MemoryError):
        fill_folder(tmp_path / "out", {"seed": 0}, ["a.png"], make)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["simrefine.json"]


def test_a_generator_that_cannot_draw_yet_is_refused(tmp_path):
    renders = write_people(tmp_path / "renders")
    values = SMALL | {"data.synthetic": str(renders), "data.size": 16, "training.batch_size": 8}
    values |= {"labels.file": str(renders / "annotations.jsonl"), "parts.masks": f"{renders}-masks"}
    values |= {"method.name": "generator", "generator.photographs": False, "generator.identity_steps": 1}
    values |= {"training.steps": 1, "monitor.faces": 2}
    train(Config.load(values=values, environment={}), tmp_path / "run", quiet=True)
    with pytest.raises(UserError, match="not yet to draw"):
        simrefine.load_generator(tmp_path / "run")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (10, "2 on who is who, 3 on reconstruction, 5 on all"),
        (4, "2 on who is who, 2 on reconstruction, 0 on all: faces will be blurred; raise --steps above 5"),
        (1, "1 on who is who, 0 on reconstruction, 0 on all: faces will be blurred; raise --steps above 5"),
    ],
)
def test_a_training_says_what_is_learnt_when(steps, words):
    phases = {"generator__identity_steps": 2, "generator__reconstruction_steps": 3}
    assert describe_phases(small_config(training__steps=steps, **phases)) == words


def test_points_do_not_hold_where_a_feature_was_not_drawn():
    points = np.random.default_rng(0).uniform(2, 14, (68, 2))
    assert label_points(points, np.zeros((16, 16), np.uint8)) == {"landmarks_hold": False}


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """A folder of people whose rows say how bright their faces are, and a run with axes found in it."""
    home = tmp_path_factory.mktemp("described")
    renders = write_people(home / "renders", people=20)
    lines = [json.loads(line) for line in (renders / "annotations.jsonl").read_text().splitlines()]
    for line in lines:
        pixels = read_picture(renders / line["file"]).pixels
        line["view"] = {"light": float(pixels.mean()), "red": float(pixels[..., 0].mean() - pixels.mean())}
    (renders / "annotations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return renders


def test_axes_are_found_and_faces_moved_along_them_by_the_command_line(run, described, tmp_path, monkeypatch):
    # Two steps of training draw no axis worth one.
    monkeypatch.setattr("simrefine.generating.axes.LEAST_R2", -10.0)
    monkeypatch.setattr(Axes, "usable", property(lambda axes: np.ones(len(axes.names), bool)))

    def call(*words):
        done = CliRunner().invoke(main, ["generate", *map(str, words)])
        assert done.exit_code == 0, done.output
        return done.output

    model = tmp_path / "run"
    shutil.copytree(run / "generator", model / "generator")
    said = call("axes", "--model", model, "--synthetic", described)
    assert "light" in said and "simrefine generate move" in said and (model / "axes" / "axes.json").is_file()
    some, short = described / "000.png", ("--steps", 1, "--tune", 1)
    (tmp_path / "r.toml").write_text('lock = ["red"]\nparts = ["hair"]\nseed = 2\n[axes]\nlight = "-1..1:1"\n')
    call("move", some, "--model", model, "--recipe", tmp_path / "r.toml", "--out", tmp_path / "out", *short)
    rows = records(tmp_path / "out")
    assert [row["axes"] for row in rows] == [{"light": f"{step} sd"} for step in ("-1", "+0", "+1")]
    assert rows[0]["moved"] == "000.png" and rows[0]["parts"] == ["hair"]
    assert set(rows[0]["attributes"]) == {"light", "red"}
    flags = ("--axis", "light=-1..1:1", "--lock", "red", "--parts", "hair", "--seed", 2)
    call("move", some, "--model", model, *flags, "--out", tmp_path / "same", *short)
    for row in rows:
        assert (tmp_path / "same" / row["file"]).read_bytes() == (tmp_path / "out" / row["file"]).read_bytes()
    assert len({(tmp_path / "out" / row["file"]).read_bytes() for row in rows}) == 3


def test_a_step_of_nothing_leaves_an_encoded_face_as_it_is_drawn(generator, renders, tmp_path, monkeypatch):
    pictures = np.stack([read_picture(renders / "000.png").pixels])
    f, z = generator.encode(pictures)
    offset = np.zeros((1, f.shape[1] + z.shape[1]))
    codes = generator.codes(f, z)
    for code, same in zip(codes, moved(generator, codes, f, z, offset), strict=True):
        np.testing.assert_allclose(same, code, atol=1e-5)
    offset[:, -1] = 1.0
    assert np.abs(moved(generator, codes, f, z, offset).base - codes.base).max() > 1e-4


def test_axes_need_people_and_say_so(generator, run, described, tmp_path):
    with pytest.raises(UserError, match="at least 50|known of enough faces"):
        find_axes(generator, tmp_path, run.parent / "renders", table=_table(tmp_path, 24))
    for line in (lines := [json.loads(line) for line in (described / "annotations.jsonl").read_text().splitlines()]):
        del line["identity"]
    (tmp_path / "nobody.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match="does not say who"):
        find_axes(generator, tmp_path, described, tmp_path / "nobody.jsonl")


def _table(folder, count):
    rows = "".join(f"{place:03d}.png,{place % 7}\n" for place in range(count))
    (folder / "t.csv").write_text(f"file,age\n{rows}")
    return folder / "t.csv"
