"""Where a training speaks: the standard output, which may go away without taking hours of work with it."""

import sys

from simrefine.files import drop


class Output:
    """Standard output as a file for a console; writing to it never fails.

    Bytes of names that are not UTF-8, and what else the output cannot show, appear as \\udcXX.

    Attributes:
        lost: it is gone, such as a pipe whose reader has ended or a terminal that was closed. What is written from then
            on is dropped.
    """

    def __init__(self):
        self._stream, self.lost = sys.stdout, False  # None where the program was started without one
        self.encoding = getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        shown = text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        self._attempt(lambda: self._stream.write(shown))
        return len(text)

    def flush(self) -> None:
        self._attempt(lambda: self._stream.flush())

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _attempt(self, action) -> None:
        if self._stream is None or self.lost:
            return
        try:
            action()
        except OSError:
            self.lost = True
            drop(self._stream)
