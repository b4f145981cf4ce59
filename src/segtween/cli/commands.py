"""Commands and groups of commands: a command's module is imported when the command is used, and usage errors end
with one line of our own form and exit code 2."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from segtween.cli.guard import BAD_INPUT, INTERRUPTED, guarded, say_error
from segtween.cli.usage import UsageError, explained
from segtween.errors import SegtweenError, unknown


class _Explaining:
    """Parses words as Typer does, and reports in our form what is wrong with them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc]
        except UsageError as error:
            raise explained(error, ctx, given) from None

    def get_params(self, ctx: Any) -> list[Any]:
        """The options and arguments; the help shows no type of Python for them."""
        params = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False) and param.metavar is None:
                param.metavar = ""
            if param.param_type_name == "argument":
                param.display_type_rich = lambda ctx: None  # noqa: ARG005
        return list(params)


class Command(_Explaining, TyperCommand):
    """A command."""


class Commands(_Explaining, TyperGroup):
    """A group of commands."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = str(args[0])
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing:
            path = ctx.command_path
            raise unknown(f"command {name!r}", name, self.list_commands(ctx), otherwise=f"see {path} --help")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Runs the command and exits: 0, 2 for what cannot be used, 130 after Ctrl-C."""
        run: Any = partial(super().main, *args, **{**extra, "standalone_mode": False})
        if not standalone_mode:
            return run()
        try:
            code = run()
        except SegtweenError as error:
            say_error(error)
            sys.exit(BAD_INPUT)
        except UsageError as error:  # a group without a command: its help
            typer.echo(error.format_message())  # type: ignore[attr-defined]
            sys.exit(BAD_INPUT)
        except typer.Abort:
            sys.exit(INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


class Group(typer.Typer):
    """A `typer.Typer` of such commands. Without a subcommand it shows its help by default."""

    def __init__(self, *, cls: type[TyperGroup] = Commands, no_args_is_help: bool = True, **settings: Any) -> None:
        settings.setdefault("add_completion", False)
        super().__init__(
            cls=cls,
            no_args_is_help=no_args_is_help,
            pretty_exceptions_enable=False,
            rich_markup_mode="rich",
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """Makes a command of a function: its groups of options become options, its errors one line."""
        from segtween.cli.grouping import grouped  # which the list of commands does without

        register = super().command(name, **{"cls": Command, **settings})
        return lambda function: register(guarded(grouped(function)))


class Listed(TyperCommand):
    """A command by name, line of help and place, loaded when it is used: `bench:app` in `segtween.cli`, or a module by
    its full name."""

    def __init__(self, name: str, place: str, help: str) -> None:
        super().__init__(name, help=help)
        self.place = place

    def load(self) -> Any:
        module, attribute = self.place.split(":")
        full = module if module.startswith("segtween.") else f"segtween.cli.{module}"
        found = getattr(importlib.import_module(full), attribute)
        if isinstance(found, typer.Typer):
            command: Any = typer.main.get_group(found)
        else:
            single = Group()
            single.command(self.name)(found)
            command = typer.main.get_command(single)
        command.name = self.name
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.load().make_context(info_name, args, parent=parent, **extra)
