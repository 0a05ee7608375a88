"""Ctrl-C, SIGTERM and SIGHUP end every command alike: what is complete stays, nothing half does, and the exit code says
which signal it was."""

import os
import signal

import pytest
from click.testing import CliRunner
from random_refiner import write_random_refiner
from tiny import write_pile

from simrefine.cli import main
from simrefine.data.images import ImageError, read_picture
from simrefine.errors import EXIT_HUNG_UP, EXIT_INTERRUPTED, EXIT_OK, EXIT_TERMINATED
from simrefine.evaluation import evaluate as evaluate_module
from simrefine.files import TEMPORARY_PREFIX, publishing_folder
from simrefine.interruption import Interrupted, Interruption, interrupting
from simrefine.refining.refiner import Refiner

SIGNALS = pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, EXIT_INTERRUPTED), (signal.SIGTERM, EXIT_TERMINATED), (signal.SIGHUP, EXIT_HUNG_UP)],
)


@pytest.fixture(autouse=True)
def ctrl_c():
    """As in a shell, also where the tests run in the background of one, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def run(*arguments):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    done = CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    return done


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]


def test_the_first_ctrl_c_is_a_wish_and_the_second_quits_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.signal == signal.SIGINT, "the loop goes on and sees it"
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before


def test_a_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGHUP)
        assert interruption.signal is None and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_once_and_the_cleaning_is_not_disturbed_by_the_next(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as raised, interrupting():
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
    assert raised.value.signal == number and signal.getsignal(number) == before


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_random_refiner(tmp_path_factory.mktemp("run"))


@SIGNALS
def test_refine_finishes_what_it_has_begun_says_what_is_left_and_goes_on_later(
    model, tmp_path, monkeypatch, number, code
):
    renders, out = write_pile(tmp_path / "in", 40), tmp_path / "out"
    (renders / "bad.png").write_bytes(b"")
    (renders / "labels.csv").write_text("a")
    refine = Refiner.__call__

    def interrupted(self, pictures):
        signal.raise_signal(number)
        return refine(self, pictures)

    arguments = ("refine", renders, "--model", model, "--out", out, "--batch-size", 4)
    with monkeypatch.context() as patch:
        patch.setattr(Refiner, "__call__", interrupted)
        done = run(*arguments)
    assert done.exit_code == code, done.output
    assert "4 written + 0 skipped + 0 rejected + 37 left = 41 found, 1 label files copied" in done.output
    assert "the same command does the rest" in done.output
    assert (out / "rejects.csv").exists() and not leftovers(tmp_path)
    assert all(read_picture(path).pixels.shape == (16, 16, 3) for path in out.glob("*.png"))
    assert "36 written + 4 skipped + 1 rejected = 41 found" in run(*arguments).output


@SIGNALS
def test_prepare_leaves_nothing_half(tmp_path, monkeypatch, number, code):
    folder = write_pile(tmp_path / "in", 8, size=64)
    rows = [
        f'{{"file": "{path.name}", "landmarks": [[20, 20], [44, 20], [32, 32], [24, 44], [40, 44]]}}\n'
        for path in folder.iterdir()
    ]
    (folder / "annotations.jsonl").write_text("".join(rows))
    arguments = ("prepare", folder, "--out", tmp_path / "out", "--max-scale", 9, "--max-outside", 0.9)
    once = [number]

    def interrupted(_):  # in a thread beside the one that gets the signal
        if once:
            signal.raise_signal(once.pop())
        raise ImageError("unread")

    with monkeypatch.context() as patch:
        patch.setattr("simrefine.data.prepare.decode_picture", interrupted)
        done = run(*arguments)
    assert done.exit_code == code and "interrupted by" in done.output and "Traceback" not in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    again = run(*arguments)
    assert again.exit_code == EXIT_OK, again.output


@SIGNALS
def test_evaluate_leaves_no_temporary_folder(model, tmp_path, monkeypatch, number, code):
    raw, real = write_pile(tmp_path / "raw", 8), write_pile(tmp_path / "real", 8, real=True)
    seen = []

    def interrupted(*_):
        seen.extend(leftovers(tmp_path))
        signal.raise_signal(number)

    monkeypatch.setattr(evaluate_module, "_measure", interrupted)
    done = run("evaluate", "--raw", raw, "--real", real, "--model", model, "--out", tmp_path / "out")
    assert done.exit_code == code and "interrupted by" in done.output and "Traceback" not in done.output
    assert seen and not [*(tmp_path / "out").iterdir()]


def test_a_signal_inside_an_exchange_of_folders_gives_the_old_one_back(tmp_path, monkeypatch):
    with publishing_folder(tmp_path / "a") as folder:
        (folder / "f").write_text("old")
    replace = os.replace

    def interrupted(source, target):
        replace(source, target)
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), publishing_folder(tmp_path / "a") as folder:
        (folder / "f").write_text("new")
    assert (tmp_path / "a" / "f").read_text() == "old" and len([*tmp_path.iterdir()]) == 1
