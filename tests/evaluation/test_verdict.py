"""The verdict follows the order of the arguments that it states, and has the numbers."""

import pytest

from simrefine.evaluation.verdict import OPENINGS, reach_verdict


def useful(raw, refined, std=0.1):
    def score(mean):
        return {"adapted": {"mean": mean, "std": std, "gap_closed": 0.4}, "error": {"mean": mean, "std": std}}

    return {"unit": "NME", "sets": {"raw": score(raw), "refined": score(refined)}}


def real(kid, auc, sharpness=(1.5, 1.4, 1.1)):
    """Of raw, recoloured and refined faces."""

    def distances(place):
        bounds = {"low": auc[place] - 0.03, "high": auc[place] + 0.03}
        gap = {"sharpness_ratio": sharpness[place]}
        return {"kid": {"mean": kid[place], "std": 2.0}, "auc": {"auc": auc[place]} | bounds, "gap": gap}

    return {name: distances(place) for place, name in enumerate(("raw", "recoloured", "refined"))}


def complexion(distance=1.0, turned=1.0, tinted=0.01, raw=0.01):
    moved = {"distance": {"median": distance, "p95": 9.0}, "ita_change": {"median": turned, "p95": 9.0}}
    return {"raw": {"tinted": raw}, "refined": {"tinted": tinted} | moved, "real": {"tinted": 0.135}}


def network(ratio):
    return {"photographs": 2270, "raw": 8.0, "refined": 8.0 * ratio, "ratio": ratio}


HOLD = {"percent_median": 0.5, "percent_p95": 1.0, "unit": "inter-ocular distance"}
MOVED = HOLD | {"percent_p95": 5.0}


@pytest.mark.parametrize(
    ("result", "helped"),
    [
        ({"usefulness": useful(8.0, 7.0), "labels": HOLD}, True),
        ({"usefulness": useful(8.0, 7.95), "labels": HOLD}, None),
        ({"usefulness": useful(8.0, 9.0), "labels": HOLD}, False),
        ({"usefulness": useful(8.0, 7.0), "labels": MOVED}, False),
        ({"usefulness": useful(8.0, 7.0), "realism": real((50, 60, 60), (0.9, 0.95, 0.95))}, True),
        ({"realism": real((100, 90, 50), (0.95, 0.94, 0.8)), "labels": HOLD}, True),
        ({"realism": real((100, 90, 50), (0.95, 0.94, 0.93)), "labels": HOLD}, True),
        ({"realism": real((100, 90, 50), (0.95, 0.94, 0.98)), "labels": HOLD}, None),  # nearer, and easier to tell
        ({"realism": real((10, 9, 7), (0.95, 0.94, 0.8)), "labels": HOLD}, False),  # within the spread
        ({"realism": real((100, 110, 120), (0.95, 0.95, 0.96)), "labels": HOLD}, False),
        ({"realism": real((100, 50, 50), (0.95, 0.8, 0.8)), "labels": HOLD}, False),  # all of it is colour
        ({"realism": real((100, 90, 50), (0.95, 0.94, 0.8)), "labels": MOVED}, False),
        (
            {
                "realism": real((100, 90, 50), (0.95, 0.94, 0.8)),
                "labels": HOLD | {"unit": "image side", "percent_median": 0.9},
            },
            False,
        ),
        ({"labels": HOLD}, None),
        ({}, None),
    ],
)
def test_the_verdict_follows_the_stated_order(result, helped):
    verdict = reach_verdict(result)
    assert verdict["helped"] is helped
    assert verdict["sentence"].startswith(OPENINGS[helped]) and verdict["sentence"].endswith(".")
    assert len(verdict["sentence"].split()) <= 12, "a headline"
    assert len(verdict["reasons"]) == len(result) + ("realism" in result)  # sharpness has a sentence


def test_the_verdict_has_the_numbers():
    text = reach_verdict({"usefulness": useful(8.04, 7.01), "labels": HOLD})["reasons"][0]
    assert "8.04" in text and "7.01" in text and "40 %" in text


