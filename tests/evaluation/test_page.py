"""The report can be trusted to open anywhere, to show what was measured, and to run nothing that came in by a name."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from browsing import chromium
from tiny import draw_face

from simrefine.data.images import decode_picture
from simrefine.evaluation.charts import CURVE_POINTS
from simrefine.evaluation.meanings import COMPLEXION, LABELS, REALISM, USEFULNESS, VERIFICATION
from simrefine.evaluation.page import GALLERY_FACES, Gallery, write_page

MEANINGS = (REALISM, LABELS, COMPLEXION, USEFULNESS, VERIFICATION)
VOID = {"meta", "link", "img", "input"}
EVIL = "<img src=x onerror=alert(1)>\"'&.png"


def score(mean, closed):
    return {"error": {"mean": mean, "std": 0.123, "per_seed": [mean], "gap_closed": closed}, "adapted": None}


def complexion_moves(distance, turned):
    return {
        "distance": {"median": distance, "p95": 2 * distance},
        "ita_change": {"median": turned, "p95": 2 * turned},
    }


RESULT = {
    "verdict": {
        "sentence": "It helped by 43 %.",
        "helped": True,
        "summary": ["colours gave much"],
        "reasons": ["a first reason"],
    },
    "inputs": {"raw": {"folder": "renders/", "count": 317}, "size": 64, "channels": 3},
    "realism": {
        "raw": {
            "swd": {"64": 92.31, "mean": 80.0},
            "statistics": {"mean": [120, 100, 90], "sharpness": 11.0},
            "gap": {"colour_gap": 20.0},
            "auc": {"auc": 0.9931, "low": 0.985, "high": 0.998, "n": 310},
            "kid": {"mean": 0.132, "std": 0.0041},
        },
        "refined": {
            "swd": {"64": 41.27, "mean": 40.0},
            "statistics": {"mean": [110, 90, 80], "sharpness": 15.0},
            "gap": {"colour_gap": 20.1},
            "auc": {"auc": 0.8742, "low": 0.832, "high": 0.911, "n": 310},
            "kid": {"mean": 0.066, "std": 0.0032},
        },
        "real": {"statistics": {"mean": [110, 90, 80], "sharpness": 10.0}, "swd": {"64": 9.5, "mean": 9.0}},
    },
    "labels": {
        "unit": "inter-ocular distance",
        "percent_median": 0.4213,
        "percent_p95": 1.312,
        "pixels_median": 0.0812,
        "pixels_p95": None,
        "edge_agreement_median": 0.9337,
        "worst": [["drifted.png", 4.213]],
        "network": {
            "photographs": 2271,
            **{"raw": 8.831, "refined": 9.382, "ratio": 1.0624, "drift_median": 2.741, "drift_p95": 6.043},
        },
    },
    "complexion": {
        "raw": {"faces": 299, "tinted": 0.0121},
        "unrefined": {"faces": 299, "tinted": 0.0334, **complexion_moves(3.21, 4.32)},
        "refined": {"faces": 299, "tinted": 0.0512, **complexion_moves(6.54, 7.65)},
        "real": {"faces": 2270, "tinted": 0.141},
    },
    "usefulness": {
        "unit": "NME, % of inter-ocular distance",
        "seeds": [0, 1, 2],
        "sets": {"raw": score(9.12, None), "refined": score(7.84, 0.432), "real": score(6.1, 1.0)},
    },
    "verification": {
        "false_accepts": 0.01,
        "test": {"pairs": [977, 48000]},
        "sets": {
            name: {
                "people": 600,
                "auc": {"mean": auc, "std": 0.0123, "gap_closed": 0.6},
                "tar": {"mean": tar, "std": 0.0234, "gap_closed": 0.71},
            }
            for name, auc, tar in (("raw", 0.701, 0.123), ("refined", 0.755, 0.345))
        },
    },
    "curves": {
        "step": [20, 40, 60],
        "refiner/change": [3.1, None, 4.2],
        "discriminator/accuracy_real": [0.9, 0.8, 0.7],
        "discriminator/accuracy_refined": [0.6, 0.6, 0.5],
        "held_out/kid": [float("nan"), 2.5, 2.25],
        "time/images": [1.0, 2.0, 3.0],
    },
    "charts": [
        ["Change", "gray levels", {"refiner/change": "change"}, "a settled curve"],
        [
            "Discriminator",
            "share of patches",
            {"discriminator/accuracy_real": "real", "discriminator/accuracy_refined": "refined"},
            "",
        ],
        ["Diversity", "", {"refiner/diversity": "diversity"}, ""],
    ],
    "config": "[data]\nsize = 64\n",
    "versions": {"keras": "3.15.1"},
    "seconds": {"labels": 6.13},
}


def gallery(count=2, name="face {}.png"):
    rng = np.random.default_rng(0)
    raw = np.stack([draw_face(rng) for _ in range(count)])
    refined = np.clip(raw.astype(int) + 4, 0, 255).astype(np.uint8)
    names = [name.format(index) for index in range(count)]
    return Gallery(names, raw, refined, [(names[0], 4.213, 0)])


class Page(HTMLParser):
    """The elements of a page with their attributes, its text, and whether it nests."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.source, self.elements, self.text, self._open = path.read_text(encoding="utf-8"), [], "", []
        self.feed(self.source)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        self.text += "|" if tag in ("th", "td") else ""

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data.replace("\N{NO-BREAK SPACE}", " ")

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def render(tmp_path):
    def render(result, faces=None):
        write_page(tmp_path / "report.html", result, faces)
        return Page(tmp_path / "report.html")

    return render


