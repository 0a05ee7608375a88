"""From folders to a verdict: what is measured is written down, what cannot be is refused by name."""

import json
import shutil
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import draw_face, tiny_config, write_pile

from simrefine.cli import main
from simrefine.data.faces import Faces
from simrefine.data.images import Picture, encode_picture, fit_square, read_picture, to_signed, to_uint8
from simrefine.data.styles import restyle_alone
from simrefine.errors import UserError
from simrefine.evaluation import evaluate as module
from simrefine.evaluation import labels, realism, two_sample, usefulness, verification
from simrefine.evaluation.baselines import take_colours
from simrefine.evaluation.evaluate import charts_of, evaluate
from simrefine.files import TEMPORARY_PREFIX
from simrefine.measures import realism as formulas
from simrefine.measures.drift import measure_drift
from simrefine.refining.folder import refine_folder
from simrefine.refining.refiner import load
from simrefine.training.train import train

N = 24


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Shorter trainings: what is tested here is not how well they learn."""
    monkeypatch.setattr(formulas, "PATCHES", 2**9)
    monkeypatch.setattr(formulas, "DIRECTIONS", 16)
    monkeypatch.setattr(two_sample, "STEPS", 3)
    monkeypatch.setattr(two_sample, "FOLDS", 3)
    short = partial(usefulness.measure_usefulness, steps=2, precision="float32")
    monkeypatch.setattr(module, "measure_usefulness", short)
    monkeypatch.setattr(module, "measure_labels", partial(labels.measure_labels, steps=2))
    people = partial(verification.measure_verification, steps=2, precision="float32")
    monkeypatch.setattr(module, "measure_verification", people)


def write_labels(folder, names, size, rng):
    """Five points a face: two eyes, a nose, two corners of the mouth."""
    points = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.4, 0.7], [0.6, 0.7]]) * size
    rows = [
        {"file": name, "identity": f"{folder.name} {index % 8}", "landmarks": (points + noise).tolist()}
        for index, (name, noise) in enumerate(zip(names, rng.normal(0, 0.3, (len(names), *points.shape)), strict=True))
    ]
    (folder / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "labels.jsonl"


@pytest.fixture
def folders(tmp_path):
    """Raw, refined (brighter by 9), real and test faces of 20 px, all labelled."""
    rng = np.random.default_rng(0)
    write_pile(tmp_path / "raw", N + 8, size=20)
    (tmp_path / "refined").mkdir()
    for file in (tmp_path / "raw").iterdir():
        pixels = np.clip(read_picture(file).pixels.astype(int) + 9, 0, 255).astype(np.uint8)
        (tmp_path / "refined" / file.name).write_bytes(encode_picture(Picture(pixels), ".png"))
    write_pile(tmp_path / "real", N + 120, size=20, real=True)
    write_pile(tmp_path / "test", N, size=20, real=True, seed=5)
    for name in ("raw", "real", "test"):
        write_labels(tmp_path / name, sorted(f.name for f in (tmp_path / name).iterdir()), 20, rng)
    return tmp_path


def test_people_are_verified_where_the_labels_say_who_is_who_and_else_it_is_said_what_lacks(folders):
    files = {"labels": folders / "raw" / "labels.jsonl", "test_labels": folders / "test" / "labels.jsonl"}
    given = arguments(folders, **files, test=folders / "test")
    result = evaluate(**given, parts=["verification"], seeds=1)
    assert set(result["verification"]["sets"]) == {"raw", "refined"}, "the photographs have no labels"
    rows = files["test_labels"].read_text().replace("identity", "number")
    files["test_labels"].write_text(rows)
    with pytest.raises(UserError, match="cannot be verified: the labels of the test faces do not say"):
        evaluate(**given, parts=["verification"])
    faces = {name: Faces(folders, None, groups=groups) for name, groups in (("raw", ["a"]), ("test", None))}
    assert module._without_verification(module.PARTS, faces, automatic=True) == ("realism", "labels", "usefulness")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training of four steps on faces of 20 px, brought to 16."""
    folder = tmp_path_factory.mktemp("trained")
    piles = write_pile(folder / "raw", N, size=20), write_pile(folder / "real", N, size=20, real=True)
    train(tiny_config(data__synthetic=str(piles[0]), data__real=str(piles[1])), folder / "run", quiet=True)
    return folder / "run"


def arguments(folders, **changes):
    given = {"raw": folders / "raw", "refined": folders / "refined", "real": folders / "real", "out": folders / "out"}
    return given | changes


