"""Folders refined by the workers of a Ray cluster of this machine, which are processes of their own."""

import os
import pickle
import signal
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from tiny import tiny_config, write_pile

import simrefine
from simrefine.addresses import Url
from simrefine.errors import UserError
from simrefine.refining import on_ray
from simrefine.refining.folder import refine_folder
from simrefine.refining.on_ray import refine_on_ray

ray = pytest.importorskip("ray")
FACES = 60


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, and renders beside a label file and a picture that is none."""
    home = tmp_path_factory.mktemp("ray")
    write_pile(home / "real", 8, real=True)
    write_pile(home / "renders", FACES)
    config = tiny_config(data__synthetic=str(home / "renders"), data__real=str(home / "real"))
    simrefine.train(config, home / "run", quiet=True)
    (home / "renders" / "bad.png").write_bytes(b"no picture")
    (home / "renders" / "labels.csv").write_text("file,label\n")
    return home


@pytest.fixture(scope="module")
def cluster():
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    runtime = {"env_vars": {"KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "tensorflow")}}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=on_ray.STORE_BYTES,
        runtime_env=runtime,
    )
    yield
    ray.shutdown()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill_one_at_work(out: Path, killed: list[int]) -> None:
    """Kills a worker once the first picture is written."""
    for _ in range(3000):
        if any(out.glob("*.png")):
            break
        time.sleep(0.02)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            at_work = b"_refine_part" in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if at_work:
            os.kill(int(folder.name), signal.SIGKILL)
            killed.append(int(folder.name))
            return


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="workers are found by /proc")
def test_two_workers_of_which_one_is_killed_do_what_one_process_does(trained, cluster, tmp_path):
    refiner = simrefine.load(trained / "run")
    whole = refine_folder(refiner, trained / "renders", tmp_path / "whole")
    out, killed, seen = tmp_path / "out", [], []
    killer = Thread(target=kill_one_at_work, args=(out, killed), daemon=True)
    killer.start()
    options = {"workers": 2, "batch_size": 1, "threads": 1}
    summary = refine_on_ray(
        refiner, trained / "renders", out, progress=lambda done, found: seen.append((done, found)), **options
    )
    killer.join()
    assert killed
    assert tree(out) == tree(tmp_path / "whole")
    assert summary.found == FACES + 1 == summary.written + summary.skipped + summary.rejected
    assert (summary.rejected, summary.left, summary.labels_rejected) == (1, 0, 0)
    assert summary.rejects == whole.rejects and seen[-1] == (FACES + 1, FACES + 1)

    again = refine_on_ray(refiner, trained / "renders", out, **options)
    assert (again.written, again.skipped, again.rejected, again.labels_copied) == (0, FACES, 1, 0)

    with pytest.raises(UserError, match="of another refiner or strength|strength"):
        refine_on_ray(refiner, trained / "renders", out, strength=0.5, **options)
    (out / "rejects.csv").unlink()
    anew = refine_on_ray(refiner, trained / "renders", out, strength=0.5, overwrite=True, **options)
    assert anew.written == FACES
    np.testing.assert_allclose(2 * anew.mean_change, whole.mean_change, rtol=0.2)


def test_workers_read_and_write_a_store_themselves(trained, cluster, tmp_path):
    pytest.importorskip("fsspec", reason="the extra [store] is not installed")
    refiner = simrefine.load(trained / "run")
    whole = refine_folder(refiner, trained / "renders", tmp_path / "whole")
    # A store that two processes see without a server: fsspec's of this disk, which `place` would take for a folder.
    renders, out = Url(f"file://{trained / 'renders'}"), Url(f"file://{tmp_path / 'out'}")
    summary = refine_on_ray(refiner, renders, out, workers=2)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert (summary.written, summary.rejected, summary.left) == (FACES, 1, 0) and summary.rejects == whole.rejects
    assert refine_on_ray(refiner, renders, out, workers=2).skipped == FACES


def test_what_is_asked_to_stop_leaves_the_rest_to_the_next_time(trained, cluster, tmp_path):
    summary = refine_on_ray(
        simrefine.load(trained / "run"), trained / "renders", tmp_path / "out", workers=2, stopped=lambda: True
    )
    assert (summary.found, summary.left, summary.written) == (FACES + 1, FACES + 1, 0)


def test_an_error_of_a_worker_comes_back_as_it_was_said():
    error = pickle.loads(pickle.dumps(UserError("it is full", "make room", 4)))
    assert (str(error), error.what, error.fix, error.exit_code) == (
        "it is full. make room.",
        "it is full",
        "make room",
        4,
    )


def test_a_cluster_is_divided_evenly_and_gpus_come_first(monkeypatch):
    class Cluster:
        def __init__(self, *machines):
            self.machines = machines

        def nodes(self):
            return [{"Alive": True, "Resources": machine} for machine in self.machines] + [{"Alive": False}]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    eight, with_gpus = {"CPU": 8.0}, {"CPU": 16.0, "GPU": 4.0}
    assert on_ray._divide(Cluster(eight, eight), None) == (2, 8, 0, 1)
    assert on_ray._divide(Cluster(eight, eight), 4) == (4, 4, 0, 2)
    assert on_ray._divide(Cluster({"CPU": 2.0}), 5) == (5, 1, 0, 2)
    assert on_ray._divide(Cluster(with_gpus, with_gpus), None) == (8, 4, 1, 4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert on_ray._divide(Cluster(with_gpus), None) == (1, 16, 0, 1)
