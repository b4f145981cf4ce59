"""Files and folders that have their name only when they are whole, YAML files among them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from segtween.errors import SegtweenError, os_errors


@contextmanager
def whole_file(path: Path, *, writer: str = "") -> Iterator[Path]:
    """A path to write to; its file becomes `path` when all went well and is removed otherwise. `writer` keeps apart
    processes that may write it at the same time."""
    part = path.with_name(f".{path.name}{writer}.part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file; text as UTF-8. OSError where it cannot be written."""
    with whole_file(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes `folder` when all went well and is removed otherwise.

    Where another process was faster, its folder stays: what is cached under one name is the same.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
    try:
        yield part
        try:
            os.replace(part, folder)
        except OSError:
            if not all((folder / made.name).exists() for made in part.iterdir()):
                raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


def yaml_text(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in the order in which they stand."""
    import yaml

    text: str = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return text


def write_yaml(values: Mapping[str, Any], path: Path, *, error: type[SegtweenError]) -> None:
    """The file has its final name only when it is whole; an `error` where it cannot be written."""
    text = yaml_text(values)
    with os_errors(error, f"{path} cannot be written", expected="a folder that can be written", do="check it"):
        write_whole(path, text)
