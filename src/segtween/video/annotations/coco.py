"""COCO JSON of a video: one annotation for each class of each frame."""

from __future__ import annotations

import json
from typing import Any

from segtween.labels import LabelSet
from segtween.masks.polygons import to_polygons
from segtween.masks.rle import Mask, box_of, to_coco
from segtween.types import Frame, Result, SourceInfo
from segtween.video.annotations.text import frame_name, masks_of


class Coco:
    """`annotations` with `segmentation` as compressed run lengths, or as polygons; `images` with `video_id`,
    `frame_index` and `pts_seconds`; `videos`; `categories`, whose id is the train id + 1."""

    def __init__(self, info: SourceInfo, labels: LabelSet, *, polygons: bool = False) -> None:
        self._info, self._labels, self._polygons = info, labels, polygons
        self._images: list[dict[str, Any]] = []
        self._count = 0

    def head(self, frame: Frame) -> str:
        del frame
        return '{"annotations": ['

    def frame(self, frame: Frame, result: Result) -> str:
        height, width = frame.size_hw
        image_id = len(self._images) + 1
        self._images.append({
            "id": image_id, "video_id": 1, "frame_index": frame.index, "file_name": frame_name(frame.index),
            "width": width, "height": height, "pts_seconds": float(frame.pts_seconds),
        })  # fmt: skip
        lines = []
        for train_id, mask in masks_of(result.labels, self._labels):
            self._count += 1
            lines.append(f"{',' if self._count > 1 else ''}\n{json.dumps(self._annotation(train_id, mask, image_id))}")
        return "".join(lines)

    def _annotation(self, train_id: int, mask: Mask, image_id: int) -> dict[str, Any]:
        return {
            "id": self._count, "image_id": image_id, "video_id": 1, "category_id": train_id + 1, "iscrowd": 0,
            "area": int(mask.sum()), "bbox": list(box_of(mask)),
            "segmentation": [p.ravel().tolist() for p in to_polygons(mask)] if self._polygons else to_coco(mask),
        }  # fmt: skip

    def tail(self) -> str:
        pairs = zip(self._labels.names, self._labels.colours, strict=True)
        rest = {
            "images": self._images,
            "videos": [{"id": 1, "name": self._info.name}],
            "categories": [
                {"id": i + 1, "name": name, "supercategory": "", "color": list(colour)}
                for i, (name, colour) in enumerate(pairs)
            ],
        }
        return "\n],\n" + json.dumps(rest)[1:] + "\n"
