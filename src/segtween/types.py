"""The values that packages hand to each other.

Conventions (one page: docs/conventions.md): images are RGB uint8 (H, W, 3); sizes in
code are (height, width), named `size_hw`; points and vectors are (x, y) with pixel
centres on integers; time is seconds in `pts_seconds`, durations of work are
milliseconds in `*_ms`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, partial
from numbers import Real
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtween._version import __version__
from segtween.errors import ScoresError, SettingError, SinkError

Rgb = NDArray[np.uint8]
"""(H, W, 3) uint8, red first."""

Labels = NDArray[np.uint8]
"""(H, W) uint8 train ids, 255 = ignore."""

Flow = NDArray[np.float32]
"""(h, w, 2) float32 backward flow (dx, dy) in pixels of its own grid:
current(x, y) = previous(x + dx, y + dy)."""

SizeHW = tuple[int, int]

Progress = Callable[[int, int | None], None]
"""Called as work goes on, mostly after every frame, with the steps done and, where known, all steps."""


def steps(progress: Progress | None, total: int | None) -> Callable[..., None]:
    """What is called after each step, or with the number of steps that were taken; it tells `progress`, if there is
    one, how many are done."""
    done = 0

    def step(taken: int = 1) -> None:
        nonlocal done
        done += taken
        if progress is not None:
            progress(done, total)

    return step


ScoreKind = Literal["probabilities", "logits"]
IGNORE = 255


def size_of(image: NDArray[Any]) -> SizeHW:
    """(H, W) of an array (H, W, ...)."""
    return image.shape[0], image.shape[1]


def format_size(size_hw: SizeHW) -> str:
    """Size for people: `2048x1024` (width x height)."""
    return f"{size_hw[1]}x{size_hw[0]}"


def covered(grid_hw: SizeHW, *, image_hw: SizeHW, spans_hw: SizeHW) -> SizeHW:
    """Of a grid over an image that was padded right and bottom to `spans_hw`: the rows and columns over the image
    itself, at least one of each."""
    rows, columns = (max(1, round(n * part / of)) for n, part, of in zip(grid_hw, image_hw, spans_hw, strict=True))
    return rows, columns


def check_rgb(rgb: Any) -> Rgb:
    """`rgb` itself if it is an image as the conventions say; SettingError otherwise."""
    if not isinstance(rgb, np.ndarray) or rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        shape, dtype = getattr(rgb, "shape", None), getattr(rgb, "dtype", type(rgb).__name__)
        raise SettingError(
            f"frame is {dtype} of shape {shape}",
            expected="an RGB image, uint8 of shape (height, width, 3)",
            do="convert it, for OpenCV images with cv2.cvtColor(image, cv2.COLOR_BGR2RGB)",
        )
    return rgb


def is_whole(value: Any, *, least: int, most: int | None = None) -> bool:
    """Whether a value is a whole number, `least` or more and at most `most`; True and False are none."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number and value >= least and (most is None or value <= most)


def check_seconds(pts_seconds: Any) -> float | None:
    """A frame's time as a float, None where it is not known; SettingError for what is no number."""
    if pts_seconds is None:
        return None
    if isinstance(pts_seconds, bool) or not isinstance(pts_seconds, Real):
        raise SettingError(
            f"pts_seconds is {pts_seconds!r}", expected="a number of seconds", do="give one, or leave it out"
        )
    return float(pts_seconds)


