"""Texts, numbers and tables as HTML: values of any kind in, escaped markup out. Numbers get three digits, and a value
that is no number gets a dash."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

PERCENT = "\N{NO-BREAK SPACE}%"
DASH = "–"


def text(value: Any) -> str:
    return escape(str(value))


def sentence(value: Any) -> str:
    return text(value).replace(" %", PERCENT)


def words(name: str) -> str:
    """A key of the result as a label: "edge_agreement" to "Edge agreement"."""
    shown = str(name).replace("_", " ")
    return text(shown[:1].upper() + shown[1:])


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any) -> str:
    """A number with three digits, a list of them, a text as it is, or a dash."""
    if isinstance(value, list | tuple):
        return " · ".join(map(number, value))
    if not is_number(value):
        return text(value) if isinstance(value, str) else DASH
    return minus(str(value) if isinstance(value, int) else f"{value:.{_decimals(value)}f}")


def minus(shown: str) -> str:
    """With the sign that is as wide as a plus in place of the hyphen."""
    return shown.replace("-", "−")


def share(value: Any) -> str:
    """A share, 1 for all, in whole percent."""
    return minus(f"{value * 100:.0f}{PERCENT}") if is_number(value) else DASH


def spread(values: Mapping, best: bool = False) -> str:
    """ "mean" and, where it is known, "std" of `values`; marked where it is the best of a column."""
    mean, deviation = values.get("mean"), values.get("std")
    if not is_number(mean):
        return DASH
    shown = number(mean)
    if is_number(deviation):
        shown += f" <small>±\N{NO-BREAK SPACE}{deviation:.{_decimals(mean)}f}</small>"
    return f'<span class="best">{shown} <span class="tag">best</span></span>' if best else shown


def interval(values: Mapping) -> str:
    """ "low" to "high" of `values`, or nothing."""
    low, high = values.get("low"), values.get("high")
    return f"{number(low)} to {number(high)}" if is_number(low) and is_number(high) else ""


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are already HTML; the first cell of a row names it."""
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    body = "\n".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for first, *cells in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{caption}"><table>\n'
        f"<caption><span>{caption}</span></caption>\n<thead><tr>{titles}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _decimals(value: float) -> int:
    """As many decimals as make three digits."""
    return min(6, max(0, 2 - math.floor(math.log10(abs(value))))) if value else 0
