"""Did refining help? The numbers of an evaluation in; a verdict and the sentences that give its reasons out."""

from collections.abc import Mapping

import numpy as np

# Percent: where the labels move by more, in the median or at the 95th percentile, they do not hold. The inter-ocular
# distance of a face crop is about a third of its side; a grid, which is what stands in for labels, measures twice the
# noise of label points, as some of it lies on plain places.
DISPLACEMENT_LIMITS = {"inter-ocular distance": (1.0, 3.0), "image side": (0.7, 2.0)}
SWD_NOISE = 0.05  # a smaller relative change of the sliced Wasserstein distance says nothing

_OPENINGS = {
    True: "Refining helped: ",
    False: "Refining did not help: ",
    None: "It cannot be said whether refining helped: ",
}


def reach_verdict(result: Mapping) -> dict:
    """One sentence with the numbers, and whether refining helped: true, false, or None for "cannot be said".

    The order of the arguments: labels that moved (see DISPLACEMENT_LIMITS) spoil everything; then a trained network's
    error on photographs decides, if it changed by more than its spread over the seeds; without that measurement,
    refined faces must be nearer by sliced Wasserstein distance, by SWD_NOISE at least, and harder to tell from
    photographs, by an AUC below the interval of the raw faces'. What is learnt of people is said, and decides nothing.

    Args:
        result: the parts "usefulness", "realism", "labels" and "verification" of evaluation.json, where measured.

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
    if result.get("verification"):
        reasons.append(_describe_verification(result["verification"]))
    helped = None if not verdicts else False if False in verdicts else True if all(verdicts) else None
    first, *others = reasons or ["Nothing was measured."]
    return {"helped": helped, "sentence": _OPENINGS[helped] + first[0].lower() + first[1:], "reasons": others}


def _judge_usefulness(useful: Mapping) -> tuple[bool | None, str]:
    key = "adapted" if useful["sets"]["raw"].get("adapted") else "error"
    before, after = (useful["sets"][name][key] for name in ("raw", "refined"))
    gained = before["mean"] - after["mean"]
    spread = np.hypot(before["std"] or 0.0, after["std"] or 0.0)
    verdict = None if abs(gained) <= spread else gained > 0
    gap = after.get("gap_closed")
    closed = "" if gap is None else f", {100 * gap:.0f} % of the gap to real labels closed"
    adapted = " after label adaptation" if key == "adapted" else ""
    return (
        verdict,
        f"A network trained on refined faces errs by {after['mean']:.2f} instead of {before['mean']:.2f} "
        f"({useful['unit']}) on photographs{adapted}{closed}; the spread over seeds is {spread:.2f}.",
    )


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
    before, after = realism["raw"], realism["refined"]
    swd = before["swd"]["mean"], after["swd"]["mean"]
    auc = before["auc"]["auc"], after["auc"]["auc"]
    nearer = (swd[1] < (1 - SWD_NOISE) * swd[0], auc[1] < before["auc"]["low"])
    farther = (swd[1] > (1 + SWD_NOISE) * swd[0], auc[1] > before["auc"]["high"])
    return (
        True if all(nearer) else False if any(farther) and not any(nearer) else None,
        f"The sliced Wasserstein distance to photographs went from {swd[0]:.1f} to {swd[1]:.1f}, and a classifier "
        f"tells faces from photographs with an AUC of {auc[1]:.3f} instead of {auc[0]:.3f}.",
    )


def _judge_labels(labels: Mapping) -> tuple[bool, str]:
    median, p95 = DISPLACEMENT_LIMITS[labels["unit"]]
    holds = labels["percent_median"] <= median and labels["percent_p95"] <= p95
    return (
        holds,
        f"Labels moved by {labels['percent_median']:.2f} % of the {labels['unit']} in the median and "
        f"{labels['percent_p95']:.2f} % at the 95th percentile: {'they hold' if holds else 'too far to hold'} "
        f"(limits {median:g} % and {p95:g} %).",
    )