@dataclass(frozen=True, slots=True)
class MotionVectors:
    """What a video's coding says of the motion since the frame before, by blocks.

    blocks  (n, 4) int32: x, y, width, height of each block, in pixels of the frame; a block may reach over its edges
    flow    (n, 2) float32: the block's backward flow (dx, dy), in pixels of the frame
    """

    blocks: NDArray[np.int32]
    flow: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source. `index` counts from 0 within the part that is read; `vectors` are there where they were
    asked for and the video has them."""

    index: int
    pts_seconds: Fraction
    rgb: Rgb
    vectors: MotionVectors | None = None

    @property
    def size_hw(self) -> SizeHW:
        return self.rgb.shape[0], self.rgb.shape[1]

    def __repr__(self) -> str:
        return f"Frame({self.index}, pts_seconds={float(self.pts_seconds):.6f}, {format_size(self.size_hw)})"


FrameKey = str | int | Frame
"""Which frame comes next: its name or index, or, of a source, the frame itself."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its first frame is read.

    `frame_rate` is the container's average rate as an exact fraction, None where there is
    none; `n_frames` is None where it cannot be known (streams, standard input) and an estimate
    where only a part is read or the container holds no count; `audio_path`
    is the file whose sound belongs to the pictures, None without sound. `name` is fit to
    be a folder name. `time_base` is the unit of the timestamps, in seconds: every `pts_seconds` is a
    whole multiple of it. `end_seconds` is where reading stops by request, None = the end.
    """

    name: str
    path: str
    size_hw: SizeHW
    frame_rate: Fraction | None
    n_frames: int | None
    live: bool = False
    audio_path: str | None = None
    time_base: Fraction | None = None
    end_seconds: Fraction | None = None


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """Class scores to be propagated: float32 (C, h, w) on a grid that spans the image.

    `kind` says what the values are; a pixel of the grid covers image_hw / grid_hw pixels of the
    image, half-pixel-centred. Where the image was padded right and bottom, `spans_hw` is the padded
    size, which the grid spans.
    """

    values: NDArray[np.float32]
    kind: ScoreKind
    image_hw: SizeHW
    spans_hw: SizeHW | None = None

    def __post_init__(self) -> None:
        # Those of `segtween.device` are torch tensors, in a card's memory.
        if self.values.ndim != 3 or str(self.values.dtype) not in ("float32", "torch.float32"):
            raise ScoresError(
                f"propagated scores are {self.values.dtype} of shape {tuple(self.values.shape)}",
                expected="float32 of shape (classes, height, width)",
                do="convert them before they enter the engine",
            )

    @property
    def classes(self) -> int:
        return self.values.shape[0]

    @property
    def grid_hw(self) -> SizeHW:
        return self.values.shape[1], self.values.shape[2]

    @property
    def inside_hw(self) -> SizeHW:
        """The rows and columns of the grid that lie in the image."""
        return covered(self.grid_hw, image_hw=self.image_hw, spans_hw=self.spans_hw or self.image_hw)

    def confidence(self) -> NDArray[np.float32]:
        """(h, w) float32: the largest class probability of each cell that lies in the image."""
        rows, columns = self.inside_hw
        values = self.values[:, :rows, :columns]
        values = values if isinstance(values, np.ndarray) else values.cpu().numpy()
        top = values.max(axis=0)
        if self.kind == "probabilities":
            return np.minimum(top, np.float32(1.0))
        return np.float32(1.0) / np.exp(values - top).sum(axis=0)

    def __repr__(self) -> str:
        return (
            f"ScoreMap({self.kind}, {self.classes} classes on {format_size(self.grid_hw)} "
            f"of {format_size(self.image_hw)})"
        )


@dataclass(frozen=True, slots=True)
class LazyScores:
    """A frame's scores, computed by calling this; and what `Result.confidence` and `Result.mean_confidence` are, for
    which the scores need not be computed. Copies, and what is pickled, hold them computed: an engine cannot be copied.
    """

    make: Callable[[], ScoreMap]
    confidence: Callable[[], NDArray[np.float32]]
    mean_confidence: Callable[[], float]

    def __call__(self) -> ScoreMap:
        return self.make()

    def __reduce__(self) -> tuple[Any, ...]:
        return _computed, (self.make(), self.confidence(), self.mean_confidence())


def _computed(scores: ScoreMap, confidence: NDArray[np.float32], mean_confidence: float) -> LazyScores:
    return LazyScores(*(partial(_same, value) for value in (scores, confidence, mean_confidence)))


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """The colours of a frame, (h, w, 3) uint8 RGB, on the flow's grid (`fine`) and on one half as fine (`coarse`). In
    the memory of the device; nobody writes to them."""

    fine: NDArray[np.uint8]
    coarse: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How a frame moved since the one before, as values that any engine may be handed.

    view       (h, w) or (h, w, 3) uint8: what the flow estimator sees of the frame
    flow       (h, w, 2), leads from the frame to its neighbour, the frame before; None at a clip's first frame
    residual   (h, w) in grey levels: the photometric residual of the flow, 255 where it leads outside the image
    previous   the view of the frame before
    forward    the motion that leads the other way, from the frame before to this one, where it is known
    appearance the frame's colours, where flow is matched by them
    stages_ms  what it took, where it was estimated ahead of the engine
    """

    view: NDArray[np.uint8]
    flow: Flow | None = None
    residual: NDArray[np.float32] | None = None
    previous: NDArray[np.uint8] | None = None
    forward: Motion | None = None
    appearance: Appearance | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The engine's result for one frame.

    `labels` is (H, W) uint8 at the frame's own size. `scores` are those that go on to the next frame, or a
    function that computes them. `distance` counts frames since the last key frame, 0 at a key frame; where scores come
    late (`engine.delayed`), since the one whose scores are used, and `is_key` marks where they arrive. `is_cut` marks
    the first frame after a scene cut. `stages_ms` holds the time of each stage (prepare, segment,
    flow, propagate, refine, label).
    """

    index: int
    pts_seconds: float
    is_key: bool
    distance: int
    is_cut: bool
    labels: Labels
    scores: ScoreMap | Callable[[], ScoreMap]
    stages_ms: dict[str, float] = field(default_factory=dict)
    reliability: NDArray[np.float32] | None = None
    """(h, w) in 0..1, a grid over what the scores' grid spans: how reliable the scores propagated from the key frame
    are; None where the network has seen the frame, and in the offline mode."""

    @property
    def key_index(self) -> int:
        """The key frame whose scores the labels come from; offline, where there are two, the earlier one."""
        return self.index - self.distance

    @cached_property
    def score_map(self) -> ScoreMap:
        """The frame's scores on their grid. Computed when asked for."""
        return self.scores() if callable(self.scores) else self.scores

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """(h, w) float32 in 0..1 on the grid of `score_map`: the largest class probability. Computed when asked for."""
        return self.scores.confidence() if isinstance(self.scores, LazyScores) else self.score_map.confidence()

    @cached_property
    def mean_confidence(self) -> float:
        """The mean of the confidence, 0..1, for a fraction of its work. Computed when asked for.

        Between key frames it is the mean of the key frame's confidence where the composed flow leads; where a frame is
        read from two key frames, that of `confidence` over every second cell of every second row.
        """
        if isinstance(self.scores, LazyScores):
            return self.scores.mean_confidence()
        return float(self.confidence.mean(dtype=np.float64))

    def __repr__(self) -> str:
        kind = "key" if self.is_key else f"distance {self.distance}"
        return f"Result({self.index}, {kind}, labels {format_size((self.labels.shape[0], self.labels.shape[1]))})"


