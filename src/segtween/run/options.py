"""What a run may be asked for: which outputs, and which part of the input is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any, Protocol

from segtween.engine import Engine
from segtween.errors import unknown
from segtween.labels import LabelSet
from segtween.run.comparison import ComparedFrame
from segtween.types import Frame, Method, Result, SourceInfo
from segtween.video import SaveOptions
from segtween.video.sinks import Film


class Compared(Protocol):
    """Another method to compare with, on a segmenter of its own, such as another `api.Segtween`."""

    @property
    def engine(self) -> Engine: ...
    @property
    def method(self) -> Method: ...
    @property
    def labels(self) -> LabelSet: ...


class Recorder(Protocol):
    """Watches the frames of one input as they are written, and has films of its own."""

    def films(self) -> Mapping[str, Film]: ...
    def add(self, frame: Frame, result: Result, flicker: float | None) -> None:
        """A frame that has been written; `flicker` is the share of its pixels that change back, 0..1."""


class OpenRecorder(Protocol):
    """Makes the recorder of one input; `compared` gives what another method makes of a frame, by its index."""

    def __call__(
        self, info: SourceInfo, labels: LabelSet, compared: Callable[[int], ComparedFrame] | None
    ) -> Recorder: ...


@dataclass(frozen=True)
class Outputs(SaveOptions):
    """What is written of each input: besides run.json what `video.SaveOptions` has fields for.

    report    whether temporal consistency and flicker are measured (`Summary.consistency`, run.json); takes longer
    compare   another method, filmed next to this one with the flicker of both below (`compare-<its name>.mp4`,
              `Summary.comparison`): one input only; takes longer
    recorder  watches every frame too, as a report does; flicker is measured then
    """

    report: bool = False
    compare: Compared | None = None
    recorder: OpenRecorder | None = None


@dataclass(frozen=True)
class Reading:
    """Which part of an input is read.

    start_seconds     where it begins
    duration_seconds  how much of it is read; None: all
    frame_rate        frames per second of images (25 unless given); for a video it stands in only where the rate is
                      asked for, timestamps stay
    motion_vectors    frames have the motion vectors of the video's coding, for flow that uses them
    """

    start_seconds: float = 0.0
    duration_seconds: float | None = None
    frame_rate: Fraction | float | str | None = None
    motion_vectors: bool = False

    def arguments(self) -> dict[str, Any]:
        """As `video.open_source` takes them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def with_options(outputs: Outputs | None, reading: Reading | None, options: dict[str, Any]) -> tuple[Outputs, Reading]:
    """Both, with the options that are fields of them; SettingError for one that is a field of neither."""
    ours = {kind: {field.name for field in fields(kind)} for kind in (Outputs, Reading)}
    for name in options:
        if not any(name in names for names in ours.values()):
            raise unknown(f"option {name!r}", name, sorted(set().union(*ours.values())))
    chosen = [{name: options[name] for name in names if name in options} for names in ours.values()]
    return replace(outputs or Outputs(), **chosen[0]), replace(reading or Reading(), **chosen[1])
