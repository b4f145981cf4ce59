"""Options in groups: a dataclass whose fields are options, taken by every command that needs them.

    def bench(*, network: NetworkOptions, repeats: Repeats = 7) -> None: ...

has the options of all of NetworkOptions's fields besides `--repeats`, and receives them as one NetworkOptions. A field
added there is an option of every such command. In the help an option stands in the panel that it names itself
(`rich_help_panel`), or else that of its group (PANEL); panels come in one order in every command. Options marked `Rare`
are shown by `--help-all` only, which a command has if it has such options.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo, ParameterInfo

R = TypeVar("R")


PANELS = ("Input", "Frames", "Data", "Output", "Network", "Method", "Calibration", "Timing", "Live", "Machine")
"""The panels of every help text, in order; others come last."""


class _Mark:
    def __init__(self, *fields: str) -> None:
        self.fields = frozenset(fields)


class Without(_Mark):
    """`Annotated[Group, Without("field")]`: the command has no such option, the field keeps its default."""


class Rare(_Mark):
    """`Annotated[Group, Rare("field")]`, for a single option `Annotated[Option, Rare()]`: `--help` leaves it out."""


def _help_all(context: typer.Context, wanted: bool) -> None:
    if wanted:
        for parameter in context.command.params:
            parameter.hidden = False  # type: ignore[attr-defined]
        typer.echo(context.get_help())
        raise typer.Exit


HELP_ALL = inspect.Parameter(
    "help_all",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--help-all", callback=_help_all, is_eager=True, help="Show all options.")],
)


def grouped(command: Callable[..., R]) -> Callable[..., R]:
    """The command with one option for each field of its groups; it must take its parameters by name."""
    parameters, groups = _parameters(command)

    @functools.wraps(command)
    def run(**values: Any) -> R:
        values.pop(HELP_ALL.name, None)
        for name, (kind, names) in groups.items():
            values[name] = kind(**{field: values.pop(field) for field in names if field in values})
        return command(**values)

    # What Typer looks at to make its options.
    result = get_type_hints(command).get("return")
    run.__signature__ = inspect.Signature(parameters, return_annotation=result)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": result}
    return run


def _parameters(command: Callable[..., Any]) -> tuple[list[inspect.Parameter], dict[str, tuple[type, list[str]]]]:
    """The options of a command; and its groups, each with the names of its own options."""
    hints = get_type_hints(command, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            marks = getattr(hint, "__metadata__", ())
            own = _options(kind, marks)
            groups[parameter.name] = kind, [option.name for option in own]
        else:
            own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=_single(hint))]
        parameters += own
    parameters.sort(key=_place)
    infos = [info for parameter in parameters for info in getattr(parameter.annotation, "__metadata__", ())]
    has_rare = any(info.hidden for info in infos if isinstance(info, OptionInfo))
    return [*parameters, *([HELP_ALL] if has_rare and HELP_ALL.name not in hints else [])], groups


def _single(hint: Any) -> Any:
    """An option that belongs to no group."""
    is_rare = any(isinstance(mark, Rare) for mark in getattr(hint, "__metadata__", ()))
    return _shown(hint, panel=None, hidden=is_rare) if get_origin(hint) is Annotated else hint


def _place(parameter: inspect.Parameter) -> int:
    """Options are in the order of their panels, within a panel as they are declared. Arguments keep theirs: first."""
    infos = [info for info in getattr(parameter.annotation, "__metadata__", ()) if isinstance(info, ParameterInfo)]
    if infos and not isinstance(infos[0], OptionInfo):
        return -1
    panel = infos[0].rich_help_panel if infos else None
    return PANELS.index(panel) if panel in PANELS else len(PANELS)


def _options(group: type, marks: tuple[Any, ...]) -> list[inspect.Parameter]:
    left_out, rare = (_marked(marks, kind) for kind in (Without, Rare))
    hints = get_type_hints(group, include_extras=True)
    fields = dataclasses.fields(group)
    unknown = (left_out | rare) - {field.name for field in fields}
    if unknown:
        raise TypeError(f"{group.__name__} has no field {sorted(unknown)[0]!r}")
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=_shown(hints[field.name], panel=getattr(group, "PANEL", None), hidden=field.name in rare),
        )
        for field in fields
        if field.name not in left_out
    ]


def _marked(marks: tuple[Any, ...], kind: type[_Mark]) -> frozenset[str]:
    return frozenset[str]().union(*(mark.fields for mark in marks if isinstance(mark, kind)))


def _shown(hint: Any, *, panel: str | None, hidden: bool) -> Any:
    """The hint of an option with its place in the help."""
    kind, *info = get_args(hint)
    changed = []
    for one in info:
        if isinstance(one, _Mark):
            continue
        if isinstance(one, OptionInfo):
            one = copy.copy(one)
            one.rich_help_panel, one.hidden = one.rich_help_panel or panel, one.hidden or hidden
        changed.append(one)
    return operator.getitem(Annotated, (kind, *changed))
