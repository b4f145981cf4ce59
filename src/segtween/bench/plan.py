"""What is timed and how: sizes, intervals, repetitions, rates; each checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segtween.bench.clip import STREET, check_clip, clip_frames
from segtween.build import has_stored_flow
from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.settings import Settings
from segtween.types import Rgb, SizeHW, format_size

LEAST_SIDE = 64
MOST_RATE = 1000.0
MOST_SECONDS = 86_400.0
WARM_UP_PERIODS = 2


class _OnFrames:
    size_hw: SizeHW
    clip: str

    def frames(self, part: int = 0) -> list[Rgb]:
        """What is timed: `clip.clip_frames`; each of several streams is a part of its own."""
        return clip_frames(self.clip, self.size_hw, part=part)


@dataclass(frozen=True)
class Plan(_OnFrames):
    """Frames of `size_hw`, of which `repeats` periods (a key frame and the frames after it) are timed at each of the
    `intervals`, after two that are not; `threads` 0 uses every processor. `against` names baselines that are
    interleaved with the method. `clip` is one of `clip.CLIPS` or a file. SettingError for sizes below 64x64, fewer than
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
