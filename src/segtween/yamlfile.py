"""Reading a YAML file that a person may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segtween.errors import SegtweenError, SettingError


def read_yaml(
    path: str | Path, *, what: str, expected: str, do: str = "correct it", error: type[SegtweenError] = SettingError
) -> Any:
    """The plain values of the file, unchecked.

    `what` says whose file it is and `expected` what should be in it, in the one line of an `error` that is raised
    where the file cannot be read or is not YAML.
    """
    import yaml

    path = Path(path)
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(
            f"{what} {path} cannot be read ({problem.strerror})", expected="a YAML file", do="check the path"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        told = " ".join(str(problem).split())[:120]
        raise error(f"{what} {path} is not YAML ({told})", expected=expected, do=do) from None