@pytest.mark.parametrize("part", [None, *RESULT, "everything"])
def test_whatever_was_evaluated_makes_a_sound_page(render, part):
    alone = {part: RESULT.get(part)} | ({"charts": RESULT["charts"]} if part == "curves" else {})
    page = render(RESULT if part == "everything" else alone, gallery() if part == "labels" else None)
    assert len(page.all("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a")} == {section["id"] for section in page.all("section")}
    assert all(cell["scope"] in ("row", "col") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    shown = {"realism", "labels", "complexion", "usefulness", "verification", "curves", "everything"}
    shown |= {"inputs", "config", "versions", "seconds"}
    assert bool(page.all("section")) == (part in shown)


@pytest.mark.parametrize("empty", [None, {}, []])
def test_a_part_that_is_empty_is_left_out(render, empty):
    nobody = np.zeros((0, 16, 16, 3), np.uint8)
    assert not render(dict.fromkeys(RESULT, empty), Gallery([], nobody, nobody)).all("section")


def test_the_numbers_of_every_part_are_on_the_page(render):
    text = render(RESULT, gallery()).text
    realism = ("92.3|", "41.3|", "0.993 (0.985 to 0.998)|", "0.832 to 0.911", "0.132 ± 0.004|", "50 % less")
    labels = ("0.421|1.31|", "0.0812|–|", "0.934|", "4.21 %")
    usefulness = ("7.84 ± 0.12", "43 %", "over 3 seeds")
    people = ("refined|600|0.755 ± 0.012|60 %|0.345 ± 0.023|71 %|", "977 pairs of one person", "that 1 % of the others")
    for number in (*realism, *labels, *usefulness, *people, "317|", "6.13|", "3.15.1|", "size = 64"):
        assert number in text, number


@pytest.mark.parametrize(
    ("helped", "word"), [(True, "Yes, refining helped"), (False, "did not help"), (None, "No clear answer")]
)
def test_the_verdict_comes_first_and_is_told_in_words(render, helped, word):
    page = render(RESULT | {"verdict": RESULT["verdict"] | {"helped": helped}})
    order = [page.text.index(part) for part in ("It helped by 43 %.", "colours gave much", "a first reason", "Realism")]
    assert word in page.text and order == sorted(order)
    (mark,) = [svg for svg in page.all("svg") if svg.get("class", "").startswith("sign")]
    assert mark["class"].split()[1] == {True: "yes", False: "no", None: "unknown"}[helped]


def test_every_number_of_a_table_has_a_sentence_that_says_which_way_is_good(render):
    page = render(RESULT, gallery())
    meanings = [meaning for part in MEANINGS for meaning in part.values()]
    assert all(re.search(r"lower is|higher is|best|good|no more than", meaning) for meaning in meanings)
    section = page.source.partition('id="realism"')[2].partition("</section>")[0]
    rows = re.findall(r'<th scope="row">([^<]*)</th>', section)
    named = re.findall(r"<dt>([^<]*)</dt>", page.source)
    assert rows and all(any(row.startswith(name) for name in named) for row in rows)
    for heading in ("Displacement", "Error", "Shift", "Tinted", "CIE76", "ITA", "Gap closed", "AUC", "True accepts"):
        assert heading in named


@pytest.mark.parametrize("rooms", [True, False])
def test_rooms_are_named_only_where_the_run_has_them(render, rooms):
    realism = RESULT["realism"] | {name: RESULT["realism"]["raw"] for name in ("unrefined", "recoloured")}
    inputs = RESULT["inputs"] | {"rooms": rooms}
    assert ("rooms" in render(RESULT | {"realism": realism, "inputs": inputs}).text) is rooms


def test_refined_is_called_closer_only_where_it_is_nearer_to_real(render):
    text = render(RESULT).text
    assert "SWD, mean|80.0|40.0|9.00|closer by 50 %|" in text
    assert "Mean|120 · 100 · 90|110 · 90 · 80|110 · 90 · 80|closer by 100 %|" in text
    assert "Sharpness|11.0|15.0|10.0|farther by 400 %|" in text
    assert "Colour gap, gray levels|20.0|20.1|0|as far|" in text


def test_unrefined_faces_stand_between_raw_and_refined_in_every_table(render):
    unrefined = RESULT["realism"]["raw"] | {"swd": {"64": 60.0, "mean": 55.5}, "auc": {"auc": 0.951}}
    sets = RESULT["usefulness"]["sets"] | {"unrefined": score(8.51, 0.211)}
    realism = RESULT["realism"] | {"unrefined": unrefined}
    text = render(RESULT | {"realism": realism, "usefulness": RESULT["usefulness"] | {"sets": sets}}).text
    assert "Measure|Raw|Unrefined|Refined|Real, ideal|" in text
    assert "SWD, mean|80.0|55.5|40.0|9.00|closer by 50 %|" in text and "|0.951|" in text
    assert "unrefined|8.51 ± 0.12|21 %|" in text and "21 % without the network" in text
    assert text.count("Unrefined: faces as the refiner's network receives them") == 3
    assert "Unrefined" not in render({part: RESULT[part] for part in ("realism", "usefulness")}).text


def test_complexions_and_the_network_of_the_photographs_have_their_numbers(render):
    text = render(RESULT).text
    assert "Raw|299|1.21 %|||||" in text
    assert "Unrefined|299|3.34 %|3.21|6.42|4.32|8.64|" in text and "Refined|299|5.12 %|6.54|13.1|7.65|15.3|" in text
    assert "Real|2270|14.1 %|||||" in text
    assert "Error|8.83|9.38|1.06|2.74|6.04|" in text and "2271 labelled photographs" in text
    assert "Complexions moved by6.54CIE76, median, lower is better; tinted: 5.12 %, raw 1.21 %" in text


def test_the_best_set_is_named_and_real_faces_do_not_compete(render):
    text = render(RESULT).text
    assert "refined|7.84 ± 0.12 best|43 %|" in text and text.count("± 0.12 best") == 1


def test_text_from_outside_stays_text(render):
    result = {
        "verdict": {"sentence": EVIL, "reasons": [EVIL]},
        "inputs": {EVIL: {"folder": EVIL, "count": EVIL}},
        "realism": {"raw": {"swd": {EVIL: 1.0}, "statistics": {EVIL: EVIL}, "gap": {EVIL: 1.0}}},
        "labels": {"unit": EVIL, "percent_median": 1.0, "worst": [[EVIL, 1.0]]},
        "usefulness": {"unit": EVIL, "sets": {EVIL: score(1.0, None)}},
        "curves": {"step": [1, 2], EVIL: [1.0, 2.0], f"held_out/{EVIL}": [1.0, 2.0]},
        "charts": [[EVIL, EVIL, {EVIL: EVIL}, EVIL]],
        "config": EVIL,
        "versions": {EVIL: EVIL},
        "seconds": {EVIL: 1.0},
    }
    for faces in (None, gallery(name=EVIL)):
        page = render(result, faces)
        assert not [
            attributes for _, attributes in page.elements if "onerror" in attributes or "alert(1)" in attributes
        ]
        assert page.text.count(EVIL) >= 14
        assert "<img src=x" not in page.source
        assert all(image["src"].startswith("data:") for image in page.all("img"))


def test_a_name_that_is_no_text_does_not_stop_the_report(render):
    assert "caf?.png" in render({}, gallery(name="caf\udce9.png")).text


def test_the_page_loads_nothing_and_admits_no_script_but_its_own(render):
    page = render(RESULT, gallery())
    addresses = [v for _, attributes in page.elements for k, v in attributes.items() if k in ("src", "href")]
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert "//" not in re.sub(r'"data:[^"]*"', "", page.source)
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    for element in ("style", "script"):
        (content,) = re.findall(f"<{element}>(.*?)</{element}>", page.source, re.DOTALL)
        assert (
            f"{element}-src 'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in policy
        )
    assert not [1 for _, attributes in page.elements if "style" in attributes]  # the policy would drop them


def test_faces_are_embedded_with_a_text_and_the_difference_five_times_as_strong(render):
    faces = gallery()
    faces.raw[0], faces.refined[0] = 100, 110
    images = render({}, faces).all("img")
    assert [image["alt"] for image in images[:3]] == [
        f"face 0.png, {what}" for what in ("raw", "refined", "refined minus raw")
    ]
    levels = [decode_picture(base64.b64decode(image["src"].split(",")[1])).pixels for image in images[:3]]
    assert [int(pixels[3, 5, 1]) for pixels in levels] == [100, 110, 175]  # 127.5 + 127.5 tanh(5 * 10 / 127.5)


def test_refined_faces_stand_beside_the_photographs_that_are_most_like_them(render):
    faces = np.full((2, 16, 16, 3), 90, np.uint8)
    photographs = np.stack([np.full((16, 16, 3), level, np.uint8) for level in (10, 95, 200, 88)])
    page = render({}, Gallery(["a.png", "b.png"], faces, faces, photographs=photographs))
    shown = [image for image in page.all("img") if image["alt"] == "a.png, photo"]
    levels = [decode_picture(base64.b64decode(image["src"].split(",")[1])).pixels[0, 0, 0] for image in shown]
    assert levels == [88, 95]


def test_a_large_set_gives_a_few_faces_from_first_to_last(render):
    page = render({}, gallery(50))
    names = [image["alt"].removesuffix(", raw") for image in page.all("img") if image["class"] == "raw"][:-1]
    assert (len(names), names[0], names[-1]) == (GALLERY_FACES, "face 0.png", "face 49.png")


def test_large_faces_are_jpeg_and_gray_ones_work(render):
    large = np.zeros((1, 130, 130, 1), np.uint8)
    assert "data:image/jpeg;" in render({}, Gallery(["a.png"], large, large)).all("img")[0]["src"]


def test_a_curve_stays_inside_its_axes_and_is_thinned(render):
    steps = list(range(0, 20000, 20))
    values = [np.sin(step / 3000) * 1e-3 - 5 for step in steps]
    charts = [
        ["Realism", "loss", {"realism": "realism"}, ""],
        ["Change", "gray levels", {"change": "change"}, ""],
    ]
    page = render({"curves": {"step": steps, "realism": values, "change": [1.0] * len(steps)}, "charts": charts})
    paths = [path["d"] for path in page.all("path") if path.get("class") == "line line-0"]
    assert len(paths) == 2
    for path in paths:
        points = np.array([point.split() for point in path[1:].split("L")], float)
        assert len(points) == CURVE_POINTS
        assert (points >= 0).all() and (points <= [340, 190]).all()


def test_what_a_run_did_not_measure_leaves_no_hole_in_a_curve(render):
    labels = [svg["aria-label"] for svg in render(RESULT).all("svg") if "aria-label" in svg]
    assert labels[0] == "Change, gray levels, steps 20 to 60: change from 3.10 to 4.20"
    assert labels[-1].endswith("steps 40 to 60: held_out/kid from 2.50 to 2.25")


def test_a_chart_holds_the_metrics_it_is_declared_with_and_undeclared_ones_are_left_out_unless_held_out(render):
    labels = [svg["aria-label"] for svg in render(RESULT).all("svg") if "aria-label" in svg]
    assert [label.partition(",")[0] for label in labels] == ["Change", "Discriminator", "held_out/kid"]
    assert labels[1].endswith("real from 0.900 to 0.700; refined from 0.600 to 0.500")
    text = render(RESULT).text
    assert "Look for: a settled curve." in text and "Look for: falling." in text


# ---- in a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Headless Chromium with the whole report open; the tests share it, as starting it takes seconds."""
    folder = tmp_path_factory.mktemp("browser")
    write_page(folder / "report.html", RESULT | {"config": "x" * 500}, gallery(5, name="{} " + EVIL + "x" * 80))
    with chromium(folder) as chrome:
        chrome.get((folder / "report.html").as_uri())
        yield chrome


def clips(browser):
    return browser.execute_script(
        "return [...document.querySelectorAll('.stack .refined')].map(image => getComputedStyle(image).clipPath)"
    )


def test_arrow_keys_move_the_divider_of_their_own_face(browser):
    from selenium.webdriver.common.keys import Keys

    sliders = browser.find_elements("css selector", ".stack input")
    assert clips(browser)[:2] == ["inset(0px 0px 0px 50%)"] * 2
    sliders[0].send_keys(Keys.ARROW_RIGHT * 3)
    assert clips(browser)[:2] == ["inset(0px 0px 0px 53%)", "inset(0px 0px 0px 50%)"]
    sliders[0].send_keys(Keys.HOME)
    assert clips(browser)[0] == "inset(0px 0px 0px 0%)"
    assert sliders[0].get_attribute("aria-valuetext") == "0 % raw, 100 % refined"


def test_the_tab_key_reaches_every_slider_and_shows_where_it_is(browser):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.keys import Keys

    browser.refresh()
    seen = []
    for _ in range(40):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        seen.append(
            browser.execute_script(
                "const e = document.activeElement;"
                "const frame = e.closest('.stack') || e.closest('.views label') || e;"
                "return [e.getAttribute('type') || e.tagName, getComputedStyle(frame).outlineStyle]"
            )
        )
        if seen[-1][0] == "BODY":
            break
    kinds = [kind for kind, _ in seen]
    assert kinds.index("SUMMARY") < kinds.index("A") < kinds.index("radio") < kinds.index("range")
    assert kinds.count("range") == 6 and kinds.count("radio") == 1
    assert all(outline == "solid" for kind, outline in seen if kind != "BODY")


def test_a_drag_moves_the_divider_to_the_pointer(browser):
    from selenium.webdriver import ActionChains

    slider = browser.find_elements("css selector", ".stack input")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider)
    ActionChains(browser, duration=50).click_and_hold(slider).move_by_offset(64, 0).release().perform()
    assert clips(browser)[1] == "inset(0px 0px 0px 75%)"  # 64 of 256 px right of the middle


