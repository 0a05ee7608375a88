"""Ctrl-C, SIGTERM, SIGHUP and the end of the output as a wish that a loop fulfils when it suits it."""

import signal

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


class Interruption:
    """Remembers the first Ctrl-C, SIGTERM or SIGHUP as `signal`; the second Ctrl-C quits at once. A context manager."""

    def __init__(self):
        self.signal: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        caught = [signal.SIGINT, signal.SIGTERM]
        if HANG_UP and signal.getsignal(HANG_UP) != signal.SIG_IGN:  # which is how nohup asks to go on
            caught.append(HANG_UP)
        try:
            self._previous = {number: signal.signal(number, self._receive) for number in caught}
        except ValueError:  # not the main thread, where Python allows no handlers: the caller's stand
            self._previous = {}
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def ask(self, number: int) -> None:
        """Asks for an end as if signal `number` had come; an earlier one stands."""
        self.signal = self.signal or signal.Signals(number)

    def _receive(self, number: int, _frame) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)

    @property
    def name(self) -> str:
        return NAMES.get(self.signal, self.signal.name)

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.signal]
