"""What `stream`, `push` and `step` give: the engine's result with its picture, the names of its classes, and in the
forms that other tools take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween import types
from segtween.engine.multistream import Arrival, MultiStream
from segtween.errors import SegtweenError, SettingError, from_extra
from segtween.labels import LabelSet, PaletteName
from segtween.masks.polygons import Polygon, to_polygons
from segtween.masks.rle import Mask, to_coco
from segtween.texttable import count
from segtween.types import IGNORE, Frame, Rgb, ScoreMap, format_size
from segtween.video.paint import Painter, Style, class_counts, full_size
from segtween.video.png import encode_png


class Result(types.Result):
    """One frame's result. `rgb` is the frame, (H, W, 3) uint8, `label_set` names the classes of `labels`; `scores` are
    computed when asked for. Masks, run lengths and polygons are of the classes that occur, by name.

    Raises MissingExtraError where a form needs a library that is not installed, LabelError for unknown classes.
    """

    rgb: Rgb
    label_set: LabelSet

    def __init__(self, frame: types.Result, *, rgb: Rgb, label_set: LabelSet) -> None:
        own = {field.name: getattr(frame, field.name) for field in fields(frame) if field.name != "scores"}
        self.__dict__.update(own, rgb=rgb, label_set=label_set, _frame=frame)

    @cached_property
    def scores(self) -> ScoreMap:
        """The frame's scores on their grid, the same as `score_map`."""
        frame: types.Result = self.__dict__["_frame"]
        return frame.score_map

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        frame: types.Result = self.__dict__["_frame"]
        return frame.confidence

    @cached_property
    def mean_confidence(self) -> float:
        frame: types.Result = self.__dict__["_frame"]
        return frame.mean_confidence

    def overlay(
        self,
        *,
        alpha: float = 0.5,
        outline: bool = True,
        palette: PaletteName = "usual",
        classes: Sequence[str] | None = None,
        legend: bool = False,
    ) -> Rgb:
        """(H, W, 3): the frame tinted in its classes' colours, `alpha` of them (0..1); `classes`: only these."""
        labels = self.label_set.with_palette(palette)
        chosen = None if classes is None else labels.choose(classes)[0]
        painter = Painter(labels, Style(chosen, alpha, "thin" if outline else "none"), legend=legend)
        return painter(on_host(self.rgb), self._host_labels)

    def masks(self) -> dict[str, Mask]:
        """(H, W) of bool for each class that occurs."""
        return {self.label_set.names[i]: self._host_labels == i for i in self._present}

    def to_rle(self) -> dict[str, dict[str, Any]]:
        """COCO's compressed run lengths, `{"size": [H, W], "counts": text}`, as pycocotools reads them."""
        return {name: to_coco(mask) for name, mask in self.masks().items()}

    def to_polygons(self) -> dict[str, list[Polygon]]:
        """(n, 2) points (x, y) along the borders of pixels, one polygon for each piece, its holes joined to it; 0 is
        the left or upper border of the first pixel."""
        return {name: to_polygons(mask) for name, mask in self.masks().items()}

    def to_pil(self) -> Any:
        """The labels as a PIL image of mode P: train ids, in the classes' colours."""
        from_extra("PIL", "Result.to_pil()", extra="results")
        from PIL import Image

        image = Image.fromarray(self._host_labels, mode=None)
        image.putpalette(self.label_set.palette.tobytes())
        return image

    def to_supervision(self) -> Any:
        """`supervision.Detections` with one entry for each class that occurs: mask, box, train id, name in
        `data["class_name"]`, and as its confidence the mean over its pixels."""
        supervision = from_extra("supervision", "Result.to_supervision()", extra="results")
        masks = list(self.masks().values())
        if not masks:
            return supervision.Detections.empty()
        confidence = full_size(self.confidence, (masks[0].shape[0], masks[0].shape[1]))
        stacked = np.stack(masks)
        return supervision.Detections(
            xyxy=supervision.mask_to_xyxy(stacked).astype(np.float32),
            mask=stacked,
            class_id=np.array(self._present),
            confidence=np.array([confidence[mask].mean() for mask in masks], np.float32),
            data={"class_name": np.array([self.label_set.names[i] for i in self._present])},
        )

    def class_shares(self) -> dict[str, float]:
        """Share of the frame's pixels of each class that occurs, largest first; what is to be ignored is no class."""
        shares = self._counts / self._host_labels.size
        order = sorted(self._present, key=lambda i: -shares[i])
        return {self.label_set.names[i]: float(shares[i]) for i in order}

    @cached_property
    def _host_labels(self) -> types.Labels:
        return on_host(self.labels)

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        return class_counts(self._host_labels)

    @property
    def _present(self) -> list[int]:
        return [i for i in np.flatnonzero(self._counts).tolist() if i != IGNORE]

    def _repr_png_(self) -> bytes:
        """The overlay with a legend, for notebooks."""
        return encode_png(self.overlay(legend=True))

    def __repr__(self) -> str:
        kind = "key frame" if self.is_key else f"distance {self.distance}"
        height, width = self.labels.shape
        return (
            f"Result(frame {self.index}, {kind}, labels {format_size((height, width))} uint8, "
            f"{len(self.label_set)} classes of {self.label_set.name})"
        )


