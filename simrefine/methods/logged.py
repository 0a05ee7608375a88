"""How a method declares what it logs: once, for TensorBoard, the progress line, the alarms, the report and the docs.

Here are also the declarations that several methods share, because they log the same number for the same reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

IDENTITY_CHANGE = 0.5  # gray levels over a picture, whose room is held: below what anyone sees in the head
WINNING_ACCURACY = 0.98  # of patches, on both real and refined
COLLAPSED_DIVERSITY = 0.3  # spread over the refined faces as a share of the spread over the rendered ones


@dataclass(frozen=True)
class Alarm:
    """A way in which training goes wrong without an error.

    Args:
        name: of the alarm.
        holds: whether it does, from the numbers of a window by name; a KeyError, where a phase has not all of them,
            counts as no.
        windows: logging windows in a row in which it must hold.
        message: what is wrong and what to do; formatted with the numbers, "/" in their names replaced by "_".
    """

    name: str
    holds: Callable[[Mapping[str, float]], bool]
    windows: int
    message: str


@dataclass(frozen=True)
class Logged:
    """A number that a method logs.

    Args:
        name: its tag, "player/number".
        shows: what it is, with its unit.
        look_for: what a user should look for in its curve.
        label: its name in the progress line; "" = not shown there.
        format: how it is shown there.
        chart: the report's chart that it is drawn in; "" = in none. Entries of one chart and unit share it, and what
            the first of them says to look for.
        unit: of the chart's axis.
        legend: its name in that chart.
        alarm: what rings by it, if anything.
    """

    name: str
    shows: str
    look_for: str
    label: str = ""
    format: str = ".3f"
    chart: str = ""
    unit: str = ""
    legend: str = ""
    alarm: Alarm | None = None


def table_rows(logged: Sequence[Logged]) -> list[str]:
    """The rows of the table in docs/curves.md; neighbours with one text share a row."""
    rows: dict[tuple[str, str], list[str]] = {}
    for entry in logged:
        rows.setdefault((entry.shows, entry.look_for), []).append(f"`{entry.name}`")
    return [f"| {', '.join(names)} | {shows} | {look_for} |" for (shows, look_for), names in rows.items()]


CHANGE = Logged(
    "refiner/change",
    "mean change of a pixel and channel, in gray levels of 255, from the render in the colours it was given",
    "rising from 0 and settling between 2 and 40. Near 0: the refiner is the identity; far above 40: the face is being "
    "repainted",
    label="change",
    format=".1f",
    chart="Change",
    unit="mean, gray levels",
    legend="change",
    alarm=Alarm(
        "refiner is the identity",
        lambda numbers: numbers["refiner/change"] < IDENTITY_CHANGE,
        10,
        "refined faces differ from the rendered ones by {refiner_change:.2f} gray levels (below "
        f"{IDENTITY_CHANGE}); lower the weights that hold them back or raise the refiner's learning rate",
    ),
)
_CHANGES = (
    "the same on fixed faces, for the refiner as it stands and for its moving average, which is the one published",
    "close together. A large current and a small average change mean that the refiner runs in circles, and the average "
    "cancels",
)
CHANGE_CURRENT = Logged("refiner/change_current", *_CHANGES)
CHANGE_AVERAGE = Logged("refiner/change_average", *_CHANGES)
REALISM = Logged(
    "refiner/realism",
    "the loss by which refined faces fail to pass for photographs",
    "not reaching 0. Falling losses prove little in a GAN: look at the faces",
    label="R realism",
    chart="Realism",
    unit="loss of the refiner",
    legend="realism",
)
REFINER_LOSS = Logged("refiner/loss", "the sum of all that the refiner minimises", "no jumps")
DIVERSITY = Logged(
    "refiner/diversity",
    "how much refined faces differ from each other, relative to the rendered ones",
    "near 1; a fall towards 0 is collapse",
    chart="Diversity",
    unit="spread of refined / spread of raw",
    legend="diversity",
    alarm=Alarm(
        "collapse",
        lambda numbers: numbers["refiner/diversity"] < COLLAPSED_DIVERSITY,
        3,
        "refined faces differ from each other by {refiner_diversity:.2f} of what the rendered ones do (below "
        f"{COLLAPSED_DIVERSITY}); raise a weight that holds them back or lower the refiner's learning rate",
    ),
)
DISCRIMINATOR_LOSS = Logged(
    "discriminator/loss",
    "the loss by which the discriminator mistakes refined faces and photographs for each other",
    "not reaching 0",
    label="D",
    chart="Discriminator",
    unit="loss",
    legend="loss",
)
_ACCURACY = (
    "share of patches that it judges rightly: photographs, refined faces, refined faces of the history",
    "0.5 is guessing; above 0.98 on both it has won, the refiner learns nothing, and an alarm rings",
)
_ACCURACY_CHART = {"chart": "Discriminator", "unit": "share of patches judged rightly"}
ACCURACY_REAL = Logged("discriminator/accuracy_real", *_ACCURACY, **_ACCURACY_CHART, legend="real")
ACCURACY_REFINED = Logged(
    "discriminator/accuracy_refined",
    *_ACCURACY,
    **_ACCURACY_CHART,
    legend="refined",
    label="D refined",
    format=".0%",
    alarm=Alarm(
        "discriminator wins",
        lambda numbers: (
            min(numbers["discriminator/accuracy_real"], numbers["discriminator/accuracy_refined"]) > WINNING_ACCURACY
        ),
        5,
        "it tells {discriminator_accuracy_real:.1%} of real and {discriminator_accuracy_refined:.1%} of refined "
        "patches rightly, so the refiner gets little to learn from; lower its learning rate or raise [augmentation]",
    ),
)
ACCURACY_HISTORY = Logged("discriminator/accuracy_history", *_ACCURACY, **_ACCURACY_CHART, legend="earlier refined")
HISTORY_FILL = Logged("history/fill", "share of the history buffer in use", "1 after the first hundred steps")

# What the training logs beside its method, whichever that is.
OF_EVERY_RUN = (
    Logged(
        "parser/agreement",
        "with parts: the share of the pixels of held-out renders that the parser names rightly",
        "above 0.9",
    ),
    Logged(
        "held_out/kid",
        "with `--evaluate-every`: distance of refined held-out faces to the photographs (KID, in the eyes of another "
        "network than the discriminator's); step 0 is what unrefined faces score",
        "falling",
    ),
    Logged(
        "held_out/colour_gap",
        "how far mean and spread of their colours are from the photographs', in gray levels",
        "falling",
    ),
    Logged(
        "held_out/displacement",
        "how far the picture moved from the faces that the refiner was given, median, percent of the side",
        "staying below 0.7, above which a refiner is not kept as the best",
    ),
    Logged("held_out/displacement_p95", "the same at the 95th percentile", "staying below 2"),
    Logged("time/images_per_second", "training pictures a second", "steady"),
    Logged("time/waiting_for_data", "share of the time spent waiting for data", "near 0"),
)

# What every method with a refiner and a discriminator logs, in the order in which it is shown.
OF_THE_REFINER = (CHANGE, CHANGE_CURRENT, CHANGE_AVERAGE, REFINER_LOSS, REALISM)
OF_THE_PLAY = (DIVERSITY, DISCRIMINATOR_LOSS, ACCURACY_REAL, ACCURACY_REFINED, ACCURACY_HISTORY, HISTORY_FILL)
