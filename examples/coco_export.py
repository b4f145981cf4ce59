"""Labels of a video as COCO JSON, and what is in it.

python examples/coco_export.py drive.mp4 out/

pycocotools reads it: COCO("out/coco.json").annToMask(annotation).
"""

import json
import sys
from collections import Counter
from pathlib import Path

import segtween


def main(video: str, out: str) -> None:
    seg = segtween.load("swiftnet-lite0.camvid", every=5)
    seg.run(video, out, save=["coco"], overwrite=True)
    coco = json.loads((Path(out) / "coco.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    pixels = Counter()
    for annotation in coco["annotations"]:
        pixels[names[annotation["category_id"]]] += annotation["area"]
    print(f"{len(coco['annotations'])} masks in {len(coco['images'])} frames")
    for name, count in pixels.most_common():
        print(f"{name}: {count} pixels")


if __name__ == "__main__":
    main(*sys.argv[1:])
