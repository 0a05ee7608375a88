"""How long `simrefine --help` takes beyond an empty Python on the same machine.

    python experiments/benchmarks/help.py [--rounds 7]

Both are started in turn; the least time of each counts, as every disturbance only adds to it.
"""

import subprocess
import sys
import time

import click


def seconds(*arguments: str) -> float:
    """What one Python process with these arguments takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began


@click.command(help=__doc__.partition("\n")[0])
@click.option("--rounds", default=7, show_default=True)
def main(rounds):
    pairs = [(seconds("-c", "pass"), seconds("-m", "simrefine.cli", "--help")) for _ in range(rounds)]
    empty, helped = map(min, zip(*pairs, strict=True))
    print(f"an empty Python {empty:.2f} s, simrefine --help {helped:.2f} s, so {helped - empty:.2f} s of its own")


if __name__ == "__main__":
    main()
