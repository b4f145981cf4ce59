"""A loop of your own over a camera or a video file, with OpenCV: labels for every frame, painted and shown.

python examples/webcam.py                 the first camera; q ends it (a window needs opencv-python, not -headless)
python examples/webcam.py drive.mp4       a file
python examples/webcam.py drive.mp4 out/  without a window: one picture per frame in out/
"""

import sys
from pathlib import Path

import cv2
import numpy as np

import segtween


def main(source: str = "0", out: str | None = None) -> None:
    seg = segtween.load("swiftnet-lite0.camvid", every=5)
    colours = np.zeros((256, 3), np.uint8)  # RGB by label; 255 (unknown) stays black
    colours[: len(seg.labels)] = seg.labels.colours
    capture = cv2.VideoCapture(int(source) if source.isdecimal() else source)
    while (answer := capture.read())[0]:
        rgb = cv2.cvtColor(answer[1], cv2.COLOR_BGR2RGB)
        result = seg.step(rgb)
        painted = cv2.addWeighted(rgb, 0.5, colours[result.labels], 0.5, 0)[..., ::-1]
        print(result.index, "network" if result.is_key else f"{result.distance} frames since the network", flush=True)
        if out is not None:
            Path(out).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(Path(out) / f"{result.index:06d}.png"), painted)
        else:
            cv2.imshow("segtween", painted)
            if cv2.waitKey(1) == ord("q"):
                break


if __name__ == "__main__":
    main(*sys.argv[1:])
