"""What can be chosen of the method, and the presets: one row each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from segtween.errors import SettingError, unknown

if TYPE_CHECKING:
    from segtween.interfaces import Schedule
    from segtween.types import ScoreKind

DEFAULT_MODEL = "swiftnet-lite0.camvid"
DEFAULT_PRESET = "composed"
DEFAULT_INTERVAL = 4
MOST_DISTANCE = 30
MOST_DELAY = 120
"""Frames that scores may come late."""


@dataclass(frozen=True)
class Carry:
    """What is propagated (`kind`), on which grid (`most_cells`: the scores' own grid reduced to at most so many
    cells), and how fast reliability fades: r = exp(-(e / tolerance)^2) per frame, e = how far the moved previous
    image is from the current one, in grey levels.

    With `resample` scores go from frame to frame and are resampled in each (`engine.resample`). Without, flow is
    composed since the key frame, and labels are read along it from the key frame's scores (`engine.state`)."""

    kind: ScoreKind = "probabilities"
    most_cells: int = 40_000
    tolerance: float = 10.0
    resample: bool = True


@dataclass(frozen=True)
class Settings:
    """What can be chosen of the method. The defaults are the preset `blend`; `DEFAULT_PRESET` is what commands take.

    interval        non-key frames between key frames, 0 or more
    schedule        which frames are key frames: fixed (by the interval), or adaptive (`schedule.adaptive.Adaptive`)
    budget          adaptive: network runs per 100 frames; None, with no target_ms: as many as at the interval
    target_ms       adaptive: milliseconds per frame on average, instead of a budget
    least_distance  adaptive: frames from a key frame to the next at least, 1 or more
    most_distance   adaptive: and at most
    flow            flow estimator: dis, zero; light, flownets, flownet2s (networks, see `weights`); an .onnx or
                    weight file of a flow network; a folder of .flo or .npz files
    flow_quality     dis: fast, balanced, fine; medium: OpenCV's; None: fine offline and for attention, else balanced
    flow_stride     the flow grid's stride in pixels of the image; None: by image size, 8 for networks
    fusion          at key frames: blend (with the carried history) or replace
    history_weight  blend: the history's share where it is wholly reliable, 0 or more, below 1
    cuts            whether a scene cut forces a key frame and drops the history
    carry           what is carried, on which grid, and how fast trust fades
    arrays          own: docs/conventions.md; reference: SwNet-seq's grid, coordinates and resizing
    refine          attention: what the key frame cannot know is borrowed from cells near by (without resampling);
                    guided: carried logits are repaired by a network (with arrays: reference); or none
    edge            guided: whether the label map's edge guides it
    offline         for files: a frame between two key frames uses both (`engine.bidirectional`). Logits are carried,
                    along paths; without refinement
    late            causal: a key frame's scores arrive so many frames late, from a thread of their own
                    (`segtween.engine.delayed`); auto: as soon as they are there; None or 0: the frame waits for them
    weights         of refinement and flow network: a published checkpoint, a trained folder, a shipped name; None: the
                    shipped ones for as many classes as the segmentation network has
    """

    interval: int = DEFAULT_INTERVAL
    schedule: Literal["fixed", "adaptive"] = "fixed"
    budget: float | None = None
    target_ms: float | None = None
    least_distance: int = 1
    most_distance: int = MOST_DISTANCE
    flow: str = "dis"
    flow_quality: str | None = None
    flow_stride: int | None = None
    fusion: Literal["blend", "replace"] = "blend"
    history_weight: float = 0.5
    cuts: bool = True
    carry: Carry = field(default_factory=Carry)
    arrays: Literal["own", "reference"] = "own"
    refine: Literal["none", "attention", "guided"] = "none"
    edge: bool = True
    weights: str | None = None
    offline: bool = False
    late: int | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        from segtween.models.component_search import FLOW_NETWORKS
        from segtween.refine.blend import ReliabilityBlend
        from segtween.schedule.fixed import FixedInterval

        FixedInterval(self.interval)
        self._check_schedule()
        ReliabilityBlend(weight=self.history_weight)
        choices = {
            "fusion": ("blend", "replace"),
            "arrays": ("own", "reference"),
            "refine": ("attention", "guided", "none"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise SettingError(
                    f"{name} {getattr(self, name)!r}", expected=" or ".join(known), do="choose one of these"
                )
        if self.weights is not None and self.refine == "none" and self.flow not in FLOW_NETWORKS:
            raise SettingError(
                f"weights {self.weights} with refine none and flow {self.flow}",
                expected="a refinement or flow network that takes them",
                do="give --preset swnet-seq or --flow light, or leave --weights out",
            )
        if self.offline and (self.refine == "guided" or self.arrays != "own"):
            raise SettingError(
                "the offline mode with a preset that works as the reference does",
                expected="a preset with arrays of our own and no refinement",
                do="give --preset composed, or leave --offline out",
            )
        if self.offline and self.schedule != "fixed":
            raise SettingError(
                f"the offline mode with schedule {self.schedule}",
                expected="a fixed interval",
                do="leave --schedule or --offline out",
            )
        if self.late not in (None, 0):
            self._check_delay()
            if isinstance(self.late, int) and self.schedule == "fixed" and self.late > self.interval + 1:
                raise SettingError(
                    f"async_keys {self.late} at interval {self.interval}",
                    expected=f"at most {self.interval + 1} frames: one key frame is on its way at a time",
                    do="lower the delay, or raise the interval",
                )
            if self.offline or self.schedule != "fixed":
                mode = "the offline mode" if self.offline else f"schedule {self.schedule}"
                raise SettingError(
                    f"late {self.late} with {mode}",
                    expected="frames that come one by one, and a fixed interval",
                    do="leave one of them out",
                )
        if self.refine == "attention" and (self.arrays != "own" or self.carry.resample):
            raise SettingError(
                "refine attention in a preset that resamples scores in each frame",
                expected="a preset that reads them along a path",
                do="give --preset composed or refined",
            )
        if not self.edge and self.refine != "guided":
            raise SettingError(
                "no edge without refinement", expected="refine guided, which may see one", do="leave --no-edge out"
            )
        if self.refine == "guided" and (self.arrays != "reference" or self.carry.kind != "logits"):
            raise SettingError(
                "guided refinement in a preset that does not carry logits as the reference does",
                expected="the grid that it was trained on",
                do="give --preset swnet-seq",
            )

    def _check_schedule(self) -> None:
        if self.schedule not in ("fixed", "adaptive"):
            raise SettingError(f"schedule {self.schedule!r}", expected="fixed or adaptive", do="choose one of these")
        bounded = (self.least_distance, self.most_distance) != (1, MOST_DISTANCE)
        if self.schedule == "fixed" and (self.budget is not None or self.target_ms is not None or bounded):
            raise SettingError(
                "a budget, a target or bounds on the distance with a fixed interval",
                expected="an adaptive schedule, which keeps to them",
                do="give --schedule adaptive, or leave them out",
            )
        self.open_schedule()

    def _check_delay(self) -> None:
        late = self.late
        if late != "auto" and not (isinstance(late, int) and not isinstance(late, bool) and 1 <= late <= MOST_DELAY):
            raise SettingError(
                f"async_keys {late}",
                expected=f"auto, or a whole number of frames from 1 to {MOST_DELAY}",
                do="give auto, or leave it out",
            )

    def open_schedule(self) -> Schedule:
        """A schedule of its own."""
        from segtween.schedule.adaptive import Adaptive
        from segtween.schedule.fixed import FixedInterval

        if self.schedule == "fixed":
            return FixedInterval(self.interval)
        by_interval = self.budget is None and self.target_ms is None
        return Adaptive(
            budget=100 / (self.interval + 1) if by_interval else self.budget,
            target_ms=self.target_ms,
            least_distance=self.least_distance,
            most_distance=self.most_distance,
        )

    @property
    def quality(self) -> str:
        """The quality for flow: where accuracy comes first all of it, or what was asked for."""
        return self.flow_quality or ("fine" if self.offline or self.refine == "attention" else "balanced")

    def at(self, interval: int) -> Settings:
        """The same settings at another interval."""
        return replace(self, interval=interval)

    def fixed(self, interval: int) -> Settings:
        """The same settings with a fixed interval."""
        return replace(
            self,
            interval=interval,
            schedule="fixed",
            budget=None,
            target_ms=None,
            least_distance=1,
            most_distance=MOST_DISTANCE,
        )


PRESETS: dict[str, Settings] = {
    "composed": Settings(carry=Carry(kind="logits", most_cells=200_000, resample=False)),
    "refined": Settings(carry=Carry(kind="logits", most_cells=200_000, resample=False), refine="attention"),
    "blend": Settings(),
    "warp": Settings(fusion="replace"),
    "swnet-seq": Settings(
        flow="light", fusion="replace", cuts=False, carry=Carry(kind="logits"), arrays="reference", refine="guided"
    ),
}


def find_preset(name: str) -> Settings:
    """A named group of settings; SettingError lists the names."""
    if name not in PRESETS:
        raise unknown(f"preset {name!r}", name, PRESETS)
    return PRESETS[name]
