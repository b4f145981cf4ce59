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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError, SinkError, os_errors
from segtween.labels import CAMVID11, CITYSCAPES19
from segtween.street.clip import Density, StreetClip, StreetFrame, check_settings
from segtween.texttable import count
from segtween.types import Progress, SizeHW, format_size, steps

CITY = "street"
CLIP_FRAMES, LABELLED_INDEX = 30, 19
CAMERA_RATE = 30
"""CamVid numbers its frames at 30 Hz."""

MARK = "street.json"


@dataclass(frozen=True)
class Drives:
    """Which drives are rendered and how they are stored.

    seed        the first clip's; each further clip has the next one
    clips       how many
    frames      of each clip
    size_hw     of the frames
    frame_rate  at which the world is looked at
    truth       whether exact flow and occlusion are stored as well
    traffic     how much there is, as `StreetClip` takes it
    split       the folder's name, and the list's
    """

    seed: int = 1
    clips: int = 1
    frames: int = 30
    size_hw: SizeHW = (360, 480)
    frame_rate: Fraction = Fraction(15)
    truth: bool = True
    split: str = "val"
    traffic: Density = "normal"

    def check(self, every: int = 1) -> None:
        """SettingError for values that nothing can be rendered with."""
        for name, value in (("clips", self.clips), ("frames", self.frames), ("every", every)):
            if not isinstance(value, int) or value < 1:
                raise SettingError(
                    f"{name} is {value!r}", expected="a whole number of 1 or more", do=f"choose other {name}"
                )
        check_settings(seed=self.seed, size_hw=self.size_hw, frame_rate=self.frame_rate, frames=self.frames,
                       traffic=self.traffic)  # fmt: skip

    def record(self, layout: str, rate: Fraction) -> dict[str, Any]:
        """What `street.json` says of them."""
        return {
            "layout": layout,
            "seeds": [self.seed, self.seed + self.clips - 1],
            "frames_per_clip": self.frames,
            "size": format_size(self.size_hw),
            "frame_rate": str(rate),
            "truth": self.truth,
            "traffic": self.traffic,
        }

    def render(self, rate: Fraction, progress: Progress | None) -> Iterator[tuple[int, StreetFrame]]:
        """The frames of all clips, each with its clip's seed; `progress(done, total)` counts frames."""
        step = steps(progress, self.clips * self.frames)
        for seed in range(self.seed, self.seed + self.clips):
            clip = StreetClip(seed, size_hw=self.size_hw, frame_rate=rate, frames=self.frames, traffic=self.traffic)
            for frame in clip:
                yield seed, frame
                step()


class FrameWriter(Protocol):
    """Writes something of its own of every frame, such as a film."""

    def write(self, seed: int, frame: StreetFrame) -> None: ...
    def close(self) -> None:
        """After the last frame of the last clip."""


OpenWriter = Callable[[Path], FrameWriter]
"""(the folder that is being filled) -> what writes into it besides."""

CAMVID_DRIVES = Drives()
CITYSCAPES_DRIVES = Drives(frames=CLIP_FRAMES, size_hw=(512, 1024), frame_rate=Fraction(17))


def write_camvid(
    out: str | Path,
    drives: Drives = CAMVID_DRIVES,
    *,
    every: int = 1,
    overwrite: bool = False,
    also: OpenWriter | None = None,
    progress: Progress | None = None,
) -> None:
    """Drives whose frames are all labelled, with CamVid's 11 ids.

    `every` writes each so many-th frame only; flow then leads to the frame written before. Frame numbers count at
    30 Hz where that is possible, so that readers find the true frame rate. `also` opens a writer for the folder that
    gets every frame too. `progress(done, total)` counts frames. Raises SettingError, and SinkError where `out` holds
    something or cannot be written.
    """
    drives.check(every)
    rate, split, truth = Fraction(drives.frame_rate) / every, drives.split, drives.truth
    spacing = Fraction(CAMERA_RATE) / rate
    step = int(spacing) if spacing.denominator == 1 else 1
    with _whole(Path(out), overwrite=overwrite, record=drives.record("camvid", rate)) as root:
        lines = []
        for folder in (root / split, root / f"{split}annot", *([root / "flow"] if truth else [])):
            folder.mkdir(parents=True)
        for seed, frame in _each(drives.render(rate, progress), also, root):
            name = f"S{seed:04d}_{frame.index * step:05d}"
            _png(root / split / f"{name}.png", frame.rgb)
            _png(root / f"{split}annot" / f"{name}.png", CAMVID11.encode(frame.camvid11))
            if truth:
                _truth(root / "flow" / f"{name}.npz", frame)
            lines.append(f"{split}/{name}.png {split}annot/{name}.png\n")
        (root / f"{split}.txt").write_text("".join(lines), encoding="utf-8")


def write_cityscapes(
    out: str | Path,
    drives: Drives = CITYSCAPES_DRIVES,
    *,
    dense: bool = False,
    overwrite: bool = False,
    also: OpenWriter | None = None,
    progress: Progress | None = None,
) -> None:
    """Drives with Cityscapes' labelIds at index 19 of every 30 frames, or at every frame if `dense`.

    Otherwise as `write_camvid`.
    """
    drives.check()
    if not dense and drives.frames <= LABELLED_INDEX:
        raise SettingError(
            f"clips of {count(drives.frames, 'frame')}",
            expected=f"{LABELLED_INDEX + 1} or more, because frame {LABELLED_INDEX} is the labelled one",
            do="give more frames or label all of them (dense)",
        )
    rate, truth = Fraction(drives.frame_rate), drives.truth
    record = {**drives.record("cityscapes", rate), "dense": dense}
    with _whole(Path(out), overwrite=overwrite, record=record) as root:
        images, labels, flows = (root / top / drives.split / CITY for top in ("leftImg8bit_sequence", "gtFine", "flow"))
        for folder in (images, labels, *([flows] if truth else [])):
            folder.mkdir(parents=True)
        for seed, frame in _each(drives.render(rate, progress), also, root):
            name = f"{CITY}_{seed:06d}_{frame.index:06d}"
            _png(images / f"{name}_leftImg8bit.png", frame.rgb)
            if dense or frame.index % CLIP_FRAMES == LABELLED_INDEX:
                _png(labels / f"{name}_gtFine_labelIds.png", CITYSCAPES19.encode(frame.cityscapes19))
            if truth:
                _truth(flows / f"{name}.npz", frame)


def _each(
    frames: Iterator[tuple[int, StreetFrame]], also: OpenWriter | None, root: Path
) -> Iterator[tuple[int, StreetFrame]]:
    """The frames, each shown to the other writer as well."""
    if also is None:
        yield from frames
        return
    writer = also(root)
    try:
        for seed, frame in frames:
            writer.write(seed, frame)
            yield seed, frame
    finally:
        writer.close()


@contextmanager
def _whole(out: Path, *, overwrite: bool, record: dict[str, Any]) -> Iterator[Path]:
    """A folder to fill that becomes `out` when all went well, and vanishes when not."""
    place = Path(os.path.realpath(out))  # a link stays one
    part = place.parent / f".{place.name}.part"
    errors = os_errors(
        SinkError,
        f"{out} cannot be written",
        expected="a folder that may be written to, with room on its disk",
        do="choose another folder or free some space",
    )
    with errors:
        _check_out(out, overwrite=overwrite)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            (part / MARK).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            if place.exists():
                shutil.rmtree(place)
            os.replace(part, place)
        finally:
            shutil.rmtree(part, ignore_errors=True)


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
