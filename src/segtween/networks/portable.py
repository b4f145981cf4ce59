"""A network as files for any ONNX runtime, without torch."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from segtween.errors import SinkError, os_errors
from segtween.models.finding import find_record
from segtween.models.int8 import int8_path, load_int8, save_int8
from segtween.models.records import ModelRecord, load_record, save_record
from segtween.models.weights import load_weights, write_weights_bin
from segtween.validation import whole_file

CHECKPOINTS = (".pt", ".pth", ".tar", ".safetensors")


def export_network(
    what: str | Path | ModelRecord, out: str | Path, *, overwrite: bool = False, label_set: str | None = None
) -> list[Path]:
    """Write a network for use anywhere: `graph.onnx`, its weights `weights.bin` as external data, `model.yaml`.

    `what` is a shipped name, a model folder, a record, or a weight file (.pt, .pth, .pth.tar, .safetensors), for which
    alone torch is needed; `label_set` is that of weights that do not say theirs.
    Returns the files. Raises SinkError where `out` holds something and `overwrite` is not given.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not overwrite:
        raise SinkError(f"{out} exists", expected="a new or empty folder", do="give another out=, or overwrite=True")
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(what, ModelRecord):
            record = what
        elif str(what).endswith(CHECKPOINTS):
            from segtween.networks import export_checkpoint

            record = load_record(export_checkpoint(what, folder, label_set=label_set) / "model.yaml")
        else:
            record = find_record(what)
        with os_errors(SinkError, f"{out} cannot be written", expected="a writable folder", do="give another out="):
            out.mkdir(parents=True, exist_ok=True)
            return _write(record, out)


def _write(record: ModelRecord, out: Path) -> list[Path]:
    graph, weights = out / record.graph_path.name, out / "weights.bin"
    with whole_file(graph) as part:
        shutil.copyfile(record.graph_path, part)
    files = [graph]
    if record.weights is not None:
        with whole_file(weights) as part:
            write_weights_bin(load_weights(record), part)
        files.append(weights)
    written = replace(record, graph=graph.name, path=out / "model.yaml", weights=None)
    save_record(written, written.path)
    files.append(written.path)
    ranges = load_int8(record)
    if ranges is None:
        int8_path(written).unlink(missing_ok=True)  # of a network that lay here before
    else:
        save_int8(ranges, int8_path(written))
        files.append(int8_path(written))
    return files