def test_everything_that_the_folders_allow_is_measured_and_written_down(folders):
    files = {f"{prefix}labels": folders / name / "labels.jsonl" for prefix, name in (("", "raw"), ("real_", "real"))}
    test = {"test": folders / "test", "test_labels": folders / "test" / "labels.jsonl"}
    result = evaluate(**arguments(folders, **files, **test), seeds=1)
    assert json.loads((folders / "out" / "evaluation.json").read_text()) == result
    page = (folders / "out" / "report.html").read_text()
    assert (
        result["verdict"]["sentence"][:20] in page
        and result["verdict"]["summary"][0][:20] in page
        and "000.png" in page
    )
    assert set(result) >= {"verdict", "inputs", *module.PARTS, "versions", "seconds"}
    assert set(result["verification"]["sets"]) == {"raw", "refined", "real"}
    assert any("learnt people" in reason for reason in result["verdict"]["reasons"])
    assert "True accepts" in page
    assert set(result["usefulness"]["sets"]) == {
        "raw",
        "colours only",
        "refined",
        "real",
    }
    assert result["usefulness"]["sets"]["refined"]["adapted"]["mean"] > 0
    assert result["inputs"]["size"] == 20, "the first raw picture's side"
    assert result["labels"]["percent_median"] < 2, "a change of brightness moves nothing"
    assert result["labels"]["network"]["photographs"] == N + 120, "it learns from the labelled photographs"
    assert "complexion" not in result, "five points do not say where skin is"


def test_without_labels_realism_and_displacement_are_measured(folders):
    result = evaluate(**arguments(folders))
    assert "usefulness" not in result and result["labels"]["where"] == "grid"


def test_a_run_can_be_evaluated_without_writing_a_refined_folder(folders, run):
    places = {
        "--raw": folders / "raw",
        "--model": run,
        "--real": folders / "real",
        "--out": folders / "out",
    }
    flags = [str(part) for pair in places.items() for part in pair]
    done = CliRunner().invoke(main, ["evaluate", *flags, "--part", "realism"], catch_exceptions=False)
    assert done.exit_code == 0 and "report.html" in done.output
    result = json.loads((folders / "out" / "evaluation.json").read_text())
    assert result["inputs"]["size"] == 16 and "[training]" in result["config"]
    assert result["curves"]["step"] == [2, 4] and "labels" not in result


@pytest.fixture
def wide(folders):
    """Raw faces that are neither square nor of the training's size, as a folder of PNG and one of JPEG."""
    rng = np.random.default_rng(1)
    for index in range(N):
        picture = Picture(draw_face(rng, 30)[4:26])
        for extension in (".png", ".jpg"):
            (folders / extension).mkdir(exist_ok=True)
            (folders / extension / f"{index:03d}{extension}").write_bytes(encode_picture(picture, extension))
    return folders


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_a_run_is_evaluated_on_the_very_pictures_that_refine_writes(wide, run, extension):
    raw, written = wide / extension, wide / "written"
    by_model = evaluate(raw, wide / "real", wide / "out", model=run)
    refine_folder(load(run), raw, written)
    by_folder = evaluate(raw, wide / "real", wide / "out", refined=written, size=16)
    assert all(by_model["realism"][name] == by_folder["realism"][name] for name in ("raw", "refined", "real"))
    # From faces as the network was given them, which the folder does not tell: their colours are no drift.
    assert by_model["labels"]["pictures"] == by_folder["labels"]["pictures"] == N
    assert by_model["inputs"] == by_folder["inputs"] | {
        "refined": {"folder": str(run), "count": N},
    }


