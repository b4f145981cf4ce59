"""A mode with its schedule and propagation, the flow; and the presets, one row each.

What cannot go together cannot be written: only the causal mode takes an adaptive schedule, only composed flow is
matched by appearance, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from segtween.errors import SettingError, check_known
from segtween.texttable import count

if TYPE_CHECKING:
    from segtween.interfaces import Schedule
    from segtween.types import ScoreKind

DEFAULT_MODEL = "swiftnet-lite0.camvid"
DEFAULT_PRESET = "composed"
DEFAULT_INTERVAL = 4
MOST_DISTANCE = 30
MOST_DELAY = 120
"""Frames that scores may come late."""


# ── Schedules ─────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Fixed:
    """`interval` frames between key frames, 0 or more."""

    interval: int = DEFAULT_INTERVAL

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> Schedule:
        """A schedule of its own."""
        from segtween.schedule.fixed import FixedInterval

        return FixedInterval(self.interval)


@dataclass(frozen=True)
class Adaptive:
    """Key frames where propagated scores are no longer reliable (`schedule.adaptive`).

    budget          network runs per 100 frames
    target_ms       milliseconds per frame on average, instead of a budget
    interval        with neither: as many runs as at this interval
    least_distance  frames from a key frame to the next at least, 1 or more
    most_distance   and at most
    """

    budget: float | None = None
    target_ms: float | None = None
    interval: int = DEFAULT_INTERVAL
    least_distance: int = 1
    most_distance: int = MOST_DISTANCE

    def __post_init__(self) -> None:
        Fixed(self.interval)
        self.open()

    def open(self) -> Schedule:
        """A schedule of its own."""
        from segtween.schedule import adaptive

        by_interval = self.budget is None and self.target_ms is None
        return adaptive.Adaptive(
            budget=100 / (self.interval + 1) if by_interval else self.budget,
            target_ms=self.target_ms,
            least_distance=self.least_distance,
            most_distance=self.most_distance,
        )


# ── Propagation and refinement ────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Guided:
    """The published system's refinement by guided convolution (`refine.guided`), which may see the label map's `edge`.

    `weights` is a published checkpoint, a trained folder or a shipped name; None: the shipped ones for as many classes.
    """

    weights: str | None = None
    edge: bool = True


@dataclass(frozen=True)
class Composed:
    """Scores stay the key frame's own and are looked up along composed flow (`engine.state`).

    `most_cells`: the scores' own grid reduced to at most this many cells. `tolerance`: how fast reliability fades,
    r = exp(-(e / tolerance)^2) per frame, e being the motion's residual in grey levels. `match`: how well composed flow
    is matched by appearance (`ops.appearance`): none, fast, fine; None: fine in the bidirectional mode, else fast.
    """

    kind: ScoreKind = "logits"
    most_cells: int = 200_000
    tolerance: float = 10.0
    match: str | None = None


@dataclass(frozen=True)
class Resampled:
    """Scores go from frame to frame and are resampled in each (`engine.resample`); `tolerance` as in `Composed`."""

    kind: ScoreKind = "probabilities"
    most_cells: int = 40_000
    tolerance: float = 10.0


@dataclass(frozen=True)
class Published:
    """Resampled with the grid, coordinates and resizing of a published system, SwNet-seq (`ops.reference`)."""

    kind: ScoreKind = "logits"
    tolerance: float = 10.0
    refine: Guided | None = field(default_factory=Guided)

    def __post_init__(self) -> None:
        if self.refine is not None and self.kind != "logits":
            raise SettingError(
                f"refine='guided' of {self.kind}", expected="kind='logits', as it was trained", do="give it"
            )


Propagation = Composed | Resampled | Published


# ── Modes ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Causal:
    """A frame is labelled from itself and those before it (`engine.causal`)."""

    schedule: Fixed | Adaptive = field(default_factory=Fixed)
    propagation: Propagation = field(default_factory=Composed)


@dataclass(frozen=True)
class Delayed:
    """Causal, with asynchronous key frames: their scores arrive `frames` frames late, or as soon as they are there
    (auto), from a thread of their own (`engine.delayed`)."""

    frames: int | Literal["auto"]
    schedule: Fixed = field(default_factory=Fixed)
    propagation: Propagation = field(default_factory=Composed)

    def __post_init__(self) -> None:
        _check_delay(self.frames, self.schedule.interval)


def _check_delay(frames: int | str, interval: int) -> None:
    number = isinstance(frames, int) and not isinstance(frames, bool)
    if frames != "auto" and not (number and 1 <= int(frames) <= MOST_DELAY):
        expected = f"auto, or a whole number of frames from 1 to {MOST_DELAY}"
        raise SettingError(f"async_keys={frames}", expected=expected, do="give async_keys='auto', or leave it out")
    if frames != "auto" and int(frames) > interval + 1:
        raise SettingError(
            f"async_keys={frames} with interval={interval}",
            expected=f"at most {count(interval + 1, 'frame')}: one key frame is on its way at a time",
            do="lower async_keys=, or raise interval=",
        )


@dataclass(frozen=True)
class Bidirectional:
    """A frame between two key frames is read from both (`engine.bidirectional`), logits along composed flow; up to a
    period late. `most_cells`, `tolerance` and `match` as in `Composed`; `frames` as in `Delayed`, None: scores are used
    as soon as they are there, and the next key frame waits for them."""

    schedule: Fixed = field(default_factory=Fixed)
    most_cells: int = 200_000
    tolerance: float = 10.0
    match: str | None = None
    frames: int | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        if self.frames is not None:
            _check_delay(self.frames, self.schedule.interval)


Mode = Causal | Delayed | Bidirectional


@dataclass(frozen=True)
class Flow:
    """Optical flow.

    name     of `segtween.flow.FLOWS`, an .onnx or weight file of a flow network, or a folder of .flo or .npz files
    quality  dis: fast, balanced, fine; None: fine in the bidirectional mode, else balanced
    stride   the flow grid's stride in pixels of the image; None: by image size, 8 for networks
    weights  of a flow network: a published checkpoint, a trained folder or a shipped name
    """

    name: str = "dis"
    quality: str | None = None
    stride: int | None = None
    weights: str | None = None


@dataclass(frozen=True)
class Settings:
    """A method. `history_weight`: the history's share of a key frame's scores where it is wholly reliable, 0 or more,
    below 1. `cuts`: whether a scene cut makes a key frame and drops the history. `key_tta`: none, mirror or scales, the
    network's test-time augmentation at key frames (`segmenters.augmented`)."""

    mode: Mode = field(default_factory=Causal)
    flow: Flow = field(default_factory=Flow)
    history_weight: float = 0.5
    cuts: bool = True
    key_tta: Literal["none", "mirror", "scales"] = "none"

    def __post_init__(self) -> None:
        if not 0.0 <= self.history_weight < 1.0:
            raise SettingError(
                f"history_weight is {self.history_weight}", expected="0 or more, below 1", do="give history_weight=0.5"
            )

    @property
    def interval(self) -> int:
        """Frames between key frames; of an adaptive schedule, those whose network runs it may spend."""
        return self.mode.schedule.interval

    @property
    def is_adaptive(self) -> bool:
        return isinstance(self.mode.schedule, Adaptive)

    @property
    def is_bidirectional(self) -> bool:
        return isinstance(self.mode, Bidirectional)

    @property
    def delay(self) -> int | Literal["auto"] | None:
        """Frames that scores come late; None where frames wait for them."""
        return None if isinstance(self.mode, Causal) else self.mode.frames

    @property
    def propagation(self) -> Propagation:
        """Of a bidirectional mode, how either side is followed."""
        if isinstance(self.mode, Bidirectional):
            mode = self.mode
            return Composed(most_cells=mode.most_cells, tolerance=mode.tolerance, match=mode.match)
        return self.mode.propagation

    @property
    def quality(self) -> str:
        """The quality of flow: all of it in the bidirectional mode, unless another was asked for."""
        return self.flow.quality or ("fine" if self.is_bidirectional else "balanced")

    @property
    def match(self) -> str | None:
        """The quality of matching by appearance; None: there is none."""
        if not isinstance(self.propagation, Composed):
            return None
        match = self.propagation.match or "fine"
        return None if match == "none" else match

    def at(self, interval: int) -> Settings:
        """The same settings at another interval."""
        return replace(self, mode=replace(self.mode, schedule=replace(self.mode.schedule, interval=interval)))  # type: ignore[arg-type]

    def fixed(self, interval: int) -> Settings:
        """The same settings with a fixed interval."""
        return replace(self, mode=replace(self.mode, schedule=Fixed(interval)))

    def bidirectional(self) -> Settings:
        """The same with key frames on both sides. SettingError where that is not possible."""
        from segtween.settings.single import change

        return change(self, mode="bidirectional")


PRESETS: dict[str, Settings] = {
    "composed": Settings(),
    "blend": Settings(Causal(propagation=Resampled())),
    "warp": Settings(Causal(propagation=Resampled()), history_weight=0.0),
    "swnet-seq": Settings(Causal(propagation=Published()), flow=Flow("light"), history_weight=0.0, cuts=False),
}


def find_preset(name: str) -> Settings:
    """A named group of settings; SettingError lists the names."""
    check_known(f"preset {name!r}", name, PRESETS)
    return PRESETS[name]
