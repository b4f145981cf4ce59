"""Every error that segtween raises on purpose.

    SegtweenError
    ├── SettingError        a setting that cannot be used (interval below 0, scale 0, ...)
    ├── SourceError         an input that cannot be read (missing, empty, corrupt, wrong kind)
    ├── SinkError           an output that cannot be written (exists, no permission, full disk)
    ├── ModelError          a network, sidecar or weight file that does not fit
    ├── LabelError          labels, label sets or label maps that do not fit each other
    ├── ScoresError         class scores with a wrong shape, type or value
    ├── DatasetError        a data set whose folders, lists or files do not fit together
    └── MissingExtraError   an optional dependency that is not installed

All of them read as one line: what was got, what was expected, what to do. The
command line prints that line and exits with code 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar


class SegtweenError(Exception):
    """One line for a person: `got`; expected `expected`; `do`.

    A part may be left out only where it would repeat another one.
    """

    def __init__(self, got: str, *, expected: str = "", do: str = "") -> None:
        self.got, self.expected, self.do = got, expected, do
        parts = [got, f"expected {expected}" if expected else "", do]
        super().__init__("; ".join(part for part in parts if part))


class SettingError(SegtweenError):
    """A setting that cannot be used."""


class SourceError(SegtweenError):
    """An input that cannot be read, or not to its end."""


class SinkError(SegtweenError):
    """An output that cannot be written."""


class ModelError(SegtweenError):
    """A network, sidecar or weight file that does not fit."""


class LabelError(SegtweenError):
    """Labels, label sets or label maps that do not fit each other."""


class ScoresError(SegtweenError):
    """Class scores with a wrong shape, type or value."""


class DatasetError(SegtweenError):
    """A data set whose folders, lists or files do not fit together."""


class MissingExtraError(SegtweenError):
    """An optional dependency that is not installed."""

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(
            f"{what} needs a package that is not installed",
            expected=f"the extra [{extra}]",
            do=f"pip install 'segtween[{extra}]'",
        )


def one_line(problem: object, most: int = 200) -> str:
    """What another library says, in one line of at most so many characters."""
    try:
        return " ".join(str(problem).split())[:most]
    except Exception:  # of a foreign exception that cannot say what it is
        return ""


def one_line_of_kind(problem: BaseException) -> str:
    """The same after the name of the exception's class; the name alone where nothing is said."""
    return f"{type(problem).__name__}: {one_line(problem)}".removesuffix(": ")


@contextmanager
def os_errors(error: type[SegtweenError], got: str, *, expected: str, do: str) -> Iterator[None]:
    """Turns what the system raises on a file or folder into such an `error`; the system's reason follows `got`."""
    try:
        yield
    except OSError as problem:
        raise error(f"{got} ({problem.strerror or problem})", expected=expected, do=do) from None


def from_extra(module: str, what: str, *, extra: str) -> Any:
    """A module of the packages of an extra; where it is not installed MissingExtraError, which says that `what` needs
    it."""
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(what, extra=extra) from None


E = TypeVar("E", bound=SegtweenError)


def unknown(
    got: str,
    name: str,
    known: Iterable[str],
    *,
    among: str = "one of",
    also: str = "",
    otherwise: str = "choose one of these",
    error: type[E] = SettingError,  # type: ignore[assignment]
) -> E:
    """The error for a name that a table does not hold: it lists the names and asks whether the nearest was meant.

    `got` is what was got, in words; `among` goes before the names, `also`, what may be given besides a name, after
    them; `otherwise` is what to do where no name is near.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    listed = f"{among} {', '.join(names)}" + (f", {also}" if also else "")
    return error(got, expected=listed, do=f"did you mean {near[0]}?" if near else otherwise)


def check_known(got: str, name: str, known: Collection[str]) -> None:
    """SettingError where a table does not hold a name, as `unknown` has it."""
    if name not in known:
        raise unknown(got, name, known)
