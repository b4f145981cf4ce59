"""How a command ends when something is wrong: one line, exit code 2; Ctrl-C: 130; SIGTERM: 143."""

from __future__ import annotations

import atexit
import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, ParamSpec, TypeVar

import typer

from segtween.cli.flags import in_flags
from segtween.errors import SegtweenError

P = ParamSpec("P")
R = TypeVar("R")

BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose deliberate errors become one line on standard error and exit code 2."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from segtween.video.interrupt import Terminated, sigterm_raises  # loads NumPy, which help texts need not

        try:
            with sigterm_raises():
                return command(*args, **kwargs)
        except SegtweenError as error:
            say_error(error)
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt as stop:
            parts = ["stopped; what was done by then is kept", *map(str, stop.args)]
            print(f"segtween: {in_flags('; '.join(parts))}", file=sys.stderr)  # noqa: T201
            raise typer.Exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED) from None
        except BrokenPipeError:
            raise typer.Exit(1) from None

    return run


def leave_at_once(code: int) -> NoReturn:
    """Ends the process after an interruption without waiting for its threads: a lock that the main thread held when it
    was interrupted may keep them for good. What is to be done at exit is done."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def say_error(error: Exception | str) -> None:
    line = in_flags(" ".join(str(error).split()))
    print(f"segtween: error: {line}", file=sys.stderr)  # noqa: T201
