"""Options in groups: a dataclass whose fields are options, taken by every command that needs them.

    @guarded
    @grouped
    def bench(*, network: NetworkOptions, repeats: Repeats = 7) -> None: ...

has the options of all of NetworkOptions's fields beside `--repeats`, and receives them as one NetworkOptions. A field
added there is an option of every such command.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

R = TypeVar("R")


class Without:
    """`Annotated[Group, Without("field")]`: the command has no such option, the field keeps its default."""

    def __init__(self, *fields: str) -> None:
        self.fields = frozenset(fields)


def grouped(command: Callable[..., R]) -> Callable[..., R]:
    """The command with one option for each field of its groups; it must take its parameters by name."""
    hints = get_type_hints(command, include_extras=True)
    result = hints.pop("return", None)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, tuple[type, list[str]]] = {}
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            own = _options(kind, getattr(hint, "__metadata__", ()))
            groups[parameter.name] = kind, [option.name for option in own]
        else:
            own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)]
        parameters += own

    @functools.wraps(command)
    def run(**values: Any) -> R:
        for name, (kind, names) in groups.items():
            values[name] = kind(**{field: values.pop(field) for field in names if field in values})
        return command(**values)

    # What Typer looks at to make its options.
    run.__signature__ = inspect.Signature(parameters, return_annotation=result)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": result}
    return run


def _options(group: type, marks: tuple[Any, ...]) -> list[inspect.Parameter]:
    left_out = frozenset[str]().union(*(mark.fields for mark in marks if isinstance(mark, Without)))
    hints = get_type_hints(group, include_extras=True)
    fields = dataclasses.fields(group)
    unknown = left_out - {field.name for field in fields}
    if unknown:
        raise TypeError(f"{group.__name__} has no field {sorted(unknown)[0]!r}")
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields
        if field.name not in left_out
    ]
