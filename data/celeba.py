"""CelebA (Liu et al. 2015): photographs with five landmarks each, to crops. See data/README.md."""

from pathlib import Path

import click

from simrefine.cli import Command, writes_crops


@click.command(cls=Command)
@click.argument("archive", metavar="img_align_celeba.zip", type=click.Path(path_type=Path))
@click.option(
    "--landmarks",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="list_landmarks_align_celeba.txt (.csv from Kaggle); for img_celeba unpacked: list_landmarks_celeba.txt",
)
@writes_crops
def main(archive, landmarks):
    """Cut the faces out of CelebA, from the .zip or its unpacked folder, framed by their five landmarks."""
    from simrefine.data.archives import list_files
    from simrefine.data.prepare import Face, find_points, pictures_of, read_points

    files, points = list_files(archive), read_points(landmarks, archive)
    return [Face(name, files[name], find_points(points, name)) for name in pictures_of(files)], landmarks


if __name__ == "__main__":
    main()
