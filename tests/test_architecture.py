"""The rooms of the house, and the one direction in which they know each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import simrefine

PACKAGE = Path(simrefine.__file__).parent
FLOW = [
    *(
        "printable",
        "errors",
        "addresses",
        "interruption",
        "files",
        "reading",
        "arrays",
        "randomness",
        "threads",
        "memory",
        "choice",
        "catalogue",
    ),
    *("config", "data", "drawing"),
    *("backend", "models", "measures", "methods", "training", "refining", "generating", "evaluation"),
    *("devices", "demo", "generator_demo", "studio", "command", "cli_generate", "cli", "__main__"),
]
LONGEST = 60  # lines of a function, its docstring included: what fits on a screen
LONGER = {  # and why
    "evaluation/evaluate.py:evaluate": "48 of its lines name and describe its 18 arguments",
}
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported_modules(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    return names


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_the_flow_only(path):
    for name in imported_modules(path):
        if name.startswith("simrefine."):
            assert FLOW.index(name.split(".")[1]) <= FLOW.index(room(path)), f"{path} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_library_stays_in_its_room(path):
    libraries = {name.split(".")[0] for name in imported_modules(path)}
    where = str(path.relative_to(PACKAGE))
    assert "mtcnn" not in libraries or where == "data/detection.py"
    assert "sklearn" not in libraries or where == "generating/regression.py"
    assert not {"fsspec", "s3fs"} & libraries or where == "refining/trees.py"
    assert "gradio" not in libraries or where == "studio.py"
    assert "tensorflow" not in libraries or where == "backend/tensorflow.py"
    assert "jax" not in libraries or where == "backend/jax.py"
    # Decoding, colour and range are data/images.py's alone; the others use OpenCV's flow, warps and blurs.
    warping = (
        "images",
        "chroma",
        "colour",
        "features",
        "heads",
        "parts",
        "scenes",
        "label_fit",
        "landmarks",
        "parser",
        "photometric",
        "montage",
    )
    warps = (path.stem in warping and room(path) in ("data", "training")) or room(path) in ("measures", "evaluation")
    assert "cv2" not in libraries or warps
    with_keras = ("backend", "models", "methods", "training", "generating", "evaluation")
    assert "keras" not in libraries or room(path) in with_keras
    if room(path) == "models":
        assert "open" not in {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }


def test_a_function_fits_on_a_screen():
    lengths = {
        f"{path.relative_to(PACKAGE)}:{node.name}": node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    longer = {name for name, length in lengths.items() if length > LONGEST}
    assert longer == set(LONGER), "too long, or short enough by now to leave the list of exceptions"


def test_help_imports_nothing_heavy():
    program = (
        "import sys; from simrefine.cli import main; main(['train', '--help'], standalone_mode=False);"
        "heavy = {'tensorflow', 'keras', 'cv2', 'numpy', 'rich', 'tensorboard'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_the_library_leaves_standard_error_alone():
    # Only the command line, whose process is its own, may hush what the backend prints.
    program = "import os; os.dup2 = None; import simrefine.models, simrefine.methods, simrefine.evaluation.evaluate"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
