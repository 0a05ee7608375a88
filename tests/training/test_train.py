"""A training keeps its promises: exact resume, clean stops, a complete run folder, clear refusals."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY, pack, tiny_config, write_pile

import simrefine
from simrefine.data.faces import read_faces
from simrefine.errors import (
    EXIT_DIVERGED,
    EXIT_HUNG_UP,
    EXIT_INTERRUPTED,
    EXIT_OUTPUT_CLOSED,
    EXIT_TERMINATED,
    UserError,
)
from simrefine.methods.simgan import SimGAN
from simrefine.training.checkpoint import newest_checkpoint
from simrefine.training.held_out import is_better, split_off
from simrefine.training.published import read_refiner
from simrefine.training.train import TASKS, train


def tiny(piles, **values):
    return tiny_config(**{key.replace(".", "__"): value for key, value in piles.items()}, **values)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of 4 steps with both pretraining phases, and its piles."""
    folder = tmp_path_factory.mktemp("finished")
    piles = {
        "data.synthetic": str(write_pile(folder / "synthetic", 10)),
        "data.real": str(write_pile(folder / "real", 9, real=True, extension=".jpg")),
    }
    phases = {"training__pretrain_refiner": 2, "training__pretrain_discriminator": 2}
    result = train(tiny(piles, **phases), folder / "run", quiet=True)
    assert (result.step, result.exit_code) == (8, 0)
    return folder / "run", piles


def events(run):
    accumulator = EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "tensors": 0, "histograms": 0})
    return accumulator.Reload()


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_folder_is_complete(finished):
    run, _ = finished
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} == {
        "config.toml",
        "environment.json",
        "data.png",
        "log.txt",
        "metrics.jsonl",
        "tensorboard",
        "checkpoints",
        "refiner",
    }
    assert set(json.loads((run / "environment.json").read_text())) >= {"tensorflow", "keras", "device", "git_commit"}
    assert [each["step"] for each in metrics(run)] == [2, 4, 6, 8]


def test_the_phases_follow_each_other_and_move_one_player_each(finished):
    refiner, discriminator, *both = [
        (any(k.startswith("refiner/") for k in each), "discriminator/loss" in each) for each in metrics(finished[0])
    ]
    assert refiner == (True, False) and discriminator == (False, True) and both == [(True, True)] * 2


def test_tensorboard_gets_scalars_pictures_histograms_the_config_and_hparams(finished):
    tags = events(finished[0]).Tags()
    assert set(tags["tensors"]) >= {
        "refiner/realism",
        "refiner/self_regularisation",
        "refiner/change",
        "refiner/change_average",
        "discriminator/accuracy_real",
        "discriminator/accuracy_refined",
        "discriminator/accuracy_history",
        "discriminator/logits_real",
        "discriminator/logits_refined",
        "discriminator/logits_history",
        "history/fill",
        "time/images_per_second",
        "time/waiting_for_data",
        "health/collapse",
        "config",
    }
    seen = events(finished[0])
    shown = {"scalars": [], "images": []}
    for tag in tags["tensors"]:
        about = seen.SummaryMetadata(tag)
        if about.plugin_data.plugin_name in shown:
            shown[about.plugin_data.plugin_name].append(tag)
            assert about.summary_description, f"{tag} says what it shows"
    assert len(shown["images"]) == 3 and all(tag.startswith("faces/") for tag in shown["images"])
    assert "_hparams_/session_start_info" in tags["tensors"]


def test_tensorboard_says_beside_a_curve_what_it_is_and_what_to_look_for(finished):
    described = events(finished[0]).SummaryMetadata("refiner/self_regularisation").summary_description
    assert "what holds the refiner back" in described and "**Look for:** not reaching 0" in described


def test_a_logged_value_is_the_same_in_tensorboard_and_in_the_metrics_file(finished):
    last = metrics(finished[0])[-1]
    for tag in ("refiner/realism", "discriminator/loss", "history/fill"):
        point = events(finished[0]).Tensors(tag)[-1]
        assert point.step == last["step"]
        assert point.tensor_proto.float_val[0] == pytest.approx(last[tag], abs=1e-5)


