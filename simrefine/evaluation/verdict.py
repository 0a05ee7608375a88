"""Did refining help? The numbers of an evaluation in; out a verdict: a headline, plain sentences, and the numbers."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

# Percent: where the labels move by more, in the median or at the 95th percentile, they do not hold. The inter-ocular
# distance of a face crop is about a third of its side; a grid, which is what stands in for labels, measures twice the
# noise of label points, as some of it lies on plain places.
DISPLACEMENT_LIMITS = {"inter-ocular distance": (1.0, 3.0), "image side": (0.7, 2.0)}
# (Refined error) / (raw error) of a network that learnt from labelled photographs. At 64 px, all of a face moved by
# half a pixel gives 1.08 and by a whole one 1.18, so this is about a fifth of a pixel. Matched colours alone measure
# 1.03 and with blur, noise and JPEG 1.06, though nothing moves: a picture can be harder without its labels being wrong.
# Hence a larger ratio warns, and only the flow decides.
NETWORK_LIMIT = 1.03
# Medians: where complexions move by more, they are no label to train on. Of CIE76 2.3 is just noticeable, and ITA's
# classes are 10 to 38 degrees wide.
COMPLEXION_LIMITS = (5.0, 6.0)  # CIE76, degrees of ITA
# Shares of the faces: raw ones that are tinted stay so, and one in a hundred beyond them is chance.
TINTED_LEAST, TINTED_BEYOND_RAW = 0.02, 0.01
KID_NOISE = 0.1  # a smaller relative change of KID says nothing
SHARPNESS_NOISE = 1.1  # a smaller factor by which sharpness is farther from the photographs' says nothing

WARNING = "Warning: "  # what a sentence that warns begins with
OPENINGS = {
    True: "Refining helped",
    False: "Refining did not help",
    None: "It cannot be said whether refining helped",
}


class Judgement(NamedTuple):
    """What one measurement says of the refiner."""

    helped: bool | None
    why: str  # the end of the headline, in a few words
    steps: tuple[str, ...]  # plain sentences: what the photographs' colours give, and what the network adds
    numbers: str


def reach_verdict(result: Mapping, rooms: bool = False) -> dict:
    """Whether refining helped: true, false, or None for "cannot be said"; in a headline, in a few plain sentences, and
    in sentences that have the numbers.

    The order of the arguments: labels that moved (see DISPLACEMENT_LIMITS) spoil everything; then a trained network's
    error on photographs decides: it must be less than on raw faces, and less than on what colours and rooms alone
    give, by more than its spread over the seeds. Without that measurement, refined faces must be nearer to photographs
    than the same faces that are only recoloured: by KID, by more than its spread and KID_NOISE, while their AUC is not
    above the interval of theirs. (A lower AUC is not asked for: of a few hundred faces its interval is wide. Nor does
    the sliced Wasserstein distance decide: the photographs' colours alone halve it.) What only warns (see
    NETWORK_LIMIT, COMPLEXION_LIMITS, TINTED_LEAST, SHARPNESS_NOISE) decides nothing, is named in the summary and said
    right after what does; what is learnt of people is said last.

    Args:
        result: the parts "usefulness", "realism", "labels", "complexion" and "verification" of evaluation.json, those
            that were measured.
        rooms: faces are put in the rooms of photographs before they are refined.

    Returns:
        "helped"; "sentence": the headline, at most twelve words; "summary": what colours gave, what the network added,
        whether the labels hold, and what to mind; "reasons": the numbers, in the order of their weight.
    """
    alone = "colours and rooms" if rooms else "colours"
    labels, useful, realism = (result.get(part) for part in ("labels", "usefulness", "realism"))
    judged = [_judge_usefulness(useful, alone)] if useful else []
    judged += [_judge_realism(realism, alone)] if realism else []
    helped, why, steps, _ = judged[0] if judged else Judgement(None, "too little was measured", (), "")
    summary, reasons = [*steps], [judgement.numbers for judgement in judged]
    holds, text = _judge_labels(labels) if labels else (True, "")
    if not holds:  # what decides comes first
        helped, why = False, "the labels moved too far"
        reasons.insert(0, text)
    elif labels:
        reasons.append(text)
    summary.append(_labels_in_short(labels, holds))
    warnings, others, mind = _judge_in_passing(result)
    summary += [f"{WARNING}{'; '.join(mind)}."] if mind else []
    reasons[1:1] = warnings
    reasons += others
    if result.get("verification"):
        reasons.append(_describe_verification(result["verification"]))
    return {"helped": helped, "sentence": f"{OPENINGS[helped]}: {why}.", "summary": summary, "reasons": reasons}


def _judge_usefulness(useful: Mapping, alone: str) -> Judgement:
    sets = useful["sets"]
    key = "adapted" if sets["raw"].get("adapted") else "error"
    before, after = (sets[name][key] for name in ("raw", "refined"))
    without = next((name for name in ("unrefined", "colours only") if sets.get(name)), None)
    middle = sets[without][key] if without else None
    alone = alone if without == "unrefined" else "colours"
    verdict, beyond = _is_less(after, before), _is_less(after, middle or before)
    why = {
        True: "networks learn more from refined faces",
        False: "networks learn less from refined faces",
        None: "the difference may be chance",
    }[verdict]
    if verdict and not beyond:
        verdict, why = False, f"{alone} alone do as much"
    gap = after.get("gap_closed")
    closed = "" if gap is None else f", {100 * gap:.0f} % of the gap to real labels closed"
    adapted = " after label adaptation" if key == "adapted" else ""
    return Judgement(
        verdict,
        why,
        _usefulness_in_short(alone, before, middle, after),
        f"A network trained on refined faces errs by {after['mean']:.2f} instead of {before['mean']:.2f} "
        f"({useful['unit']}) on photographs{adapted}{closed}; the spread over seeds is {_spread(after, before):.2f}."
        + (_usefulness_in_parts(without, middle, after) if without else ""),
    )


def _usefulness_in_short(alone: str, before: Mapping, middle: Mapping | None, after: Mapping) -> tuple[str, ...]:
    gaps = [one.get("gap_closed") for one in (middle or after, after)]
    if None in gaps:
        whole, gaps = "the error on photographs", [1 - one["mean"] / before["mean"] for one in (middle or after, after)]
    else:
        whole = "what training on renders loses to training on photographs"
    first, both = (round(100 * gap) for gap in gaps)
    if middle is None:
        return (f"Refining {_taken(both, whole)}; what colours alone give was not measured.",)
    return _in_two_steps(alone, whole, first, both - first, chance=_is_less(after, middle) is None)


def _in_two_steps(alone: str, whole: str, first: int, then: int, chance: bool = False) -> tuple[str, str]:
    """What colours and the network take off a whole, percent each, in a sentence each."""
    doubt = ", which may be chance" if chance and then else ""
    took = "took another" if first > 0 else "took"
    more = f"{took} {then} % off" if then > 0 else f"added {-then} % to it" if then else "changed nothing of that"
    return f"{alone.capitalize()} alone {_taken(first, whole)}.", f"The refiner's network {more}{doubt}."


def _taken(percent: int, whole: str) -> str:
    if not percent:
        return f"left {whole} as it was"
    return f"took {percent} % off {whole}" if percent > 0 else f"added {-percent} % to {whole}"


def _spread(one: Mapping, other: Mapping) -> float:
    return float(np.hypot(one["std"] or 0.0, other["std"] or 0.0))


def _is_less(one: Mapping, other: Mapping) -> bool | None:
    """Whether an error is less than another one; None where they are apart by no more than their spread."""
    apart = other["mean"] - one["mean"]
    return None if abs(apart) <= _spread(one, other) else apart > 0


def _usefulness_in_parts(without: str, alone: Mapping, refined: Mapping) -> str:
    """What of the gain is the network's: faces `without` it are worth something too."""
    what = {
        "unrefined": "On faces as the refiner's network receives them, without it",
        "colours only": "On raw faces in the photographs' colours",
    }[without]
    text = f" {what}, the error is {alone['mean']:.2f}"
    closed, both = alone.get("gap_closed"), refined.get("gap_closed")
    if closed is None or both is None:
        return f"{text}: the network takes {alone['mean'] - refined['mean']:+.2f} off it."
    added = round(100 * both) - round(100 * closed)  # of what is printed
    return f"{text}: {100 * closed:.0f} % of the gap are closed by that alone, and the network adds {added:+d} points."


