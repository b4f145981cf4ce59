"""What an ONNX file says beside its graph: its metadata and the files that hold its weights (onnx.proto).

Read without a library, from the file's outline: only the fields that lead to either are looked into.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from mmap import ACCESS_READ, mmap
from pathlib import Path

from segtween.errors import ModelError

_MODEL_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
_GRAPH, _METADATA = 7, 14
_BELOW: dict[str, dict[int, str]] = {
    "model": {_GRAPH: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "external data"},
}
"""Message -> field -> message: every way from a model to the external data of a tensor."""


def check_onnx_file(path: str | Path) -> Path:
    """`path` itself if its outline is that of an ONNX file (onnx.proto, ModelProto); ModelError otherwise.

    Looks at the outermost fields only. Libraries answer to text or half files with several lines on
    standard error that nobody can turn off.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"model file {path} is not found", expected="an .onnx file", do="check the path")
    with _content(path) as content:
        if _GRAPH not in {field for field, _, _ in _fields(content, 0, len(content), known=_MODEL_FIELDS)}:
            raise ValueError("it holds no graph")
    return path


def metadata(path: str | Path) -> dict[str, str]:
    """The file's `metadata_props`. ModelError where its outline is not that of an ONNX file."""
    with _content(Path(path)) as content:
        fields = _fields(content, 0, len(content))
        return dict(_pair(content, start, end) for field, start, end in fields if field == _METADATA)


def external_data(path: str | Path) -> tuple[Path, ...]:
    """The files that hold tensors of the graph, sorted. ModelError for one outside of the graph's own folder, for one
    that is missing, and where the outline is not that of an ONNX file."""
    path = Path(path)
    folder, files = path.parent.resolve(), list[Path]()
    for place in _places(path, path.stat().st_mtime_ns):
        file = (folder / place).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            where = ", which is not found" if file.is_relative_to(folder) else ""
            raise ModelError(
                f"{path.name} keeps weights in {place[:200]!r}{where}",
                expected="a file in its own folder",
                do="put it there, or save the network again with its weights beside it",
            )
        files.append(file)
    return tuple(files)


@lru_cache(maxsize=8)
def _places(path: Path, changed_ns: int) -> list[str]:  # noqa: ARG001
    """Where the graph says that its tensors are, as it says it."""
    found = set()
    with _content(path) as content:
        todo = [(0, len(content), "model")]
        while todo:
            start, end, message = todo.pop()
            for field, first, last in _fields(content, start, end):
                below = _BELOW[message].get(field)
                if below == "external data":
                    found.add(_pair(content, first, last))
                elif below is not None:
                    todo.append((first, last, below))
    return sorted(value for key, value in found if key == "location")


@contextmanager
def _content(path: Path) -> Iterator[mmap | bytes]:
    try:
        with open(path, "rb") as file:
            if path.stat().st_size == 0:
                yield b""
                return
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                yield content
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read as ONNX ({error})", expected="an ONNX file", do="export the network again"
        ) from None


def _fields(
    content: mmap | bytes, at: int, end: int, *, known: set[int] | None = None
) -> Iterator[tuple[int, int, int]]:
    """(field, start, end) of each field of one message; ValueError for what is no message, or has other fields than
    those that are `known`, which are whole numbers, texts and messages only."""
    while at < end:
        tag, at = _varint(content, at, end)
        field, wire = tag >> 3, tag & 7
        if (known is not None and (field not in known or wire not in (0, 2))) or wire not in (0, 1, 2, 5):
            raise ValueError("it is another kind of file")
        start = at
        if wire == 0:
            _, at = _varint(content, at, end)
        else:
            length, start = _varint(content, at, end) if wire == 2 else ({1: 8, 5: 4}[wire], at)
            at = start + length
        if at > end:
            raise ValueError(f"it ends early, after {end} bytes")
        yield field, start, at


def _varint(content: mmap | bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift <= 63:
        byte, at = content[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("it is cut off, or another kind of file")


def _pair(content: mmap | bytes, start: int, end: int) -> tuple[str, str]:
    """A StringStringEntryProto."""
    found = {field: content[a:b].decode("utf-8", errors="replace") for field, a, b in _fields(content, start, end)}
    return found.get(1, ""), found.get(2, "")
