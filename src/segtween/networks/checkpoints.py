"""Weights as others have published them: read without ever running code, their names unified.

Known forms: a plain state dict; a dict that holds one or several (`state_dict`, `state_dict_of`, `model`, ...) beside
plain values such as the epoch; safetensors. Each state dict is a *part* of the checkpoint.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from segtween.errors import ModelError, SettingError
from segtween.models.published import where_published
from segtween.models.weights import sha256_of

State = dict[str, Tensor]
ONLY_PART = "state_dict"  # the name of a plain state dict's only part
WRAPPERS = ("module.", "_orig_mod.", "model.")  # DataParallel, torch.compile, trainers
OLDER_GUIDED = ("ideal_dk.", "intra_net.", "guide.")  # the guided convolution saved without its outer module
METADATA = "segtween"  # of our safetensors: one JSON string, so that equal files have equal bytes


@dataclass(frozen=True)
class Checkpoint:
    """A file's state dicts by part, keys without wrappers' prefixes, and the plain values stored with them."""

    path: Path
    form: str
    parts: Mapping[str, State]
    facts: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        return sha256_of(self.path)

    def part(self, name: str | None = None) -> tuple[str, State]:
        """The part of that name, or the only one; SettingError if there is no such part, or a choice."""
        if name is None and len(self.parts) == 1:
            name = next(iter(self.parts))
        if name is None or name not in self.parts:
            raise SettingError(
                f"{self.path} has the parts {', '.join(self.parts)}" + ("" if name is None else f", not {name!r}"),
                expected="one of these",
                do="choose with part=",
            )
        return name, self.parts[name]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a torch or safetensors file. Nothing in it is run.

    Raises ModelError for a file that is not found, damaged, of another kind, holds no weights, or would need code
    to be run.
    """
    path = Path(path)
    head = _first_bytes(path)
    if head[8:9] == b"{":
        form, stored, facts = "safetensors", *_read_safetensors(path)
    elif head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        form, stored = "torch", _read_torch(path)
        facts = _plain_values(stored)
    else:
        raise _no_weights(path, head)
    parts = _parts(stored)
    if not parts:
        raise ModelError(f"checkpoint {path} holds no state dict", expected="keys and tensors", do="save one")
    return Checkpoint(path, form, {name: plain_names(state) for name, state in parts.items()}, facts)


def plain_names(state: Mapping[str, Tensor]) -> State:
    """Keys without the prefixes that wrappers put before all of them, and with the one that older files lack."""
    keys = dict(state)
    while wrapper := next((w for w in WRAPPERS if all(key.startswith(w) for key in keys)), None):
        keys = {key[len(wrapper) :]: value for key, value in keys.items()}
    if all(key.startswith(OLDER_GUIDED) for key in keys):
        keys = {f"grm.{key}": value for key, value in keys.items()}
    return keys


def _first_bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise ModelError(
            f"checkpoint {path} is not found" if missing else f"checkpoint {path} cannot be read ({error.strerror})",
            expected="a torch or safetensors file",
            do=where_published(path) if missing else "check the path",
        ) from None


def _no_weights(path: Path, head: bytes) -> ModelError:
    what = "is neither a torch nor a safetensors file"
    if not head:
        what = "is empty"
    elif head.lstrip()[:1] == b"<":
        what = "is a web page, not the file behind it"
    elif head.startswith(b"version https://git-lfs"):
        what = "is a Git LFS pointer, not the file itself"
    return ModelError(f"checkpoint {path} {what}", expected="a torch or safetensors file", do="download it again")


def _damaged(path: Path, reason: object) -> ModelError:
    first = (str(reason).splitlines() or [type(reason).__name__])[0][:80]
    return ModelError(
        f"checkpoint {path} is damaged or cut off ({first})", expected="the whole file", do="download it again"
    )


def _read_safetensors(path: Path) -> tuple[State, dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
    except SafetensorError as error:
        raise _damaged(path, error) from None
    try:
        own = json.loads(metadata.get(METADATA, "{}"))
    except ValueError as error:
        raise _damaged(path, error) from None
    return state, {**{k: v for k, v in metadata.items() if k != METADATA}, **own}


def _read_torch(path: Path) -> Any:
    try:
        with plain_containers(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a pickle protocol that torch.save does not choose by itself
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, error) from None
    except Exception as error:  # torch raises many kinds for a damaged file
        if "TorchScript" in str(error):
            raise ModelError(
                f"checkpoint {path} carries code (TorchScript), which was not run",
                expected="tensors and plain values only",
                do="have its author save its state_dict() alone",
            ) from None
        raise _damaged(path, error) from None


def plain_containers() -> AbstractContextManager[Any]:
    """Lets `torch.load` accept, besides tensors, what holds plain values alone: NumPy scalars, parsed arguments."""
    scalar = np.float64(0).__reduce__()[0]
    kinds: list[Any] = [argparse.Namespace, np.dtype, *(type(np.dtype(t)) for t in ("f4", "f8", "i4", "i8", "b1"))]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return cast(AbstractContextManager[Any], torch.serialization.safe_globals([*kinds, *named]))


def _refused(path: Path, error: Exception) -> ModelError:
    """Why torch would not unpickle a file: because of what it asked for, how it is written, or damage."""
    message = str(error)
    # A built-in function stands there without its module.
    if code := re.search(r"(?:GLOBAL (?=\w)|(?:Unsupported class|class) (?=\w+\.))([A-Za-z_]\w*(?:\.\w+)*)", message):
        return ModelError(
            f"checkpoint {path} carries code ({code[1]}), which was not run",
            expected="tensors and plain values only",
            do="get another file, or have its author save its state_dict() alone",
        )
    if re.search(r"Unsupported operand|Can only|Trying to|blocklisted|not allowed", message):
        return ModelError(
            f"checkpoint {path} is pickled in a way that could run code, so it was not read",
            expected="what torch.save writes by itself (pickle protocol 2)",
            do="have its author save its state_dict() again",
        )
    return _damaged(path, error)


def _plain_values(stored: Any) -> dict[str, Any]:
    """Numbers and texts stored with the state dicts."""
    values: dict[str, Any] = {}
    for key, value in stored.items() if isinstance(stored, dict) and not _is_state(stored) else ():
        if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.ndim == 0):
            value = value.item()
        if isinstance(value, (bool, int, float, str)):
            values[str(key)] = value
    return values


def _parts(stored: Any) -> dict[str, State]:
    if _is_state(stored):
        return {ONLY_PART: stored}
    if not isinstance(stored, dict):
        return {}
    parts = {str(key): value for key, value in stored.items() if _is_state(value)}
    tensors = {key: value for key, value in stored.items() if isinstance(value, Tensor) and value.ndim > 0}
    return parts or ({ONLY_PART: tensors} if _is_state(tensors) else {})


def _is_state(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return False
    return all(isinstance(k, str) and isinstance(v, Tensor) for k, v in value.items())
