"""Did refining help? The numbers of an evaluation in; a verdict and the sentences that give its reasons out."""

from collections.abc import Mapping

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
SWD_NOISE = 0.05  # a smaller relative change of the sliced Wasserstein distance says nothing
SHARPNESS_NOISE = 1.1  # a smaller factor by which sharpness is farther from the photographs' says nothing

_OPENINGS = {
    True: "Refining helped: ",
    False: "Refining did not help: ",
    None: "It cannot be said whether refining helped: ",
}


def reach_verdict(result: Mapping) -> dict:
    """One sentence with the numbers, and whether refining helped: true, false, or None for "cannot be said".

    The order of the arguments: labels that moved (see DISPLACEMENT_LIMITS) spoil everything; then a trained network's
    error on photographs decides: it must be less than on raw faces, and less than on what colours and scenes alone
    give, by more than its spread over the seeds. Without that measurement, refined faces must be nearer to photographs
    than the same faces that are only recoloured: by sliced Wasserstein distance, by SWD_NOISE at least, and by an AUC
    below the interval of theirs. What only warns (see NETWORK_LIMIT, COMPLEXION_LIMITS, TINTED_LEAST, SHARPNESS_NOISE)
    decides nothing and is said right after what does; what is learnt of people is said last.

    Args:
        result: the parts "usefulness", "realism", "labels", "complexion" and "verification" of evaluation.json, those
            that were measured.

    Returns:
        "helped", "sentence", and "reasons": the other sentences, in the order of their weight.
    """
    reasons, verdicts = [], []
    labels, useful, realism = (result.get(part) for part in ("labels", "usefulness", "realism"))
    if useful:
        verdict, text = _judge_usefulness(useful)
        verdicts.append(verdict)
        reasons.append(text)
    if realism:
        verdict, text = _judge_realism(realism)
        if not useful:
            verdicts.append(verdict)
        reasons.append(text)
    if labels:
        holds, text = _judge_labels(labels)
        if holds:
            reasons.append(text)
        else:  # what decides comes first
            verdicts.append(False)
            reasons.insert(0, text)
    warnings, others = _judge_in_passing(result)
    reasons[1:1] = warnings
    reasons += others
    if result.get("verification"):
        reasons.append(_describe_verification(result["verification"]))
    helped = None if not verdicts else False if False in verdicts else True if all(verdicts) else None
    first, *others = reasons or ["Nothing was measured."]
    return {"helped": helped, "sentence": _OPENINGS[helped] + first[0].lower() + first[1:], "reasons": others}


def _judge_usefulness(useful: Mapping) -> tuple[bool | None, str]:
    sets = useful["sets"]
    key = "adapted" if sets["raw"].get("adapted") else "error"
    before, after = (sets[name][key] for name in ("raw", "refined"))
    without = next((name for name in ("unrefined", "colours only") if sets.get(name)), None)
    verdict = _is_less(after, before)
    if verdict and without:
        verdict = _is_less(after, sets[without][key]) is True
    gap = after.get("gap_closed")
    closed = "" if gap is None else f", {100 * gap:.0f} % of the gap to real labels closed"
    adapted = " after label adaptation" if key == "adapted" else ""
    return (
        verdict,
        f"A network trained on refined faces errs by {after['mean']:.2f} instead of {before['mean']:.2f} "
        f"({useful['unit']}) on photographs{adapted}{closed}; the spread over seeds is {_spread(after, before):.2f}."
        + (_usefulness_in_parts(without, sets[without][key], after) if without else ""),
    )


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


def _judge_realism(realism: Mapping) -> tuple[bool | None, str]:
    raw, recoloured, refined = (realism[name] for name in ("raw", "recoloured", "refined"))
    before, alone, after = (one["swd"]["mean"] for one in (raw, recoloured, refined))
    nearer = after < (1 - SWD_NOISE) * alone, refined["auc"]["auc"] < recoloured["auc"]["low"]
    text = (
        f"The sliced Wasserstein distance to photographs went from {before:.1f} to {after:.1f}, and a classifier "
        f"tells faces from photographs with an AUC of {refined['auc']['auc']:.3f} instead of {raw['auc']['auc']:.3f}. "
        f"With the refined faces' colours{' and scenes' if 'unrefined' in realism else ''} alone, without the network, "
        f"they are at {alone:.1f} with an AUC of {recoloured['auc']['auc']:.3f}"
    )
    if before > 0:
        by_colour, by_network = round(100 * (before - alone) / before), round(100 * (alone - after) / before)
        text += f": {by_colour} % of the distance are gone by that, and the network takes {by_network:+d} % off"
    return True if all(nearer) else None if any(nearer) else False, f"{text}."


