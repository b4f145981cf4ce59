"""Networks that are given text beside the image: it is encoded once, and what comes of it is part of the graph.

| network | text |
| --- | --- |
| CLIPSeg | a prompt for each class (Lüddecke and Ecker, CVPR 2022, "Image Segmentation Using Text and Image Prompts", section 3) |
| OneFormer | the task, which is semantic segmentation (Jain et al., CVPR 2023, "OneFormer", section 3.1) |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segtween.adapters import of_transformers
from segtween.errors import LabelError, ModelError, one_line

TASK = "the task is semantic"
TOKENS = ("tokenizer.json", "vocab.json")
THRESHOLD = 0.5
"""From this probability on a word fits a pixel: more likely than not."""


class Prompted(nn.Module):
    """CLIPSeg with its prompts encoded: normalised images (1, 3, H, W) -> logits (1, prompts, H, W).

    The image is encoded once for all prompts, where the library's own call encodes it once for each.
    """

    prompts: Tensor

    def __init__(self, network: Any, tokens: Any) -> None:
        super().__init__()
        self.config = network.config
        with torch.no_grad():
            encoded = network.get_conditional_embeddings(len(tokens["input_ids"]), **tokens)
        self.register_buffer("prompts", encoded)
        self.image, self.decoder, self.layers = network.clip.vision_model, network.decoder, network.extract_layers

    def forward(self, image: Tensor) -> Tensor:
        states = self.image(image, interpolate_pos_encoding=True, output_hidden_states=True).hidden_states
        scores: Tensor = self.decoder([states[layer + 1] for layer in self.layers], self.prompts).logits
        return scores[None]


class SemanticTask(nn.Module):
    """OneFormer with its task encoded: normalised images -> what the network answers."""

    task: Tensor

    def __init__(self, network: Any, tokens: Any) -> None:
        super().__init__()
        self.config, self.network = network.config, network
        self.register_buffer("task", tokens["input_ids"] * tokens["attention_mask"])

    def forward(self, image: Tensor) -> Any:
        return self.network(pixel_values=image, task_inputs=self.task)


def prompted(network: Any, folder: Path, words: Sequence[str]) -> Prompted:
    """The network for these words, each of which is a prompt as it stands. Raises ModelError without a tokenizer,
    LabelError for a word that is too long."""
    tokens = _tokenizer(folder)(list(words), padding=True, return_tensors="pt")
    most = int(network.config.text_config.max_position_embeddings)
    if tokens["input_ids"].shape[1] > most:
        lengths = tokens["attention_mask"].sum(dim=1)
        raise LabelError(
            f"the word {words[int(lengths.argmax())][:60]!r} has {int(lengths.max())} tokens",
            expected=f"at most {most}",
            do="say it in fewer words",
        )
    return Prompted(network, tokens)


def with_task(network: Any, folder: Path) -> SemanticTask:
    """The network for semantic segmentation. Raises ModelError without a tokenizer."""
    length = int(network.config.task_seq_len)
    options: dict[str, Any] = {"padding": "max_length", "max_length": length, "truncation": True}
    return SemanticTask(network, _tokenizer(folder)([TASK], **options, return_tensors="pt"))


def _tokenizer(folder: Path) -> Any:
    if not any((folder / name).is_file() for name in TOKENS):
        raise _no_tokenizer(folder, "is not there")
    tokenizers = of_transformers("AutoTokenizer")
    try:
        return tokenizers.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever transformers raises
        raise _no_tokenizer(folder, f"cannot be read ({one_line(error, 160)})") from None


def _no_tokenizer(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"the tokenizer of {folder} {why}",
        expected="tokenizer.json, or vocab.json with merges.txt",
        do="save the network with its processor",
    )
