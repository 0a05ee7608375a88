"""The verdict follows the order of the arguments that it states, and has the numbers."""

import pytest

from simrefine.evaluation.verdict import reach_verdict


def useful(raw, refined, std=0.1):
    def score(mean):
        return {"adapted": {"mean": mean, "std": std, "gap_closed": 0.4}, "error": {"mean": mean, "std": std}}

    return {"unit": "NME", "sets": {"raw": score(raw), "refined": score(refined)}}


def real(swd, auc):
    def distances(place):
        bounds = {"low": auc[place] - 0.03, "high": auc[place] + 0.03}
        return {"swd": {"mean": swd[place]}, "auc": {"auc": auc[place]} | bounds}

    return {"raw": distances(0), "refined": distances(1)}


HOLD = {"percent_median": 0.5, "percent_p95": 1.0, "unit": "inter-ocular distance"}
MOVED = HOLD | {"percent_p95": 5.0}


@pytest.mark.parametrize(
    ("result", "helped"),
    [
        ({"usefulness": useful(8.0, 7.0), "labels": HOLD}, True),
        ({"usefulness": useful(8.0, 7.95), "labels": HOLD}, None),
        ({"usefulness": useful(8.0, 9.0), "labels": HOLD}, False),
        ({"usefulness": useful(8.0, 7.0), "labels": MOVED}, False),
        ({"usefulness": useful(8.0, 7.0), "realism": real((50, 60), (0.9, 0.95))}, True),
        ({"realism": real((100, 50), (0.95, 0.8)), "labels": HOLD}, True),
        ({"realism": real((100, 50), (0.95, 0.96)), "labels": HOLD}, None),
        ({"realism": real((100, 120), (0.95, 0.96)), "labels": HOLD}, False),
        ({"realism": real((100, 99), (0.95, 0.94)), "labels": HOLD}, None),  # next to nothing was changed
        (
            {"realism": real((100, 50), (0.95, 0.8)), "labels": HOLD | {"unit": "image side", "percent_median": 0.9}},
            False,
        ),
        ({"realism": real((100, 50), (0.95, 0.8)), "labels": MOVED}, False),
        ({"labels": HOLD}, None),
        ({}, None),
    ],
)
def test_the_verdict_follows_the_stated_order(result, helped):
    verdict = reach_verdict(result)
    assert verdict["helped"] is helped
    assert verdict["sentence"].endswith(".") and len(verdict["reasons"]) == max(0, len(result) - 1)


def test_the_verdict_has_the_numbers():
    text = reach_verdict({"usefulness": useful(8.04, 7.01), "labels": HOLD})["sentence"]
    assert "8.04" in text and "7.01" in text and "40 %" in text


def test_labels_that_do_not_hold_are_the_first_thing_said():
    sentence = reach_verdict({"usefulness": useful(8.0, 7.0), "labels": MOVED})["sentence"]
    assert sentence.startswith("Refining did not help: labels moved by 0.50 %") and "too far to hold" in sentence


def test_what_is_learnt_of_people_is_said_and_decides_nothing():
    def learnt(mean):
        return {name: {"mean": mean, "std": 0.01, "gap_closed": 0.25} for name in ("auc", "tar")}

    people = {"false_accepts": 0.01, "sets": {"raw": learnt(0.5), "refined": learnt(0.3)}}
    without = reach_verdict({"usefulness": useful(8.0, 7.0)})
    verdict = reach_verdict({"usefulness": useful(8.0, 7.0), "verification": people})
    assert verdict["helped"] is True and verdict["sentence"] == without["sentence"]
    assert "30.0 % instead of 50.0 %" in verdict["reasons"][-1] and "25 % of the gap" in verdict["reasons"][-1]
    assert reach_verdict({"verification": people})["helped"] is None
