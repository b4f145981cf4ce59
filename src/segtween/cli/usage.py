"""Usage errors in our form: got, expected, what to do."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

import typer

from segtween.errors import SettingError, unknown

UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What Typer raises for words that it cannot use; Typer itself does not export it."""

KINDS = {int: "a whole number", float: "a number"}
EXAMPLES = {int: "5", float: "10"}


def explained(error: Exception, context: Any, args: list[str]) -> Exception:
    """The error for words of a command line; `args` are those of the command of `context`. Help that is asked for by
    leaving everything out is returned as it is."""
    kind, param = type(error).__name__, getattr(error, "param", None)
    if kind == "NoArgsIsHelpError":
        return error
    if kind == "NoSuchOption":
        return _unknown_option(error.option_name, context)  # type: ignore[attr-defined]
    if kind == "MissingParameter" and param is not None:
        return _missing(param)
    if kind == "BadParameter" and param is not None:
        return _unusable(param, context, args)
    if kind == "BadOptionUsage":
        return _bad_usage(error.option_name, context)  # type: ignore[attr-defined]
    extra = _parsed(context, args)[1]
    if extra:
        return SettingError(
            f"unexpected extra argument {extra[0]!r}",
            expected=_arguments(context),
            do=f"leave it out, or {_see(context)}",
        )
    return SettingError(str(error).rstrip("."), do=_see(context))


def _unknown_option(name: str, context: Any) -> SettingError:
    known = [flag for param in _params(context) for flag in (*param.opts, *param.secondary_opts) if flag[:1] == "-"]
    long = [flag for flag in known if flag.startswith("--")]
    error: SettingError = unknown(f"option {name}", name, long, otherwise=_see(context))
    return SettingError(error.got, expected=f"an option of {context.command_path}", do=error.do)


def _missing(param: Any) -> SettingError:
    what = _name(param)
    form = f"{what} {param.metavar or 'VALUE'}" if what.startswith("-") else what
    about = f" ({_as_clause(param.help)})" if param.help else ""
    return SettingError(f"{what} is missing", expected=f"{form}{about}", do="add it")


def _unusable(param: Any, context: Any, args: list[str]) -> SettingError:
    name, kind = _name(param), _kind(param, context)
    values = _parsed(context, args)[0].get(param.name)
    values = values if isinstance(values, (list, tuple)) else [values]
    wrong = next((str(value) for value in values if not _fits(value, kind)), str(values[0]))
    got = f"{name} is {wrong!r}"
    if get_origin(kind) is Literal:
        return unknown(got, wrong, map(str, get_args(kind)))
    return SettingError(got, expected=KINDS.get(kind, param.metavar or "a value"), do=_example(param, kind))


def _example(param: Any, kind: Any) -> str:
    """What to do: the option with its default, or another value that it takes."""
    default = f"{param.default:g}" if kind in KINDS and isinstance(param.default, (int, float)) else None
    return f"give {_name(param)} {default or EXAMPLES.get(kind, param.metavar or 'VALUE')}"


def _as_clause(help: str) -> str:
    """A sentence of help within another sentence."""
    text = help.replace("\\[", "[").rstrip(".")
    return text[:1].lower() + text[1:]


def _fits(value: object, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    try:
        kind(value)
    except (TypeError, ValueError):
        return False
    return True


def _bad_usage(name: str, context: Any) -> SettingError:
    param = next((one for one in _params(context) if name in (*one.opts, *one.secondary_opts)), None)
    if param is None or getattr(param, "is_flag", False):
        return SettingError(f"{name} with a value", expected=f"{name} alone", do="leave the value out")
    kind = _kind(param, context)
    return SettingError(
        f"{name} without a value", expected=KINDS.get(kind, param.metavar or "a value"), do=_example(param, kind)
    )


def _parsed(context: Any, args: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The words of each option and argument as they were typed, and those that are too many."""
    values, extra, _ = context.command.make_parser(context).parse_args(args=list(args))
    return values, list(extra)


def _params(context: Any) -> Iterator[Any]:
    yield from context.command.get_params(context)


def _arguments(context: Any) -> str:
    named = [_name(param) for param in _params(context) if param.param_type_name == "argument"]
    return f"only {', '.join(named)} and options" if named else "options alone"


def _name(param: Any) -> str:
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper()).strip("[]").removesuffix("...")
    return next((flag for flag in param.opts if flag.startswith("--")), str(param.opts[0]))


def _kind(param: Any, context: Any) -> Any:
    """int, float, Literal[...] and so on: what the command's function takes, one of it."""
    kind = typing.get_type_hints(context.command.callback).get(param.name, str)
    while get_origin(kind) in (Union, types.UnionType, list, tuple):
        kind = next(one for one in get_args(kind) if one is not type(None))
    return kind


def _see(context: Any) -> str:
    return f"see {context.command_path} --help"
