"""CVAT's XML 1.1: one mask for each class of each frame."""

from __future__ import annotations

from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from segtween.labels import LabelSet
from segtween.masks.rle import Mask, to_boxed
from segtween.types import Frame, Result, SourceInfo
from segtween.video.annotations.text import frame_name, masks_of


class CvatXml:
    """ "CVAT for images", where masks stand in their image, or "CVAT for video", where each is a track of one frame, as
    CVAT itself exports them."""

    def __init__(self, info: SourceInfo, labels: LabelSet, *, kind: Literal["images", "video"]) -> None:
        self._info, self._labels, self._kind = info, labels, kind
        self._tracks = 0

    def head(self, frame: Frame) -> str:
        height, width = frame.size_hw
        mode = "annotation" if self._kind == "images" else "interpolation"
        pairs = zip(self._labels.names, self._labels.colours, strict=True)
        labels = "".join(
            f"<label><name>{escape(name)}</name><color>#{r:02x}{g:02x}{b:02x}</color><type>mask</type></label>\n"
            for name, (r, g, b) in pairs
        )
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
            f"<meta><task><name>{escape(self._info.name)}</name><mode>{mode}</mode><labels>\n{labels}</labels>\n"
            f"<original_size><width>{width}</width><height>{height}</height></original_size></task></meta>\n"
        )

    def frame(self, frame: Frame, result: Result) -> str:
        found = list(masks_of(result.labels, self._labels))
        if self._kind == "video":
            return "".join(self._track(train_id, mask, frame.index) for train_id, mask in found)
        height, width = frame.size_hw
        masks = "".join(
            f'<mask label={self._name(train_id)} source="auto"{_attributes(mask)}></mask>\n' for train_id, mask in found
        )
        name = frame_name(frame.index)
        return f'<image id="{frame.index}" name="{name}" width="{width}" height="{height}">\n{masks}</image>\n'

    def _track(self, train_id: int, mask: Mask, index: int) -> str:
        self._tracks += 1
        values = _attributes(mask)
        return (
            f'<track id="{self._tracks - 1}" label={self._name(train_id)} source="auto">\n'
            f'<mask frame="{index}" keyframe="1" outside="0"{values}></mask>\n'
            f'<mask frame="{index + 1}" keyframe="1" outside="1"{values}></mask>\n</track>\n'
        )

    def _name(self, train_id: int) -> str:
        return quoteattr(self._labels.names[train_id])

    def tail(self) -> str:
        return "</annotations>\n"


def _attributes(mask: Mask) -> str:
    boxed = to_boxed(mask) or {}
    return ' occluded="0" z_order="0"' + "".join(f' {name}="{value}"' for name, value in boxed.items())
