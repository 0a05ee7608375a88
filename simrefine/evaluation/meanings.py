"""What the numbers of a report mean, and which way is good: a sentence each, the only place where they stand."""

from collections.abc import Iterable, Mapping

from simrefine.evaluation.markup import text

REALISM = {
    "KID": "how far faces are from photographs in the eyes of a network that knows photographs of all kinds: lower is "
    "better. Colour alone brings it down by little. Under real stands what two halves of the photographs are apart.",
    "SWD": "the sliced Wasserstein distance of small patches to those of the photographs, at each picture size: lower "
    "is better. Under real stands what two halves of the photographs are apart; less cannot be hoped for.",
    "AUC of a classifier": "shown a face and a photograph, how often a network that was trained for it tells which is "
    "which: 1 is always and 0.5, which is best, is guessing. In brackets the 95 % interval.",
    "FID": "the distance of the pictures' features in a large network: lower is better.",
    "Colour gap": "how far mean and spread of the colours are from the photographs', in gray levels: lower is better.",
    "Mean": "the mean red, green and blue, in gray levels: best as in the photographs.",
    "Std": "how much red, green and blue vary, in gray levels: best as in the photographs.",
    "Contrast": "how much light varies within a picture, in gray levels: best as in the photographs.",
    "Sharpness": "the mean strength of edges and fine detail: best as in the photographs. Much less is a blur, much "
    "more a grain.",
    "Noise": "the fine grain, in gray levels: best as in the photographs.",
    "Saturation": "how vivid colours are, from 0, gray, to 1: best as in the photographs.",
}
LABELS = {
    "Displacement": "how far what is seen at the label points was moved by refining: lower is better, 0 is not at all.",
    "Edge agreement": "how well the edges of a face before and after lie on each other: higher is better, 1 is best.",
    "Error": "how far the points that a network finds, which learnt from photographs alone, are from the labels: "
    "refined should be no more than raw.",
    "Refined / raw": "both errors as a ratio: 1 or less is good, above 1.03 is a warning.",
    "Shift": "how far its points moved from the raw face to the refined one: lower is better.",
}
COMPLEXION = {
    "Tinted": "the share of faces whose skin has a colour that skin has only in coloured or hardly any light: lower is "
    "better.",
    "CIE76": "how far the colour of the skin moved from that of the raw face: lower is better, 2.3 is just noticeable.",
    "ITA": "how much lighter or darker the complexion became, as an angle: lower is better, the usual classes are 10 "
    "to 38 degrees wide.",
}
USEFULNESS = {
    "Error": "by how much a network that learnt from this set errs on photographs: lower is better.",
    "Adapted labels": "the same after what only differs in where two schemes put a point is taken away: lower is "
    "better.",
    "Gap closed": "the share of the way from training on renders (0 %) to training on labelled photographs (100 %): "
    "higher is better, below 0 is harm.",
}
VERIFICATION = {
    "AUC": "how often a pair of one person looks more alike than a pair of two: higher is better, 0.5 is guessing.",
    "True accepts": "the share of pairs of one person that are taken for one person: higher is better.",
    "Gap closed": "the share of the way from training on renders (0 %) to training on labelled photographs (100 %): "
    "higher is better.",
}


def explain(meanings: Mapping[str, str], shown: Iterable[str]) -> str:
    """The meanings of those numbers with which a heading in `shown` begins, as HTML; empty where none does."""
    headings = [heading.lower() for heading in shown]
    rows = "".join(
        f"<div><dt>{text(name)}</dt> <dd>{text(meaning)}</dd></div>"
        for name, meaning in meanings.items()
        if any(heading.startswith(name.lower()) for heading in headings)
    )
    return f'<dl class="meanings">{rows}</dl>' if rows else ""