def _judge_labels(labels: Mapping) -> tuple[bool, str]:
    median, p95 = DISPLACEMENT_LIMITS[labels["unit"]]
    holds = labels["percent_median"] <= median and labels["percent_p95"] <= p95
    return (
        holds,
        f"Labels moved by {labels['percent_median']:.2f} % of the {labels['unit']} in the median and "
        f"{labels['percent_p95']:.2f} % at the 95th percentile: {'they hold' if holds else 'too far to hold'} "
        f"(limits {median:g} % and {p95:g} %).",
    )


def _judge_in_passing(result: Mapping) -> tuple[list[str], list[str]]:
    """Sentences that decide nothing: warnings, and what holds."""
    labels, complexion = result.get("labels") or {}, result.get("complexion") or {}
    judged = []
    if result.get("realism", {}).get("refined", {}).get("gap"):
        judged.append(_judge_sharpness(result["realism"]))
    if labels.get("network"):
        judged.append(_judge_by_network(labels["network"], labels["unit"]))
    if "distance" in complexion.get("refined", {}):
        judged.append(_judge_complexion(complexion))
    warnings = [f"Warning: {text[0].lower()}{text[1:]}" for holds, text in judged if not holds]
    return warnings, [text for holds, text in judged if holds]


def _judge_sharpness(realism: Mapping) -> tuple[bool, str]:
    """Whether the network brings sharpness no farther from the photographs' than it was."""
    alone, refined = (realism[name]["gap"]["sharpness_ratio"] or 1.0 for name in ("recoloured", "refined"))
    farther = np.exp(abs(np.log(refined)) - abs(np.log(alone)))
    return (
        farther <= SHARPNESS_NOISE,
        f"Refined faces have {100 * refined:.0f} % of the photographs' sharpness, and {100 * alone:.0f} % without the "
        f"network{': it is farther off' if farther > SHARPNESS_NOISE else ''}.",
    )


def _judge_by_network(network: Mapping, unit: str) -> tuple[bool, str]:
    holds = network["ratio"] <= NETWORK_LIMIT
    return (
        holds,
        f"A network trained on {network['photographs']} labelled photographs misses the labels by "
        f"{network['refined']:.2f} % of the {unit} on refined faces and by {network['raw']:.2f} % on raw ones: a ratio "
        f"of {network['ratio']:.3f}, {'within' if holds else 'beyond'} the limit of {NETWORK_LIMIT:g}.",
    )


def _judge_complexion(complexion: Mapping) -> tuple[bool, str]:
    """Whether complexions hold. Where they do not, it is a warning: landmarks, masks and poses are as true as before,
    and the photographs' colours are what refining is for. Only who trains on skin itself has to know."""
    raw, refined = complexion["raw"], complexion["refined"]
    distance, turned = refined["distance"]["median"], refined["ita_change"]["median"]
    most = max(TINTED_LEAST, raw["tinted"] + TINTED_BEYOND_RAW)
    moved = distance > COMPLEXION_LIMITS[0] or turned > COMPLEXION_LIMITS[1]
    tinted = refined["tinted"] > most
    faults = ["they are no longer those of the raw faces"] * moved
    faults += ["too many have a colour that no skin has"] * tinted
    real = f", {100 * complexion['real']['tinted']:.1f} % of the photographs" if "real" in complexion else ""
    return (
        not (moved or tinted),
        f"Complexions moved by {distance:.1f} (CIE76) and {turned:.1f} degrees (ITA) in the median, and "
        f"{100 * refined['tinted']:.1f} % of refined faces are tinted, {100 * raw['tinted']:.1f} % of raw ones{real}: "
        f"{' and '.join(faults) or 'they hold'} (limits {COMPLEXION_LIMITS[0]:g}, "
        f"{COMPLEXION_LIMITS[1]:g} and {100 * most:.1f} %).",
    )
