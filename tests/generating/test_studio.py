"""The studio: what its sliders do, and its page in a browser."""

import json
import re
import threading
import time

import numpy as np
import pytest
from browsing import chromium

from simrefine.data.images import read_picture
from simrefine.errors import UserError
from simrefine.generating.axes import Axes
from simrefine.generating.generator import Generator
from simrefine.generating.recipes import Recipe, read_recipe

NAMES = ("yaw", "smile", "skin")


@pytest.fixture(scope="module")
def studio(run, tmp_path_factory):
    """One of the smallest generator, with axes as if they had been found."""
    pytest.importorskip("gradio", reason="gradio is missing: pip install simrefine[studio]")
    from simrefine.studio import Studio

    generator, rng = Generator(run, batch=1), np.random.default_rng(0)
    d = generator.encode(np.zeros((1, 16, 16, 3), np.uint8))[0].shape[1] + generator.attributes
    k = len(NAMES)
    axes = Axes(
        names=NAMES,
        classes=np.zeros(k, bool),
        weights=rng.standard_normal((k, d)),
        offsets=np.zeros(k),
        deviation=np.array([10.0, 0.3, 1.0]),
        r2=np.array([0.9, 0.5, 0.7]),
        error=np.ones(k),
        within=np.array([True, True, False]),
        drawn=np.full(k, 0.2),
        covariance=np.eye(d),
        identity=d - generator.attributes,
        points=np.zeros((0, 2, d + 1)),
        points_error=float("nan"),
        faces=100,
        people=10,
        generator=generator.fingerprint,
    )
    return Studio(generator, axes, tmp_path_factory.mktemp("studio"))


def test_how_a_face_looks_comes_first_and_a_slider_goes_as_far_as_its_unit_says(studio):
    assert studio.names == ["yaw", "smile", "skin"]
    assert studio.reach("yaw") == (25.0, 1.0) and studio.reach("skin") == (2.5, 0.1)


def test_sliders_at_nothing_show_the_face_that_is_given(studio, renders):
    for given in (studio.draw_somebody(3), studio.drop(read_picture(renders / "000.png").pixels)):
        drawn = studio.generator.draw(given.codes).pictures[0]
        np.testing.assert_array_equal(studio.after(given, studio.recipe([0, 0, 0], [True] * 3, [], 0)), drawn)
        assert (studio.after(given, studio.recipe([0, 1.5, 0], [True] * 3, [], 0)) != drawn).any()


def test_a_gray_and_oblong_face_can_be_dropped(studio):
    assert studio.drop(np.zeros((40, 20), np.uint8)).before.shape == (16, 16, 3)
    assert studio.drop(np.zeros((40, 20, 4), np.uint8)).before.shape == (16, 16, 3)


def test_what_is_seen_is_the_recipe_and_what_move_makes_of_it(studio, run, renders, tmp_path):
    from simrefine.generating.move import move

    recipe = studio.recipe([5.0, 0.0, 0.5], [False, True, True], ["hair"], 2)
    assert recipe == Recipe(("yaw=+5", "skin=+0.5"), ("smile",), ("hair",), 2)
    typed = studio.save(recipe, "mine")
    assert read_recipe(studio._run / "recipes" / "mine.toml") == recipe
    assert re.fullmatch(r"simrefine generate move DIR --model \S+ --recipe \S+mine.toml --look render --out OUT", typed)
    generator = Generator(run)
    move(generator, renders / "000.png", tmp_path / "out", axes=studio.axes, recipe=recipe, steps=60, tune=0)
    # Whose complexion is another's, is another person; who turns, is not.
    assert json.loads((tmp_path / "out" / "generated.jsonl").read_text())["person"] == "0 skin +0.5 sd"
    given = studio.drop(read_picture(renders / "000.png").pixels)
    made = read_picture(tmp_path / "out" / "00000-000.png").pixels
    seen, unmoved = (studio.after(given, one).astype(int) for one in (recipe, Recipe()))
    # Sixty steps of inversion, of one face here and of a group there, part by some gray levels.
    assert np.abs(seen - made).mean() < 1 < 3 < np.abs(seen - unmoved).mean()


def test_faults_are_told(studio):
    with pytest.raises(UserError, match="no name for a recipe"):
        studio.save(Recipe(("yaw=1",)), "../up")
    with pytest.raises(UserError, match="move a slider first"):
        studio.save(Recipe(), "mine")


@pytest.fixture(scope="module")
def page(studio, tmp_path_factory):
    """The page in a browser, as a user has it."""
    from simrefine.studio import build_page, launch

    with chromium(tmp_path_factory.mktemp("browser"), "window-size=1400,1400") as browser:
        blocks = build_page(studio, "a test")
        try:
            browser.get(launch(blocks, None))
            until(lambda: browser.find_elements("css selector", "input[type=range]"))
            yield browser
        finally:
            blocks.close()


def until(found, seconds=30.0):
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.02)
    return value


def pictures(browser):
    return [image.get_attribute("src") for image in browser.find_elements("css selector", ".face img")]


def test_the_keyboard_turns_a_face_and_its_recipe_can_be_saved(page, studio):
    from selenium.webdriver.common.keys import Keys

    slider = page.find_elements("css selector", "input[type=range]")[0]
    before, after = pictures(page)
    assert before == after and "lock yaw" in page.page_source
    slider.send_keys(Keys.ARROW_RIGHT)
    until(lambda: pictures(page)[1] != after)
    assert pictures(page)[0] == before
    until(lambda: '"yaw" = "+1"' in page.find_element("css selector", ".cm-content").text)
    next(button for button in page.find_elements("css selector", "button") if "Save as" in button.text).click()
    until(lambda: (studio._run / "recipes" / "mine.toml").read_text().endswith('"yaw" = "+1"\n'))
    reset = next(button for button in page.find_elements("css selector", "button") if "sliders to 0" in button.text)
    reset.click()
    until(lambda: pictures(page)[1] == before)


def test_the_page_asks_nothing_of_any_other_machine(page):
    asked = {
        entry["message"].partition('"url":"')[2].partition('"')[0]
        for entry in page.get_log("performance")
        if "Network.requestWillBeSent" in entry["message"]
    }
    assert asked and not [url for url in asked if url.startswith("http") and not url.startswith("http://127.0.0.1")]
    assert not [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_command_serves_until_it_is_told_to_stop(studio, capsys):
    from simrefine.studio import serve

    said, stop = [], threading.Event()
    thread = threading.Thread(target=serve, args=(studio, "a test", None, said.append, stop.wait), daemon=True)
    thread.start()
    until(lambda: said)
    assert "http://127.0.0.1:" in said[0]
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
