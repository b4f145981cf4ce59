"""Synthetic drives on disk, laid out as CamVid or as the Cityscapes sequences.

    CamVid:      <split>.txt (lines of `image label`), <split>/S<seed>_<number>.png,
                 <split>annot/S<seed>_<number>.png, flow/S<seed>_<number>.npz
    Cityscapes:  leftImg8bit_sequence/<split>/street/street_<seed>_<frame>_leftImg8bit.png,
                 gtFine/<split>/street/street_<seed>_<frame>_gtFine_labelIds.png,
                 flow/<split>/street/street_<seed>_<frame>.npz

Pictures are RGB, labels one channel of the data set's own ids. A truth file holds `flow` (H, W, 2) float32, the
backward flow to the file before, and `occlusion` (H, W) bool. `street.json` says how the folder was made. The folder
is made under another name and gets its own once it is whole.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError, SinkError
from segtween.labels import CAMVID11, CITYSCAPES19
from segtween.street.clip import StreetClip, StreetFrame, check_settings
from segtween.types import Progress, SizeHW, format_size

CITY = "street"
CLIP_FRAMES, LABELLED_INDEX = 30, 19
CAMERA_RATE = 30
"""CamVid numbers its frames at 30 Hz."""

MARK = "street.json"


def write_camvid(
    out: str | Path,
    *,
    seed: int = 1,
    clips: int = 1,
    frames: int = 30,
    size_hw: SizeHW = (360, 480),
    frame_rate: Fraction = Fraction(15),
    overwrite: bool = False,
    progress: Progress | None = None,
    every: int = 1,
    truth: bool = True,
    split: str = "val",
) -> None:
    """`clips` drives (seeds `seed`, `seed` + 1, ...) of `frames` frames each, all labelled with CamVid's 11 ids.

    `every` writes each so many-th frame only; flow then leads to the frame written before. Frame numbers count at
    30 Hz where that is possible, so that readers find the true frame rate. `progress(done, total)` counts frames.
    Raises SettingError, and SinkError where `out` holds something or cannot be written.
    """
    rate = _check(seed, clips, frames, size_hw, frame_rate, every)
    spacing = Fraction(CAMERA_RATE) / rate
    step = int(spacing) if spacing.denominator == 1 else 1
    record = _record("camvid", seed, clips, frames, size_hw, rate, truth)
    with _whole(Path(out), overwrite=overwrite, record=record) as root:
        lines = []
        for folder in (root / split, root / f"{split}annot", *([root / "flow"] if truth else [])):
            folder.mkdir(parents=True)
        for clip_seed, frame in _frames(seed, clips, frames, size_hw, rate, progress):
            name = f"S{clip_seed:04d}_{frame.index * step:05d}"
            _png(root / split / f"{name}.png", frame.rgb)
            _png(root / f"{split}annot" / f"{name}.png", CAMVID11.encode(frame.camvid11))
            if truth:
                _truth(root / "flow" / f"{name}.npz", frame)
            lines.append(f"{split}/{name}.png {split}annot/{name}.png\n")
        (root / f"{split}.txt").write_text("".join(lines), encoding="utf-8")


def write_cityscapes(
    out: str | Path,
    *,
    seed: int = 1,
    clips: int = 1,
    frames: int = CLIP_FRAMES,
    size_hw: SizeHW = (512, 1024),
    frame_rate: Fraction = Fraction(17),
    overwrite: bool = False,
    progress: Progress | None = None,
    dense: bool = False,
    truth: bool = True,
    split: str = "val",
) -> None:
    """`clips` drives with Cityscapes' labelIds at index 19 of every 30 frames, or at every frame if `dense`.

    Otherwise as `write_camvid`.
    """
    rate = _check(seed, clips, frames, size_hw, frame_rate, 1)
    if not dense and frames <= LABELLED_INDEX:
        raise SettingError(
            f"clips of {frames} frames",
            expected=f"{LABELLED_INDEX + 1} or more, because frame {LABELLED_INDEX} is the labelled one",
            do="give more frames or label all of them (dense)",
        )
    record = {**_record("cityscapes", seed, clips, frames, size_hw, rate, truth), "dense": dense}
    with _whole(Path(out), overwrite=overwrite, record=record) as root:
        images, labels, flows = (root / top / split / CITY for top in ("leftImg8bit_sequence", "gtFine", "flow"))
        for folder in (images, labels, *([flows] if truth else [])):
            folder.mkdir(parents=True)
        for clip_seed, frame in _frames(seed, clips, frames, size_hw, rate, progress):
            name = f"{CITY}_{clip_seed:06d}_{frame.index:06d}"
            _png(images / f"{name}_leftImg8bit.png", frame.rgb)
            if dense or frame.index % CLIP_FRAMES == LABELLED_INDEX:
                _png(labels / f"{name}_gtFine_labelIds.png", CITYSCAPES19.encode(frame.cityscapes19))
            if truth:
                _truth(flows / f"{name}.npz", frame)


def _check(seed: Any, clips: Any, frames: Any, size_hw: Any, frame_rate: Any, every: Any) -> Fraction:
    """Validates everything before the first frame; the rate of the frames that are written."""
    for name, value in (("clips", clips), ("frames", frames), ("every", every)):
        if not isinstance(value, int) or value < 1:
            raise SettingError(
                f"{name} is {value!r}", expected="a whole number of 1 or more", do=f"choose other {name}"
            )
    check_settings(seed=seed, size_hw=size_hw, frame_rate=frame_rate, frames=frames)
    return Fraction(frame_rate) / every


def _record(
    layout: str, seed: int, clips: int, frames: int, size_hw: SizeHW, rate: Fraction, truth: bool
) -> dict[str, Any]:
    return {
        "layout": layout,
        "seeds": [seed, seed + clips - 1],
        "frames_per_clip": frames,
        "size": format_size(size_hw),
        "frame_rate": str(rate),
        "truth": truth,
    }


def _frames(
    seed: int, clips: int, frames: int, size_hw: SizeHW, rate: Fraction, progress: Progress | None
) -> Iterator[tuple[int, StreetFrame]]:
    done = 0
    for clip_seed in range(seed, seed + clips):
        for frame in StreetClip(clip_seed, size_hw=size_hw, frame_rate=rate, frames=frames):
            yield clip_seed, frame
            done += 1
            if progress is not None:
                progress(done, clips * frames)


@contextmanager
def _whole(out: Path, *, overwrite: bool, record: dict[str, Any]) -> Iterator[Path]:
    """A folder to fill that becomes `out` when all went well, and vanishes when not."""
    part = out.parent / f".{out.name}.part"
    try:
        _check_out(out, overwrite=overwrite)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            (part / MARK).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            if out.exists():
                shutil.rmtree(out)
            os.replace(part, out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise SinkError(
            f"{out} cannot be written ({error.strerror or error})",
            expected="a folder that may be written to, with room on its disk",
            do="choose another folder or free some space",
        ) from None


def _check_out(out: Path, *, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise SinkError(
            f"{out} exists already",
            expected="a new or empty folder",
            do="add overwrite=True to replace it, or choose another",
        )
    if not (out / MARK).is_file():
        raise SinkError(
            f"{out} holds something else",
            expected=f"a folder that was written as a street, with its {MARK}",
            do="choose another folder: overwrite=True replaces streets only",
        )


def _png(path: Path, pixels: NDArray[np.uint8]) -> None:
    import cv2

    image = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    path.write_bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def _truth(path: Path, frame: StreetFrame) -> None:
    """An .npz file at the fastest compression: NumPy's own takes longer than the rendering."""
    with zipfile.ZipFile(path, "w") as file:
        for name, array in (("flow", frame.flow), ("occlusion", frame.occlusion)):
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            # A fixed date, so that the same drive gives the same bytes.
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            file.writestr(entry, content.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=1)