def test_what_the_network_of_a_run_is_given_stands_beside_what_it_makes_of_it(folders, run, monkeypatch):
    rng = np.random.default_rng(2)
    for name in ("raw", "real"):  # 68 points
        rows = [json.loads(line) for line in (folders / name / "labels.jsonl").read_text().splitlines()]
        rows = [row | {"landmarks": rng.uniform(3, 17, (68, 2)).tolist()} for row in rows]
        (folders / name / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copy(folders / "real" / "labels.jsonl", folders / "test" / "labels.jsonl")
    files = {f"{prefix}labels": folders / name / "labels.jsonl" for prefix, name in (("", "raw"), ("real_", "real"))}
    test = {"test": folders / "test", "test_labels": folders / "test" / "labels.jsonl"}
    seen = {}

    def look(images, *rest):
        seen.setdefault(len(seen), images)
        return formulas.sliced_wasserstein(images, *rest)

    def stand_in(train, test, adaptation, seeds, progress):
        seen.update(train)
        score = {"mean": 1.0, "std": None, "gap_closed": None}
        return {"unit": "NME", "sets": {name: {"error": score, "adapted": None} for name in train}}

    monkeypatch.setattr(module, "points_fit", lambda images, points: None)  # these are anywhere
    monkeypatch.setattr(realism, "sliced_wasserstein", look)
    monkeypatch.setattr(module, "measure_usefulness", stand_in)
    result = evaluate(**arguments(folders, refined=None, model=run, **files, **test), seeds=1, draws=2)
    for part, more in (("realism", {"recoloured"}), ("complexion", set())):
        assert set(result[part]) == {"raw", "unrefined", "refined", "real"} | more, part
    together = ["unrefined, 2 draws", "refined, 2 draws"]
    assert list(result["usefulness"]["sets"]) == ["raw", "colours only", "unrefined", "refined", *together, "real"]
    for name in ("unrefined", "refined"):
        first, other = np.split(seen[f"{name}, 2 draws"].images, 2)
        np.testing.assert_array_equal(first, seen[name].images)
        assert (other != first).any()
        np.testing.assert_array_equal(seen[f"{name}, 2 draws"].points, np.concatenate([seen["raw"].points] * 2))
    raw, unrefined, refined = (seen[place] for place in (1, 2, 4))  # after the halves of the photographs
    for name, images in (("raw", raw), ("unrefined", unrefined), ("refined", refined)):
        np.testing.assert_array_equal(seen[name].images, images)
        np.testing.assert_array_equal(seen[name].points, seen["raw"].points)
    styled = restyle_alone(to_signed(pictures(folders / "raw")), load(run).dresser.styles, 4, seed=0)
    np.testing.assert_allclose(unrefined, np.stack([fit_square(one, 16) for one in to_uint8(styled)]))
    assert (unrefined != raw).any() and (unrefined != refined).any()
    assert (seen[3] == take_colours(unrefined, refined)).all()
    page = (folders / "out" / "report.html").read_text()
    assert page.count("Unrefined: faces as the refiner") == 6, "in the captions of three tables, and for screen readers"


def pictures(folder):
    return np.stack([read_picture(file).pixels for file in sorted(folder.glob("*.png"))])


def test_masks_need_a_model_that_uses_them(folders):
    with pytest.raises(UserError, match="masks are named of faces that are refined already"):
        evaluate(**arguments(folders), masks="somewhere")


def test_draws_need_a_model_that_makes_them(folders):
    with pytest.raises(UserError, match="refined already.*--model"):
        evaluate(**arguments(folders), draws=2)


def test_a_run_without_styles_has_no_unrefined_faces_of_its_own(folders, tmp_path):
    piles = {"data__synthetic": str(folders / "raw"), "data__real": str(folders / "real")}
    train(tiny_config(style__candidates=0, **piles), tmp_path / "plain", quiet=True)
    result = evaluate(**arguments(folders, refined=None, model=tmp_path / "plain", parts=["realism"]))
    assert "unrefined" not in result["realism"]


def test_labelled_test_photographs_teach_the_network_where_the_others_have_no_labels(folders):
    write_pile(folders / "more", 70, size=20, real=True, seed=6)
    names = sorted(f.name for f in (folders / "more").iterdir())
    given = {
        "test": folders / "more",
        "test_labels": write_labels(folders / "more", names, 20, np.random.default_rng(0)),
    }
    result = evaluate(**arguments(folders, labels=folders / "raw" / "labels.jsonl", parts=["labels"], **given))
    assert result["labels"]["network"]["photographs"] == 70


def test_the_refined_pictures_of_a_run_are_removed_also_after_an_error(wide, run, monkeypatch):
    places = {"raw": wide / ".png", "real": wide / "real", "out": wide / "out", "model": run}
    evaluate(**places, parts=["labels"])
    assert sorted(path.name for path in (wide / "out").iterdir()) == ["evaluation.json", "report.html"]

    def fail(*_, **__):
        assert any(path.name.startswith(TEMPORARY_PREFIX) for path in (wide / "out").iterdir())
        raise RuntimeError("midway")

    monkeypatch.setattr(module, "measure_labels", fail)
    with pytest.raises(RuntimeError, match="midway"):
        evaluate(**places, parts=["labels"])
    assert not [path for path in (wide / "out").iterdir() if path.is_dir()]


def test_a_picture_that_cannot_be_refined_is_left_out_like_one_that_cannot_be_read(wide, run):
    raw = wide / ".png"
    (raw / "broken.png").write_bytes(b"")
    # It can be read, but no WebP may be so long.
    (raw / "long.webp").write_bytes(encode_picture(Picture(np.zeros((16, 16500, 3), np.uint8)), ".png"))
    result = evaluate(raw, wide / "real", wide / "out", model=run, parts=["labels"])
    assert result["inputs"]["raw"]["count"] == result["inputs"]["refined"]["count"] == N


@dataclass(frozen=True)
class Entry:
    """As a method declares what it logs."""

    name: str
    label: str = ""
    chart: str = ""
    unit: str = ""
    legend: str = ""
    look_for: str = ""


def test_what_is_logged_is_grouped_into_charts_in_order_of_first_appearance():
    logged = [
        Entry("a/real", chart="Judge", unit="share", legend="real"),
        Entry("b", label="B", chart="Change", unit="gray levels", look_for="rest"),
        Entry("nowhere"),
        Entry("a/refined", chart="Judge", unit="share"),
        Entry("a/loss", chart="Judge", unit="loss"),
    ]
    assert charts_of(logged) == [
        ["Judge", "share", {"a/real": "real", "a/refined": "a/refined"}, ""],
        ["Change", "gray levels", {"b": "B"}, "rest"],
        ["Judge", "loss", {"a/loss": "a/loss"}, ""],
    ]


def test_the_charts_of_a_run_are_written_down_with_its_curves(wide, run, monkeypatch):
    monkeypatch.setattr(module, "logged_of", lambda run: [Entry("refiner/change", chart="Change", unit="gray levels")])
    result = evaluate(wide / ".png", wide / "real", wide / "out", model=run, parts=["labels"])
    assert result["charts"] == [["Change", "gray levels", {"refiner/change": "refiner/change"}, ""]]
    assert json.loads((wide / "out" / "evaluation.json").read_text()) == result
    assert 'aria-label="Change, gray levels, steps 2 to 4' in (wide / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"refined": None}, "neither refined faces nor a model is given. give either --refined DIR or --model RUN"),
        ({"model": "run"}, "both refined faces and a model are given"),
        ({"parts": ["usefulness"]}, "--labels FILE, --test DIR and --test-labels FILE"),
        ({"parts": ["beauty"]}, "no part 'beauty'"),
        ({"real": "/nowhere"}, "real folder /nowhere does not exist"),
        ({"labels": "/nowhere.jsonl"}, "label file /nowhere.jsonl does not exist"),
    ],
)
def test_what_is_missing_is_named(folders, changes, message):
    with pytest.raises(UserError, match=message):
        evaluate(**arguments(folders, **changes))


