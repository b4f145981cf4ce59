"""Finding a network's record: by a shipped name, an `.onnx` file with its sidecar, a record file or its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from segtween.errors import ModelError, unknown
from segtween.models.records import RECORD_FILE, SHIPPED, ModelRecord, load_record, sidecar_path
from segtween.validation import shown

GRAPHS = (".onnx", ".xml", ".pt2")
"""Endings of files that hold a network with its graph: ONNX, OpenVINO's own, torch's ExportedProgram."""


def shipped_models(root: Path | None = None) -> dict[str, Path]:
    """Name -> folder of every network that comes with the package, sorted by name."""
    root = SHIPPED if root is None else root
    return {p.parent.name: p.parent for p in sorted(root.glob(f"*/{RECORD_FILE}"))}


def find_record(which: str | Path, *, root: Path | None = None) -> ModelRecord:
    """The record of a shipped model's name, an .onnx file with its sidecar, a record file or its folder.

    Raises ModelError: unknown name (with the nearest ones), file not found, sidecar missing.
    """
    shipped = shipped_models(root)
    if isinstance(which, str) and which in shipped:
        return load_record(shipped[which] / RECORD_FILE)
    path = Path(which)
    if _is(path.is_dir):
        if not (path / RECORD_FILE).is_file():
            raise ModelError(f"folder {path} holds no {RECORD_FILE}", expected="a model's folder", do="check the path")
        return load_record(path / RECORD_FILE)
    if _is(path.is_file):
        if path.suffix.lower() in (".yaml", ".yml"):
            return load_record(path)
        check_graph_file(path)
        if not sidecar_path(path).is_file():
            raise ModelError(
                f"{path} has no sidecar {sidecar_path(path).name}",
                expected="a record of its preprocessing, output and labels beside it",
                do=f"let `segtween models inspect {path}` propose and write one, and check what it guessed",
            )
        return load_record(sidecar_path(path))
    raise _unknown(str(which), shipped)


def check_graph_file(path: Path) -> None:
    """ModelError for a file that is not there, or whose ending is that of no graph."""
    if not _is(path.is_file):
        raise ModelError(f"model file {_short(str(path))} is not found", expected="an .onnx file", do="check the path")
    if path.suffix.lower() not in GRAPHS:
        raise ModelError(
            f"{path} is no model file",
            expected=f"a file that ends in {', '.join(GRAPHS[:-1])} or {GRAPHS[-1]}",
            do=f"segtween export {path} -o FOLDER",
        )


def _is(check: Callable[[], bool]) -> bool:
    """False too for what no file system takes as a name: too long, or with a zero byte."""
    try:
        return check()
    except (OSError, ValueError):
        return False


def _unknown(which: str, shipped: Mapping[str, Path]) -> ModelError:
    known = ", ".join(shipped) or "none is shipped"
    if any(sign in which for sign in "/\\") or Path(which).suffix.lower() in (*GRAPHS, ".yaml", ".yml"):
        return ModelError(
            f"model file {_short(which)} is not found",
            expected="an existing .onnx file or a shipped name: " + known,
            do="check the path",
        )
    return unknown(
        f"model {shown(which)} is not known",
        which[:60],
        shipped,
        also="or an .onnx file",
        otherwise="see `segtween models`",
        error=ModelError,
    )


def _short(which: str) -> str:
    return which if len(which) <= 200 else which[:100] + "..." + which[-60:]
