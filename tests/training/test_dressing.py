import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tiny import SIZE, pack, tiny_config, write_pile

from simrefine.catalogue import PARTS
from simrefine.cli import main
from simrefine.data.batches import Batch
from simrefine.data.chroma import soften
from simrefine.data.dressing import PartLooks, PictureStyles
from simrefine.data.images import Picture, encode_picture, read_picture, to_signed, to_uint8
from simrefine.errors import UserError
from simrefine.models.parser import build_parser, parser_of
from simrefine.refining import photographs
from simrefine.refining.refiner import load
from simrefine.training.dressing import prepare_dressing, read_parts
from simrefine.training.inputs import read_piles
from simrefine.training.parser import PartLabels, agreement, augment, fit_parser
from simrefine.training.train import train

COUNT = 16


def write_masks(folder: Path, count: int = COUNT, classes: int = 9) -> Path:
    """Masks for `tiny.write_pile`: a disc of skin with eyes, hair above it and clothes below."""
    folder.mkdir()
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[y > 0.35], mask[y**2 + x**2 < 0.15] = 8, 1
    mask[(y**2 + x**2 < 0.15) & (y < -0.2)], mask[(np.abs(y + 0.1) < 0.05) & (np.abs(np.abs(x) - 0.15) < 0.06)] = 6, 3
    for index in range(count):
        content = encode_picture(Picture(mask[..., None] % classes), ".png")
        (folder / f"{index:03d}.png").write_bytes(content)
    return folder


@pytest.fixture
def piles(tmp_path):
    write_pile(tmp_path / "renders", COUNT)
    write_pile(tmp_path / "photos", COUNT, real=True)
    return {"data__synthetic": str(tmp_path / "renders"), "data__real": str(tmp_path / "photos")}


def prepare(options, **more):
    config, said = tiny_config(**options, **more), []
    synthetic, real = read_piles(config, None, lambda line: None)
    return prepare_dressing(config, synthetic, real, "float32", said.append), said


def test_masks_beside_the_renders_are_found_and_dress_them_part_by_part(piles, tmp_path):
    write_masks(tmp_path / "renders-masks")
    dressing, said = prepare(piles)
    assert isinstance(dressing.dresser, PartLooks) and dressing.dresser.has_scenes
    assert 0 <= dressing.agreement <= 1 and dressing.sheet.shape[2] == 3
    assert any(f"masks of {COUNT} pictures" in line for line in said)


def test_renders_are_dressed_by_their_masks_not_by_what_the_parser_makes_of_them(piles, tmp_path):
    for path in write_masks(tmp_path / "renders-masks").iterdir():
        mask = np.zeros((2 * SIZE, 2 * SIZE, 1), np.uint8)
        mask[: (20 if path.stem == "003" else 8)] = 6  # hair
        path.write_bytes(encode_picture(Picture(mask), ".png"))
    (tmp_path / "renders-masks" / "002.png").unlink()
    dresser = prepare(piles)[0].dresser
    batch = Batch(to_signed(np.full((3, SIZE, SIZE, 3), 99, np.uint8)), np.array([1, 3, 2]), np.zeros(3, bool))
    hair = dresser.dress(batch, np.random.default_rng(0)).parts[..., PARTS.index("hair")]
    assert hair[:, :, 8].sum(axis=1)[:2] == pytest.approx([4, 10], abs=0.2)
    assert not np.isin(hair[2].round(3), (0, 1)).all(), "which has none, and a parser of two steps"


@pytest.mark.parametrize(
    "options", [{"style__by": "picture"}, {"style__candidates": 0}, {"parts__masks": ""}], ids=lambda o: next(iter(o))
)
def test_parts_are_off_by_name(piles, tmp_path, options):
    write_masks(tmp_path / "renders-masks")
    dressing, _ = prepare(piles, **options)
    assert isinstance(dressing.dresser, PictureStyles) and dressing.parser is None


def test_scenes_are_off_by_name_and_where_no_mask_says_what_hair_is(piles, tmp_path):
    write_masks(tmp_path / "renders-masks")
    assert not prepare(piles, parts__scene=False)[0].dresser.has_scenes
    dressing, said = prepare(piles, parts__classes=("background=0+6+8", "skin=1", "eyes=3"))
    assert not dressing.dresser.has_scenes and any("keep their own rooms" in line for line in said)


