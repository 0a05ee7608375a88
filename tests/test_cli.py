"""The command line as a user types it: exit codes, messages, and the whole way from two folders to a refined one."""

import re
import shutil
import subprocess
import sys
from types import ModuleType

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tiny import TINY, write_pile

import simrefine
from simrefine.cli import main
from simrefine.data.images import Picture, encode_picture, read_picture
from simrefine.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_USER_ERROR
from simrefine.training.checkpoint import newest_checkpoint
from simrefine.training.published import read_refiner


def run(*arguments):
    return CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)


def settings(values):
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run made with the command line, and the folder of renders it learnt from."""
    folder = tmp_path_factory.mktemp("trained")
    write_pile(folder / "renders" / "a", 6)
    write_pile(folder / "renders" / "b", 6, seed=1, size=20)
    write_pile(folder / "renders" / "a-masks", 6)
    write_pile(folder / "photos", 8, real=True, extension=".jpg")
    piles = ["--synthetic", folder / "renders", "--real", folder / "photos"]
    done = run("train", *piles, "--run", folder / "run", "--exclude", "*-masks", *settings(TINY))
    assert done.exit_code == EXIT_OK, done.output
    return folder / "run", folder / "renders", done.output


def test_train_echoes_what_it_found_and_where_the_refiner_is(trained):
    folder, renders, said = trained
    assert f"synthetic   {renders}: 12 pictures, 0 rejected" in said and f"run folder  {folder}" in said
    assert "compiling" in said and "step 4/4" in said and f"the refiner is in {folder / 'refiner'}" in said


def test_train_then_refine_carries_a_folder_over(trained, tmp_path):
    folder, renders, _ = trained
    (renders / "labels.jsonl").write_text('{"file": "a/000.png"}\n')
    arguments = ("refine", renders, "--model", folder, "--out", tmp_path / "out", "--exclude", "*-masks")
    done = run(*arguments)
    assert done.exit_code == EXIT_OK, done.output
    assert "12 written + 0 skipped + 0 rejected = 12 found" in done.output
    raw, refined = (read_picture(place / "b" / "003.png").pixels for place in (renders, tmp_path / "out"))
    assert raw.shape == refined.shape == (20, 20, 3)
    expected = simrefine.load(folder)(raw[None])[0]
    np.testing.assert_array_equal(refined, expected)
    assert (tmp_path / "out" / "labels.jsonl").read_bytes() == (renders / "labels.jsonl").read_bytes()
    assert "0 written + 12 skipped + 0 rejected = 12 found" in run(*arguments).output


def test_refine_says_so_when_pictures_are_of_another_size_than_the_refiner_learnt(trained, tmp_path):
    folder, _, _ = trained
    write_pile(tmp_path / "large", 2, size=64)
    said = run("refine", tmp_path / "large", "--model", folder, "--out", tmp_path / "out").output
    assert "trained on 16 px" in said and "64 x 64" in said


def test_the_published_weights_are_the_checkpoints_average(trained):
    folder, _, _ = trained
    checkpoint, _ = newest_checkpoint(folder / "checkpoints")
    average, current = (
        [value for name, value in sorted(checkpoint.arrays.items()) if name.startswith(owner)]
        for owner in ("average/", "refiner/")
    )
    published = read_refiner(folder).weights
    for value, wanted in zip(published, average, strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert any((a != b).any() for a, b in zip(average, current, strict=True)), (
        "else this test could not tell them apart"
    )


def test_style_gives_faces_the_colours_of_a_photograph(trained, tmp_path):
    folder, renders, _ = trained
    red = np.zeros((8, 8, 3), np.uint8) + np.array([200, 20, 20], np.uint8)
    (tmp_path / "red.png").write_bytes(encode_picture(Picture(red), ".png"))
    for style in (tmp_path / "red.png", tmp_path):
        refined = simrefine.load(folder, style=style)(read_picture(renders / "a" / "000.png").pixels[None])
        np.testing.assert_allclose(refined.mean((0, 1, 2)), [200, 20, 20], atol=20)  # four steps change little


def test_another_seed_makes_another_photograph_of_the_same_render(trained, tmp_path):
    folder, renders, _ = trained
    one, again, other = tmp_path / "one", tmp_path / "again", tmp_path / "other"
    for out, seed in ((one, 0), (again, 0), (other, 1)):
        arguments = ("refine", renders / "a", "--model", folder, "--out", out, "--seed", seed)
        assert run(*arguments).exit_code == EXIT_OK
    pictures = [read_picture(out / "000.png").pixels for out in (one, again, other)]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()
    mixed = run("refine", renders / "a", "--model", folder, "--out", one, "--seed", 1)
    assert mixed.exit_code == EXIT_USER_ERROR, "two refiners are never mixed in one folder"
    assert "another seed (0, now 1)" in mixed.output


def test_draws_are_the_folders_that_as_many_seeds_give_one_by_one(trained, tmp_path):
    folder, renders, _ = trained
    arguments = ("refine", renders / "a", "--model", folder)
    assert run(*arguments, "--seed", 3, "--draws", 2, "--out", tmp_path / "all").exit_code == EXIT_OK
    for seed in (3, 4):
        assert run(*arguments, "--seed", seed, "--out", tmp_path / "one").exit_code == EXIT_OK
        one, drawn = (
            read_picture(place / "000.png").pixels for place in (tmp_path / "one", tmp_path / "all" / f"seed-{seed}")
        )
        np.testing.assert_array_equal(one, drawn)
        shutil.rmtree(tmp_path / "one")
    assert sorted(place.name for place in (tmp_path / "all").iterdir()) == ["seed-3", "seed-4"]


def test_shards_do_together_what_one_run_does(trained, tmp_path):
    folder, renders, _ = trained
    arguments = ("refine", renders / "a", "--model", folder)
    assert run(*arguments, "--out", tmp_path / "whole").exit_code == EXIT_OK
    for part in (2, 1):
        assert run(*arguments, "--shard", f"{part}/2", "--out", tmp_path / "parts").exit_code == EXIT_OK
    for path in (tmp_path / "whole").glob("*.png"):
        one, other = (read_picture(tmp_path / name / path.name).pixels for name in ("whole", "parts"))
        np.testing.assert_array_equal(one, other)
    for wrong in ("2", "0/2", "3/2", "a/b"):
        refused = run(*arguments, "--shard", wrong, "--out", tmp_path / "none")
        assert refused.exit_code == EXIT_USER_ERROR and "shard" in refused.output, wrong


def test_an_engine_is_given_what_is_its_own(trained, tmp_path, monkeypatch):
    folder, renders, _ = trained
    arguments = ("refine", renders / "a", "--model", folder, "--out", tmp_path / "out")
    for flags, says, modules in (
        (["--workers", "2"], "--workers are those of --engine ray", {}),
        (["--engine", "ray", "--shard", "1/2"], "leave --shard out", {"ray": ModuleType("ray")}),
        (["--engine", "ray"], "needs Ray.*pip install", {"ray": None}),
    ):
        with monkeypatch.context() as patch:
            for name, module in modules.items():
                patch.setitem(sys.modules, name, module)
            refused = run(*arguments, *flags)
        assert refused.exit_code == EXIT_USER_ERROR and re.search(says, refused.output), refused.output
    assert not (tmp_path / "out").exists()


def test_pictures_are_refined_by_name_and_one_that_cannot_be_is_explained(trained, tmp_path):
    folder, renders, _ = trained
    deep = tmp_path / "deep.png"
    deep.write_bytes(cv2.imencode(".png", np.zeros((16, 16, 3), np.uint16))[1].tobytes())
    done = run("refine", renders / "a" / "000.png", deep, "--model", folder, "--out", tmp_path / "out")
    assert done.exit_code == EXIT_INCOMPLETE and "1 written + 0 skipped + 1 rejected = 2 found" in done.output
    assert "deep.png: 16 bits per channel: save it with 8 bits" in done.output


def test_a_seed_without_styles_is_a_users_mistake(trained, tmp_path):
    _, renders, _ = trained
    piles = ["--synthetic", renders / "a", "--real", renders / "b", "--run", tmp_path / "run"]
    assert run("train", *piles, *settings(TINY | {"style.candidates": 0})).exit_code == EXIT_OK
    arguments = ("refine", renders / "a", "--model", tmp_path / "run", "--out", tmp_path / "out")
    done = run(*arguments, "--seed", 1)
    assert done.exit_code == EXIT_USER_ERROR and "trained without styles" in done.output
    assert run(*arguments).exit_code == EXIT_OK


def test_a_rejected_file_gives_an_exit_code_and_a_name(trained, tmp_path):
    folder, _, _ = trained
    write_pile(tmp_path / "in", 2)
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    done = run("refine", tmp_path / "in", "--model", folder, "--out", tmp_path / "out")
    assert done.exit_code == EXIT_INCOMPLETE
    assert "2 written + 0 skipped + 1 rejected = 3 found" in done.output and "rejects.csv" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "no synthetic folder is given. add --synthetic DIR"),
        (["train", "--synthetic", "/nowhere", "--real", "/nowhere"], "synthetic folder /nowhere does not exist"),
        (["train", "--set", "training.step=3"], "did you mean training.steps"),
        (["train", "--set", "steps"], "section.key=value"),
        (["train", "--config", "/nowhere.toml"], "cannot read the config file /nowhere.toml"),
        (["train", "--resume"], "add --run DIR"),
        (["train", "--resume", "--run", "/nowhere"], "/nowhere holds no run"),
        (["refine", "/nowhere", "--model", "/nowhere", "--out", "/tmp/out"], "/nowhere is not there"),
    ],
)
def test_a_users_mistake_is_one_message_without_a_traceback(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == EXIT_USER_ERROR
    assert message in done.output and "Traceback" not in done.output
    assert not list(tmp_path.rglob("*.toml"))


@pytest.mark.parametrize("flag", ["--synthetic", "--real", "--labels"])
def test_a_wrong_path_is_named_before_the_backend_is_started(flag, piles, monkeypatch):
    monkeypatch.setattr("simrefine.command.start_backend", lambda *_: pytest.fail("the user waits for the backend"))
    paths = {"--synthetic": piles["data.synthetic"], "--real": piles["data.real"]} | {flag: "/nowhere.csv"}
    done = run("train", *(part for pair in paths.items() for part in pair))
    assert done.exit_code == EXIT_USER_ERROR and "/nowhere.csv does not exist" in done.output


def test_config_lists_every_option_and_prints_a_file_to_begin_with(tmp_path):
    assert "training.batch_size = " in run("config").output
    (tmp_path / "begin.toml").write_text(run("config", "--toml").output)
    assert simrefine.Config.load(tmp_path / "begin.toml") == simrefine.Config.load()


def test_python_m_simrefine_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "simrefine", "--version"], capture_output=True, text=True)
    assert done.returncode == EXIT_OK and simrefine.__version__ in done.stdout


def test_a_flag_beats_set_and_both_reach_the_run(tmp_path, piles):
    arguments = [*settings(TINY | piles | {"training.steps": 7}), "--steps", 2, "--gray", "--run", tmp_path / "run"]
    said = run("train", "--dry-run", *arguments).output
    assert "steps = 2," in said and "channels = 1," in said and "size = 16," in said


def test_a_resumed_run_needs_no_other_flag(trained, tmp_path):
    folder, _, _ = trained
    done = run("train", "--resume", "--run", folder, "--steps", 6)
    assert done.exit_code == EXIT_OK and "continuing at step 4" in done.output and "step 6/6" in done.output


def test_gray_alpha_and_odd_sizes_pass_through_a_colour_refiner(trained, tmp_path):
    folder, _, _ = trained
    rng = np.random.default_rng(0)
    pixels, alpha = rng.integers(0, 256, (15, 33, 3), np.uint8), rng.integers(0, 256, (15, 33), np.uint8)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "alpha.png").write_bytes(encode_picture(Picture(pixels, alpha), ".png"))
    (tmp_path / "in" / "gray.png").write_bytes(encode_picture(Picture(pixels[..., :1]), ".png"))
    assert run("refine", tmp_path / "in", "--model", folder, "--out", tmp_path / "out").exit_code == EXIT_OK
    with_alpha = cv2.imread(str(tmp_path / "out" / "alpha.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(with_alpha[..., 3], alpha)
    assert cv2.imread(str(tmp_path / "out" / "gray.png"), cv2.IMREAD_UNCHANGED).shape == (15, 33)
