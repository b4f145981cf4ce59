"""Where exported networks are kept, and by which key; torch is not needed to find one."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from segtween.models.records import RECORD_FILE
from segtween.models.weights import cache_folder
from segtween.types import SizeHW

KIND = "exports"
FORMAT = "4"
"""Part of every digest: raised by hand when what is written changes."""
LIBRARIES = ("torch", "torchvision", "transformers", "timm", "segmentation-models-pytorch")


def versions(packages: Sequence[str] = LIBRARIES) -> dict[str, str]:
    """Those of the packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def key_of(digest: str) -> str:
    """A digest of the content, and of the libraries' versions."""
    return f"{digest}-{hashlib.sha256(repr(versions()).encode()).hexdigest()[:8]}"


def cached_key(digest: str) -> str | None:
    """The key of what was exported of this content: by the libraries of now, or, where torch is not here, by any."""
    found = sorted(cache_folder().joinpath(KIND).glob(f"{digest}-*/{RECORD_FILE}"), key=lambda p: p.stat().st_mtime)
    names = [path.parent.name for path in found]
    if key_of(digest) in names:
        return key_of(digest)
    return names[-1] if names and "torch" not in versions() else None


def digest_of_module(module: Any, size_hw: SizeHW | None) -> str:
    """24 digits that change with weights, structure, source text and size of a `torch.nn.Module`."""
    import torch

    digest = hashlib.sha256("\n".join([FORMAT, str(size_hw), repr(module), *_sources(module)]).encode())
    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:24]


def _sources(module: Any) -> list[str]:
    """The source text of every class among the modules, or its name where there is none."""
    texts = {}
    for kind in {type(part) for part in module.modules()}:
        place = f"{kind.__module__}.{kind.__qualname__}"
        try:
            texts[place] = inspect.getsource(kind)
        except (OSError, TypeError):
            texts[place] = place
    return [texts[place] for place in sorted(texts)]
