"""Processes that are ended on purpose. Each is forked from one that has imported everything and started nothing, so
that a kill costs milliseconds and not the seconds in which TensorFlow is imported."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

SECONDS = 120  # in which a child must have ended; it hangs otherwise
# What Python announces before it changes a disk (https://docs.python.org/3/library/audit_events.html).
CHANGES = ("os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class Tried:
    """How often a promise was tried, and what broke it."""

    cases: int = 0
    broken: list[str] = field(default_factory=list)
    slowest: float = 0.0  # seconds of a case

    def hold(self, kept: bool, what: str) -> None:
        if not kept:
            self.broken.append(what)


def fork(work: Callable[[], None], said: Path) -> int:
    """Starts `work` in a child, whose output and traceback go to the file `said`; its process id."""
    process = os.fork()
    if process:
        return process
    try:
        output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        work()
        os._exit(0)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        os._exit(1)


def wait(process: int, seconds: float = SECONDS) -> int | None:
    """The exit code of a child, -N where signal N ended it; None where it hung, and was killed for that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def at_each_change(act: Callable[[int], None], below: Path) -> None:
    """Has this process call `act(n)` right before its n-th change of the disk below a folder: a file opened for
    writing, a flush, a rename, a link, a new folder, a removal."""
    numbers, folder, flush = count(1), os.fspath(below), os.fsync

    def hook(event: str, arguments: tuple) -> None:
        concerns = isinstance(arguments[2], int) and arguments[2] & WRITING if event == "open" else event in CHANGES
        if concerns and os.fsdecode(arguments[0] if isinstance(arguments[0], str | bytes) else "").startswith(folder):
            act(next(numbers))

    def flushing(descriptor: int) -> None:
        act(next(numbers))
        flush(descriptor)

    os.fsync = flushing
    sys.addaudithook(hook)


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