MODES = {"causal": "online", "bidirectional": "offline"}
"""What people call a mode."""
BOTH_SIDES = ", bidirectional"
"""How the name of a method ends whose mode is not the usual one."""


def method_name(preset: str, *, changed: bool = False, bidirectional: bool = False) -> str:
    """The preset's name, with a star where single settings differ, and the mode where it is not the usual one."""
    return f"{preset}{'*' if changed else ''}{BOTH_SIDES if bidirectional else ''}"


@dataclass(frozen=True)
class Method:
    """Everything that changes the numbers, under one name and one hash.

    Two results may stand in one table only if their hashes are equal. `record` holds plain
    JSON values. The package's version is stored next to the hash, not in it: an upgrade that changes no number makes
    no measurement void.
    """

    name: str
    record: dict[str, Any]

    @property
    def hash(self) -> str:
        text = json.dumps({"name": self.name, **self.record}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def mode(self) -> str:
        """causal or bidirectional; the record names the latter alone."""
        return str(self.record.get("mode", "causal"))

    @property
    def mode_word(self) -> str:
        """online or offline."""
        return MODES[self.mode]

    def to_json(self) -> dict[str, Any]:
        own = {"name": self.name, "mode": self.mode, **self.record}
        return {**own, "hash": self.hash, "segtween": __version__}


@dataclass
class OutputState:
    """The outcome of one output, a file or folder `name`: `frames` frames are in it under its final name; `error`
    ended it early or spoiled it."""

    name: str
    frames: int = 0
    error: SinkError | None = None


@dataclass
class OutputReport:
    """The outcomes of all outputs of a run; `notes` say what was left out or changed (a sound track), one line each."""

    outputs: list[OutputState] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def failed(self) -> list[OutputState]:
        return [output for output in self.outputs if output.error is not None]

    @property
    def finished(self) -> list[OutputState]:
        """Those that are whole under their final names."""
        return [output for output in self.outputs if output.error is None and output.frames]

    def note(self, text: str) -> None:
        """Each line once, however many outputs say it."""
        if text not in self.notes:
            self.notes.append(text)

    def error(self) -> SinkError | None:
        """One error that names every output that failed and why, once for those that failed alike, and those that were
        finished; None if none failed."""
        errors = [output.error for output in self.failed if output.error is not None]
        if not errors:
            return None
        expected, do = (
            " and ".join(dict.fromkeys(getattr(e, part) for e in errors if getattr(e, part)))
            for part in ("expected", "do")
        )
        got = " and ".join(self._failed_alike())
        finished = ", ".join(output.name for output in self.finished) or "none"
        in_part = ", ".join(output.name for output in self.failed if output.frames)
        kept = f"finished: {finished}" + (f"; in part: {in_part}" if in_part else "")
        return SinkError(got, expected=expected, do=f"{do} ({kept})")

    def _failed_alike(self) -> list[str]:
        """What went wrong, and with which further outputs: one text for all that the same can be done about."""
        alike: dict[tuple[str, str], dict[str, str]] = {}
        for output in self.failed:
            if output.error is not None:
                names = alike.setdefault((output.error.expected, output.error.do), {})
                names.setdefault(output.error.got, output.name)
        return [
            first + (f", and likewise {', '.join(others)}" if others else "")
            for first, others in ((next(iter(names)), [*names.values()][1:]) for names in alike.values())
        ]

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"name": o.name, "frames": o.frames, "error": None if o.error is None else str(o.error)}
            for o in self.outputs
        ]
