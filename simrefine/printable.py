"""The one place that makes text fit to be shown. File names, and what damaged files say, may hold any character: an
escape sequence would be obeyed by a terminal, and a line break would forge a line of ours."""

import unicodedata


def printable(text: str) -> str:
    """`text` as a single line that a terminal only shows: control characters, bytes that are not UTF-8 and what turns
    the direction of writing appear as Python writes them, such as \\x1b, \\n or \\udcff."""
    if text.isprintable():
        return text
    return "".join(char if _is_shown(char) else char.encode("unicode_escape").decode() for char in text)


def _is_shown(char: str) -> bool:
    return char.isprintable() or unicodedata.category(char) == "Zs"  # spaces of other scripts
