"""Any Python function as the network: RGB (H, W, 3) uint8 in, scores (classes, h, w) at any stride out.

    python examples/own_function.py drive.mp4 out/

This one knows bright from dark and stands where your network would.
"""

import sys

import cv2
import numpy as np

import segtween


def scores(rgb: np.ndarray) -> np.ndarray:
    small = cv2.resize(rgb, (rgb.shape[1] // 4, rgb.shape[0] // 4), interpolation=cv2.INTER_AREA)
    bright = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) / 32 - 4
    return np.stack([-bright, bright])


def main(video: str, out: str) -> None:
    seg = segtween.load(scores, label_set=["dark", "bright"], interval=4)
    for result in seg.stream(video):  # a result for every frame, as they come
        share = (result.labels == 1).mean()
        print(f"frame {result.index}: {share:.0%} bright, confidence {result.confidence.mean():.2f}")
    summary = seg.run(video, out, save=["overlay", "labels"])  # or straight to files
    print(f"{summary.frames} frames in {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
