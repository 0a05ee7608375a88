"""Ctrl-C, SIGTERM and SIGHUP: as a wish that a loop fulfils when it suits it, or, where there is no such loop, as a
KeyboardInterrupt, behind which everything is cleaned up."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from simrefine.errors import EXIT_HUNG_UP, EXIT_INTERRUPTED, EXIT_OUTPUT_CLOSED, EXIT_TERMINATED

OUTPUT_CLOSED = getattr(signal, "SIGPIPE", signal.SIGTERM)  # not caught, asked for: Python ignores the signal
HANG_UP = getattr(signal, "SIGHUP", None)  # not on Windows
EXIT_CODES = {
    OUTPUT_CLOSED: EXIT_OUTPUT_CLOSED,
    signal.SIGINT: EXIT_INTERRUPTED,
    signal.SIGTERM: EXIT_TERMINATED,
    HANG_UP: EXIT_HUNG_UP,
}
NAMES = {signal.SIGINT: "Ctrl-C", OUTPUT_CLOSED: "the end of its output"}


class Interrupted(KeyboardInterrupt):
    """SIGTERM or SIGHUP, which ends a program as Ctrl-C does.

    Args:
        number: the signal.
    """

    def __init__(self, number: int = signal.SIGINT):
        super().__init__()
        self.signal = signal.Signals(number)


@contextmanager
def interrupting() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise Interrupted, once: what comes while it cleans up changes nothing."""

    def receive(number: int, _frame) -> None:
        for end in ends:
            signal.signal(end, signal.SIG_IGN)
        raise Interrupted(number)

    ends = _ends()
    previous = _catch(ends, receive)
    try:
        yield
    finally:
        _restore(previous)


class Interruption:
    """Remembers the first Ctrl-C, SIGTERM or SIGHUP as `signal`; the second Ctrl-C quits at once. A context manager."""

    def __init__(self):
        self.signal: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        self._previous = _catch((signal.SIGINT, *_ends()), self._receive)
        return self

    def __exit__(self, *_) -> None:
        _restore(self._previous)

    def ask(self, number: int) -> None:
        """Asks for an end as if signal `number` had come; an earlier one stands."""
        self.signal = self.signal or signal.Signals(number)

    def _receive(self, number: int, _frame) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    @property
    def name(self) -> str:
        return name_of(self.signal)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.signal]


def name_of(number: signal.Signals) -> str:
    """What people call a signal."""
    return NAMES.get(number, number.name)


def _ends() -> list[signal.Signals]:
    """The signals besides Ctrl-C that end a program."""
    hangs_up = HANG_UP and signal.getsignal(HANG_UP) != signal.SIG_IGN  # which is how nohup asks to go on
    return [signal.SIGTERM, *([HANG_UP] if hangs_up else [])]


def _catch(numbers, receive) -> dict:
    """Handles signals by `receive`; the handlers before, by signal."""
    try:
        return {number: signal.signal(number, receive) for number in numbers}
    except ValueError:  # not the main thread, where Python allows no handlers: the caller's stand
        return {}


def _restore(handlers: dict) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
