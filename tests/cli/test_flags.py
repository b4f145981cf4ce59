"""Errors of the library name arguments; the command line makes flags of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import segtween
from segtween.cli import COMMANDS, Listed
from segtween.cli.flags import FLAGS, OFF, in_flags

SOURCE = Path(segtween.__file__).parent
OWN_FLAGS = ("cli", "compat", "ui")
"""Parts whose errors are for who types commands."""

WITHOUT_FLAG = {"fusion", "history_weight", "kind", "mode", "propagation", "resample", "source"}
"""Arguments that errors may name although no command has an option for them."""


def library() -> Iterator[Path]:
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] not in OWN_FLAGS:
            yield path


def text_of(node: ast.AST, constants: dict[str, str]) -> str:
    """The words in an expression, formatted values as `{}`, with those of the module's constants."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.FormattedValue):
        return constants.get(node.value.id, "{}") if isinstance(node.value, ast.Name) else "{}"
    if isinstance(node, ast.Name):
        return constants.get(node.id, "")
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, constants) for part in node.values)
    return " ".join(text_of(child, constants) for child in ast.iter_child_nodes(node))


def errors_in(code: str) -> list[str]:
    """What the errors of a module say: arguments of calls of errors, what is called got, expected or do."""
    tree = ast.parse(code)
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    said: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called.endswith("Error") or called == "unknown":
                said += [text_of(argument, constants) for argument in node.args]
            parts = ("expected", "do", "otherwise", "also", "among", "got")
            said += [text_of(keyword.value, constants) for keyword in node.keywords if keyword.arg in parts]
        if isinstance(node, ast.Assign) and any(
            getattr(t, "id", "") in ("do", "expected", "got") for t in node.targets
        ):
            said.append(text_of(node.value, constants))
    return [text for text in said if text]


def test_the_scan_sees_what_errors_say() -> None:
    code = (
        "AGAIN = 'use --again'\nraise SettingError(f'{x} of --this', expected='y', do='give --that')\n"
        "do = 'try --more'\nraise errors.ModelError(AGAIN)\nraise unknown('z', z, Z, otherwise=f'see {AGAIN}')\n"
        "print('--free')\n"
    )
    flagged = [text for text in errors_in(code) if "--" in text]
    assert sorted(flagged) == ["give --that", "see use --again", "try --more", "use --again", "{} of --this"]
    assert sum(len(errors_in(path.read_text())) for path in library()) > 1000


def test_no_error_of_the_library_names_a_flag() -> None:
    named = [
        f"{path.relative_to(SOURCE)}: {text}"
        for path in library()
        for text in errors_in(path.read_text())
        if re.search(r"(?<![\w-])--[a-z]", text)
    ]
    assert named == []


def test_every_argument_that_an_error_names_has_its_flag() -> None:
    named = {
        name: path.relative_to(SOURCE)
        for path in library()
        for text in errors_in(path.read_text())
        for name in re.findall(r"(?<![\w./-])([a-z_]+)=", text)
    }
    assert len(named) > 20
    assert {name: place for name, place in named.items() if name not in {*FLAGS, *OFF, *WITHOUT_FLAG}} == {}


def options() -> set[str]:
    """Every option of every command."""
    known: set[str] = set()
    for name, place in COMMANDS.items():
        command = Listed(name, *place).load()
        for one in (command, *getattr(command, "commands", {}).values()):
            known |= {flag for param in one.params for flag in (*param.opts, *param.secondary_opts)}
    return known


def test_every_flag_is_an_option_of_a_command() -> None:
    assert {*FLAGS.values(), *OFF.values()} - options() == set()


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("check root= and split=", "check --root and --split"),
        ("give another model=, or device='cpu'", "give another --model, or --device cpu"),
        ("give intervals=[0, 4, 9]", "give --intervals 0,4,9"),
        ("give another out=, or resume=False to begin anew", "give another --out, or --fresh to begin anew"),
        ("leave edge=False out", "leave --no-edge out"),
        ("resume=True stays", "resume=True stays"),
        ("save='' and save='a b'", "--save '' and --save 'a b'"),
        ("give label_set=NAME: a label set's name", "give --label-set NAME: a label set's name"),
        ("one of them: every=5 is interval=4", "one of them: --every 5 is --interval 4"),
        ("correct `labels` in model.yaml", "correct `labels` in model.yaml"),
        ("label_set is missing in a recipe", "label_set is missing in a recipe"),
        ("--every is 'x'; give --every 5", "--every is 'x'; give --every 5"),
    ],
)
def test_arguments_become_flags(said: str, typed: str) -> None:
    assert in_flags(said) == typed