def test_renders_get_colours_as_soft_as_the_photographs_have_and_refine_gives_them_too(piles, tmp_path):
    write_masks(tmp_path / "renders-masks")
    shutil.rmtree(tmp_path / "photos")
    for path in write_pile(tmp_path / "photos", COUNT, seed=1).iterdir():  # sharp, and without colour noise
        pixels = soften(to_signed(read_picture(path).pixels[None]), 2 / SIZE, SIZE)[0]
        path.write_bytes(encode_picture(Picture(to_uint8(pixels)), ".png"))
    dressing, said = prepare(piles)
    assert dressing.dresser.softness > 0 and any("blurred by" in line for line in said)
    assert prepare(piles, parts__soften=False)[0].dresser.softness == 0
    train(tiny_config(**piles), tmp_path / "run", quiet=True)
    (tmp_path / "few").mkdir()
    shutil.copy(next((tmp_path / "photos").iterdir()), tmp_path / "few")
    for given in ({}, {"photographs": tmp_path / "few"}, {"style": tmp_path / "few"}):
        assert load(tmp_path / "run", **given).dresser.softness == pytest.approx(dressing.dresser.softness)


def test_parts_without_masks_or_points_are_refused_where_they_are_asked_for(piles):
    with pytest.raises(UserError, match="neither part masks nor 68 label points"):
        prepare(piles, style__by="parts")


def test_masks_of_other_names_and_masks_of_colours_are_told(piles, tmp_path):
    folder = write_masks(tmp_path / "elsewhere", count=0)
    with pytest.raises(UserError, match="has a mask of its name in"):
        prepare(piles, parts__masks=str(folder))
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index:03d}.png"), np.full((SIZE, SIZE, 3), index, np.uint8))
    with pytest.raises(UserError, match="000.png cannot be used: a colour PNG"):
        prepare(piles, parts__masks=str(folder))


def test_masks_in_a_shard_are_those_of_the_loose_folder(piles, tmp_path):
    config, chosen, found = tiny_config(**piles), np.arange(COUNT), []
    synthetic, _ = read_piles(config, None, lambda line: None)
    for folder in (write_masks(tmp_path / "loose"), write_masks(tmp_path / "packed")):
        (folder / "003.png").write_bytes(encode_picture(Picture(np.full((SIZE, SIZE, 1), 3, np.uint8)), ".png"))
        if folder.name == "packed":
            pack(folder, folder / "masks.tar", ["000.png", "003.png"])
        masks = replace(config, parts=replace(config.parts, masks=str(folder)))
        found.append(read_parts(masks, synthetic, chosen, 8, lambda line: None))
    for loose, packed in zip(*found, strict=True):
        assert np.array_equal(loose, packed)
    cv2.imwrite(str(tmp_path / "001.png"), np.zeros((SIZE, SIZE, 3), np.uint8))
    (folder / "001.png").unlink()
    pack(tmp_path, folder / "more.tar", ["001.png"])
    with pytest.raises(UserError, match=r"the mask .*more\.tar: 001\.png cannot be used: a colour PNG"):
        read_parts(masks, synthetic, chosen, 8, lambda line: None)


def test_styles_step_back_where_they_would_drive_renders_into_black(tmp_path):
    rng = np.random.default_rng(0)
    for name, values in (("renders", (118, 124)), ("photos", (0, 256))):
        (tmp_path / name).mkdir()
        for index in range(COUNT):
            picture = rng.integers(*values, (SIZE, SIZE, 1)).astype(np.uint8)
            picture = picture if name == "renders" else np.where(picture > 128, 255, 0).astype(np.uint8)
            (tmp_path / name / f"{index}.png").write_bytes(encode_picture(Picture(picture), ".png"))
    piles = {"data__synthetic": str(tmp_path / "renders"), "data__real": str(tmp_path / "photos"), "data__channels": 1}
    dressing, said = prepare(piles)
    assert any("step back" in line for line in said)
    faces = np.zeros((2, SIZE, SIZE, 1), np.float32)
    np.testing.assert_array_equal(dressing.dresser.dress_alone(faces, 0).pictures, faces)


