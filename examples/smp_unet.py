"""A network of segmentation_models_pytorch, as its `save_pretrained` wrote it.

    pip install 'segtween[torch]' segmentation-models-pytorch
    python examples/smp_unet.py drive.mp4 out/ my-unet/ road,sky,car

What its encoder saw in training is read from it; a network of one class is that class and its background.
"""

import sys

import segmentation_models_pytorch as smp

import segtween


def main(video: str, out: str, folder: str, classes: str) -> None:
    net = smp.from_pretrained(folder)
    seg = segtween.load(net, label_set=classes.split(","), interval=4)
    for note in seg.engine.notes:
        print(note)
    for result in seg.stream(video):
        shares = [f"{name} {(result.labels == i).mean():.0%}" for i, name in enumerate(seg.labels.names)]
        print(f"frame {result.index}: {', '.join(shares)}")
    seg.run(video, out, save=["overlay"])


if __name__ == "__main__":
    main(*sys.argv[1:])