def _describe_verification(verification: Mapping) -> str:
    sets = verification["sets"]
    before, after = (sets[name]["tar"] for name in ("raw", "refined"))
    gap = after.get("gap_closed")
    closed = "" if gap is None else f", {100 * gap:.0f} % of the gap to photographs closed"
    return (
        f"A network that learnt people from refined faces accepts {100 * after['mean']:.1f} % instead of "
        f"{100 * before['mean']:.1f} % of the pairs of one person at {100 * verification['false_accepts']:g} % false "
        f"accepts (AUC {sets['refined']['auc']['mean']:.3f} instead of {sets['raw']['auc']['mean']:.3f}){closed}; "
        f"the spread over seeds is {100 * np.hypot(before['std'] or 0.0, after['std'] or 0.0):.1f} %."
    )


def _judge_realism(realism: Mapping, alone: str) -> Judgement:
    raw, recoloured, refined = (realism[name] for name in ("raw", "recoloured", "refined"))
    before, middle, after = (one["kid"]["mean"] for one in (raw, recoloured, refined))
    nearer = middle - after > max(KID_NOISE * middle, _spread(refined["kid"], recoloured["kid"]))
    easier_to_tell = refined["auc"]["auc"] > recoloured["auc"]["high"]
    verdict = None if nearer and easier_to_tell else nearer
    why = {
        True: "the faces come nearer to photographs",
        False: f"{alone} alone come as near to photographs" if after < before else "the faces come no nearer",
        None: "distance and classifier disagree",
    }[verdict]
    text = (
        f"The distance to photographs (KID) went from {before:.1f} to {after:.1f}, and a classifier tells faces from "
        f"photographs with an AUC of {refined['auc']['auc']:.3f} instead of {raw['auc']['auc']:.3f}. "
        f"With the refined faces' {alone} alone, without the network, "
        f"they are at {middle:.1f} with an AUC of {recoloured['auc']['auc']:.3f}"
    )
    steps = ()
    if before > 0:
        by_colour, by_network = round(100 * (before - middle) / before), round(100 * (middle - after) / before)
        text += f": {by_colour} % of the distance are gone by that, and the network takes {by_network:+d} % off"
        steps = _in_two_steps(alone, "the distance to photographs", by_colour, by_network)
    return Judgement(verdict, why, steps, f"{text}.")


