"""A network of the Hugging Face hub, by its name or as a folder.

    pip install 'segtween[huggingface]'
    python examples/huggingface_segformer.py drive.mp4 out/ nvidia/segformer-b0-finetuned-cityscapes-1024-1024

Preprocessing and class names come from its files. Once it is exported, torch is not needed any more; the same on the
command line: segtween run drive.mp4 -o out/ --model hf:NAME
"""

import sys

import segtween


def main(video: str, out: str, name: str) -> None:
    seg = segtween.load(f"hf:{name}", every=5)
    print(f"{len(seg.labels)} classes: {', '.join(seg.labels.names)}")
    for note in seg.engine.notes:
        print(note)
    summary = seg.run(video, out, save=["overlay", "labels"])
    print(f"{summary.frames} frames in {out}, the network on {summary.network_runs} of them")


if __name__ == "__main__":
    main(*sys.argv[1:])
