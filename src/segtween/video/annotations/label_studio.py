"""Label Studio's JSON of tasks."""

from __future__ import annotations

import json
from typing import Any

from segtween.labels import LabelSet
from segtween.masks.rle import box_of, to_brush
from segtween.types import Frame, Result, SourceInfo
from segtween.video.annotations.text import frame_name, masks_of


class ImageTasks:
    """A task for each frame, with a prediction: a brush for each class. For `<BrushLabels name="labels"
    toName="image">` and `<Image name="image" value="$image"/>`."""

    def __init__(self, info: SourceInfo, labels: LabelSet) -> None:
        self._info, self._labels = info, labels
        self._count = 0

    def head(self, frame: Frame) -> str:
        del frame
        return "["

    def frame(self, frame: Frame, result: Result) -> str:
        height, width = frame.size_hw
        common = {
            "from_name": "labels", "to_name": "image", "type": "brushlabels", "original_width": width,
            "original_height": height, "image_rotation": 0,
        }  # fmt: skip
        results = [
            {**common, "id": f"{frame.index}-{train_id}", "value": {
                "format": "rle", "rle": to_brush(mask), "brushlabels": [self._labels.names[train_id]],
            }}
            for train_id, mask in masks_of(result.labels, self._labels)
        ]  # fmt: skip
        data = {"image": frame_name(frame.index), "video": self._info.name, "frame": frame.index}
        self._count += 1
        return f"{',' if self._count > 1 else ''}\n{json.dumps({'data': data, 'predictions': [{'result': results}]})}"

    def tail(self) -> str:
        return "\n]\n"


class VideoTask:
    """One task, with the box around each class in each frame, because Label Studio has no brush in videos. For
    `<Labels name="labels" toName="video">`, `<VideoRectangle name="box" toName="video"/>`."""

    def __init__(self, info: SourceInfo, labels: LabelSet) -> None:
        self._info, self._labels = info, labels
        self._boxes: dict[int, list[dict[str, Any]]] = {}
        self._seconds = 0.0
        self._count = 0

    def head(self, frame: Frame) -> str:
        self._first = float(frame.pts_seconds)
        return ""

    def frame(self, frame: Frame, result: Result) -> str:
        height, width = frame.size_hw
        self._count += 1
        self._seconds = float(frame.pts_seconds)
        present = dict(masks_of(result.labels, self._labels))
        for train_id, boxes in self._boxes.items():
            if train_id not in present:
                boxes[-1]["enabled"] = False
        for train_id, mask in present.items():
            left, top, w, h = box_of(mask)
            self._boxes.setdefault(train_id, []).append({
                "frame": self._count, "time": self._seconds, "enabled": True, "rotation": 0, "x": 100 * left / width,
                "y": 100 * top / height, "width": 100 * w / width, "height": 100 * h / height,
            })  # fmt: skip
        return ""

    def tail(self) -> str:
        step = (self._seconds - self._first) / max(1, self._count - 1)
        times = {"framesCount": self._count, "duration": self._seconds - self._first + step}
        results = [
            {"id": str(train_id), "from_name": "box", "to_name": "video", "type": "videorectangle", "value": {
                **times, "labels": [self._labels.names[train_id]], "sequence": boxes,
            }}
            for train_id, boxes in sorted(self._boxes.items())
        ]  # fmt: skip
        return json.dumps([{"data": {"video": self._info.path}, "predictions": [{"result": results}]}]) + "\n"
