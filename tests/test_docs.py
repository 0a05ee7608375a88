"""The documentation is true: its links lead somewhere, and every command, flag and option that it names is there."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest

from simrefine.cli import main
from simrefine.config import SECTIONS, Config, RegularisationOptions

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
GUIDE = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
MEASURED = [ROOT / "experiments" / f"{name}.md" for name in ("README", "quality", "reliability", "generator")]
MEASURED += [ROOT / "data" / "README.md"]
PAGES = pytest.mark.parametrize("page", GUIDE + MEASURED, ids=lambda page: str(page.relative_to(ROOT)))
LONGEST_README = 150  # lines
FOREIGN_FLAGS = {"--samples_per_plugin"}  # of TensorBoard
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"(?:python -m )?simrefine (?P<name>[a-z]+)\b(?P<rest>[^`|>;#]*)")
OPTION = re.compile(rf"(?<![\w/])(?:{'|'.join(SECTIONS)})\.(?!(?:py|json|toml|png|onnx|tflite)\b)[a-z_0-9]+\b")
FLAG = re.compile(r"`(--[a-z][a-z_-]+)")


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may name, as GitHub derives it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands(page: Path) -> list[tuple[str, list[str]]]:
    """Every simrefine command in a page's code, as its name and its words; lines that end in a backslash are joined."""
    text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))
    code = re.findall(r"^ {4,}(?:\w+=\S+ )*(.+)$", text, re.MULTILINE) + re.findall(r"`(simrefine [^`]+)`", text)
    matches = [match for line in code if (match := COMMAND.match(line.replace("\n", " ")))]
    found = [(match["name"], shlex.split(match["rest"])) for match in matches]
    return [
        (f"{name} {words[0]}", words[1:]) if name == "generate" and words else (name, words) for name, words in found
    ]


def commands_of(group: click.Group) -> dict[str, click.Command]:
    """By name, those of a group in the group as "generate train"."""
    inner = {name: command for name, command in group.commands.items() if isinstance(command, click.Group)}
    return group.commands | {
        f"{name} {own}": c for name, command in inner.items() for own, c in command.commands.items()
    }


def flags_of(command: click.Command) -> set[str]:
    return {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LONGEST_README


def test_the_readme_leads_to_every_page_of_the_docs():
    linked = {README.parent / target for target in LINK.findall(README.read_text(encoding="utf-8"))}
    assert set(GUIDE[1:]) <= linked


@PAGES
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} leads nowhere"
        assert not anchor or anchor in anchors(file), f"{file.name} has no heading #{anchor}"


@PAGES
def test_every_command_and_flag_is_one_of_the_program(page):
    for name, words in commands(page):
        assert name in commands_of(main), f"there is no simrefine {name}"
        unknown = {word.partition("=")[0] for word in words if word.startswith("--")} - flags_of(
            commands_of(main)[name]
        )
        assert not unknown, f"simrefine {name} has no {', '.join(unknown)}"
        for before, word in pairwise(words):
            if before == "--set":
                method = {"method.name": "generator"} if name == "generate train" else {}
                Config.load(values=method | dict([word.split("=", 1)]), environment={})


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_flag_in_the_text_is_one_of_a_command(page):
    known = set().union(*map(flags_of, commands_of(main).values()), FOREIGN_FLAGS)
    unknown = set(FLAG.findall(page.read_text(encoding="utf-8"))) - known
    assert not unknown


@pytest.mark.parametrize("page", GUIDE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_in_the_text_is_one_of_the_config(page):
    known = set(Config.load(environment={}).flat())
    assert set(OPTION.findall(page.read_text(encoding="utf-8"))) <= known


def test_every_lambda_is_explained():
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "methods.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(RegularisationOptions.__dataclass_fields__) <= set(rows), "put a row into docs/methods.md"


def test_every_dependency_has_its_reason():
    settings = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    dependencies = re.findall(r"^    ([a-z][\w-]+)(?:\[[a-z-]+\])?>=", settings, re.MULTILINE)
    table = (ROOT / "docs" / "developing.md").read_text(encoding="utf-8")
    assert dependencies
    assert not [name for name in dependencies if not re.search(rf"^\|[^|]*\b{name}\b[^|]*\|", table, re.MULTILINE)]
