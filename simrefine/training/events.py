"""The file that TensorBoard reads, written without a thread or a file system of others: a full disk is an OSError here,
where the caller can report it."""

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter


class Events:
    """One process's file in `folder`, which is made.

    Raises:
        OSError: from every method, where the disk cannot be written.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        # TensorBoard reads the files of a folder in the order of their names.
        self._file = open(folder / name, "xb")  # noqa: SIM115 held for the whole run
        self._writer = RecordWriter(self._file)
        self.add_event(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add_event(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._file.close()
