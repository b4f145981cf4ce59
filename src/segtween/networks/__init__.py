"""Networks in torch: their definitions, how to build them by name, and their export to ONNX.

Needs the extra [train]; running an exported network does not. `NETWORKS` lists what segments an image; `FLOWS` and
`REFINERS` what propagates scores from one frame to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal

from segtween.errors import ModelError, SettingError, check_known, from_extra
from segtween.models.published import where_published
from segtween.models.weights import in_cache, sha256_of
from segtween.networks.portable import export_network
from segtween.networks.propagation import FLOWS, REFINERS, build_flow, build_refiner
from segtween.types import SizeHW

__all__ = [
    "FLOWS",
    "NETWORKS",
    "REFINERS",
    "Network",
    "build",
    "build_flow",
    "build_refiner",
    "convert_weights",
    "describe_weights",
    "export_checkpoint",
    "export_network",
    "fit_size",
    "network",
    "parts_of_checkpoint",
]

Initial = Literal["imagenet", "random"]
Triple = tuple[float, float, float]

SWIFTNET_MEAN: Triple = (73.15, 82.90, 72.3)
SWIFTNET_STD: Triple = (47.67, 48.49, 47.73)


@dataclass(frozen=True)
class Network:
    """One architecture and what every set of its weights has in common.

    `mean` and `std` are of pixels in 0..255, red first; `stride` is that of the logits; images are best
    a multiple of `multiple_of` wide and high; `imagenet` says whether the encoder has ImageNet weights.
    `module` is "module:class" of the network, called with `classes=`; or `encoder` that of an encoder for SwiftNet's
    decoder, called without arguments. They need torch and are imported when a network is built.
    """

    name: str
    mean: Triple
    std: Triple
    module: str = ""
    encoder: str = ""
    stride: int = 4
    multiple_of: int = 32
    imagenet: bool = False


NETWORKS: dict[str, Network] = {
    "swiftnet-r18": Network("swiftnet-r18", SWIFTNET_MEAN, SWIFTNET_STD, encoder="segtween.networks.resnet:ResNet18"),
    "swiftnet-r18-pyramid": Network(
        "swiftnet-r18-pyramid", SWIFTNET_MEAN, SWIFTNET_STD, module="segtween.networks.pyramid:SwiftNetPyramid"
    ),
    "swiftnet-lite0": Network(
        "swiftnet-lite0",
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        encoder="segtween.networks.efficientnet_lite:EfficientNetLite0",
        imagenet=True,
    ),
    "bisenet-r18": Network(
        "bisenet-r18",
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        module="segtween.networks.bisenet:BiSeNet",
        stride=8,
    ),
}


def network(name: str) -> Network:
    """The entry of `NETWORKS`; SettingError names the nearest for an unknown one."""
    check_known(f"network is {name!r}", name, NETWORKS)
    return NETWORKS[name]


def build(name: str, *, classes: int, initial: Initial = "random") -> Any:
    """A torch module (N, 3, H, W) normalised RGB -> logits (N, classes, H/stride, W/stride).

    `initial` "imagenet" fills the encoder with ImageNet weights. Raises SettingError for an unknown network or one
    without ImageNet weights, MissingExtraError without torch.
    """
    spec = network(name)
    if initial not in ("imagenet", "random"):
        raise SettingError(f"initial is {initial!r}", expected="imagenet or random", do="choose one of these")
    if initial == "imagenet" and not spec.imagenet:
        having = ", ".join(n.name for n in NETWORKS.values() if n.imagenet)
        raise SettingError(
            f"network {name} has no ImageNet weights to begin with",
            expected=f"one of {having}",
            do="or initial: random",
        )
    from_extra("torch", f"network {name} in torch", extra="train")
    if spec.module:
        return resolve_name(spec.module)(classes=classes)
    from segtween.networks.efficientnet_lite import load_imagenet
    from segtween.networks.swiftnet import SwiftNet

    encoder = resolve_name(spec.encoder)()
    if initial == "imagenet":
        load_imagenet(encoder)
    return SwiftNet(encoder, classes=classes)


def fit_size(size_hw: SizeHW, *, multiple_of: int) -> SizeHW:
    """The nearest multiple in each direction, at least one; a half goes up."""
    height, width = (max(1, (2 * n + multiple_of) // (2 * multiple_of)) * multiple_of for n in size_hw)
    return height, width


def export_checkpoint(checkpoint: str | Path, out: str | Path, **options: Any) -> Path:
    """Write the model folder of a training checkpoint; see `segtween.networks.export.export_checkpoint`."""
    from_extra("torch", "reading a checkpoint", extra="train")
    from segtween.networks.export import export_checkpoint as export

    return export(checkpoint, out, **options)


def describe_weights(path: str | Path) -> dict[str, Any]:
    """What a weight file holds, as plain values; see `segtween.networks.conversion.describe_weights`."""
    from_extra("torch", "reading a checkpoint", extra="train")
    from segtween.networks.conversion import describe_weights as describe

    return describe(path)


def convert_weights(path: str | Path, out: str | Path, **options: Any) -> list[Path]:
    """Write weights as safetensors or ONNX; see `segtween.networks.conversion.convert_weights`."""
    from_extra("torch", "reading a checkpoint", extra="train")
    from segtween.networks.conversion import convert_weights as convert

    return convert(path, out, **options)


def parts_of_checkpoint(path: str | Path) -> Path:
    """A folder with `flow.onnx` and `refine.onnx` (see `models.components`) of a checkpoint that holds either or both.

    It is made once per content of the file and kept in the cache; only making it needs torch. Raises ModelError for a
    file that is not found, cannot be read or holds neither, MissingExtraError without torch.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"weights {path} are not found", expected="a weight file", do=where_published(path))

    def fill(folder: Path) -> None:
        from_extra("torch", "reading a checkpoint", extra="train")
        from segtween.networks.conversion import write_parts

        write_parts(path, folder)

    return in_cache("parts", sha256_of(path)[:24], fill)
