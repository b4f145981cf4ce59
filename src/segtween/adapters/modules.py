"""A `torch.nn.Module` as a network: which of its outputs are scores, what it sees, and its record. Class and mask
queries become class scores by the rule of the library that the network comes from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from segtween.adapters.cache import digest_of_module
from segtween.adapters.labels import labels_for, names_in
from segtween.errors import ModelError, SettingError, one_line_of_kind
from segtween.labels import LabelSet
from segtween.models.records import InputRecord, ModelRecord, OutputKind, OutputRecord
from segtween.segmenters import Preprocessing
from segtween.segmenters.function import are_probabilities
from segtween.segmenters.inspect.inputs import IMAGENET_MEAN, IMAGENET_STD, USUAL_MULTIPLE
from segtween.segmenters.inspect.outputs import LARGEST_STRIDE, USUAL_THRESHOLD, stride_of
from segtween.segmenters.merging import MASKS_AT, class_sums
from segtween.segmenters.network import CONTENT, NetworkSegmenter, open_network
from segtween.types import Rgb, SizeHW, format_size

TRIAL_HW: SizeHW = (128, 192)
IMAGE, SCORES = "image", "scores"
_NAMED = ("logits", "out")


class Scores(nn.Module):
    """A module's scores alone: normalised images (N, 3, H, W) -> (N, C, h, w).

    The scores are the tensor that it gives, its entry `logits` (transformers) or `out` (torchvision), the first image
    of several outputs (SMP with a classification head), or the merged class and mask queries.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.masks_hw = mask_size(getattr(module, "config", None))

    def forward(self, image: Tensor) -> Tensor:
        answer = self.module(image)
        if isinstance(answer, Tensor):
            return _image(answer)
        if isinstance(answer, Mapping) or hasattr(answer, "keys"):
            if "class_queries_logits" in answer and "masks_queries_logits" in answer:
                return self._merged(answer, image)
            for name in _NAMED:
                if name in answer:
                    return _image(answer[name])
        if isinstance(answer, Sequence):
            return _image(next((a for a in answer if isinstance(a, Tensor)), None))
        raise _wrong_kind(f"answers with {type(answer).__name__}")

    def _merged(self, answer: Any, image: Tensor) -> Tensor:
        kind = getattr(getattr(self.module, "config", None), "model_type", None)
        if kind not in MERGED_AT:
            raise _wrong_kind(f"has class and mask queries of a kind that is not known ({kind})")
        classes, masks = answer["class_queries_logits"], answer["masks_queries_logits"]
        return merged(classes, masks, size_hw=self.masks_hw, image_hw=image.shape[2:])


@dataclass(frozen=True)
class TorchNetwork:
    """A module that gives scores, on the processor in float32, and its record, whose graph is not written yet."""

    net: Any
    record: ModelRecord

    @property
    def trial_hw(self) -> SizeHW:
        return trial_size(self.record.input.size_hw)


def open_module(
    model: Any, *, label_set: Any = None, preprocessing: Preprocessing | None = None, **options: Any
) -> NetworkSegmenter:
    """The module exported, once for its weights, and run as any ONNX file; `options` are those of `open_network`.

    Raises ModelError (fails, no scores, other scores once exported), LabelError (no labels), MissingExtraError.
    """
    from segtween.adapters.export import exported

    found = torch_network(model, label_set=label_set, preprocessing=preprocessing or Preprocessing())
    return open_network(exported(found), **options)


def torch_network(model: Any, *, label_set: Any, preprocessing: Preprocessing) -> TorchNetwork:
    """A copy of the module, tried on one picture; raises as `open_module`."""
    pixels, guessed = input_record(preprocessing, stored_preprocessing(model))
    name = type(model).__name__
    with _prepared(name):
        content = digest_of_module(model, pixels.size_hw)
    config = getattr(model, "config", None)
    own = getattr(model, "labels", None)
    return module_network(
        model,
        pixels,
        guessed=guessed,
        name=name,
        content=content,
        labels=partial(
            labels_for, given=own if label_set is None else label_set, named=names_in(getattr(config, "id2label", None))
        ),
    )