def _judge_labels(labels: Mapping) -> tuple[bool, str]:
    median, p95 = DISPLACEMENT_LIMITS[labels["unit"]]
    holds = labels["percent_median"] <= median and labels["percent_p95"] <= p95
    return (
        holds,
        f"Labels moved by {labels['percent_median']:.2f} % of the {labels['unit']} in the median and "
        f"{labels['percent_p95']:.2f} % at the 95th percentile: {'they hold' if holds else 'too far to hold'} "
        f"(limits {median:g} % and {p95:g} %).",
    )


def _labels_in_short(labels: Mapping | None, holds: bool) -> str:
    if not labels:
        return "Whether the labels hold was not measured."
    return (
        f"The labels {'hold' if holds else 'do not hold'}: they moved by {labels['percent_median']:.2f} % of the "
        f"{labels['unit']} in the median, and by {labels['percent_p95']:.2f} % at the 95th percentile."
    )


def _judge_in_passing(result: Mapping) -> tuple[list[str], list[str], list[str]]:
    """Sentences that decide nothing: warnings, and what holds; and the warnings in a few words each."""
    labels, complexion = result.get("labels") or {}, result.get("complexion") or {}
    judged = []
    if result.get("realism", {}).get("refined", {}).get("gap"):
        judged.append(_judge_sharpness(result["realism"]))
    if labels.get("network"):
        judged.append(_judge_by_network(labels["network"], labels["unit"]))
    if "distance" in complexion.get("refined", {}):
        judged.append(_judge_complexion(complexion))
    warnings = [f"{WARNING}{text[0].lower()}{text[1:]}" for faults, text in judged if faults]
    return warnings, [text for faults, text in judged if not faults], [faults for faults, _ in judged if faults]


