"""Label a video with CVAT, a few frames at a time.

python examples/cvat_loop.py drive.mp4 out/                 the network's labels of all frames, to begin with
python examples/cvat_loop.py drive.mp4 out2/ job.zip        your corrected frames, propagated to all others

Import out/cvat.zip into a CVAT task of the video as "Segmentation mask 1.1", correct some frames, delete the others,
export the job as job.zip, and run it again: it names the frames that are worth correcting next.
"""

import sys

import segtween
from segtween.run.options import Outputs
from segtween.run.propagation import propagate


def main(video: str, out: str, corrected: str | None = None) -> None:
    if corrected is None:
        seg = segtween.load("swiftnet-lite0.camvid", every=5)
        print(seg.run(video, out, save=["cvat", "overlay"]))
        return
    done = propagate(video, corrected, out, outputs=Outputs(save=["cvat", "overlay"]))
    print(f"{done.summary.frames} frames from {len(done.labelled.files)} corrected ones")
    for candidate in done.candidates:
        print(f"look at frame {candidate.frame}: expected error {candidate.expected_error:.0%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
