"""What users install: the sdist and the wheel hold everything, and the program starts from them alone."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("simrefine", "docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "Makefile")
SETTINGS = ("setup.cfg", "pyproject.toml", "constraints.txt")
PACKAGE_DATA = ("simrefine/py.typed", "simrefine/evaluation/report.html")


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel that was built from it. It is built from a copy, as building leaves files
    behind, and without an environment of its own, so that nothing is fetched."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES + SETTINGS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, copy / name)
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy)
    return out


@pytest.fixture(scope="module")
def bare(built, tmp_path_factory) -> Path:
    """The programs of an environment with the wheel in it, and of what it depends on click alone, copied from here."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    wheel = next(built.glob("*.whl"))
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    library = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    for file in metadata.files("click"):
        target = library / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file.locate(), target)
    return folder / "bin"


def test_the_wheel_holds_every_source_and_the_package_data(built):
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    assert set(PACKAGE_DATA) <= names
    assert {str(file.relative_to(ROOT)) for file in (ROOT / "simrefine").rglob("*.py")} <= names
    assert not [name for name in names if name.startswith(("tests", "experiments", "data/"))]


def test_the_sdist_holds_what_the_wheel_and_a_reader_need(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert {*PACKAGE_DATA, *SETTINGS, *pages, "README.md", "LICENSE", "CHANGELOG.md"} <= names


@pytest.mark.parametrize("command", [(), ("train",), ("refine",), ("evaluate",), ("prepare",), ("demo",)])
def test_the_installed_program_gives_help_without_its_heavy_dependencies(bare, command):
    assert "Usage: simrefine" in run(bare / "simrefine", *command, "--help")


def test_the_installed_package_says_its_version(bare):
    assert metadata.version("simrefine") in run(bare / "simrefine", "--version")
