"""Labeled Faces in the Wild (Huang et al. 2007): photographs by person, to crops. See data/README.md."""

from pathlib import Path

import click

from simrefine.cli import Command, writes_crops

# The set has no landmarks, but is aligned: 60 pictures of lfw-deepfunneled by 60 people, with the five points that
# github.com/clcarwin/sphereface_pytorch lists in data/lfw_landmark.txt, have this median square by the rule for five
# points (standard deviation of the centre 8 and 3 px, of the side 11).
X, Y, SIDE, WIDTH = 125, 133, 156, 250  # px


@click.command(cls=Command)
@click.argument("archive", metavar="lfw-deepfunneled.tgz", type=click.Path(path_type=Path))
@click.option(
    "--landmarks",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="frame each face by its own points: lfw_landmark.txt, or any label file [default: one square for all]",
)
@writes_crops
def main(archive, landmarks):
    """Cut the faces out of lfw-deepfunneled or lfw_funneled, from the .tgz or its unpacked folder. The label is the
    person's name."""
    from simrefine.data.archives import list_files
    from simrefine.data.crops import Square
    from simrefine.data.prepare import faces_by_person, read_points

    points = read_points(landmarks, archive) if landmarks else {}
    return faces_by_person(list_files(archive), Square(X, Y, SIDE), WIDTH, points), landmarks or archive


if __name__ == "__main__":
    main()