def test_the_view_can_be_changed_from_the_keyboard(browser):
    from selenium.webdriver.common.keys import Keys

    difference = browser.find_element("css selector", ".stack .difference")
    assert not difference.is_displayed()
    browser.find_element("id", "view-slider").send_keys(Keys.ARROW_LEFT)  # from the first to the last
    assert difference.is_displayed()
    browser.find_element("id", "view-difference").send_keys(Keys.ARROW_RIGHT)
    assert not difference.is_displayed()


def test_faces_beside_photographs_are_of_one_size_also_on_a_phone(render, browser):
    faces = np.full((2, 16, 16, 3), 90, np.uint8)
    photographs = np.full((4, 16, 16, 3), 95, np.uint8)
    page = render(RESULT, Gallery(["a.png", "b.png"], faces, faces, photographs=photographs))
    before = browser.current_url
    browser.get(page.path.as_uri())
    for width in (1280, 390):
        metrics = {"width": width, "height": 640, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        boxes = browser.execute_script(
            "return [...document.querySelectorAll('.beside img')].map(i => i.getBoundingClientRect())"
            ".map(b => [b.width, b.top])"
        )
        assert len(boxes) == 8 and len({round(size) for size, _ in boxes}) == 1
        assert len({round(top) for _, top in boxes[:4]}) == 1, "a face and its photographs share a row"
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(before)


def test_all_images_load(browser):
    widths = browser.execute_script("return [...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 18 and set(widths) == {16}  # 5 faces and the worst of them, 3 images each


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_small_phone(browser, scheme):
    metrics = {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_script("document.querySelector('details').open = true")
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]
    colours = browser.execute_script("return ['color', 'backgroundColor'].map(k => getComputedStyle(document.body)[k])")
    text, page = (sum(map(int, re.findall(r"\d+", colour))) for colour in colours)
    assert (text < page) == (scheme == "light") and abs(text - page) > 500
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_console_stays_empty(browser):
    browser.refresh()
    assert browser.get_log("browser") == []
