"""Label images for a folder of pictures: consecutive frames, in natural order of their names.

    python examples/image_folder.py frames/ out/

Pictures that are not of one scene have nothing to propagate: give every=1 for them.
"""

import sys
from pathlib import Path

import cv2

import segtween


def main(folder: str, out: str, every: str = "5") -> None:
    seg = segtween.load("swiftnet-lite0.camvid", every=int(every))
    paths = sorted(Path(folder).glob("*.png")) or sorted(Path(folder).glob("*.jpg"))
    Path(out).mkdir(parents=True, exist_ok=True)
    for path, result in zip(paths, seg.stream(folder), strict=True):
        cv2.imwrite(str(Path(out) / f"{path.stem}.png"), result.labels)  # train ids, 255 = unknown
        names = [seg.labels.names[i] for i in sorted(set(result.labels.flat)) if i != 255]
        print(path.name, "shows", ", ".join(names))


if __name__ == "__main__":
    main(*sys.argv[1:])