def module_network(
    module: Any,
    pixels: InputRecord,
    *,
    guessed: Sequence[str],
    name: str,
    content: str,
    labels: Callable[..., LabelSet],
    threshold: float | None = None,
) -> TorchNetwork:
    """The module and its record, both found right by one picture; `content` is a digest of all that changes its
    numbers, `labels` is `labels_for` but for the number of classes and the name. `threshold`: that of the record's
    output, for logits of classes scored each for itself; a single channel, a class beside the background, is one."""
    with _prepared(name):
        net: Any = Scores(copy.deepcopy(module)).eval().to("cpu", torch.float32)
        net.requires_grad_(False)
    size = trial_size(pixels.size_hw)
    answer = _tried(net, pixels, size, name=name)
    is_share = are_probabilities(answer[0])
    if threshold is None and answer.shape[1] == 1:
        threshold, is_share = USUAL_THRESHOLD, bool(0 <= answer.min() <= answer.max() <= 1)
    kind: OutputKind = "probabilities" if is_share else "logits"
    record = ModelRecord(
        name=name,
        graph="graph.onnx",
        input=pixels,
        output=OutputRecord(
            SCORES, kind=kind, stride=_stride((answer.shape[2], answer.shape[3]), size, name=name), threshold=threshold
        ),
        labels=labels(answer.shape[1] + (threshold is not None), name=name),
        path=Path("model.yaml"),
        provenance={CONTENT: content},
        guessed=tuple(guessed),
    )
    return TorchNetwork(net, record)


@contextmanager
def _prepared(name: str) -> Iterator[None]:
    """ModelError for modules whose weights cannot be read and copied: lazy ones, TorchScript, what holds open files."""
    try:
        yield
    except Exception as error:  # whatever the module raises
        raise ModelError(
            f"network {name!r} cannot be copied ({one_line_of_kind(error)})",
            expected="a torch.nn.Module with its weights",
            do="build it as its source does, and load a state dict",
        ) from None


def trial_size(size_hw: SizeHW | None) -> SizeHW:
    """The size of the picture that a network is tried on."""
    return TRIAL_HW if size_hw is None else size_hw


