"""Puts the parts together: a preset's settings become an engine and its method record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from segtween.engine import Carry, Engine
from segtween.errors import SettingError
from segtween.flow import open_flow
from segtween.interfaces import CutDetector, FlowEstimator, Fusion, Segmenter
from segtween.ops.cpu import CpuOps
from segtween.refine.blend import ReliabilityBlend, Replace
from segtween.refine.identity import Identity
from segtween.schedule.cuts import NoCuts, ResidualCuts
from segtween.schedule.fixed import FixedInterval
from segtween.types import Method

DEFAULT_INTERVAL = 4


@dataclass(frozen=True)
class Settings:
    """What can be chosen of the method. The defaults are the preset `blend`.

    interval        non-key frames between key frames, 0 or more
    flow            flow estimator: dis, zero
    flow_effort     dis: ultrafast, fast, balanced, medium
    flow_stride     the flow grid's stride in pixels of the image; None: by image size
    fusion          at key frames: blend (with the carried history) or replace
    history_weight  blend: the history's share where it is wholly reliable, 0 or more, below 1
    cuts            whether a scene cut forces a key frame and drops the history
    carry           what is carried, on which grid, and how fast trust fades
    """

    interval: int = DEFAULT_INTERVAL
    flow: str = "dis"
    flow_effort: str = "balanced"
    flow_stride: int | None = None
    fusion: Literal["blend", "replace"] = "blend"
    history_weight: float = 0.5
    cuts: bool = True
    carry: Carry = field(default_factory=Carry)

    def __post_init__(self) -> None:
        FixedInterval(self.interval)
        ReliabilityBlend(weight=self.history_weight)
        if self.fusion not in ("blend", "replace"):
            raise SettingError(f"fusion {self.fusion!r}", expected="blend or replace", do="choose one of these")

    def at(self, interval: int) -> Settings:
        """The same settings at another interval."""
        return replace(self, interval=interval)


PRESETS: dict[str, Settings] = {
    "blend": Settings(),
    "warp": Settings(fusion="replace"),
}


def find_preset(name: str) -> Settings:
    """A named group of settings; SettingError lists the names."""
    if name not in PRESETS:
        raise SettingError(f"preset {name!r}", expected=f"one of {', '.join(PRESETS)}", do="choose one of these")
    return PRESETS[name]


def build_flow(settings: Settings) -> FlowEstimator:
    return open_flow(settings.flow, effort=settings.flow_effort, stride=settings.flow_stride)


def build_engine(
    segmenter: Segmenter, settings: Settings, *, ops: CpuOps | None = None, flow: FlowEstimator | None = None
) -> Engine:
    """An engine of its own parts; `ops` and `flow` may be shared by engines that run one after the other."""
    fusion: Fusion = ReliabilityBlend(weight=settings.history_weight) if settings.fusion == "blend" else Replace()
    cuts: CutDetector = ResidualCuts() if settings.cuts else NoCuts()
    return Engine(
        segmenter,
        flow or build_flow(settings),
        ops=ops or CpuOps(),
        schedule=FixedInterval(settings.interval),
        fusion=fusion,
        refiner=Identity(),
        cuts=cuts,
        carry=settings.carry,
    )


def build_plain(segmenter: Segmenter, *, ops: CpuOps | None = None) -> Engine:
    """The plain network on every frame: no flow, no memory."""
    settings = Settings(interval=0)
    return Engine(
        segmenter,
        None,
        ops=ops or CpuOps(),
        schedule=FixedInterval(0),
        fusion=Replace(),
        refiner=Identity(),
        cuts=NoCuts(),
        carry=settings.carry,
    )


def method(engine: Engine, *, name: str) -> Method:
    """The record of everything that changes an engine's numbers. Sources and sinks do not."""
    from segtween._version import __version__

    return Method(name, {"segtween": __version__, **engine.describe()})
