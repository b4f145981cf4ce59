"""Masks and names drawn by supervision's annotators (pip install 'segtween[results]').

python examples/supervision_annotators.py drive.mp4 out/
"""

import sys
from pathlib import Path

import cv2
import supervision as sv

import segtween


def main(video: str, out: str) -> None:
    seg = segtween.load("swiftnet-lite0.camvid", every=5)
    painters = sv.MaskAnnotator(opacity=0.5), sv.LabelAnnotator(text_scale=0.4)
    Path(out).mkdir(parents=True, exist_ok=True)
    for result in seg.stream(video):
        found = result.to_supervision()
        scene = result.rgb.copy()
        for painter in painters:
            scene = painter.annotate(scene, found)
        cv2.imwrite(str(Path(out) / f"{result.index:06d}.png"), scene[..., ::-1])
        print(result.index, ", ".join(found.data["class_name"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
