"""Ctrl-C and SIGTERM as a wish that a loop fulfils when it suits it."""

import signal

from simrefine.errors import EXIT_INTERRUPTED, EXIT_TERMINATED

EXIT_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}


class Interruption:
    """Remembers the first Ctrl-C or SIGTERM as `signal`; the second Ctrl-C quits at once. A context manager."""

    def __init__(self):
        self.signal: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        try:
            self._previous = {number: signal.signal(number, self._receive) for number in EXIT_CODES}
        except ValueError:  # not the main thread, where Python allows no handlers: the caller's stand
            self._previous = {}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _frame) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    @property
    def name(self) -> str:
        return {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[self.signal]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.signal]
