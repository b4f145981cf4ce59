"""A synthetic street: endless, seeded drives with exact labels, flow and occlusion."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segtween.street.clip import StreetClip, StreetFrame
    from segtween.street.write import Drives, write_camvid, write_cityscapes

__all__ = ["Drives", "StreetClip", "StreetFrame", "renderer_version", "write_camvid", "write_cityscapes"]

_MODULES = {
    "Drives": "write",
    "StreetClip": "clip",
    "StreetFrame": "clip",
    "write_camvid": "write",
    "write_cityscapes": "write",
}


def renderer_version() -> str:
    """Eight digits that change with the renderer's code, for what is kept of its frames."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:8]


def __getattr__(name: str) -> Any:
    """Loads the renderer (and its compiler) on first use only."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
