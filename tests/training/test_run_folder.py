"""A run reads its surroundings without running anything of theirs, and its own files also where they are torn."""

import json
import subprocess

import pytest

from simrefine.training.monitor import _forget_lines_from
from simrefine.training.run_folder import describe_environment, git_commit, read_metrics


def git(folder, *arguments):
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.com"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-b", "some/branch")
    (folder / "pyproject.toml").write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_no_program_of_the_current_folders_repository_runs(checkout, tmp_path, monkeypatch):
    script, ran = tmp_path / "monitor.sh", tmp_path / "ran"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n")
    script.chmod(0o755)
    (checkout / "extra").write_text("")
    git(checkout, "config", "core.fsmonitor", str(script))
    monkeypatch.chdir(checkout)
    assert json.dumps(describe_environment("float32"))
    assert not ran.exists()
    assert git_commit(checkout) and not ran.exists()
    git(checkout, "status")
    assert ran.exists(), "else this test proves nothing: git itself runs it"


def test_the_commit_is_found_loose_packed_detached_and_in_a_linked_worktree(checkout, tmp_path):
    commit = git(checkout, "rev-parse", "HEAD")
    assert git_commit(checkout) == commit
    git(checkout, "pack-refs", "--all")
    assert git_commit(checkout) == commit
    git(checkout, "worktree", "add", "-b", "linked", str(tmp_path / "linked"))
    assert git_commit(tmp_path / "linked") == commit
    git(checkout, "checkout", "--detach")
    assert git_commit(checkout) == commit


def test_without_a_checkout_there_is_no_commit(tmp_path):
    assert git_commit(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text("")
    assert git_commit(tmp_path) is None
    (tmp_path / ".git").write_bytes(b"\xff")
    assert git_commit(tmp_path) is None


def test_torn_lines_of_the_metrics_are_left_out(tmp_path):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"step": 1}\n{"step": 2, "lo\n12\n\xff\x00\n{"step": 3}\n{"st')
    assert read_metrics(tmp_path / "metrics.jsonl") == [{"step": 1}, {"step": 3}]


def test_a_run_whose_last_line_of_metrics_is_torn_goes_on(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b'{"step": 1, "loss": 0.25}\n{"step": 2}\n{"step": 3, "lo\n')
    _forget_lines_from(file, 1)
    assert file.read_text() == '{"step": 1, "loss": 0.25}\n'
