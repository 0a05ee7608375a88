"""DigiFace-1M (Bae et al. 2023): rendered faces of 112 x 112 px by person, to crops. See data/README.md."""

from pathlib import Path

import click

from simrefine.cli import Command, writes_crops

WIDTH = 112  # px


@click.command(cls=Command)
@click.argument("archive", metavar="subjects_0-1999_72_imgs.zip", type=click.Path(path_type=Path))
@click.option(
    "--landmarks",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="frame each face by points of your own, any label file [default: the whole picture]",
)
@writes_crops
def main(archive, landmarks):
    """Cut the faces out of one part of DigiFace-1M, from the .zip or its unpacked folder. The label is the identity."""
    from simrefine.data.archives import list_files
    from simrefine.data.crops import Square
    from simrefine.data.prepare import faces_by_person, read_points

    points = read_points(landmarks, archive) if landmarks else {}
    whole = Square(WIDTH / 2, WIDTH / 2, WIDTH)  # without landmarks, the set's own crop is the best frame known
    return faces_by_person(list_files(archive), whole, WIDTH, points), landmarks or archive


if __name__ == "__main__":
    main()
