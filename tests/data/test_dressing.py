import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from portraits import SIZE, SKINS, parse, part_looks, photographs, portrait

from simrefine.catalogue import PARTS
from simrefine.config import Config
from simrefine.data import dressing
from simrefine.data.batches import Batch
from simrefine.data.chroma import soften
from simrefine.data.dressing import (
    PRINTS,
    SOFTNESS,
    STYLES,
    PictureStyles,
    check_looks,
    known_again,
    read_dresser,
    read_looks,
)
from simrefine.data.images import GRAY_LEVELS, resize, to_signed
from simrefine.data.styles import read_styles
from simrefine.data.windows import put_together, windows, windows_of


def renders(count: int = 3) -> np.ndarray:
    return to_signed(np.stack([portrait(skin=SKINS[k % 4], seed=100 + k)[0] for k in range(count)]))


@pytest.mark.parametrize("scenes", [False, True])
def test_a_face_is_dressed_alike_whatever_comes_with_it(scenes):
    dresser, faces = part_looks(scenes), renders()
    together = dresser.dress_alone(faces, seed=0).pictures
    alone = np.concatenate([dresser.dress_alone(face[None], seed=0).pictures for face in faces[::-1]])[::-1]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_another_seed_gives_another_look():
    dresser, faces = part_looks(), renders()
    looks = [dresser.dress_alone(faces, seed).pictures for seed in range(4)]
    assert max(np.abs(look - looks[0]).mean() for look in looks[1:]) > 0.01


def test_with_scenes_the_room_is_a_photographs_and_without_the_renders_own_in_its_colours():
    faces = renders()
    inside, outside = part_looks(True), part_looks(False)
    assert inside.has_scenes and not outside.has_scenes
    corner = inside.dress_alone(faces, 0).pictures[0, :3, :3]
    rooms = to_signed(inside.scenes.rooms[:, :3, :3])
    assert np.abs(rooms - corner).mean(axis=(1, 2, 3)).min() < 1e-5
    own = outside.dress_alone(faces, 0).pictures[0, :3, :3]
    assert np.corrcoef(own.mean(axis=-1).ravel(), faces[0, :3, :3].mean(axis=-1).ravel())[0, 1] > 0.9


def test_the_parts_of_a_mirrored_face_are_mirrored():
    left = portrait(shift=-6)
    dresser = part_looks(parts=left[1][None].repeat(2, axis=0))
    pictures = to_signed(np.stack([left[0], left[0][:, ::-1]]))
    batch = Batch(pictures, np.array([0, 1]), np.array([False, True]))
    parts = dresser.dress(batch, np.random.default_rng(0)).parts
    np.testing.assert_array_equal(parts[0], parts[1][:, ::-1])


def test_faces_of_another_size_are_dressed_at_their_own():
    dressed = part_looks().dress_alone(renders().repeat(2, axis=1).repeat(2, axis=2), 0)
    assert dressed.pictures.shape == (3, 2 * SIZE, 2 * SIZE, 3)
    assert dressed.parts.shape == (3, 2 * SIZE, 2 * SIZE, len(PARTS))


@pytest.mark.parametrize("few", [1, 3])
def test_how_many_faces_are_dressed_at_once_changes_nothing(monkeypatch, few):
    dresser, faces = part_looks(), renders()
    wanted = dresser.dress_alone(faces, 0)
    monkeypatch.setattr(dressing, "AT_ONCE", few * SIZE * SIZE)
    for given, those in zip(dresser.dress_alone(faces, 0), wanted, strict=True):
        np.testing.assert_allclose(given, those, atol=1e-6)


def test_what_is_published_is_read_back_and_holds_no_picture():
    dresser, faces, config = part_looks(False), renders(), Config.load(values={"parts.candidates": 2}, environment={})
    dresser.softens_features = config.parts.soften
    arrays = dresser.arrays()
    assert all(values[0].size < SIZE * SIZE for values in arrays.values())
    again = read_dresser(arrays, config, parse).dress_alone(faces, 0).pictures
    np.testing.assert_array_equal(again, dresser.dress_alone(faces, 0).pictures)
    styles = PictureStyles(read_styles(to_signed(photographs())), config.style.candidates)
    again = read_dresser(styles.arrays(), config, None).dress_alone(faces, 0).pictures
    np.testing.assert_allclose(again, styles.dress_alone(faces, 0).pictures, atol=1e-5)


PRINTED = read_looks(photographs(), parse).prints


