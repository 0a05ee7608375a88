"""What a run says about its surroundings is read without running anything of theirs."""

import json
import subprocess

import pytest

from simrefine.training.run_folder import describe_environment, git_commit


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
