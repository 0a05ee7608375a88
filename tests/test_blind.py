"""The blind look: nothing but the key tells the piles apart, and the score is what the answers are worth."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny import write_pile

from simrefine.data.images import read_picture

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
COUNT, SIZE = 6, 32


@pytest.fixture
def blind(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    return importlib.import_module("blind")


@pytest.fixture
def look(blind, tmp_path):
    """Makes a look of two piles, of 24 and 48 px; gives a function that runs a command and returns its output."""

    def run(*arguments, fails=False):
        done = CliRunner().invoke(blind.main, [str(argument) for argument in arguments])
        assert (done.exit_code != 0) == fails, done.output
        return done.output

    write_pile(tmp_path / "made", 8, size=24)
    write_pile(tmp_path / "real", 9, size=48, real=True, extension=".jpg")
    run.piles = "--made", tmp_path / "made", "--real", tmp_path / "real"
    run.sides = "--left", tmp_path / "made", "--right", write_pile(tmp_path / "other", 8, size=24, seed=1)
    run.to = "--out", tmp_path / "look", "--key", tmp_path / "keys" / "key.json", "--count", COUNT, "--size", SIZE
    return run


def score(look, tmp_path, answers):
    """What `score` says of {number: answer}, first line."""
    (tmp_path / "answers.txt").write_text("".join(f"{number} {answer}\n" for number, answer in answers.items()))
    return look("score", "--key", tmp_path / "keys" / "key.json", "--answers", tmp_path / "answers.txt").splitlines()


def truth(tmp_path):
    return json.loads((tmp_path / "keys" / "key.json").read_text())["truth"]


@pytest.mark.parametrize(
    ("command", "one", "other"), [("make", "photograph", "made"), ("pairs", "left", "right")], ids=["make", "pairs"]
)
def test_right_answers_score_all_and_one_answer_for_all_scores_half(look, tmp_path, command, one, other):
    look(command, *(look.piles if command == "make" else look.sides), *look.to)
    key = truth(tmp_path)
    n = 2 * COUNT if command == "make" else COUNT
    assert len(key) == n and set(key.values()) == {one, other}
    assert f"{n} of {n} = 100.0%" in score(look, tmp_path, key)[0]
    half = score(look, tmp_path, dict.fromkeys(key, one))
    assert f"{n // 2} of {n} = 50.0%" in half[0]
    assert f"{one}: {n // 2} of {n // 2} = 100.0%" in half[1]
    assert f"{other}: 0 of {n // 2} = 0.0%" in half[2]
    wrong = {number: one if answer == other else other for number, answer in key.items()}
    assert f"0 of {n} = 0.0%" in score(look, tmp_path, wrong)[0]
    assert "not answered: 3" in score(look, tmp_path, dict(list(key.items())[3:]))[-1]


def test_the_key_names_the_file_that_a_number_shows(look, tmp_path):
    look("make", *look.piles, *look.to)
    key = json.loads((tmp_path / "keys" / "key.json").read_text())
    for number, path in key["shown"].items():
        assert Path(path).parent.name == {"photograph": "real", "made": "made"}[key["truth"][number]]
        shown, source = (read_picture(file).pixels for file in (tmp_path / "look" / f"{int(number):03d}.png", path))
        assert np.abs(shown.mean(axis=(0, 1)) - source.mean(axis=(0, 1))).max() < 4


def test_a_pair_has_the_right_folder_on_the_side_that_the_key_says(look, tmp_path):
    look("pairs", *look.sides, *look.to, "--size", 24)
    key = truth(tmp_path)
    known = {path.stem: read_picture(path).pixels for path in (tmp_path / "other").iterdir()}
    for number, side in key.items():
        pixels = read_picture(tmp_path / "look" / f"{int(number):03d}.png").pixels
        half = pixels[:, -24:] if side == "right" else pixels[:, :24]
        assert any(np.array_equal(half, face) for face in known.values())


def test_nothing_but_the_pixels_tells_the_piles_apart(look, tmp_path):
    look("make", *look.piles, *look.to)
    files = sorted(path.name for path in (tmp_path / "look").iterdir())
    assert files == [f"{number:03d}.png" for number in range(1, 2 * COUNT + 1)]
    assert {read_picture(tmp_path / "look" / name).pixels.shape for name in files} == {(SIZE, SIZE, 3)}
    order = list(truth(tmp_path).values())
    assert order not in (sorted(order), sorted(order, reverse=True))


def test_larger_files_do_not_make_a_pile_sharper(blind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    large = blind.alike([noise[:16, :16], noise], 32)[1]
    smooth = blind.alike([noise], 32)[0]

    def sharpness(pixels):
        return np.abs(np.diff(pixels.astype(float), axis=1)).mean()

    assert sharpness(large) < 0.6 * sharpness(smooth)


def test_sheets_have_every_number_above_its_picture(look, tmp_path):
    look("make", *look.piles, *look.to, "--sheets")
    (sheet,) = (read_picture(path).pixels for path in (tmp_path / "look").iterdir())
    assert sheet.shape == (3 * (SIZE + 40 + 8) + 8, 4 * (SIZE + 8) + 8, 3)
    for row in range(3):
        strip = sheet[8 + row * (SIZE + 48) : 8 + row * (SIZE + 48) + 40]
        assert all((strip[:, 8 + column * (SIZE + 8) :][:, :SIZE] < 50).sum() > 60 for column in range(4))


def test_the_same_seed_makes_the_same_look_and_another_one_another(look, tmp_path):
    keys = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        places = "--out", tmp_path / name, "--key", tmp_path / f"{name}.json"
        look("make", *look.piles, "--count", COUNT, "--seed", seed, *places)
        keys.append(json.loads((tmp_path / f"{name}.json").read_text())["shown"])
    assert keys[0] == keys[1] != keys[2]


def test_no_picture_or_key_gets_into_the_repository_nor_the_key_to_the_pictures(look, tmp_path):
    inside, beside = EXPERIMENTS / "nowhere", tmp_path / "look" / "key.json"
    for out, key in ((inside, tmp_path / "key.json"), (tmp_path / "look", inside), (tmp_path / "look", beside)):
        look("make", *look.piles, "--count", 2, "--out", out, "--key", key, fails=True)
        assert not out.exists() and not key.exists()


@pytest.mark.parametrize("line", ["99 made", "1 maybe", "1", "made 1", "1 made\n1 photograph", "1 made really", "#"])
def test_what_is_no_answer_is_refused(look, tmp_path, line):
    look("make", *look.piles, *look.to)
    (tmp_path / "answers.txt").write_text(line + "\n")
    said = look("score", "--key", tmp_path / "keys" / "key.json", "--answers", tmp_path / "answers.txt", fails=True)
    assert "Error: " in said


def test_the_interval_is_wilsons(blind):
    # 10 of 20: 0.2993 to 0.7007; 0 of 10: 0 to 0.2775.
    assert blind.wilson(10, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert blind.wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
