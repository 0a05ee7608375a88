"""`python -m simrefine`: the command line."""

from simrefine.cli import main

if __name__ == "__main__":
    main(prog_name="python -m simrefine")
