"""mIoU of a network in torch on labelled images, measured as the shipped network is run."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

from segtween.metrics.segmentation import Segmentation
from segtween.networks import Network, fit_size
from segtween.training.augment import normalise
from segtween.training.data import Pool
from segtween.types import Labels, Rgb


@torch.no_grad()
def predict(net: torch.nn.Module, rgb: Rgb, *, spec: Network, device: torch.device) -> Labels:
    """(H, W, 3) -> (H, W) train ids: image to the nearest fitting size, logits enlarged to the image, argmax."""
    height, width = fit_size(rgb.shape[:2], multiple_of=spec.multiple_of)
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    image = torch.from_numpy(resized).to(device).permute(2, 0, 1)[None].float() / 255  # (1, 3, height, width)
    logits = net(normalise(image, mean=spec.mean, std=spec.std))  # (1, classes, height/4, width/4)
    enlarged = torch.nn.functional.interpolate(logits, size=rgb.shape[:2], mode="bilinear", align_corners=False)
    return enlarged[0].argmax(0).to(torch.uint8).cpu().numpy()


def score(net: torch.nn.Module, pool: Pool, *, spec: Network, device: torch.device) -> dict[str, Any]:
    """`frames`, `miou` and `per_class` of one source, in float32 and eval mode, pooled over all its frames."""
    was_training = net.training
    net.eval()
    metric = Segmentation(pool.labels)
    for item in range(len(pool)):
        rgb, truth = pool.read(item)
        metric.update(np.ascontiguousarray(predict(net, rgb, spec=spec, device=device)), truth)
    net.train(was_training)
    measured = metric.compute()
    return {"frames": len(pool), "miou": measured["miou"], "per_class": measured["per_class"]}
