"""Modules of torchvision and segmentation_models_pytorch, with timm's backbones in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from framework_contract import CLASSES, FrameworkContract, balanced, enlarged, normalised

import segtween


class ModuleContract(FrameworkContract):
    """`build` gives the network and its last convolutions; its own labels are those of its scores at full size."""

    options: ClassVar[dict[str, Any]] = {"label_set": CLASSES}
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)

    @classmethod
    def build(cls) -> tuple[Any, list[Any]]:
        raise NotImplementedError

    @classmethod
    def made(cls, folder: Path) -> tuple[Any, Any]:  # noqa: ARG003
        net, last = cls.build()
        balanced(net, last, mean=cls.mean, std=cls.std)

        def own(rgb: Any) -> Any:
            with torch.no_grad():
                answer = net(normalised(rgb[None], cls.mean, cls.std))
            return enlarged(answer if isinstance(answer, torch.Tensor) else answer["out"], rgb.shape[:2])

        return net, own


class TestTorchvisionFcn(ModuleContract):
    @classmethod
    def build(cls) -> tuple[Any, list[Any]]:
        from torchvision.models.segmentation import fcn_resnet50

        net = fcn_resnet50(weights=None, weights_backbone=None, num_classes=len(CLASSES))
        return net, [net.classifier[-1]]


class TestTorchvisionDeepLab(ModuleContract):
    @classmethod
    def build(cls) -> tuple[Any, list[Any]]:
        from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

        net = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=len(CLASSES))
        return net, [net.classifier[-1]]


class TestTorchvisionLraspp(ModuleContract):
    @classmethod
    def build(cls) -> tuple[Any, list[Any]]:
        from torchvision.models.segmentation import lraspp_mobilenet_v3_large

        net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=len(CLASSES))
        return net, [net.classifier.low_classifier, net.classifier.high_classifier]


def smp(kind: str, encoder: str) -> tuple[Any, list[Any]]:
    import segmentation_models_pytorch

    net = getattr(segmentation_models_pytorch, kind)(encoder, encoder_weights=None, classes=len(CLASSES))
    return net, [net.segmentation_head[0]]


class TestSmpUnet(ModuleContract):
    @classmethod
    def build(cls) -> tuple[Any, list[Any]]:
        return smp("Unet", "resnet18")


class TestSmpDeepLabV3Plus(ModuleContract):
    @classmethod
    def build(cls) -> tuple[Any, list[Any]]:
        return smp("DeepLabV3Plus", "resnet18")


class TestSmpSegformer(ModuleContract):
    @classmethod
    def build(cls) -> tuple[Any, list[Any]]:
        return smp("Segformer", "mit_b0")


class TestTimmBackbone(ModuleContract):
    """Its encoder says that pixels go from -1 to 1, which is read and not guessed."""

    mean: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)

    @classmethod
    def build(cls) -> tuple[Any, list[Any]]:
        return smp("Unet", "tu-tf_efficientnet_lite0")

    def test_what_is_stored_is_no_guess(self, network: tuple[Any, Any]) -> None:
        (told,) = (n for n in segtween.load(network[0], **self.options).engine.notes if n.startswith("guessed"))
        assert told.startswith("guessed for Unet: input.multiple_of;")


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_a_network_of_one_channel_is_a_class_and_its_background(device: str) -> None:
    import segmentation_models_pytorch

    torch.manual_seed(2)
    net = segmentation_models_pytorch.Unet("resnet18", encoder_weights=None, classes=1)
    balanced(net, [net.segmentation_head[0]])
    seg = segtween.load(net, label_set=["person"], device=device, preset="every-frame")
    assert seg.labels.names == ("background", "person")
    from framework_contract import clip

    rgb = clip()[0]
    with torch.no_grad():
        own = net(normalised(rgb[None]))[0, 0].numpy() > 0
    labels = next(iter(seg.stream([rgb]))).labels
    assert 0.05 < own.mean() < 0.95
    assert (labels == own).mean() >= 0.99
