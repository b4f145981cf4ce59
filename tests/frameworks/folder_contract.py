"""What networks of transformers keep to that are saved as a folder with random weights and loaded as `hf:FOLDER`."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import transformers
from framework_contract import CLASSES, FEWEST, FrameworkContract, balanced, clip, normalised

from segtween.adapters.huggingface import exported_record
from segtween.segmenters.network import resize

NAMES: dict[str, Any] = {
    "id2label": dict(enumerate(CLASSES)),
    "label2id": {name: i for i, name in enumerate(CLASSES)},
}
"""Of a configuration whose classes have names."""
START, END = "<|startoftext|>", "<|endoftext|>"


def swin() -> Any:
    return transformers.SwinConfig(
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 4, 8],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def letters() -> Any:
    """A tokenizer whose tokens are single letters."""
    tokens = [*string.ascii_lowercase, *(f"{letter}</w>" for letter in string.ascii_lowercase), START, END]
    return transformers.CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[])


def saved(net: Any, images: Any, folder: Path) -> str:
    net.save_pretrained(folder)
    images.save_pretrained(folder)
    return f"hf:{folder}"


class FolderContract(FrameworkContract):
    """`build` gives the network, its last convolutions and its image processor; its own labels are those that the
    processor makes of its answer. `beside` is what the network is given beside images."""

    beside: ClassVar[dict[str, Any]] = {}
    larger_hw: ClassVar[tuple[int, int]] = (150, 250)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)

    def test_larger_frames_are_seen_as_its_processor_shows_them(self, network: tuple[Any, Any]) -> None:
        """But for one grey level in a few values, which torchvision rounds in fixed point. What networks with random
        weights make of these few is left out: labels are those of the library for the very pixels that are seen."""
        model, own = network
        frame, seg = clip(self.larger_hw)[0], self.load(model, preset="every-frame")
        record = exported_record(model, label_set=self.options.get("label_set"))
        shown = np.moveaxis(self.pixels(own.images, frame) * np.float32(self.std) + np.float32(self.mean), -1, 0) * 255
        seen = resize(frame, (shown.shape[1], shown.shape[2]), record.input.resampling)
        apart = np.abs(np.rint(shown) - np.moveaxis(seen.astype(np.float32), -1, 0))
        assert apart.max() <= 1
        assert (apart > 0).mean() < 0.005
        equal = float((seg.step(frame).labels == own(seen, frame.shape[:2])).mean())
        assert equal >= 0.98, f"{equal:.4%} equal"

    @staticmethod
    def pixels(images: Any, rgb: Any) -> Any:
        """(H, W, 3): what a processor shows its network."""
        return np.moveaxis(images(images=rgb, return_tensors="pt")["pixel_values"][0].numpy(), 0, -1)

    @classmethod
    def build(cls) -> tuple[Any, list[Any], Any]:
        raise NotImplementedError

    @classmethod
    def balance(cls, net: Any, last: list[Any]) -> None:
        balanced(net, last, size_hw=cls.size_hw, mean=cls.mean, std=cls.std)

    @classmethod
    def made(cls, folder: Path) -> tuple[Any, Any]:
        net, last, images = cls.build()
        cls.balance(net, last)

        def own(rgb: Any, size_hw: Any = None) -> Any:
            with torch.no_grad():
                answer = net.eval()(images(images=rgb, return_tensors="pt")["pixel_values"], **cls.beside)
            return images.post_process_semantic_segmentation(answer, target_sizes=[size_hw or rgb.shape[:2]])[0].numpy()

        own.images = images  # type: ignore[attr-defined]
        return saved(net, images, folder), own


class QueryContract(FolderContract):
    """`last` are the layers that masks and classes come from: masks get a spread of 4, every class is preferred by some
    queries, and its bias is raised until it has a share of the clip; of all biases on the way there those are taken
    with which the frame with the fewest classes has most of them. `spread` is that of a class among the queries."""

    spread: ClassVar[float] = 4

    @classmethod
    def balance(cls, net: Any, last: list[Any]) -> None:
        images, (masks, classes) = normalised(np.stack(clip(cls.size_hw))[::5]), last
        beside = {name: value.expand(len(images), -1) for name, value in cls.beside.items()}
        net.eval()
        with torch.no_grad():
            spread = net(images, **beside).masks_queries_logits.std()
            masks.weight *= 4 / spread
            masks.bias *= 4 / spread
            found = net(images, **beside).class_queries_logits.flatten(0, 1)
            classes.weight *= (cls.spread / found.std(dim=0))[:, None]
            classes.bias.copy_((classes.bias - found.mean(dim=0)) * cls.spread / found.std(dim=0))
            classes.bias[-1] -= cls.spread  # no class at all
            answer, count = net(images, **beside), len(CLASSES)
            shown = answer.masks_queries_logits.sigmoid()
            raised, most = torch.zeros(count + 1), -1.0
            best = raised.clone()
            for _ in range(100):
                shares = (answer.class_queries_logits + raised).softmax(dim=-1)[..., :-1]
                labels = torch.einsum("bqc,bqhw->bchw", shares, shown).argmax(dim=1)
                there = torch.stack([(labels == i).float().mean(dim=(1, 2)) for i in range(count)])
                fewest = float(there.sort(dim=0, descending=True).values[FEWEST - 1].min())
                if fewest > most:
                    most, best = fewest, raised.clone()
                raised[:-1] += cls.spread / 20 * (1 / count - there.mean(dim=1)).sign()
            classes.bias += best