def on_host(values: Any) -> Any:
    """A torch tensor as an array; an array itself."""
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


class Pictures:
    """The frames whose results are still to come, by index, so that each result gets its own.

    They are those of one engine, whose `reset` comes with one here. A clip that is watched ends where another begins,
    because the engine follows one.
    """

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self.begin()

    def begin(self) -> object:
        """Another clip: a watched one ends. What it gives stands for the clip."""
        self._clip = object()
        self.reset()
        return self._clip

    def reset(self) -> None:
        """The next frame has index 0."""
        self._waiting: dict[int, Rgb] = {}
        self._count = 0

    def add(self, rgb: Rgb) -> None:
        self._waiting[self._count] = rgb
        self._count += 1

    def watch(self, frames: Iterable[Frame] | Iterable[Rgb]) -> Iterator[Any]:
        """The same frames as another clip, each added as it is taken. SettingError for a frame that is taken after yet
        another clip has begun."""
        clip = self.begin()
        for item in frames:
            self._check(clip)
            self.add(item.rgb if isinstance(item, Frame) else item)
            yield item
        self._check(clip)

    def _check(self, clip: object) -> None:
        if clip is not self._clip:
            raise SettingError(
                "a stream goes on after another one has begun",
                expected="one at a time, because an engine follows one video",
                do="use streams() for several cameras, or load once for each",
            )

    def join(self, result: types.Result) -> Result:
        """The result with its frame."""
        return Result(result, rgb=self._waiting.pop(result.index), label_set=self._labels)


class Streams(MultiStream):
    """Several streams whose results hold their frames and the names of their classes."""

    def __init__(self, streams: MultiStream, labels: LabelSet) -> None:
        super().__init__(streams.engines, staggered=streams.staggered)
        self._pictures = [Pictures(labels) for _ in self.engines]
        self._labels = labels

    def reset(self, stream: int | None = None) -> None:
        super().reset(stream)
        for i in range(len(self)) if stream is None else (stream,):
            self._pictures[i] = Pictures(self._labels)

    def push(
        self, frames: Sequence[types.Rgb | None], *, pts_seconds: Sequence[float | None] | None = None
    ) -> list[list[types.Result]]:
        times = None if pts_seconds is None else [types.check_seconds(seconds) for seconds in pts_seconds]
        if times is not None and len(times) != len(self):
            raise SettingError(
                f"pts_seconds of {count(len(times), 'frame')} for {count(len(self), 'stream')}",
                expected="one for each, None where it is not known",
                do="give as many as there are streams",
            )
        return super().push(frames, pts_seconds=times)

    def finish(self, stream: int | None = None) -> list[list[types.Result]]:
        before = list(self._pictures)
        done = super().finish(stream)
        return [[one.join(result) for result in results] for one, results in zip(before, done, strict=True)]

    def each(self, arrivals: Mapping[int, Arrival]) -> Iterator[tuple[int, list[types.Result] | SegtweenError]]:
        for stream, outcome in super().each(arrivals):
            if isinstance(outcome, SegtweenError):
                yield stream, outcome
                continue
            pictures = self._pictures[stream]
            pictures.add(arrivals[stream].rgb)
            yield stream, [pictures.join(result) for result in outcome]
