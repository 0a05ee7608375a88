"""MetFaces (Karras et al. 2020): faces in works of art with 68 landmarks each, to crops. See data/README.md."""

from pathlib import Path, PurePosixPath

import click

from simrefine.cli import Command, writes_crops

WIDTH = 1024  # of the aligned pictures, px


@click.command(cls=Command)
@click.argument("archive", metavar="images", type=click.Path(path_type=Path))
@click.option(
    "--json", "metadata", metavar="FILE", required=True, type=click.Path(path_type=Path), help="metfaces.json"
)
@writes_crops
def main(archive, metadata):
    """Cut the faces out of MetFaces, from a folder, .zip or .tar of its aligned images (11713-00.png, ...)."""
    import numpy as np

    from simrefine.data.archives import list_files, read_json
    from simrefine.data.prepare import Face, pictures_of
    from simrefine.errors import UserError

    def align(face: dict) -> np.ndarray:
        """Its landmarks, which are of the original, in the aligned picture. That is an upright square round the eyes
        and mouth (the set's README and metfaces.py), so the original's scale and the half pixel cancel out."""
        points = np.array(face["landmarks"], np.float64)
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        eyes, mouth = (left + right) / 2, (points[48] + points[54]) / 2
        down = mouth - eyes
        across = (right - left) + (down[1], -down[0])  # the line of the eyes and the normal of the face's axis
        across *= max(2 * np.hypot(*(right - left)), 1.8 * np.hypot(*down)) / np.hypot(*across)  # half the side
        axes = np.stack([across, (-across[1], across[0])])
        return (0.5 + (points - eyes - 0.1 * down) @ axes.T / (2 * (across @ across))) * WIDTH

    files = list_files(archive)
    try:
        known = {PurePosixPath(face["image_path"]).name: align(face["face_spec"]) for face in read_json(metadata)}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{metadata} is not the metadata of MetFaces: {error!r}", "name metfaces.json") from error
    return [
        Face(name, files[name], known.get(PurePosixPath(name).name), stated_width=WIDTH) for name in pictures_of(files)
    ], metadata


if __name__ == "__main__":
    main()
