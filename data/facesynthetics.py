"""FaceSynthetics (Wood et al. 2021): renders with landmarks and part masks, to crops. See data/README.md."""

from pathlib import Path

import click

from simrefine.cli import Command, writes_crops


@click.command(cls=Command)
@click.argument("archive", metavar="dataset_1000.zip", type=click.Path(path_type=Path))
@click.option("--masks/--no-masks", default=True, show_default=True, help="also cut the part masks, to OUT-masks")
@writes_crops
def main(archive, masks):
    """Cut the faces out of FaceSynthetics, from the .zip or its unpacked folder, with 68 landmarks each."""
    import numpy as np

    from simrefine.data.archives import list_files
    from simrefine.data.crops import BOX
    from simrefine.data.images import ImageError
    from simrefine.data.prepare import Face
    from simrefine.errors import UserError

    def read_rows(name: str) -> np.ndarray | None:
        """Rows of x and y: the 68 points of 300-W, then the pupils; None where they cannot be read."""
        try:
            points = np.array(files[name]().split(), np.float64).reshape(-1, 2)[:BOX]
        except (ImageError, ValueError):
            return None
        return points if len(points) == BOX else None

    files = list_files(archive)
    stems = [name.removesuffix("_ldmks.txt") for name in files if name.endswith("_ldmks.txt")]
    stems = [stem for stem in stems if f"{stem}.png" in files]
    if not stems:
        raise UserError(f"{archive} holds no 000000.png with 000000_ldmks.txt beside it", "check the path")
    return [
        Face(
            f"{stem}.png",
            files[f"{stem}.png"],
            read_rows(f"{stem}_ldmks.txt"),
            read_mask=files.get(f"{stem}_seg.png") if masks else None,
        )
        for stem in stems
    ], archive


if __name__ == "__main__":
    main()
