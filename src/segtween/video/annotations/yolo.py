"""YOLO's text files of polygons."""

from __future__ import annotations

import json
from pathlib import Path

from segtween.labels import LabelSet
from segtween.masks.polygons import to_polygons
from segtween.types import Frame, Result
from segtween.video.annotations.text import masks_of
from segtween.video.sinks import FrameFiles


def yolo_files(target: Path, labels: LabelSet) -> FrameFiles:
    """`yolo/data.yaml` and `yolo/labels/frame_000000.txt`, ...: a line for each piece of a class, its train id and the
    points x, y of its outline as shares of width and height. Put the frames into `yolo/images`."""

    def encode(frame: Frame, result: Result) -> bytes:
        scale = frame.size_hw[::-1]
        pieces = ((i, polygon / scale) for i, mask in masks_of(result.labels, labels) for polygon in to_polygons(mask))
        lines = (f"{i} {' '.join(map('{:.6f}'.format, polygon.ravel().tolist()))}\n" for i, polygon in pieces)
        return "".join(lines).encode()

    names = "".join(f"  {i}: {json.dumps(name)}\n" for i, name in enumerate(labels.names))
    data = f"path: .\ntrain: images\nval: images\nnames:\n{names}"
    return FrameFiles(target, encode, naming="frame_{:06d}.txt", inside="labels", beside={"data.yaml": data})
