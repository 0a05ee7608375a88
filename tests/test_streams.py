"""Standard streams that are closed or broken end no command with the wrong exit code."""

import os
import subprocess
import sys

import pytest

from simrefine.errors import EXIT_OUTPUT_CLOSED
from simrefine.training.output import Output

PROBE = """
import os, sys, click
from simrefine.cli import main

@main.command()
def probe():
    click.echo("told", err=True)
    os.close(os.dup(2))  # as start_backend does
    click.echo("x" * 10**6)

main(["probe"])
"""


@pytest.mark.parametrize("closing", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_command_started_with_closed_streams_does_its_work(closing):
    done = subprocess.run(["sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, PROBE], stdout=subprocess.PIPE)
    assert done.returncode == 0 and len(done.stdout) == (10**6 + 1 if closing == "2>&-" else 0)


def test_a_command_whose_output_nobody_reads_says_so_by_its_exit_code():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", PROBE], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (EXIT_OUTPUT_CLOSED, "told\n")


def test_writing_to_an_output_that_is_gone_or_narrow_never_fails(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        output = Output()
        output.write("text")
        output.flush()
        assert output.lost
        output.write("more")
    reader, writer = os.pipe()
    with open(writer, "w", encoding="ascii") as narrow, open(reader, "rb") as other:
        monkeypatch.setattr(sys, "stdout", narrow)
        output = Output()
        output.write("\u00e9" + os.fsdecode(b"\xff"))
        output.flush()
        assert other.read1() == b"\\xe9\\udcff" and not output.lost
    monkeypatch.setattr(sys, "stdout", None)
    Output().write("text")
