"""A video with its labels, confidence, key frames and times, for the Rerun viewer (pip install 'segtween[rerun]').

python examples/rerun_viewer.py drive.mp4 out/        writes out/clip.rrd
rerun out/clip.rrd                                    shows it
"""

import sys

import segtween


def main(video: str, out: str) -> None:
    seg = segtween.load("swiftnet-lite0.camvid", every=5)
    print(seg.run(video, out, save=["rrd"], overwrite=True))
    print(f"rerun {out}/clip.rrd")


if __name__ == "__main__":
    main(*sys.argv[1:])
