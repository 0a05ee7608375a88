"""A name that holds an escape sequence is shown, and never obeyed by a terminal."""

import errno
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from random_refiner import write_random_refiner
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY, write_pile

from simrefine import cli
from simrefine.cli import main
from simrefine.errors import UserError
from simrefine.printable import printable

EVIL = "\x1b]0;owned\x07\r\n\u202e\x9b1m"
SHOWN = r"\x1b]0;owned\x07\r\n\u202e\x9b1m"
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]")  # all controls but the end of a line


def run(*arguments):
    done = CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)
    assert not OBEYED.search(re.sub("\r(?=\n|$)", "", done.output)), done.output
    return done


def test_what_a_terminal_would_obey_is_escaped_and_all_else_stays():
    assert printable(EVIL) == SHOWN
    assert printable(os.fsdecode(b"latin-\xff")) == r"latin-\udcff"
    assert printable("ü 顔\u3000\u00a0\U0001f600 \\x1b") == "ü 顔\u3000\u00a0\U0001f600 \\x1b"


def test_an_error_is_one_line():
    assert str(UserError(f"{Path(EVIL)} is bad", "mend it")) == f"{SHOWN} is bad. mend it."


def test_rejected_pictures_are_named_safely_by_refine(tmp_path):
    folder = write_pile(tmp_path / EVIL, 2)
    (folder / f"{EVIL}.png").write_bytes(b"")
    (folder / "linked").symlink_to(tmp_path)
    model = write_random_refiner(tmp_path / "run")
    said = run("refine", folder, "--model", model, "--out", tmp_path / f"{EVIL}out").output
    assert f"{SHOWN}.png: empty file" in said and f"{SHOWN}out/rejects.csv" in said


def test_a_training_names_them_safely_in_what_it_says_logs_and_gives_to_tensorboard(tmp_path):
    renders, photos = write_pile(tmp_path / EVIL, 6), write_pile(tmp_path / "photos", 6, real=True)
    (renders / f"{EVIL}.png").write_bytes(b"")
    (renders / "linked").symlink_to(tmp_path)
    options = [part for key, value in (TINY | {"training.steps": 1}).items() for part in ("--set", f"{key}={value}")]
    folder = tmp_path / f"{EVIL}run"
    said = run("train", "--synthetic", renders, "--real", photos, "--run", folder, *options).output
    assert f"{SHOWN}.png: empty file" in said and f"{SHOWN}run" in said
    assert not OBEYED.search((folder / "log.txt").read_text())
    [file] = (folder / "tensorboard").iterdir()
    assert EVIL.split("\r")[0].encode() not in file.read_bytes()
    assert EventAccumulator(str(file)).Reload().Tags()["tensors"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["refine", EVIL, "--model", "x", "--out", "y"],
        ["prepare", "x", EVIL, "--out", "y"],
        ["train", f"--{EVIL}"],
        [EVIL],
        ["train", "--config", f"{EVIL}.toml"],
        ["evaluate", "--raw", EVIL, "--real", EVIL, "--refined", "x", "--out", "y"],
        ["prepare", EVIL, "--labels", EVIL, "--out", "y"],
    ],
)
def test_a_wrong_argument_is_quoted_safely(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2 and ("owned" in done.output)


def test_every_line_of_the_command_line_goes_through_tell():
    """`click.echo` is left for lines in which no name stands."""
    text = Path(cli.__file__).read_text()
    for call in re.findall(r"click\.echo\((.*)", text):
        assert not re.search(r"\{(out|run|folder|path|result|data|model)\b|message|reject\.", call), call


def test_a_fault_of_the_disk_names_the_folder_safely(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = write_pile(tmp_path / "in", 1)
    model = write_random_refiner(tmp_path / "run")
    monkeypatch.setattr(os, "fsync", full)
    done = run("refine", folder, "--model", model, "--out", tmp_path / EVIL)
    assert done.exit_code == 2 and SHOWN in done.output