def test_a_training_on_shards_is_that_on_the_loose_folders_bit_for_bit(piles, tmp_path):
    few = {"training__steps": 3, "data__memory_gib": 1e-6}  # nothing is kept decoded
    train(tiny(piles, **few), tmp_path / "loose", quiet=True)
    for folder in map(Path, piles.values()):
        pack(folder, folder / "shard.tar", [path.name for path in sorted(folder.iterdir())[1::2]])
    train(tiny(piles, **few), tmp_path / "packed", quiet=True)
    loose, packed = (newest_checkpoint(tmp_path / name / "checkpoints")[0].arrays for name in ("loose", "packed"))
    assert loose.keys() == packed.keys() and all(np.array_equal(value, packed[name]) for name, value in loose.items())


def test_ten_steps_and_ten_more_equal_twenty_bit_for_bit(piles, tmp_path):
    more = {"monitor__checkpoint_every": 10, "monitor__images_every": 7}  # looking must not disturb either
    more["training__learning_rate_decay"] = 0  # which depends on how long a run was meant to be
    train(tiny(piles, training__steps=20, **more), tmp_path / "whole", quiet=True)
    train(tiny(piles, training__steps=10, **more), tmp_path / "parts", quiet=True)
    train(tiny(piles, training__steps=20, **more), tmp_path / "parts", resume=True, quiet=True)
    whole, parts = (newest_checkpoint(tmp_path / name / "checkpoints")[0] for name in ("whole", "parts"))
    assert whole.step == parts.step == 20 and whole.arrays.keys() == parts.arrays.keys()
    for name, value in whole.arrays.items():
        np.testing.assert_array_equal(value, parts.arrays[name], err_msg=name)
    assert len(whole.arrays["history/faces"]) == 6, "the history is part of it"
    published = [(tmp_path / name / "refiner/weights.safetensors").read_bytes() for name in ("whole", "parts")]
    assert published[0] == published[1]
    logged = [
        [{k: v for k, v in each.items() if not k.startswith("time/")} for each in metrics(tmp_path / name)]
        for name in ("whole", "parts")
    ]
    assert logged[0] == logged[1]


def test_another_seed_gives_another_refiner(piles, tmp_path):
    for seed in (0, 1):
        train(tiny(piles, training__seed=seed), tmp_path / str(seed), quiet=True)
    a, b = ((tmp_path / name / "refiner/weights.safetensors").read_bytes() for name in ("0", "1"))
    assert a != b


COMMAND = [sys.executable, "-m", "simrefine.cli", "train"]


def start(piles, run, steps=10**6):
    values = TINY | piles | {"training.steps": steps}
    flags = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(
        [*COMMAND, "--run", str(run), *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    logged = Path(run) / "metrics.jsonl"
    deadline = time.monotonic() + 90
    while not (logged.exists() and logged.read_text()):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, EXIT_INTERRUPTED), (signal.SIGTERM, EXIT_TERMINATED), (signal.SIGHUP, EXIT_HUNG_UP)],
)
def test_a_signal_finishes_the_step_saves_and_says_how_to_resume(piles, tmp_path, number, code):
    process = start(piles, tmp_path / "run")
    process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == code, said
    assert "compiling" in said and f"simrefine train --resume --run {tmp_path / 'run'}" in said
    found, _ = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert f"stopped at step {found.step}" in said and "Traceback" not in said
    assert (tmp_path / "run" / "refiner" / "model.json").exists()


