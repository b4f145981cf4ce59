"""Test-time augmentation: a network's scores, averaged over changed copies of the frame."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from segtween.errors import ScoresError, SettingError
from segtween.interfaces import Segmenter, Selecting, notes_of
from segtween.runtimes.base import KeepsSizes
from segtween.segmenters.network import resize
from segtween.segmenters.scores import Scores
from segtween.types import Rgb, SizeHW, check_rgb, format_size, size_of

KeyTta = Literal["none", "mirror", "scales"]

SCALES: dict[KeyTta, tuple[float, ...]] = {"mirror": (1.0,), "scales": (0.75, 1.0, 1.25)}
"""The sizes at which the network sees the frame and its mirror image. The first `__call__` of 1.0 sets the grid."""


class Augmented:
    """The mean of the logits that `inner` gives for the frame and for its mirror image, flipped back; with `scales`
    also for both at 0.75 and 1.25 of the frame's size.

    Scores are on the grid that `inner` has for the frame itself; those of other sizes are resized to it bilinearly,
    half-pixel-centred, as every grid spans the whole frame. `plain` gives the frame's own scores where they are known
    already. `streams` of different sizes are shown to it: so many times as many sizes the runtime keeps compiled.

    Raises SettingError for stored scores, of which there are none for other pictures, and for scales of a network that
    takes one size only.
    """

    def __init__(self, inner: Segmenter, kind: KeyTta, *, plain: Segmenter | None = None, streams: int = 1) -> None:
        _check(inner, kind)
        self.inner, self.kind, self.labels = inner, kind, inner.labels
        self._plain = plain or inner
        runtime = getattr(inner, "runtime", None)
        if isinstance(runtime, KeepsSizes) and kind == "scales":
            runtime.keep_sizes(len(SCALES[kind]) * streams)

    @property
    def notes(self) -> list[str]:
        return notes_of(self.inner)

    def __call__(self, rgb: Rgb) -> Scores:
        frame = check_rgb(rgb)
        total = np.array(self._plain(frame), np.float32)
        views = [(scale, is_mirrored) for scale in SCALES[self.kind] for is_mirrored in (False, True)]
        for scale, is_mirrored in views:
            if scale != 1 or is_mirrored:
                total += self._view(frame, scale, total, is_mirrored=is_mirrored)
        total /= np.float32(len(views))
        return total

    def describe(self) -> dict[str, Any]:
        return {**self.inner.describe(), "key_tta": self.kind}

    def _view(self, frame: Rgb, scale: float, like: Scores, *, is_mirrored: bool) -> Scores:
        """The scores of one changed copy on the grid of `like`, as if of the frame itself."""
        height, width = (max(1, round(side * scale)) for side in frame.shape[:2])
        seen = resize(np.ascontiguousarray(frame[:, ::-1]) if is_mirrored else frame, (height, width))
        scores = self._scores(seen, of_hw=size_of(frame))
        if scale == 1 and scores.shape != like.shape:
            found, wanted = ((v.shape[1], v.shape[2]) for v in (scores, like))
            raise ScoresError(
                f"{format_size(found)} cells for a mirror image, {format_size(wanted)} for the frame",
                expected="one grid for pictures of one size",
                do="correct the function, or leave key_tta= out",
            )
        scores = scores[..., ::-1] if is_mirrored else scores
        return scores if scores.shape == like.shape else _resized(scores, like)

    def _scores(self, seen: Rgb, *, of_hw: SizeHW) -> Scores:
        """Of a changed copy of a frame of that size, which an automatic scale is for."""
        scale_at = getattr(self.inner, "scale_at", None)
        return self.inner(seen) if scale_at is None else self.inner(seen, scale=scale_at(of_hw))  # type: ignore[call-arg]


def _resized(scores: Scores, like: Scores) -> Scores:
    import cv2

    out = np.empty_like(like)
    for plane, target in zip(scores, out, strict=True):
        cv2.resize(np.ascontiguousarray(plane), target.shape[::-1], dst=target, interpolation=cv2.INTER_LINEAR)
    return out


def _check(inner: Segmenter, kind: KeyTta) -> None:
    if kind not in SCALES:
        raise SettingError(
            f"key_tta {kind!r}", expected=" or ".join(repr(k) for k in get_args(KeyTta) if k != "none"), do="name one"
        )
    if isinstance(inner, Selecting):
        raise SettingError(
            f"key_tta={kind!r} with stored scores",
            expected="a network or a function: it is shown the frame's mirror image, of which no scores are stored",
            do="leave key_tta= out",
        )
    pixels = getattr(getattr(inner, "record", None), "input", None)
    if kind == "scales" and pixels is not None and pixels.takes_one_size:
        raise SettingError(
            f"key_tta='scales' for a network that takes {format_size(pixels.size_hw)} only",
            expected="a network for images of any size",
            do="give key_tta='mirror'",
        )


def augmented(segmenter: Segmenter, kind: KeyTta, *, streams: int = 1) -> Segmenter:
    """`segmenter` itself for none, else `Augmented`; one that shares its scores (`augmented`) makes its own."""
    if kind == "none":
        return segmenter
    own = getattr(segmenter, "augmented", None)
    return own(kind) if own is not None else Augmented(segmenter, kind, streams=streams)