@pytest.mark.parametrize(
    "prints", [PRINTED[1:], PRINTED + 0.6, PRINTED[:, :2], PRINTED[0], PRINTED > 0, np.full_like(PRINTED, np.nan)]
)
def test_prints_that_are_not_those_of_the_banks_photographs_are_refused(prints):
    bank, config = part_looks().arrays(), Config.load(environment={})
    for good in (bank, bank | {PRINTS: PRINTED}):  # older refiners have none
        check_looks(good, config, parsed=True)
    with pytest.raises(ValueError, match="the array bank/prints"):
        check_looks(bank | {PRINTS: prints}, config, parsed=True)
    with pytest.raises(ValueError, match="the array bank/prints"):
        check_looks({STYLES: np.zeros((1, 4, 3), np.float32), PRINTS: PRINTED}, config, parsed=True)


@pytest.mark.parametrize("softness", [[-0.01], [0.2], [np.nan], [0.01, 0.01], 0.01])
def test_a_softness_that_is_none_is_refused(softness):
    bank, config = part_looks().arrays(), Config.load(environment={})
    check_looks(bank | {SOFTNESS: np.array([0.01], np.float32)}, config, parsed=True)
    with pytest.raises(ValueError, match="the array bank/softness"):
        check_looks(bank | {SOFTNESS: np.array(softness, np.float32)}, config, parsed=True)


def test_faces_are_dressed_in_colours_as_soft_as_was_published():
    dresser, faces, config = part_looks(False), renders(), Config.load(values={"parts.candidates": 2}, environment={})
    dresser.softens_features = config.parts.soften
    sharp = dresser.dress_alone(faces, 0).pictures
    dresser.softness = 1 / SIZE
    soft = dresser.dress_alone(faces, 0).pictures
    np.testing.assert_array_equal(soft, soften(sharp, 1 / SIZE, SIZE))
    assert np.abs(soft - sharp).max() > 0.1
    np.testing.assert_array_equal(read_dresser(dresser.arrays(), config, parse).dress_alone(faces, 0).pictures, soft)


def test_photographs_are_known_again_where_there_are_no_others():
    blue = [portrait(skin=(90, 130, 220), seed=k)[0] for k in range(3)]
    images = np.stack([*photographs(), *blue])
    arrays = {PRINTS: read_looks(images, parse).prints}
    assert known_again(images, arrays).tolist() == [True] * 12 + [False] * 3
    assert known_again(images, {}) is None
    for others in (images[1:], images[::-1], np.concatenate([images, images[:1]]), images ^ (images == images.max())):
        assert known_again(others, arrays) is None


def test_photographs_in_coloured_light_dress_no_one():
    blue = [portrait(skin=(90, 130, 220), seed=k)[0] for k in range(5)]
    looks = read_looks(np.stack([*photographs(), *blue]), parse)
    assert len(looks.bank.shares) == len(looks.images) == 12


def test_where_no_complexion_is_natural_all_photographs_are_taken():
    blue = np.stack([portrait(skin=(90, 130, 220), seed=k)[0] for k in range(5)])
    assert len(read_looks(blue, parse).bank.shares) == 5


@pytest.mark.parametrize("softness", [0.0, 1 / 64])
@pytest.mark.parametrize("scenes", [False, True])
def test_windows_of_a_face_are_dressed_as_the_whole_face_is(scenes, softness):
    face, dresser = resize(portrait(seed=100)[0], 430, 380)[None], part_looks(scenes)
    dresser.softness = softness
    wanted = dresser.dress_alone(to_signed(face), seed=0).pictures
    look = dresser.look(face, 0, windows_of(3000, 430, 380))
    dressed = put_together(((each, look(each)) for each in windows(430, 380, 61)), np.empty_like(wanted))
    assert np.abs(wanted - to_signed(face)).mean() > 0.05, "else it could not tell"
    np.testing.assert_allclose(dressed, wanted, atol=0.1 / GRAY_LEVELS)


MEASURED = """
import resource, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from portraits import part_looks, portrait
from simrefine.data.images import resize
from simrefine.data.windows import windows_of

dresser, picture = part_looks(), resize(portrait()[0], 1600, 1500)[None]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
everywhere = windows_of(100_000, 1600, 1500)
look = dresser.look(picture, 0, everywhere)
for window in everywhere:
    look(window)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_dressing_a_large_picture_takes_the_memory_of_a_window():
    command = [sys.executable, "-c", MEASURED, str(Path(__file__).parents[1])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 250, "MiB; all at once it takes 2,700"
