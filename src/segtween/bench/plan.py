"""What is timed and how: sizes, intervals, repetitions, rates; each checked when it is made."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np

from segtween import street
from segtween.build import has_stored_flow
from segtween.errors import SettingError, unknown
from segtween.interfaces import Segmenter
from segtween.models.weights import cache_folder
from segtween.settings import Settings
from segtween.texttable import count
from segtween.types import Rgb, SizeHW, format_size
from segtween.validation import whole_file

LEAST_SIDE = 64
MOST_RATE = 1000.0
MOST_SECONDS = 86_400.0
WARM_UP_PERIODS = 2
CLIP_FRAMES = 8
STREET, TEXTURED = "street", "textured"
CLIPS = (STREET, TEXTURED)
STREET_SEED, STREET_RATE, STREET_START = 7, Fraction(15), 30
"""The drive of the demo, two seconds after its beginning, at the speed of the traffic."""


class _OnFrames:
    size_hw: SizeHW
    clip: str

    def frames(self, part: int = 0) -> list[Rgb]:
        """What is timed: `clip_frames`; each of several streams is a part of its own."""
        return clip_frames(self.clip, self.size_hw, part=part)


@dataclass(frozen=True)
class Plan(_OnFrames):
    """Frames of `size_hw`, of which `repeats` periods (a key frame and the frames after it) are timed at each of the
    `intervals`, after two that are not; `threads` 0 uses every processor. `against` names baselines that are
    interleaved with the method. `clip` is one of `CLIPS` or a file. SettingError for sizes below 64x64, fewer than
    one repeat and an unknown clip."""

    size_hw: SizeHW
    intervals: Sequence[int] = ()
    repeats: int = 7
    threads: int = 0
    against: Sequence[str] = ()
    clip: str = STREET

    def __post_init__(self) -> None:
        check_clip(self.clip)
        if self.repeats < 1 or min(self.size_hw) < LEAST_SIDE:
            raise SettingError(
                f"{self.repeats} repeats on frames of {format_size(self.size_hw)}",
                expected=f"1 repeat or more, frames of at least {LEAST_SIDE}x{LEAST_SIDE} (width x height)",
                do="give larger numbers",
            )

    @property
    def above(self) -> list[int]:
        """The intervals above 0, in order; interval 0 is the network on every frame, which is always timed."""
        return sorted(set(self.intervals) - {0})

    @property
    def periods(self) -> int:
        return WARM_UP_PERIODS + self.repeats


@dataclass(frozen=True)
class RatePlan(_OnFrames):
    """Frames of `size_hw` that come at `rate` per second for `seconds`, whether they are waited for or not.

    SettingError for sizes below 64x64, a rate that is not above 0 and at most 1000, less than one frame in all, more
    than a day, and an unknown clip.
    """

    size_hw: SizeHW
    rate: float
    seconds: float
    threads: int = 0
    clip: str = STREET

    def __post_init__(self) -> None:
        check_clip(self.clip)
        in_range, least = 0 < self.rate <= MOST_RATE and 0 < self.seconds <= MOST_SECONDS, f"{LEAST_SIDE}x{LEAST_SIDE}"
        if not in_range or self.due < 1 or min(self.size_hw) < LEAST_SIDE:
            raise SettingError(
                f"{self.rate:g} frames per second for {self.seconds:g} s, of {format_size(self.size_hw)}",
                expected=f"a rate of up to {MOST_RATE:g}, 1 frame or more, at most a day, of at least {least}",
                do="correct rate, seconds or size",
            )

    @property
    def due(self) -> int:
        """How many frames come."""
        return round(self.rate * self.seconds) if self.rate > 0 else 0

    def in_time(self, latency_ms: Sequence[float], due: int) -> float:
        """Share of the `due` frames that came, 0..1, whose labels were there before the next frame came."""
        return sum(ms <= 1e3 / self.rate for ms in latency_ms) / due


def refuse_stored(segmenter: Segmenter, presets: Mapping[str, Settings]) -> None:
    """SettingError for stored scores and stored flow, which take no time."""
    if hasattr(segmenter, "select"):
        raise SettingError("stored scores cannot be timed", expected="a network", do="give a model NAME or FILE.onnx")
    for name, settings in presets.items():
        if has_stored_flow(settings):
            raise SettingError(
                f"stored flow {settings.flow} cannot be timed (preset {name})",
                expected="a flow estimator",
                do="give flow dis",
            )


# ── Clips ─────────────────────────────────────────────────────────────────────────────────────
#
# A few frames of a moving clip, played forwards and backwards, without end and without a cut. `street` is the synthetic
# street, whose regions are about as broken up as those of real video; it is rendered once and kept in the cache folder.
# `textured` is a picture in which everything is broken up: labels cost the most there.


FrameT = TypeVar("FrameT")


def check_clip(clip: str) -> str:
    """The clip itself; SettingError for what is neither one of `CLIPS` nor there to be read."""
    if clip not in CLIPS and not Path(clip).exists():
        raise unknown(f"clip {clip!r}", clip, CLIPS, also="a video or a folder of images", otherwise="correct the path")
    return clip


def clip_name(clip: str) -> str:
    """What tables call it: the name of one of `CLIPS`, or the file's without its folder."""
    return clip if clip in CLIPS else Path(clip).name