def test_labels_that_do_not_hold_are_the_first_thing_said():
    verdict = reach_verdict({"usefulness": useful(8.0, 7.0), "labels": MOVED})
    assert verdict["sentence"] == "Refining did not help: the labels moved too far."
    assert "Labels moved by 0.50 %" in verdict["reasons"][0] and "too far to hold" in verdict["reasons"][0]
    assert any(sentence.startswith("The labels do not hold") for sentence in verdict["summary"])


def test_the_summary_tells_what_colours_gave_what_the_network_added_and_whether_the_labels_held():
    result = {"realism": real((100, 60, 50), (0.95, 0.93, 0.8)), "labels": HOLD}
    assert reach_verdict(result)["summary"] == [
        "Colours alone took 40 % off the distance to photographs.",
        "The refiner's network took another 10 % off.",
        "The labels hold: they moved by 0.50 % of the inter-ocular distance in the median, and by 1.00 % at the 95th "
        "percentile.",
    ]
    worse = real((100, 110, 120), (0.95, 0.95, 0.96))
    assert reach_verdict({"realism": worse})["summary"][:3] == [
        "Colours alone added 10 % to the distance to photographs.",
        "The refiner's network added 10 % to it.",
        "Whether the labels hold was not measured.",
    ]
    learnt = useful(8.0, 7.0)
    learnt["sets"]["colours only"] = {"adapted": {"mean": 7.4, "std": 0.1, "gap_closed": 0.24}, "error": None}
    first, second, *_ = reach_verdict({"usefulness": learnt})["summary"]
    assert first == "Colours alone took 24 % off what training on renders loses to training on photographs."
    assert second == "The refiner's network took another 16 % off."


@pytest.mark.parametrize(("rooms", "named"), [(True, "colours and rooms"), (False, "colours")])
def test_rooms_are_named_only_where_the_run_has_them(rooms, named):
    learnt = useful(8.0, 7.0)
    learnt["sets"]["unrefined"] = learnt["sets"]["refined"]
    result = {"usefulness": learnt, "realism": real((100, 50, 50), (0.95, 0.8, 0.8))}
    verdict = reach_verdict(result, rooms)
    everything = " ".join([verdict["sentence"], *verdict["summary"], *verdict["reasons"]])
    assert f"{named} alone" in everything and ("rooms" in everything) is rooms and "scene" not in everything


HELPED = {"usefulness": useful(8.0, 7.0), "labels": HOLD}


@pytest.mark.parametrize(
    ("change", "warned"),
    [
        ({"complexion": complexion()}, None),
        ({"complexion": complexion(distance=5.1)}, "no longer those of the raw faces"),
        ({"complexion": complexion(turned=6.1)}, "no longer those of the raw faces"),
        ({"complexion": complexion(tinted=0.019)}, None),
        ({"complexion": complexion(tinted=0.021)}, "a colour that no skin has"),
        ({"complexion": complexion(tinted=0.059, raw=0.05)}, None),
        ({"complexion": complexion(tinted=0.061, raw=0.05)}, "a colour that no skin has"),
        ({"labels": HOLD | {"network": network(1.03)}}, None),
        ({"labels": HOLD | {"network": network(1.04)}}, "beyond the limit of 1.03"),
    ],
)
def test_what_only_warns_is_said_right_after_the_verdict_and_leaves_it_as_it_is(change, warned):
    verdict = reach_verdict(HELPED | change)
    assert (
        verdict["helped"] is True and verdict["sentence"] == "Refining helped: networks learn more from refined faces."
    )
    assert len(verdict["reasons"]) == 3
    assert any(sentence.startswith("Warning: ") for sentence in verdict["summary"]) is bool(warned)
    if warned:
        assert verdict["reasons"][1].startswith("Warning: ") and warned in verdict["reasons"][1]
    else:
        assert not any("Warning" in reason for reason in verdict["reasons"])


