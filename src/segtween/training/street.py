"""Frames of the synthetic street as files, rendered once."""

from __future__ import annotations

import hashlib
import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from segtween.errors import SettingError, SinkError
from segtween.labels import LabelSet
from segtween.training.recipe import Source

CAMERA_RATE = 15
RENDERED = ("camvid11", "cityscapes19")


def render(source: Source, labels: LabelSet, *, cache: Path) -> tuple[tuple[Path, Path], ...]:
    """Image and label files of every clip of a source, clip by clip; labels hold the label set's ids.

    Files stand in a folder that is named by size, stride, label set and the renderer's own code, so that a changed
    renderer does not meet old frames. SettingError for a label set that streets are not rendered with.
    """
    if labels.name not in RENDERED:
        raise SettingError(
            f"labels is {labels.name!r}, with a source of kind street",
            expected=f"one of {', '.join(RENDERED)}",
            do="leave the street source out or choose another label set",
        )
    folder = cache / f"street-{source.size}-{source.stride}-{labels.name}-{_renderer_hash()}"
    seeds = range(source.seeds[0], source.seeds[1] + 1)
    files = {s: [_pair(folder, s, i) for i in range(source.frames)] for s in seeds}
    missing = [s for s, pairs in files.items() if not all(label.is_file() for _, label in pairs)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        console = Console(stderr=True)
        for seed in track(missing, f"rendering {source.name}", console=console, disable=not console.is_terminal):
            _render_clip(seed, source, labels, files[seed])
    except OSError as error:
        raise SinkError(
            f"cache folder {folder} cannot be written ({error.strerror})",
            expected="a writable folder with some room",
            do="give another --out",
        ) from None
    return tuple(pair for pairs in files.values() for pair in pairs)


def _pair(folder: Path, seed: int, index: int) -> tuple[Path, Path]:
    stem = f"{seed:06d}_{index:04d}"
    return folder / f"{stem}.png", folder / f"{stem}_labels.png"


def _render_clip(seed: int, source: Source, labels: LabelSet, pairs: list[tuple[Path, Path]]) -> None:
    from segtween.datasets.street import StreetClip

    # A slower camera sees the same drive in longer steps.
    rate = Fraction(CAMERA_RATE, source.stride)
    clip = StreetClip(seed, size_hw=source.size_hw, frame_rate=rate, frames=source.frames)
    for frame, (image, label) in zip(clip, pairs, strict=True):
        _write(image, cv2.cvtColor(frame.rgb, cv2.COLOR_RGB2BGR))
        _write(label, labels.encode(frame.camvid11 if labels.name == "camvid11" else frame.cityscapes19))


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data.tobytes())
    os.replace(part, path)


def _renderer_hash() -> str:
    import segtween.datasets.street as street

    digest = hashlib.sha256()
    for path in sorted(Path(street.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