def clip_frames(clip: str, size_hw: SizeHW, *, part: int = 0) -> list[Rgb]:
    """`CLIP_FRAMES` RGB frames of `size_hw`. Each `part`, 0 and more, is another drive or picture; of a file it is what
    follows the part before, resized to `size_hw`.

    Raises SettingError for a file with too few frames, and SourceError for one that cannot be read.
    """
    if clip == STREET:
        return _street(size_hw, STREET_SEED + part)
    return moving_clip(size_hw, seed=part) if clip == TEXTURED else _of_file(clip, size_hw, part)


def is_at_hand(clip: str, size_hw: SizeHW) -> bool:
    """Whether a clip's first part needs no rendering, which takes long."""
    return clip != STREET or _kept_at(size_hw, STREET_SEED).is_file()


def moving_clip(size_hw: SizeHW, *, frames: int = CLIP_FRAMES, seed: int = 0) -> list[Rgb]:
    """RGB frames that look at a textured picture from a place moving by 0.4% of the width from frame to frame."""
    import cv2

    height, width = size_hw
    step = max(1, round(0.004 * width))
    rng = np.random.default_rng(seed)
    picture = np.zeros((height + step * frames, width + 2 * step * frames, 3), np.float32)
    for cell, strength in ((64, 110.0), (24, 90.0), (8, 55.0)):
        coarse = rng.random((picture.shape[0] // cell + 2, picture.shape[1] // cell + 2, 3), dtype=np.float32)
        picture += strength * cv2.resize(coarse, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    texture = np.clip(picture, 0, 255).astype(np.uint8)
    corners = [(step * i, 2 * step * i) for i in range(frames)]
    return [np.ascontiguousarray(texture[y : y + height, x : x + width]) for y, x in corners]


def to_and_fro(frames: Sequence[FrameT], position: int) -> FrameT:
    """The frame at a position of a clip that is played forwards and backwards without end."""
    at = position % (2 * len(frames) - 2)
    return frames[min(at, 2 * len(frames) - 2 - at)]


def _street(size_hw: SizeHW, seed: int) -> list[Rgb]:
    """From the cache folder, or rendered and, where that folder can be written, kept there."""
    path = _kept_at(size_hw, seed)
    with suppress(OSError, ValueError, KeyError, zlib.error):  # not there, or damaged
        values = np.frombuffer(zlib.decompress(path.read_bytes()), np.uint8)
        return list(np.cumsum(values.reshape(CLIP_FRAMES, *size_hw, 3), axis=2, dtype=np.uint8))
    drive = street.StreetClip(seed, size_hw=size_hw, frame_rate=STREET_RATE, frames=CLIP_FRAMES, start=STREET_START)
    frames = [frame.rgb.copy() for frame in drive]
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, writer=f".{os.getpid()}") as part:
            clip = np.stack(frames)
            clip[:, :, 1:] -= clip[:, :, :-1]  # differences to the pixel on the left pack to half the size
            part.write_bytes(zlib.compress(clip.data, 1))
    return frames


def _kept_at(size_hw: SizeHW, seed: int) -> Path:
    return cache_folder() / "clips" / f"street-{seed}-{format_size(size_hw)}-{street.renderer_version()}.zlib"


def _of_file(spec: str, size_hw: SizeHW, part: int) -> list[Rgb]:
    from segtween.segmenters.network import resize
    from segtween.video import open_source

    frames: list[Rgb] = []
    with closing(open_source(spec)) as source:
        for index, frame in enumerate(source):
            if index >= part * CLIP_FRAMES:
                frames.append(np.array(resize(frame.rgb, size_hw)))
            if len(frames) == CLIP_FRAMES:
                return frames
    raise SettingError(
        f"clip {Path(spec).name} of {count(part * CLIP_FRAMES + len(frames), 'frame')}",
        expected=f"{(part + 1) * CLIP_FRAMES} or more, {CLIP_FRAMES} for each stream",
        do="give a longer clip",
    )