def test_a_warning_has_the_numbers_and_the_limits():
    (_, warning, _) = reach_verdict(HELPED | {"complexion": complexion(7.25, 8.5, 0.07)})["reasons"]
    for number in ("7.2", "8.5 degrees", "7.0 %", "1.0 %", "13.5 %", "limits 5, 6 and 2.0 %", " and too many"):
        assert number in warning, number
    (_, warning, _) = reach_verdict(HELPED | {"labels": HOLD | {"network": network(1.05)}})["reasons"]
    for number in ("2270", "8.00 %", "8.40 %", "1.050"):
        assert number in warning, number


def test_the_gap_is_told_in_what_the_networks_input_closes_and_what_the_network_adds():
    result = useful(8.0, 7.0)
    result["sets"]["unrefined"] = {"adapted": {"mean": 7.4, "std": 0.1, "gap_closed": 0.24}, "error": None}
    sentence = reach_verdict({"usefulness": result, "labels": HOLD})["reasons"][0]
    assert "the error is 7.40: 24 % of the gap are closed by that alone, and the network adds +16 points." in sentence
    for scores in result["sets"].values():
        scores["adapted"]["gap_closed"] = None
    sentence = reach_verdict({"usefulness": result, "labels": HOLD})["reasons"][0]
    assert sentence.endswith("the error is 7.40: the network takes +0.40 off it.")


def test_what_colours_give_alone_is_no_help_of_the_refiner():
    result = useful(8.0, 7.0)
    result["sets"]["colours only"] = result["sets"]["refined"]
    verdict = reach_verdict({"usefulness": result, "labels": HOLD})
    assert verdict["helped"] is False and "in the photographs' colours, the error is 7.00" in verdict["reasons"][0]
    assert verdict["sentence"] == "Refining did not help: colours alone do as much."
    result["sets"]["unrefined"] = result["sets"]["raw"]  # there, they count
    assert reach_verdict({"usefulness": result, "labels": HOLD})["helped"] is True


def test_the_distance_is_told_in_the_same_two_parts():
    result = real((100, 60, 50), (0.95, 0.93, 0.8))
    sentence = reach_verdict({"realism": result, "labels": HOLD})["reasons"][0]
    assert "faces' colours alone, without the network, they are at 60.0 with an AUC of 0.930: 40 % of" in sentence
    assert sentence.endswith("and the network takes +10 % off.")


@pytest.mark.parametrize(
    ("sharpness", "warned"),
    [
        ((1.5, 1.4, 1.1), False),
        ((1.5, 1.1, 0.4), True),
        ((0.8, 0.9, 1.4), True),
        ((1.1, 1.7, 1.5), True),  # nearer than without the network, and yet farther than raw faces were
    ],
)
def test_sharpness_that_is_farther_off_is_warned_of_below_the_headline(sharpness, warned):
    verdict = reach_verdict({"realism": real((100, 90, 50), (0.95, 0.94, 0.8), sharpness)})
    reasons, shown = verdict["reasons"], f"{100 * sharpness[2]:.0f} % of the photographs' sharpness"
    assert any(reason.startswith("Warning: refined faces have") for reason in reasons) is warned
    assert any(shown in reason for reason in reasons)
    assert any(sentence.startswith(f"Warning: refined faces have {shown}") for sentence in verdict["summary"]) is warned


def test_what_is_learnt_of_people_is_said_and_decides_nothing():
    def learnt(mean):
        return {name: {"mean": mean, "std": 0.01, "gap_closed": 0.25} for name in ("auc", "tar")}

    people = {"false_accepts": 0.01, "sets": {"raw": learnt(0.5), "refined": learnt(0.3)}}
    without = reach_verdict({"usefulness": useful(8.0, 7.0)})
    verdict = reach_verdict({"usefulness": useful(8.0, 7.0), "verification": people})
    assert verdict["helped"] is True and verdict["sentence"] == without["sentence"]
    assert "30.0 % instead of 50.0 %" in verdict["reasons"][-1] and "25 % of the gap" in verdict["reasons"][-1]
    assert reach_verdict({"verification": people})["helped"] is None
