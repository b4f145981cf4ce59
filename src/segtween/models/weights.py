"""From stored weights to a graph that runs.

Shipped weights are stored once, as float16 (`weights.safetensors`); `graph.onnx` looks for float32
values in `weights.bin` beside it, which is derived at first use and kept in the cache folder.
`weights.bin` holds all tensors in sorted order of their keys, little-endian, each beginning at a
multiple of 64 bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Interval, MaxLen
from numpy.typing import NDArray

from segtween.errors import ModelError, os_errors
from segtween.models.onnx_file import check_onnx_file, external_data
from segtween.models.records import ModelRecord
from segtween.validation import Expected, read_yaml, validate, whole_folder

ALIGNMENT = 64
MOST_WEIGHTS = 2**29
"""Of random ones: 2 GiB as float32."""
Side = Annotated[int, Interval(ge=1, le=2**20)]
Shape = Annotated[tuple[Side, ...], MaxLen(8), Expected("a shape: up to 8 whole numbers from 1 to 2**20")]
Manifest = dict[str, Shape]
RANDOM_RECIPE = "variance 1/fan-in"
"""Names how random weights are drawn; part of the fingerprint, to be changed with `random_tensors`."""


def cache_folder() -> Path:
    """$SEGTWEEN_CACHE, or `segtween` in the platform's folder for what can be made again."""
    given = os.environ.get("SEGTWEEN_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "segtween"


def sha256_of(path: str | Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def aligned_offsets(sizes: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Where each tensor begins in `weights.bin`, from its size in bytes, and the file's length."""
    offsets, end = {}, 0
    for key in sorted(sizes):
        offsets[key] = -(-end // ALIGNMENT) * ALIGNMENT
        end = offsets[key] + sizes[key]
    return offsets, end


def random_tensors(manifest: Mapping[str, Iterable[int]], *, seed: int) -> dict[str, NDArray[np.float32]]:
    """Filters of variance 1 / fan-in (LeCun et al. 1998, "Efficient BackProp", section 4.6) and harmless norms, the
    same on every machine.

    Scales and variances of norms lie in 0.5..1.5. A ResNet-18 network then answers with logits of a trained
    one's size, so that what follows it costs the usual time too. Each key has its own generator: a change of
    one tensor leaves the others as they are.
    """
    return {key: _random_tensor(key, tuple(shape), seed) for key, shape in manifest.items()}


def _random_tensor(key: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    if len(shape) >= 2:
        fan_in = math.prod(shape[1:])
        return (rng.standard_normal(shape) * math.sqrt(1 / fan_in)).astype(np.float32)
    if key.endswith(("running_var", "weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return (rng.standard_normal(shape) * 0.05).astype(np.float32)


def load_weights(record: ModelRecord) -> dict[str, NDArray[np.float32]]:
    """The record's tensors as float32, their file's sha256 verified; ModelError if they do not fit."""
    weights = record.weights
    if weights is None:
        raise ModelError(f"model {record.name!r} keeps its weights in its graph", do="nothing has to be loaded")
    if weights.is_random:
        return random_tensors(_read_manifest(record), seed=weights.random_seed or 0)
    path = record.path.parent / str(weights.file)
    if not path.is_file():
        raise ModelError(f"weights {path} are not found", expected="the file beside its record", do="install it again")
    if (found := sha256_of(path)) != weights.sha256:
        raise ModelError(
            f"weights {path} have sha256 {found[:12]}...",
            expected=f"{str(weights.sha256)[:12]}... as in {record.path.name}",
            do="install the model again",
        )
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ModelError(
            f"weights {path} cannot be read ({error})", expected="a safetensors file", do="install it again"
        ) from None
    wrong = [key for key, value in tensors.items() if value.dtype.kind != "f"]
    if wrong:
        raise ModelError(
            f"weights {path} hold {wrong[0]!r} of {tensors[wrong[0]].dtype}",
            expected="float16 or float32",
            do="export the network again",
        )
    return {key: value.astype(np.float32) for key, value in tensors.items()}


def _read_manifest(record: ModelRecord) -> Mapping[str, tuple[int, ...]]:
    path = record.path.parent / str(record.weights and record.weights.manifest)
    do = "install the model again"
    values = read_yaml(
        path, what="manifest", expected='JSON of the form {"key": [shape], ...}', do=do, error=ModelError
    )
    manifest = validate(Manifest, values, source=f"manifest {path}", whole="all of it", do=do, error=ModelError)
    total = sum(math.prod(shape) for shape in manifest.values())
    if total > MOST_WEIGHTS:
        raise ModelError(f"manifest {path} asks for {total:.1e} weights", expected=f"at most {MOST_WEIGHTS:.1e}", do=do)
    return manifest


def fingerprint(record: ModelRecord) -> str:
    """64 hexadecimal digits that change with the graph's or the weights' content."""
    folder, weights = record.path.parent, record.weights
    files = list(weight_files(record.graph_path)) if weights is None else []
    parts = ["" if weights is None else json.dumps(weights.to_dict(), sort_keys=True)]
    if weights is not None:
        parts.append(RANDOM_RECIPE if weights.is_random else "")
        files.append(folder / str(weights.manifest if weights.is_random else weights.file))
    parts += [sha256_of(path) for path in (record.graph_path, *files) if path.is_file()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def weight_files(graph: Path) -> tuple[Path, ...]:
    """The files beside a graph that hold its weights: an ONNX file's external data, the .bin of an OpenVINO .xml.
    ModelError where one is missing or outside of the graph's folder."""
    if graph.suffix.lower() == ".xml":
        weights = graph.with_suffix(".bin")
        if not weights.is_file():
            raise ModelError(
                f"{graph.name} has no weights {weights.name}", expected="the .bin beside its .xml", do="copy it there"
            )
        return (weights,)
    return () if graph.suffix.lower() == ".pt2" else external_data(check_onnx_file(graph))


def materialise(record: ModelRecord) -> Path:
    """An .onnx file that any runtime can open: the graph itself, or its copy in the cache with float32 weights.

    The copy is made once per content of graph and weights. Raises ModelError; also for a graph without a record of its
    weights that keeps some outside of its folder.
    """
    graph = record.graph_path
    if not graph.is_file():
        raise ModelError(f"graph {graph} of {record.path} is not found", expected="an .onnx file", do="check `graph`")
    if record.weights is None:
        weight_files(graph)
        return graph

    def fill(folder: Path) -> None:
        write_weights_bin(load_weights(record), folder / "weights.bin")
        shutil.copyfile(graph, folder / graph.name)

    return in_cache("graphs", fingerprint(record)[:24], fill) / graph.name


def in_cache(kind: str, name: str, fill: Callable[[Path], object]) -> Path:
    """The folder of this kind and name in the cache, which `fill` is given to write where it is not there yet.

    Two processes may do it at the same time. ModelError where the cache cannot be written.
    """
    folder = cache_folder() / kind / name
    if folder.is_dir():
        return folder
    errors = os_errors(
        ModelError,
        f"cache folder {cache_folder()} cannot be written",
        expected="room for the network's float32 weights",
        do="free it, or set SEGTWEEN_CACHE to another folder",
    )
    with errors, whole_folder(folder) as part:
        fill(part)
    return folder


def write_weights_bin(tensors: Mapping[str, NDArray[np.float32]], path: str | Path) -> dict[str, int]:
    """Write `weights.bin` as the graph's external data; returns where each tensor begins, in bytes."""
    offsets, _ = aligned_offsets({key: value.size * 4 for key, value in tensors.items()})
    with open(path, "wb") as file:
        for key, offset in offsets.items():
            file.write(b"\0" * (offset - file.tell()))
            file.write(np.ascontiguousarray(tensors[key], "<f4").tobytes())
    return offsets