def trial_picture(size_hw: SizeHW) -> Rgb:
    """Colours that change within some pixels and over the whole picture, the same every time: (H, W, 3) uint8."""
    import cv2

    rng = np.random.default_rng(0)
    layers = [rng.uniform(0, 255, (max(1, size_hw[0] // cell), max(1, size_hw[1] // cell), 3)) for cell in (32, 8, 1)]
    whole = [cv2.resize(layer, size_hw[::-1], interpolation=cv2.INTER_LINEAR) for layer in layers]
    picture: Rgb = np.average(whole, axis=0, weights=(3, 2, 1)).clip(0, 255).astype(np.uint8)
    return picture


def answer_of(net: Any, pixels: InputRecord, rgb: Rgb) -> NDArray[np.float32]:
    """The scores (1, C, h, w) of one picture of the size that the network takes."""
    ordered = rgb[..., ::-1] if pixels.channels == "BGR" else rgb
    mean, std = np.asarray(pixels.mean, np.float32), np.asarray(pixels.std, np.float32)
    image = (ordered.astype(np.float32) * np.float32(pixels.scale / 255) - mean) / std
    with torch.no_grad():
        scores: NDArray[np.float32] = net(torch.from_numpy(image.transpose(2, 0, 1)[None].copy())).numpy()
    return scores


def _tried(net: Any, pixels: InputRecord, size_hw: SizeHW, *, name: str) -> NDArray[np.float32]:
    try:
        return answer_of(net, pixels, trial_picture(size_hw))
    except ModelError as error:
        raise ModelError(f"network {name!r} {error.got}", expected=error.expected, do=error.do) from None
    except (Exception, SystemExit) as error:  # whatever the module raises
        raise ModelError(
            f"network {name!r} fails on an image of {format_size(size_hw)} ({one_line_of_kind(error)})",
            expected="a network that takes normalised images (1, 3, H, W)",
            do="give size_hw=(H, W), if it takes one size only",
        ) from None


# ── What a module sees ────────────────────────────────────────────────────────────────────────


def input_record(asked: Preprocessing, stored: Preprocessing) -> tuple[InputRecord, list[str]]:
    """The input of a module and what of it is guessed: as asked, else as stored with the module, else as ImageNet's
    networks see it."""
    found = {name: getattr(asked, name) or getattr(stored, name) for name in ("mean", "std", "channels", "size_hw")}
    guessed = [f"input.{name}" for name in ("channels", "mean", "std") if found[name] is None]
    if found["size_hw"] is None:
        guessed.append("input.multiple_of")
    record = InputRecord(
        IMAGE,
        channels=found["channels"] or "RGB",
        mean=found["mean"] or IMAGENET_MEAN,
        std=found["std"] or IMAGENET_STD,
        multiple_of=USUAL_MULTIPLE if found["size_hw"] is None else 1,
        size_hw=found["size_hw"],
    )
    return record, guessed


def stored_preprocessing(module: Any) -> Preprocessing:
    """What a module says itself of its input: segmentation_models_pytorch of its encoder, timm of a network."""
    config = getattr(module, "config", None)
    if isinstance(config, Mapping) and "encoder_name" in config:
        return _of_smp(str(config["encoder_name"]), config.get("encoder_weights"))
    own = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None)
    if isinstance(own, Mapping) and "mean" in own and "std" in own:
        with suppress(SettingError):  # that of another number of channels, say
            return Preprocessing.of(mean=own["mean"], std=own["std"], channels="RGB")
    return Preprocessing()


def _of_smp(encoder: str, weights: str | None) -> Preprocessing:
    if weights is None and not encoder.startswith("tu-"):  # timm's say it themselves, others with their weights
        return Preprocessing()
    from segmentation_models_pytorch.encoders import get_preprocessing_params

    try:
        stored = get_preprocessing_params(encoder, pretrained=weights or "imagenet")
    except Exception:  # an encoder without any, or its file is not here and neither is the network
        return Preprocessing()
    unit = 1.0 if list(stored["input_range"]) == [0, 1] else 255.0
    mean, std = (tuple(float(value) / unit for value in stored[key]) for key in ("mean", "std"))
    return Preprocessing(mean=mean, std=std, channels=stored["input_space"])  # type: ignore[arg-type]


# ── What a module answers ─────────────────────────────────────────────────────────────────────


def _image(answer: Any) -> Tensor:
    if not isinstance(answer, Tensor) or answer.ndim != 4:
        shape = tuple(answer.shape) if isinstance(answer, Tensor) else "no tensor"
        raise _wrong_kind(f"answers with {shape}")
    if not answer.is_floating_point():
        raise _wrong_kind(f"answers with {answer.dtype}".replace("torch.", ""))
    return answer


def _wrong_kind(found: str) -> ModelError:
    return ModelError(
        found, expected="scores (1, classes, h, w)", do="give a semantic segmentation network, not another kind"
    )


def _stride(grid_hw: SizeHW, size_hw: SizeHW, *, name: str) -> int:
    stride = stride_of(grid_hw, size_hw)
    if stride is None:
        raise ModelError(
            f"network {name!r} has {format_size(grid_hw)} cells for an image of {format_size(size_hw)}",
            expected=f"a grid that spans the image, of a stride up to {LARGEST_STRIDE}",
            do="give a semantic segmentation network",
        )
    return stride


# ── Class and mask queries ────────────────────────────────────────────────────────────────────


LEAST_SCORE = 1e-6
MERGED_AT: dict[str, SizeHW | None] = {**MASKS_AT, "eomt": None, "eomt_dinov3": None}
"""`model_type` of networks that are merged, and the size that their masks are resized to first; None: as they are, but
for `image_size` of the configuration, where there is one (transformers 5, `post_process_semantic_segmentation`)."""


def mask_size(config: Any) -> SizeHW | None:
    """The size that a network's masks are resized to before they are merged; None: as they are."""
    kind = str(getattr(config, "model_type", ""))
    side = getattr(config, "image_size", None) if kind.startswith("eomt") else None
    return (int(side), int(side)) if isinstance(side, int) else MERGED_AT.get(kind)


def merged(classes: Tensor, masks: Tensor, *, size_hw: SizeHW | None, image_hw: Sequence[int]) -> Tensor:
    """Class queries (N, Q, C + 1), the last class being none, and mask queries (N, Q, h, w) as logits (N, C, H, W) of
    the image's size.

    The sums of `merging.class_sums` are enlarged as the library does, and their logarithm is returned: that of coarser
    scores, enlarged, would put edges between classes elsewhere.
    """
    if size_hw is not None:
        masks = interpolate(masks, size=size_hw, mode="bilinear", align_corners=False)
    sums: Tensor = class_sums(classes, masks, xp=torch)
    enlarged = interpolate(sums, size=tuple(image_hw), mode="bilinear", align_corners=False)
    return enlarged.clamp(min=LEAST_SCORE).log()
