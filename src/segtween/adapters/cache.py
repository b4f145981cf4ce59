"""Where exported networks are kept, and by which key; torch is not needed to find one."""

from __future__ import annotations

import contextlib
import hashlib
from importlib.metadata import PackageNotFoundError, version

from segtween.models.records import RECORD_FILE
from segtween.models.weights import cache_folder

KIND = "exports"
LIBRARIES = ("torch", "torchvision", "transformers", "timm", "segmentation-models-pytorch")


def versions() -> dict[str, str]:
    """Those of the libraries that are here."""
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
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
