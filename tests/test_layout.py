"""The layout that docs/architecture.md describes: few loose modules, few layers, an engine on one screen."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "segtween"
BESIDE = {"__init__", "__main__", "_version"}
COMPILED = ("njit", "triton.jit", "_jit", "_inlined")
"""Decorators of kernels, which take each array as a parameter."""


def test_few_modules_lie_loose_at_the_root() -> None:
    loose = {path.stem for path in PACKAGE.glob("*.py")} - BESIDE
    assert loose == {
        "api", "build", "errors", "geometry", "interfaces", "results", "texttable", "types",
    }  # fmt: skip


def test_the_import_contract_has_few_layers_and_names_every_package() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract.get("exhaustive"))
    assert len(layers["layers"]) <= 10
    assert not any(":" in layer for layer in layers["layers"]), "siblings of a layer do not import each other"


def test_the_causal_engine_fits_a_screen_and_no_file_grows_without_end() -> None:
    lines = {path.relative_to(PACKAGE): path.read_text().count("\n") for path in PACKAGE.rglob("*.py")}
    assert lines[Path("engine/causal.py")] <= 150
    # The street's renderer and models, and compiled kernels: one scene, one loop each.
    large = {path for path, n in lines.items() if n > 450}
    assert large <= {
        Path("street/world.py"), Path("street/models.py"), Path("street/shade.py"), Path("street/textures.py"),
        Path("ops/along.py"), Path("device/kernels.py"),
    }  # fmt: skip


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest imports them by name, and refuses the second."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_tests_are_collected_with_what_they_are_installed_with() -> None:
    """`make test` installs the package and its extra [dev] alone; what a test needs beyond, it asks for with
    `pytest.importorskip`. The adapters' tests have an environment of their own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: _packages(given) for name, given in project["optional-dependencies"].items()}
    missing = set().union(*extras.values()) - extras["dev"] - _packages(project["dependencies"]) | {"rerun"}
    assert {"torch", "kornia", "transformers", "playwright"} <= missing
    assert not missing & {"numpy", "onnx", "starlette"}
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.parent.name != "frameworks"]
    texts = {path.name: text for path in files if '__name__ == "__main__"' not in (text := path.read_text())}
    found = {name: sorted(_imported_at_once(text) & missing) for name, text in texts.items()}
    assert {name: packages for name, packages in found.items() if packages} == {}
    assert _imported_at_once("import torch.nn as nn\nif 1:\n    from kornia import x\ndef f():\n    import onnx") == {
        "torch", "kornia",
    }  # fmt: skip


def _packages(requirements: list[str]) -> set[str]:
    """What requirements are imported as, but for the few whose package has another name."""
    return {re.split(r"[^A-Za-z0-9_-]", line)[0].replace("-", "_") for line in requirements}


def _imported_at_once(text: str) -> set[str]:
    """The packages that a module imports when it is imported itself: not in its functions, nor for type checkers."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not _for_type_checkers(node):
            waiting += ast.iter_child_nodes(node)
    return found


def _for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_few_functions_have_more_than_seven_parameters() -> None:
    sources = {path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")}
    wide = sorted(f"{path}: {name}" for path, text in sources.items() for name, n in _parameters(text) if n > 7)
    assert len(wide) <= 20, wide
    kernels = "@njit(nogil=True)\ndef a(b, c): ...\n@triton.jit\ndef d(e): ...\n@_jit\ndef f(g): ...\n"
    ours = "class A:\n    def b(self, c, /, d, *e, f=1, **g): ...\n    @classmethod\n    def h(cls, i): ...\n"
    assert dict(_parameters(kernels + ours)) == {"b": 5, "h": 1}


def _parameters(text: str) -> Iterator[tuple[str, int]]:
    """Every function but kernels, by name, and how many parameters it has besides `self` or `cls`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            marks = [ast.unparse(mark).partition("(")[0] for mark in node.decorator_list]
            given = [a for a in ast.walk(node.args) if isinstance(a, ast.arg) and a.arg not in ("self", "cls")]
            if not any(mark in COMPILED for mark in marks):
                yield node.name, len(given)