def test_a_training_whose_output_nobody_reads_saves_and_ends(piles, tmp_path, monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        result = train(tiny(piles), tmp_path / "run")
        monkeypatch.undo()
    assert (result.step, result.exit_code) == (1, EXIT_OUTPUT_CLOSED)
    assert newest_checkpoint(tmp_path / "run" / "checkpoints")[0].step == read_refiner(tmp_path / "run").step == 1
    assert "stopped at step 1 by the end of its output" in (tmp_path / "run" / "log.txt").read_text()


def test_a_disk_that_is_too_full_for_tensorboard_is_a_message(piles, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("simrefine.training.events.RecordWriter.write", full)
    with pytest.raises(UserError, match="No space left on device"):
        train(tiny(piles), tmp_path / "run", quiet=True)


def test_names_that_are_not_utf_8_are_refused_for_folders_and_told_for_pictures(piles, tmp_path, capsys):
    bad = os.fsdecode(b"\xff")
    with pytest.raises(UserError, match="run folder .* not UTF-8"):
        train(tiny(piles), tmp_path / bad, quiet=True)
    (Path(piles["data.synthetic"]) / "000.png").rename(Path(piles["data.synthetic"]) / f"{bad}.png")
    (Path(piles["data.real"]) / f"{bad}.png").write_bytes(b"")
    assert train(tiny(piles, training__steps=1), tmp_path / "run").step == 1
    assert "1 rejected" in capsys.readouterr().out and "1 rejected" in (tmp_path / "run" / "log.txt").read_text()


def test_kill_9_during_training_leaves_a_run_that_resumes(piles, tmp_path):
    run = tmp_path / "run"
    process = start(piles, run)
    while not any(run.glob("checkpoints/step-*")):
        time.sleep(0.02)
    process.kill()
    process.wait()
    kept, damaged = newest_checkpoint(run / "checkpoints")
    assert not damaged
    config = tiny(piles, training__steps=kept.step + 2)
    result = train(config, run, resume=True, quiet=True)
    assert result.step == kept.step + 2
    steps = [each["step"] for each in metrics(run)]
    assert steps == sorted(set(steps)) and steps[-1] == result.step, "no step is logged twice"


def test_labels_beside_the_renders_are_found_and_hold_the_refiner_back_less_elsewhere(piles, tmp_path, capsys):
    synthetic = Path(piles["data.synthetic"])
    lines = [{"file": path.name, "landmarks": [[4.0, 6.0], [12.0, 6.0]]} for path in sorted(synthetic.iterdir())]
    train(tiny(piles), tmp_path / "without", quiet=True)
    (synthetic / "annotations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    train(tiny(piles), tmp_path / "with")
    assert "annotations.jsonl: points of 10 pictures" in capsys.readouterr().out
    train(tiny(piles, labels__file=""), tmp_path / "off", quiet=True)
    without, held, off = (metrics(tmp_path / each)[-1] for each in ("without", "with", "off"))
    assert held["refiner/self_regularisation"] < without["refiner/self_regularisation"]
    assert off["refiner/self_regularisation"] == without["refiner/self_regularisation"]


def test_labels_that_are_classes_hold_nothing_and_are_no_error(piles, tmp_path, capsys):
    synthetic = Path(piles["data.synthetic"])
    lines = [json.dumps({"file": path.name, "label": "somebody"}) for path in sorted(synthetic.iterdir())]
    (synthetic / "annotations.jsonl").write_text("\n".join(lines))
    train(tiny(piles), tmp_path / "run", dry_run=True)
    assert "annotations.jsonl has no points" in capsys.readouterr().out


def test_labels_of_other_pictures_are_refused(piles, tmp_path):
    (tmp_path / "other.jsonl").write_text('{"file": "nobody.png", "landmarks": [[1, 1]]}\n')
    with pytest.raises(UserError, match=r"other\.jsonl has no points for the pictures"):
        train(tiny(piles, labels__file=str(tmp_path / "other.jsonl")), tmp_path / "run", quiet=True)


def test_a_nan_stops_the_run_naming_the_step_and_the_last_good_checkpoint(piles, tmp_path, monkeypatch):
    take_step = SimGAN.step

    def poisoned(self, batch, step):
        numbers = take_step(self, batch, step)
        return numbers | ({"refiner/realism": np.nan} if step == 6 else {})

    monkeypatch.setattr(SimGAN, "step", poisoned)
    with pytest.raises(UserError, match="diverged at step 7: refiner/realism.*last good checkpoint is step 4") as error:
        train(tiny(piles, training__steps=20), tmp_path / "run", quiet=True)
    assert error.value.exit_code == EXIT_DIVERGED
    assert newest_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 4


def test_numbers_are_read_at_the_end_of_a_window_and_before_anything_is_kept(piles, tmp_path, monkeypatch):
    # A read waits for the device; between reads a step is only begun.
    done, read = [], []

    class Number:
        def __float__(self):
            read.append(len(done))
            return 0.5

    def step(self, batch, step):
        done.append(step)
        return {"refiner/realism": Number()}

    monkeypatch.setattr(SimGAN, "step", step)
    every = {"monitor__scalars_every": 4, "monitor__checkpoint_every": 6, "monitor__images_every": 100}
    train(tiny(piles, training__steps=9, **every), tmp_path / "run", quiet=True)
    assert read == [1, 4, 4, 4, 6, 6, 8, 8, 9], "the first pictures, a window, a checkpoint, a window, the end"
    assert [each["step"] for each in metrics(tmp_path / "run")] == [4, 8, 9]


EVALUATING = {
    "evaluation__every": 4,
    "evaluation__faces": 10,
    "training__batch_size": 4,
    "training__steps": 8,
    "style__candidates": 0,  # so that step 0 shows faces as they are
}


@pytest.fixture
def larger_piles(tmp_path):
    return {
        "data.synthetic": str(write_pile(tmp_path / "many" / "synthetic", 16)),
        "data.real": str(write_pile(tmp_path / "many" / "real", 16, real=True, extension=".jpg")),
    }


@pytest.mark.parametrize("poisoned_step", [5, 9])  # before a look at held-out faces, and the last one
def test_weights_that_become_nan_are_not_saved_and_the_run_is_not_done(
    larger_piles, tmp_path, monkeypatch, poisoned_step
):
    take_step = SimGAN.step

    def poisoned(self, batch, step):
        numbers = take_step(self, batch, step)
        if step == poisoned_step:
            variable = next(iter(self._variables().values()))
            variable.assign(np.full(variable.shape, np.nan))
        return numbers

    monkeypatch.setattr(SimGAN, "step", poisoned)
    options = EVALUATING | {"training__steps": 10, "evaluation__every": 6, "monitor__checkpoint_every": 4}
    with pytest.raises(UserError, match=f"diverged at step {poisoned_step + 1}: .* is not a finite number") as error:
        train(tiny(larger_piles, **options), tmp_path / "run", quiet=True)
    assert error.value.exit_code == EXIT_DIVERGED
    kept, damaged = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert not damaged and kept.step == poisoned_step - 1


def test_held_out_faces_are_measured_and_the_best_refiner_is_kept_by_the_rule(larger_piles, tmp_path):
    run = tmp_path / "run"
    train(tiny(larger_piles, **EVALUATING), run, quiet=True)
    looks = {each["step"]: each for each in metrics(run) if "held_out/kid" in each}
    assert sorted(looks) == [0, 4, 8], "0 is what unrefined faces score"
    assert looks[0]["held_out/displacement"] == 0
    best = read_refiner(run / "best")
    assert best.evaluation["held_out/kid"] == pytest.approx(
        min(looks[4]["held_out/kid"], looks[8]["held_out/kid"]), abs=1e-5
    )
    assert looks[best.step]["held_out/kid"] == pytest.approx(best.evaluation["held_out/kid"], abs=1e-5)
    assert "held_out/colour_gap" in events(run).Tags()["tensors"]
    assert simrefine.load(run / "best").step == best.step


def test_a_refiner_that_moves_the_picture_too_far_is_never_the_best():
    options = tiny_config(evaluation__max_displacement=1.0).evaluation
    near = {"held_out/kid": 50.0, "held_out/displacement": 1.1}
    assert not is_better(near, None, options)
    kept = near | {"held_out/displacement": 0.9}
    assert is_better(kept, None, options)
    assert is_better(kept | {"held_out/kid": 49.0}, kept, options) and not is_better(kept, kept, options)


def test_held_out_faces_are_never_trained_on_and_the_same_after_a_resume(larger_piles, tmp_path):
    config = tiny(larger_piles, **EVALUATING)
    faces = read_faces(Path(larger_piles["data.real"]), "real", size=16, channels=3, memory_gib=1.0)
    rest, held = split_off(faces, config, "real")
    again = split_off(faces, config, "real")[1]
    assert len(rest) == 6 and len(held) == 10
    np.testing.assert_array_equal(held, again)
    trained_on = {face.tobytes() for face in rest.images}
    assert trained_on.isdisjoint(face.tobytes() for face in held)


def test_holding_out_too_many_faces_is_refused(larger_piles, tmp_path):
    with pytest.raises(UserError, match=r"evaluation.faces = 13 would leave less than a batch \(4\) of 16 synthetic"):
        train(tiny(larger_piles, **EVALUATING | {"evaluation__faces": 13}), tmp_path / "run", quiet=True)


def test_the_log_begins_with_what_the_user_was_told(finished):
    log = (finished[0] / "log.txt").read_text()
    for text in ("run folder", "device", "[refiner] name", "10 pictures, 0 rejected", "compiling", "done: the refiner"):
        assert text in log, text


def test_an_automatic_size_becomes_the_renders_own_and_stands_in_the_run(tmp_path, capsys):
    folder = write_pile(tmp_path / "synthetic", 6, size=24)
    write_pile(folder / "more", 4, size=40)  # the median is of most, not the mean
    piles = {
        "data.synthetic": str(folder),
        "data.real": str(write_pile(tmp_path / "real", 9, real=True, size=56)),
    }
    config = tiny(piles, data__size=0, training__steps=2)
    train(config, tmp_path / "run")
    assert "24 px: the renders' own side; about 0.14 times the work of 64" in " ".join(capsys.readouterr().out.split())
    assert "size = 24  #" in (tmp_path / "run" / "config.toml").read_text()
    assert read_refiner(tmp_path / "run").config.data.size == 24
    # The run keeps its size, whatever has become of the renders since.
    write_pile(folder / "large", 9, size=64)
    longer = tiny(piles, data__size=0, training__steps=4)
    assert train(longer, tmp_path / "run", resume=True, quiet=True).step == 4
    assert read_refiner(tmp_path / "run").config.data.size == 24


@pytest.mark.parametrize(("gpu", "bfloat16", "size"), [(False, False, 64), (False, True, 128), (True, False, 128)])
def test_an_automatic_size_is_smaller_where_the_machine_is_slow(gpu, bfloat16, size, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("simrefine.backend.has_gpu", lambda: gpu)
    monkeypatch.setattr("simrefine.backend.has_native_bfloat16", lambda: bfloat16)

    def stop(config, say, run):
        raise UserError(str(config.data.size), "")

    monkeypatch.setitem(TASKS, "refiner", stop)
    folders = {name: str(write_pile(tmp_path / name, 4, size=128)) for name in ("synthetic", "real")}
    piles = {f"data.{name}": folder for name, folder in folders.items()}
    with pytest.raises(UserError, match=f"^{size}"):
        train(tiny(piles, data__size=0), tmp_path / "run", dry_run=True)
    assert ("a CPU without bfloat16" in capsys.readouterr().out) == (size == 64)


def test_a_dry_run_says_the_number_of_an_automatic_size(piles, tmp_path, capsys):
    train(tiny(piles, data__size=0), tmp_path / "run", dry_run=True)
    said = capsys.readouterr().out
    assert "size        16 px: the renders' own side" in said and "size = 16," in said


def test_a_dry_run_reports_shows_the_faces_and_makes_no_run(piles, tmp_path, capsys):
    train(tiny(piles), tmp_path / "run", dry_run=True)
    said = capsys.readouterr().out
    assert "10 pictures" in said and "9 pictures" in said and "[self_regularisation] l1 = 0.2" in said and "CPU" in said
    assert not (tmp_path / "run").exists()
    assert str(tmp_path / "run-data.png") in said and (tmp_path / "run-data.png").exists()
    assert said.index("data.png") < said.index("less than a minute on this machine: 4 steps of")
    assert "(3 measured)" in said and "parser" not in said.partition("time   ")[2]
    assert {path.name for path in tmp_path.iterdir()} == {"synthetic", "real", "run-data.png"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data.synthetic": ""}, "no synthetic folder.*--synthetic"),
        ({"data.real": "/nowhere/at/all"}, "real folder /nowhere/at/all does not exist"),
        ({"training.batch_size": 10}, "real folder.*holds 9 usable pictures, at least 10"),
    ],
)
def test_bad_folders_are_refused_before_anything_is_trained(piles, tmp_path, change, message):
    values = piles | change
    with pytest.raises(UserError, match=message):
        train(tiny(values), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "config.toml").exists(), "so the next try may use the same --run"


def test_the_same_pictures_in_both_piles_are_refused(piles, tmp_path):
    for real in (piles["data.synthetic"], str(tmp_path)):
        with pytest.raises(UserError, match="in both the synthetic folder"):
            train(tiny(piles | {"data.real": real}), tmp_path / "run", quiet=True)


def test_unreadable_pictures_are_counted_and_listed(piles, tmp_path, capsys):
    for index in range(6):
        (Path(piles["data.real"]) / f"00{index}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UserError, match=r"holds 3 usable pictures.*6 rejected, see .*rejects\.csv"):
        train(tiny(piles), tmp_path / "run")
    assert "6 rejected" in capsys.readouterr().out
    assert (tmp_path / "run" / "rejects.csv").read_text().count(".jpg") == 6


def test_a_run_is_never_overwritten(finished):
    run, piles = finished
    with pytest.raises(UserError, match="already holds a run.*--resume"):
        train(tiny(piles), run, quiet=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"refiner__width": 8}, r"another configuration: refiner.width = 8 \(was 4\)"),
        ({"training__seed": 5}, r"training.seed = 5 \(was 0\)"),
        ({}, "has done all of its 8 steps"),
    ],
)
def test_a_run_resumes_only_as_itself(finished, change, message):
    run, piles = finished
    phases = {"training__pretrain_refiner": 2, "training__pretrain_discriminator": 2}
    with pytest.raises(UserError, match=message):
        train(tiny(piles, **phases, **change), run, resume=True, quiet=True)


@pytest.mark.parametrize("more", [0, 2])
def test_a_resumed_run_publishes_what_a_full_disk_or_a_kill_kept_from_being_published(
    piles, tmp_path, monkeypatch, more
):
    run = tmp_path / "run"

    def full(*_):
        raise UserError("cannot write: No space left on device", "free some space")

    monkeypatch.setattr("simrefine.training.train.write_published", full)
    with pytest.raises(UserError, match="No space left"):
        train(tiny(piles), run, quiet=True)
    monkeypatch.undo()
    assert not (run / "refiner").exists()
    assert train(tiny(piles, training__steps=4 + more), run, resume=True, quiet=True).step == 4 + more
    published, checkpoint = read_refiner(run), newest_checkpoint(run / "checkpoints")[0]
    assert published.step == checkpoint.step == 4 + more
    average = [value for name, value in sorted(checkpoint.arrays.items()) if name.startswith("average/")]
    for value, wanted in zip(published.weights, average, strict=True):
        np.testing.assert_array_equal(value, wanted)
    assert "published the refiner of step 4" in (run / "log.txt").read_text()


def test_a_checkpoint_of_another_architecture_is_refused(finished, tmp_path):
    run, piles = finished
    shutil.copytree(run, tmp_path / "run")
    config = tiny(piles, refiner__width=8, training__steps=20)
    (tmp_path / "run" / "config.toml").write_text(config.to_toml())  # edited by hand between two runs
    with pytest.raises(UserError, match="another architecture"):
        train(config, tmp_path / "run", resume=True, quiet=True)


def test_two_trainings_in_one_folder_are_refused(piles, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another training is running"):
            train(tiny(piles), tmp_path / "run", quiet=True)


def test_missing_feature_weights_are_a_clear_error(piles, tmp_path):
    config = tiny(piles, self_regularisation__features=1.0, features__weights=str(tmp_path / "none.h5"))
    with pytest.raises(UserError, match="cannot load VGG16.*features.weights"):
        train(config, tmp_path / "run", quiet=True)


@pytest.mark.parametrize(
    "options",
    [
        {
            "refiner__name": "resnet",
            "discriminator__name": "eyes",
            "loss__realism": "cross_entropy",
            "data__channels": 1,
        },
        {"refiner__kernel": 5, "discriminator__name": "hands", "refiner_optimizer__name": "sgd"},
        {"training__precision": "bfloat16", "history__half_batches": 0, "training__refiner_updates": 2},
    ],
    ids=["paper, gray", "hands, sgd", "bfloat16, no history"],
)
def test_other_networks_losses_and_precisions_train_and_load(piles, tmp_path, options):
    train(tiny(piles, training__steps=2, **options), tmp_path / "run", quiet=True)
    refiner = simrefine.load(tmp_path / "run")
    shape = (1, 15, 17, options.get("data__channels", 3))
    refined = refiner(np.full(shape, 100, np.uint8))
    assert refined.shape == shape and refined.dtype == np.uint8


def test_an_error_at_the_disk_ends_the_run_with_a_message(piles, tmp_path, monkeypatch):
    def full(*_):
        raise UserError("cannot write: No space left on device", "free some space")

    monkeypatch.setattr("simrefine.training.train.save_checkpoint", full)
    with pytest.raises(UserError, match="No space left"):
        train(tiny(piles), tmp_path / "run", quiet=True)
    monkeypatch.undo()
    assert train(tiny(piles), tmp_path / "run", quiet=True).step == 4, "nothing was saved, so it may start over"
    assert [each["step"] for each in metrics(tmp_path / "run")] == [2, 4]