def _judge_sharpness(realism: Mapping) -> tuple[str, str]:
    """What is wrong, or nothing, and the numbers: whether refining brings sharpness farther from the photographs' than
    that of raw faces, or of faces without the network."""
    raw, alone, refined = (realism[name]["gap"]["sharpness_ratio"] or 1.0 for name in ("raw", "recoloured", "refined"))
    farther = np.exp(abs(np.log(refined)) - min(abs(np.log(raw)), abs(np.log(alone)))) > SHARPNESS_NOISE
    fault = (
        f"refined faces have {100 * refined:.0f} % of the photographs' sharpness, farther off than before "
        f"(raw {100 * raw:.0f} %)"
    )
    return (
        fault if farther else "",
        f"Refined faces have {100 * refined:.0f} % of the photographs' sharpness, raw ones {100 * raw:.0f} %, and "
        f"{100 * alone:.0f} % without the network{': it is farther off' if farther else ''}.",
    )


def _judge_by_network(network: Mapping, unit: str) -> tuple[str, str]:
    holds = network["ratio"] <= NETWORK_LIMIT
    return (
        "" if holds else "a network that learnt from photographs finds the label points less well than in raw faces",
        f"A network trained on {network['photographs']} labelled photographs misses the labels by "
        f"{network['refined']:.2f} % of the {unit} on refined faces and by {network['raw']:.2f} % on raw ones: a ratio "
        f"of {network['ratio']:.3f}, {'within' if holds else 'beyond'} the limit of {NETWORK_LIMIT:g}.",
    )


def _judge_complexion(complexion: Mapping) -> tuple[str, str]:
    """Whether complexions hold. Where they do not, it is a warning: landmarks, masks and poses are as true as before,
    and the photographs' colours are what refining is for. Only who trains on skin itself has to know."""
    raw, refined = complexion["raw"], complexion["refined"]
    distance, turned = refined["distance"]["median"], refined["ita_change"]["median"]
    most = max(TINTED_LEAST, raw["tinted"] + TINTED_BEYOND_RAW)
    moved = distance > COMPLEXION_LIMITS[0] or turned > COMPLEXION_LIMITS[1]
    tinted = refined["tinted"] > most
    faults = ["they are no longer those of the raw faces"] * moved
    faults += ["too many have a colour that no skin has"] * tinted
    short = ["complexions are no longer those of the raw faces"] * moved + ["too many faces are tinted"] * tinted
    real = f", {100 * complexion['real']['tinted']:.1f} % of the photographs" if "real" in complexion else ""
    return (
        "; ".join(short),
        f"Complexions moved by {distance:.1f} (CIE76) and {turned:.1f} degrees (ITA) in the median, and "
        f"{100 * refined['tinted']:.1f} % of refined faces are tinted, {100 * raw['tinted']:.1f} % of raw ones{real}: "
        f"{' and '.join(faults) or 'they hold'} (limits {COMPLEXION_LIMITS[0]:g}, "
        f"{COMPLEXION_LIMITS[1]:g} and {100 * most:.1f} %).",
    )
