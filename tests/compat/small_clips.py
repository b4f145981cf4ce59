"""A few moving pictures with labels, and a propagation recipe over them, small enough to train in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from segtween.labels import CAMVID11

SIZE_HW = (64, 96)
FRAMES = 7
RECIPE: dict[str, Any] = {
    "trains": "propagation",
    "name": "tiny-chain",
    "segmenter": "swiftnet-lite0.camvid",
    "steps": 6,
    "batch": 2,
    "crop": "96x64",
    "chain": [1, 2, 3],
    "train": [{"kind": "dataset", "layout": "folders", "root": "set", "name": "moving"}],
    "augment": {"flip": 0.5, "scale": [1.0, 1.2], "brightness": [0.8, 1.2]},
    "optimiser": {"intra": 0.001, "guide": 0.001, "flow": 0.001},
    "loss": {"ce": 1.0, "distil": 1.0, "photometric": 0.1},
    "licence": "none: pictures made for a test",
}


def write_set(root: Path, *, clips: int = 2, frames: int = FRAMES) -> Path:
    """Layout `folders`: squares on a textured ground, all moving two pixels to the right a frame."""
    (root / "set").mkdir(parents=True, exist_ok=True)
    (root / "set/labels.yaml").write_text(yaml.safe_dump({"names": list(CAMVID11.names)}))
    rng = np.random.default_rng(0)
    for clip in range(clips):
        folders = [root / "set/train" / kind / f"clip{clip}" for kind in ("frames", "labels")]
        for folder in folders:
            folder.mkdir(parents=True)
        ground = cv2.resize(rng.integers(0, 255, (9, 20, 3), np.uint8), (160, 64), interpolation=cv2.INTER_LINEAR)
        truth = np.full((64, 160), 3, np.uint8)
        for x in (20, 70, 120):
            ground[20:50, x : x + 18] = rng.integers(0, 255, 3)
            truth[20:50, x : x + 18] = 8
        truth[:8] = 255
        for t in range(frames):
            left = 40 - 2 * t
            for folder, picture in zip(folders, (ground, truth), strict=True):
                cv2.imwrite(str(folder / f"{t:03d}.png"), picture[:, left : left + 96])
    return root


def write_recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny-chain.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**RECIPE, **changes}.items() if v is not None}))
    return path