def test_the_parser_learns_parts_and_its_agreement_tells_how_well():
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 32, 32), np.uint8)
    for index, (x, y) in enumerate(rng.integers(6, 18, (64, 2))):
        labels[index, y : y + 8, x : x + 8] = PARTS.index("skin")
    images = np.where(labels[:, ::2, ::2, None] > 0, np.uint8([220, 160, 130]), np.uint8([20, 60, 40]))
    images = np.clip(images + rng.normal(0, 5, images.shape), 0, 255).astype(np.uint8)
    network = build_parser(3, "float32", seed=0)
    styles = np.concatenate([np.zeros((1, 1, 3)), 0.3 * np.eye(3)[None]], axis=1)
    fit_parser(network, PartLabels(images, labels), images, styles, seed=0, steps=60)
    parse = parser_of(network)
    assert agreement(parse(images), labels) > max(0.9, agreement(parse(images), labels[::-1]) + 0.03)


def test_faces_and_labels_are_turned_alike_and_light_moves_no_label():
    labels = np.zeros((8, 64, 64), np.uint8)
    labels[:, 20:40, 12:30] = PARTS.index("skin")
    images = np.where(labels[:, ::2, ::2, None] > 0, np.uint8(220), np.uint8(20)).repeat(3, axis=-1)
    styles = np.concatenate([np.zeros((1, 1, 3)), 0.4 * np.eye(3)[None]], axis=1)
    pictures, wanted = augment(images, labels, images, styles, np.random.default_rng(0))
    for picture, soft in zip(pictures, wanted, strict=True):
        inside, outside = (picture[soft[..., part] > 0.99].mean() for part in (PARTS.index("skin"), 0))
        assert inside > outside + 0.1
    assert not np.array_equal(wanted[0], wanted[1])