def test_raw_and_refined_names_that_do_not_match_are_named(folders):
    (folders / "refined" / "003.png").rename(folders / "refined" / "other.png")
    with pytest.raises(UserError, match=r"1 of 32 pictures in .*raw have no partner.*003\.png"):
        evaluate(**arguments(folders))
    (folders / "raw" / "003.png").unlink()
    with pytest.raises(UserError, match=r"in .*refined have no partner.*other\.png"):
        evaluate(**arguments(folders))


def test_results_are_not_written_among_pictures_and_no_folder_is_compared_with_itself(folders):
    with pytest.raises(UserError, match="--out .*raw is the raw folder"):
        evaluate(**arguments(folders, out=folders / "raw"))
    with pytest.raises(UserError, match="is both the raw and the real folder"):
        evaluate(**arguments(folders, real=folders / "raw"))
    assert not (folders / "raw" / "report.html").exists()


def test_what_refine_wrote_with_compare_can_be_evaluated(folders):
    write_pile(folders / "refined" / "_compare", 3, size=20)
    assert evaluate(**arguments(folders, parts=["labels"]))["inputs"]["refined"]["count"] == N + 8


def test_refined_faces_are_compared_with_their_own_raw_face_whatever_the_order(folders, monkeypatch):
    for place in ("raw", "refined"):
        (folders / place / "000.png").rename(folders / place / "z.png")
    extra = draw_face(np.random.default_rng(9), 20)
    for place in ("raw", "refined"):
        (folders / place / "A.png").write_bytes(encode_picture(Picture(extra), ".png"))
    seen = {}

    def look(raw, refined, *rest):
        seen.update(raw=raw, refined=refined)
        return measure_drift(raw, refined, *rest)

    monkeypatch.setattr(labels, "measure_drift", look)
    evaluate(**arguments(folders, parts=["labels"]))
    difference = seen["refined"].astype(int) - seen["raw"]
    assert set(np.unique(difference)) <= set(range(10)), "brighter by at most 9, everywhere"


def test_labels_of_another_size_or_for_missing_pictures_are_refused_by_name(folders):
    file = folders / "raw" / "labels.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    with pytest.raises(UserError, match=r"no points for 1 of 32 pictures: 000\.png"):
        evaluate(**arguments(folders, labels=file))
    for row in rows:
        row["landmarks"] = (4 * np.array(row["landmarks"])).tolist()
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="labels"):
        evaluate(**arguments(folders, labels=file))


def test_a_set_too_small_for_a_statistic_is_named(folders):
    for index in range(20):
        for place in ("raw", "refined"):
            (folders / place / f"{index:03d}.png").unlink()
    with pytest.raises(UserError, match="raw set.*auc.*12, at least 20"):
        evaluate(**arguments(folders, parts=["realism"]))


def test_labels_of_another_folder_that_share_the_names_are_told(folders, monkeypatch):
    monkeypatch.setattr(module, "points_fit", lambda images, points: False)
    with pytest.raises(UserError, match="sit on no face of the raw folder"):
        evaluate(**arguments(folders, parts=["labels"], labels=folders / "raw" / "labels.jsonl"))
