"""FFHQ (Karras et al. 2019): photographs with 68 landmarks each, to crops. See data/README.md."""

from pathlib import Path, PurePosixPath

import click

from simrefine.cli import Command, writes_crops


@click.command(cls=Command)
@click.argument("archive", metavar="images1024x1024", type=click.Path(path_type=Path))
@click.option(
    "--json",
    "metadata",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="ffhq-dataset-v2.json",
)
@click.option("--in-the-wild", is_flag=True, help="the pictures are in-the-wild-images, not aligned ones")
@writes_crops
def main(archive, metadata, in_the_wild):
    """Cut the faces out of FFHQ, from a folder, .zip or .tar of 00000.png, ...: the aligned pictures in any size
    (images1024x1024, thumbnails128x128), or the originals."""
    import numpy as np

    from simrefine.data.archives import list_files, read_json
    from simrefine.data.prepare import Face, pictures_of
    from simrefine.errors import UserError

    # Landmarks of the originals are whole pixels, counted from 0; those of aligned pictures were moved with them.
    key, shift = ("in_the_wild", 0.5) if in_the_wild else ("image", 0)
    files, faces = list_files(archive), []
    entries = read_json(metadata)
    try:
        for name in pictures_of(files):
            entry = entries.get(PurePosixPath(name).stem.lstrip("0") or "0")  # 00017.png is entry "17"
            points = entry and np.array(entry[key]["face_landmarks"], np.float64) + shift
            faces.append(Face(name, files[name], points, stated_width=entry and entry[key]["pixel_size"][0]))
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{metadata} is not the metadata of FFHQ: {error!r}", "name ffhq-dataset-v2.json") from error
    return faces, metadata


if __name__ == "__main__":
    main()