def test_a_run_with_parts_resumes_bit_for_bit_and_refines_in_photographs_rooms(piles, tmp_path):
    write_masks(tmp_path / "renders-masks")
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train(tiny_config(**piles), whole, quiet=True)
    train(tiny_config(**piles, training__steps=2, training__learning_rate_decay=0), halves, quiet=True)
    halved = {"training__learning_rate_decay": 0, "training__steps": 4}
    train(tiny_config(**piles, **halved), halves, resume=True, quiet=True)
    straight = tmp_path / "straight"
    train(tiny_config(**piles, **halved), straight, quiet=True)
    files = [run / "refiner" / "weights.safetensors" for run in (halves, straight)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert load(whole).dresser.has_scenes and not load(whole).wants_photographs


def test_without_its_photographs_a_refiner_gives_colours_only_and_says_so(piles, tmp_path):
    write_masks(tmp_path / "renders-masks")
    run, photographs = tmp_path / "run", tmp_path / "photos"
    train(tiny_config(**piles), run, quiet=True)
    with_rooms = load(run).fingerprint
    photographs.rename(tmp_path / "moved")
    refiner = load(run)
    assert refiner.wants_photographs and refiner.fingerprint != with_rooms
    arguments = ["refine", piles["data__synthetic"], "--model", str(run), "--out"]
    done = CliRunner().invoke(main, [*arguments, str(tmp_path / "out")])
    assert done.exit_code == 0 and "keep their own rooms" in done.output
    done = CliRunner().invoke(main, [*arguments, str(tmp_path / "out2"), "--photos", str(tmp_path / "moved")])
    assert done.exit_code == 0 and "hold parts of" in done.output
    assert load(run, photographs=tmp_path / "moved").fingerprint == with_rooms
    done = CliRunner().invoke(
        main,
        [*arguments, str(tmp_path / "out3"), "--photos", str(tmp_path / "moved"), "--style", str(tmp_path / "moved")],
    )
    assert done.exit_code != 0 and "both given" in done.output


def test_another_photograph_makes_another_refiner_and_the_rounding_of_the_parser_does_not(piles, tmp_path, monkeypatch):
    """Two machines with unlike numbers of cores share a folder."""
    write_masks(tmp_path / "renders-masks")
    train(tiny_config(**piles), tmp_path / "run", quiet=True)
    here = load(tmp_path / "run").fingerprint
    published_parser = photographs.published_parser

    def rounded_otherwise(*arguments):
        parse = published_parser(*arguments)
        every_second_row = np.arange(SIZE)[:, None, None] % 2
        return lambda images: parse(images) ^ every_second_row.astype(np.uint8)

    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(photographs, "published_parser", rounded_otherwise)
        assert load(tmp_path / "run").fingerprint == here
    picture = next(Path(piles["data__real"]).glob("*.png"))
    picture.write_bytes(encode_picture(Picture(255 - read_picture(picture).pixels), ".png"))
    assert load(tmp_path / "run").fingerprint != here


def test_the_runs_own_photographs_are_known_again_and_looked_at_when_a_face_is_put_in_them(
    piles, tmp_path, monkeypatch
):
    """Finding the people in two thousand takes longer than refining a small folder."""
    write_masks(tmp_path / "renders-masks")
    train(tiny_config(**piles), tmp_path / "run", quiet=True)
    parsed, published_parser = [], photographs.published_parser

    def counted(*arguments):
        parse = published_parser(*arguments)
        return lambda images: [parsed.append(len(images)), parse(images)][1]

    monkeypatch.setattr(photographs, "published_parser", counted)
    faces = np.stack([read_picture(path).pixels for path in sorted(Path(piles["data__synthetic"]).glob("*.png"))])[:3]
    known = load(tmp_path / "run")
    assert not parsed, "none is looked at before a face is there"
    wanted = known(faces)
    assert parsed[0] == 3 and sum(parsed[1:]) <= 3, "those in which the three faces are put"
    known(faces)
    assert sum(parsed[2:]) <= 3 + 3, "and these once"
    with monkeypatch.context() as older:  # a refiner that was published before photographs were known again
        older.setattr(photographs, "known_again", lambda *_: None)
        unknown = load(tmp_path / "run")
    assert unknown.fingerprint == known.fingerprint
    np.testing.assert_allclose(unknown(faces), wanted, atol=1)
    write_pile(tmp_path / "photos" / "more", 1, real=True)
    parsed.clear()
    more = load(tmp_path / "run")
    assert parsed and more.fingerprint != known.fingerprint, "one more changes what faces may be put in"


def test_a_style_that_is_wider_than_it_is_high_is_taken_as_it_is(piles, tmp_path):
    write_masks(tmp_path / "renders-masks")
    train(tiny_config(**piles), tmp_path / "run", quiet=True)
    pixels = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE + 8, 3), np.uint8)
    (tmp_path / "style.png").write_bytes(encode_picture(Picture(pixels), ".png"))
    styled, usual = (load(tmp_path / "run", style=style) for style in (tmp_path / "style.png", None))
    assert styled.fingerprint != usual.fingerprint and not styled.dresser.has_scenes


def test_photographs_are_refused_where_the_refiner_was_trained_without_rooms(piles, tmp_path):
    train(tiny_config(**piles), tmp_path / "run", quiet=True)
    with pytest.raises(UserError, match="not trained on faces in photographs' rooms"):
        load(tmp_path / "run", photographs=piles["data__real"])


def test_published_looks_of_a_run_hold_no_pixel_of_a_photograph(piles, tmp_path):
    from safetensors.numpy import load_file

    write_masks(tmp_path / "renders-masks")
    train(tiny_config(**piles), tmp_path / "run", quiet=True)
    arrays = load_file(tmp_path / "run" / "refiner" / "weights.safetensors")
    assert {name.split("/")[0] for name in arrays if "/" in name} == {"bank", "parser"}
    for name, values in arrays.items():
        if name.startswith("bank/"):
            of_labels = name == "bank/views"  # shares of parts in 3 x 16 x 16 cells, and ten numbers
            assert values.dtype.kind == "f" and values[0].size <= (3 * 16 * 16 + 10 if of_labels else 16 * 16), name
    put, own = load(tmp_path / "run"), load(tmp_path / "run", heads=False)
    assert put.dresser.has_heads and not own.dresser.has_heads and put.fingerprint != own.fingerprint
    assert put.about["heads"] and not own.about["heads"]


def test_the_options_are_checked():
    with pytest.raises(UserError, match="no part"):
        tiny_config(parts__classes="nose=1")
    with pytest.raises(UserError, match="stands for both"):
        tiny_config(parts__classes="skin=1,hair=1")
