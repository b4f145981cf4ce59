"""Writing YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segtween.errors import SegtweenError
from segtween.validation.atomic import write_whole


def yaml_text(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in the order in which they stand."""
    import yaml

    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return text


def write_yaml(values: Mapping[str, Any], path: Path, *, error: type[SegtweenError]) -> None:
    """The file has its final name only when it is whole; an `error` where it cannot be written."""
    text = yaml_text(values)
    try:
        write_whole(path, text)
    except OSError as problem:
        raise error(
            f"{path} cannot be written ({problem.strerror})", expected="a folder that can be written", do="check it"
        ) from None
