"""The photographs of a training are known again, and give the same rooms as when all are looked at."""

from types import SimpleNamespace

import numpy as np
from portraits import HAIR, SIZE, SKINS, labels_of, parse, people, person, photographs, portrait
from tiny import ArrayPile

from simrefine.config import Config
from simrefine.data.dressing import PRINTS, PartLooks, read_looks
from simrefine.data.heads import Heads
from simrefine.data.images import to_signed
from simrefine.refining.photographs import _put_in


def test_a_face_gets_the_room_that_it_gets_when_all_photographs_are_looked_at():
    blue = [portrait(skin=(90, 130, 220), room=(250, 0, 0), seed=k)[0] for k in range(3)]
    images = np.stack([*blue, *photographs()])  # those that are not in the bank come first
    looks = read_looks(images, parse)
    trained, config = PartLooks(looks.bank, 2, parse, prints=looks.prints), Config.load(environment={})
    published = SimpleNamespace(looks=trained.arrays(), config=config)
    faces = to_signed(np.stack([portrait(skin=skin, seed=50 + k)[0] for k, skin in enumerate(SKINS)]))
    looked_at = []

    def counted(some: np.ndarray) -> np.ndarray:
        looked_at.append(some)
        return parse(some)

    known, known_hash = _put_in(ArrayPile(images), published, counted, heads=False)
    assert not looked_at
    older = SimpleNamespace(looks={n: v for n, v in published.looks.items() if n != PRINTS}, config=config)
    unknown, hash_of_all = _put_in(ArrayPile(images), older, parse, heads=False)
    assert known_hash == hash_of_all
    wanted = unknown.dress_alone(faces, 0).pictures
    np.testing.assert_allclose(known.dress_alone(faces, 0).pictures, wanted, atol=1e-3)
    rooms = {tuple(np.round(picture[:3, :3].mean(axis=(0, 1)), 1)) for picture in wanted}
    assert len(rooms) > 1 and wanted.shape == (len(SKINS), SIZE, SIZE, 3), "else it could not tell"


def test_a_face_is_put_on_the_head_of_a_photograph_and_keeps_its_own_where_that_is_asked_for():
    images, _ = people()
    looks = read_looks(images, labels_of)
    config = Config.load(environment={})
    heads = Heads(looks.images, looks.soft)
    trained = PartLooks(looks.bank, config.parts.candidates, labels_of, prints=looks.prints, heads=heads)
    trained.softens_features = config.parts.soften
    published = SimpleNamespace(looks=trained.arrays(), config=config)
    face = to_signed(person(seed=50)[0][None])
    put, own = (_put_in(ArrayPile(images), published, labels_of, heads=each)[0] for each in (True, False))
    assert put.has_heads and not own.has_heads and put.has_scenes and own.has_scenes
    np.testing.assert_allclose(put.dress_alone(face, 0).pictures, trained.dress_alone(face, 0).pictures, atol=1e-3)
    hair = [each.dress_alone(face, 0).parts[0, 6, 16, HAIR] for each in (put, own)]
    assert hair[0] < 0.1 < 0.9 < hair[1]
