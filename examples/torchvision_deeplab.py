"""A network of torchvision: DeepLabV3 for the 21 classes of Pascal VOC.

    pip install 'segtween[torch]' torchvision
    python examples/torchvision_deeplab.py drive.mp4 out/

It is exported to ONNX the first time, checked against torch, and kept in the cache.
"""

import sys

from torchvision.models.segmentation import DeepLabV3_MobileNet_V3_Large_Weights, deeplabv3_mobilenet_v3_large

import segtween

WEIGHTS = DeepLabV3_MobileNet_V3_Large_Weights.DEFAULT
CLASSES = [name.replace("__", "") for name in WEIGHTS.meta["categories"]]


def main(video: str, out: str, weights: str = "pretrained") -> None:
    chosen = WEIGHTS if weights == "pretrained" else None  # "random" needs no download, and knows nothing
    net = deeplabv3_mobilenet_v3_large(weights=chosen, weights_backbone=None, num_classes=len(CLASSES), aux_loss=True)
    seg = segtween.load(net, label_set=CLASSES, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), channels="RGB")
    for note in seg.engine.notes:
        print(note)
    summary = seg.run(video, out, save=["overlay", "labels"])
    print(f"{summary.frames} frames in {out}, the network on {summary.network_runs} of them")


if __name__ == "__main__":
    main(*sys.argv[1:])
