"""The layout that docs/architecture.md describes: few loose modules, few layers, an engine on one screen."""

from __future__ import annotations

import ast
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
