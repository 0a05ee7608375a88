"""How long a training takes is said in time, from steps that were measured."""

import numpy as np
import pytest
from tiny import tiny_config, write_pile

from simrefine.config import MASKS
from simrefine.data.images import Picture, encode_picture
from simrefine.training import pace as module
from simrefine.training.estimate import estimate_training
from simrefine.training.inputs import read_piles
from simrefine.training.pace import MEASURED, Pace, in_words
from simrefine.training.train import train


@pytest.fixture
def clock(monkeypatch):
    """A clock that is told what time it is."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(module, "perf_counter", lambda: Clock.now)
    return Clock


def test_neither_compiling_nor_a_look_now_and_then_count(clock):
    pace = Pace()
    for step in range(MEASURED):
        clock.now += 500.0 if step == 0 else 90.0 if step == 7 else 3.0  # compiles; pictures
        assert pace.rest(100) is None
        pace.tick()
    assert pace.seconds_a_step == 3.0
    assert pace.rest(100) == f"about 5 minutes to go (from {MEASURED - 1} measured steps)"
    assert pace.rest(0) is None, "it is done"
    pace.tick()
    assert pace.rest(99) is None, "it was said"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (59, "less than a minute"),
        (61, "about 1 minute"),
        (95, "about 2 minutes"),
        (5000, "about 83 minutes"),
        (5400, "about 1.5 hours"),
    ],
)
def test_a_duration_is_told_in_words(seconds, words):
    assert in_words(seconds) == words


def test_a_training_says_once_how_long_it_will_take(tmp_path, clock, capsys):
    piles = {"data__synthetic": str(write_pile(tmp_path / "a", 10)), "data__real": str(write_pile(tmp_path / "b", 9))}
    train(tiny_config(**piles, training__steps=MEASURED + 2, monitor__images_every=100), tmp_path / "run")
    said = capsys.readouterr().out
    assert said.count("to go (from 19 measured steps)") == 1
    assert said.count("to go") == (tmp_path / "run" / "log.txt").read_text().count("to go")


def test_the_estimate_counts_the_parser_too(tmp_path, monkeypatch):
    renders = write_pile(tmp_path / "renders", 10)
    masks = renders.with_name(renders.name + MASKS)
    masks.mkdir()
    for path in renders.iterdir():
        mask = np.repeat(np.arange(8, dtype=np.uint8), 32).reshape(16, 16, 1)
        (masks / path.name).write_bytes(encode_picture(Picture(mask), ".png"))
    config = tiny_config(
        data__synthetic=str(renders),
        data__real=str(write_pile(tmp_path / "photos", 9)),
        parts__masks=str(masks),
        parts__steps=700,
        training__steps=800,
    )
    ticks = iter(range(100))
    monkeypatch.setattr(module, "perf_counter", lambda: 3.0 * next(ticks))
    said = estimate_training(config, *read_piles(config, None, lambda line: None), "float32")
    assert said == (
        "about 75 minutes on this machine: 800 steps of 3 s (4 measured) and 700 steps of the parser of 3 s "
        "(4 measured)"
    )
