"""torch's ExportedProgram (`torch.export.save`, .pt2) as an OpenVINO graph, which runs without torch."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

from segtween.errors import ModelError, from_extra, one_line
from segtween.models.weights import in_cache, sha256_of

_GRAPH = "graph.xml"


def translated(path: Path) -> Path:
    """The graph of a .pt2 file as OpenVINO's .xml in the cache, made once for each content.

    Raises ModelError for what is no such file, uses operations that OpenVINO does not know, or holds pickles that are
    not of tensors and plain values alone: torch would run what they ask for. MissingExtraError where it is to be made
    and torch is not installed.
    """
    return in_cache("graphs", sha256_of(path)[:24], lambda folder: _translate(path, folder / _GRAPH)) / _GRAPH


def _translate(path: Path, target: Path) -> None:
    torch = from_extra("torch", f"{path.name}, which torch exported,", extra="torch")
    import openvino

    _check_pickles(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about itself
        try:
            program = torch.export.load(path)
            graph = openvino.convert_model(program)
        except Exception as error:  # both raise whatever they meet
            raise ModelError(
                f"{path.name} cannot be read as an exported program ({one_line(error)})",
                expected="a file of torch.export.save of operations that OpenVINO knows",
                do="export it again with this version of torch, or as ONNX",
            ) from None
    _name_ports(graph, program)
    openvino.save_model(graph, target, compress_to_fp16=False)


def _name_ports(graph: Any, program: Any) -> None:
    """Names and shapes of inputs and outputs as the program has them; sides that it fixed are fixed."""
    signature, nodes = program.graph_signature, {node.name: node for node in program.graph.nodes}
    shapes = {}
    for port, name in zip(graph.inputs, signature.user_inputs, strict=True):
        sides = nodes[name].meta["val"].shape
        shapes[port] = [side if isinstance(side, int) else -1 for side in sides]
        port.get_tensor().set_names({name})
    for port, name in zip(graph.outputs, signature.user_outputs, strict=True):
        port.get_tensor().set_names({name})
    graph.reshape(shapes)


def _check_pickles(path: Path) -> None:
    """ModelError where torch would load more from the archive than tensors and plain values."""
    import torch

    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                content = archive.read(name)
                if name.endswith(".json"):
                    _check_payloads(json.loads(content))
                elif name.endswith(".pt"):
                    torch.load(io.BytesIO(content), weights_only=True)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RecursionError) as error:
        raise ModelError(
            f"{path} cannot be read ({one_line(error, 120)})",
            expected="a file of torch.export.save",
            do="export it again",
        ) from None
    except Exception:  # torch raises UnpicklingError, and RuntimeError for what is no archive of its own
        raise ModelError(
            f"{path.name} holds a pickle that asks for more than tensors",
            expected="an exported program of tensors and plain values, as such a pickle may run any code",
            do="export it as ONNX",
        ) from None


def _check_payloads(values: Any) -> None:
    """RuntimeError where a table of the archive says that one of its members is a pickle of another kind."""
    if isinstance(values, dict):
        if values.get("use_pickle"):
            raise RuntimeError("a pickle")
        values = list(values.values())
    for value in values if isinstance(values, list) else ():
        _check_payloads(value)
