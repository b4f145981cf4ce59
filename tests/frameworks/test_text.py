"""Networks of transformers that are given text beside the image: words to look for (CLIPSeg), a task (OneFormer)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch
import transformers
from folder_contract import NAMES, FolderContract, QueryContract, letters, saved, swin
from framework_contract import SIZE_HW, clip
from PIL import Image
from typer.testing import CliRunner

import segtween
from segtween.adapters.huggingface import exported_record
from segtween.cli import app
from segtween.errors import LabelError, ModelError

WORDS = ("road", "sky", "a tree", "car", "house")
SIDE = 96


def clipseg() -> Any:
    """A network whose prompts make a difference: what comes of them has a spread of 1, and the layers after that add
    little."""
    size = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    tokens = letters()
    ends = {"bos_token_id": tokens.bos_token_id, "eos_token_id": tokens.eos_token_id}
    net = transformers.CLIPSegForImageSegmentation(
        transformers.CLIPSegConfig(
            text_config={**size, **ends, "vocab_size": len(tokens), "max_position_embeddings": 16},
            vision_config={**size, "image_size": 64, "patch_size": 16},
            projection_dim=16,
            reduce_dim=16,
            extract_layers=[0, 1, 2],
            decoder_num_attention_heads=2,
            decoder_intermediate_size=32,
        )
    ).eval()
    encoded = tokens(list(WORDS), padding=True, return_tensors="pt")
    with torch.no_grad():
        prompts = net.get_conditional_embeddings(len(WORDS), **encoded)
        for film in (net.decoder.film_mul, net.decoder.film_add):
            film.weight /= (film(prompts) - film(prompts).mean(dim=0)).std()
            film.bias -= film(prompts).mean(dim=0)
        for layer in net.decoder.reduces[1:]:
            layer.weight *= 0.2
    return net


def clipseg_processor() -> Any:
    images = transformers.ViTImageProcessor(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    )
    return transformers.CLIPSegProcessor(images, letters())


def own_labels(net: Any, rgb: Any, words: Sequence[str] = WORDS, *, threshold: float = 0.5, size_hw: Any = None) -> Any:
    """The library's call, which sees the image once for each word; then its probabilities, enlarged: the most likely
    word, 0 where none is more likely than the threshold."""
    inputs = clipseg_processor()(text=list(words), images=[rgb] * len(words), padding=True, return_tensors="pt")
    with torch.no_grad():
        scores = net(**inputs).logits[:, None]
    full = torch.nn.functional.interpolate(scores, size_hw or rgb.shape[:2], mode="bilinear", align_corners=False)[:, 0]
    best = full.max(dim=0)
    return torch.where(best.values.sigmoid() > threshold, best.indices + 1, 0).numpy()


def loaded(model: str) -> Any:
    return transformers.CLIPSegForImageSegmentation.from_pretrained(Path(model.removeprefix("hf:"))).eval()


class TestClipSeg(FolderContract):
    size_hw = (SIDE, SIDE)
    options: ClassVar[dict[str, Any]] = {"label_set": list(WORDS)}

    @classmethod
    def made(cls, folder: Path) -> tuple[Any, Any]:
        net, processor = clipseg(), clipseg_processor()

        def own(rgb: Any, size_hw: Any = None) -> Any:
            return own_labels(net, rgb, size_hw=size_hw)

        own.images = processor.image_processor  # type: ignore[attr-defined]
        return saved(net, processor, folder), own

    def test_the_words_are_its_classes_beside_the_background(self, network: tuple[Any, Any]) -> None:
        record = exported_record(network[0], label_set=", ".join(WORDS))
        assert record.labels.names == ("background", *WORDS)
        assert record.labels.colours[0] == (0, 0, 0)
        assert len(set(record.labels.colours)) == 1 + len(WORDS)
        assert (record.output.threshold, record.input.size_hw, record.guessed) == (0.5, (SIDE, SIDE), ())
        colours = exported_record(network[0], label_set="voc21").labels
        assert colours.names == segtween.label_set("voc21").names, "its background is no word"

    def test_it_is_exported_once_for_its_words(self, network: tuple[Any, Any], exports: Path) -> None:
        def kept() -> set[str]:
            return {path.parent.name for path in exports.glob("*/model.yaml")}

        paths = [exported_record(network[0], label_set=list(WORDS)).path]
        before = kept()
        paths.append(exported_record(network[0], label_set=list(WORDS)).path)
        assert kept() == before
        paths.append(exported_record(network[0], label_set=["sky", "road"]).path)
        assert len(kept()) == len(before) + 1
        assert paths[0] == paths[1] != paths[2]

    def test_one_word_and_its_background(self, network: tuple[Any, Any]) -> None:
        model, frame = network[0], clip(self.size_hw)[0]
        expected = own_labels(loaded(model), frame, ["car"])
        assert 0.05 < expected.mean() < 0.95
        labels = self.load(model, label_set=["car"], preset="every-frame").step(frame).labels
        assert (labels == expected).mean() > 0.999

    def test_the_threshold_of_an_exported_folder_can_be_changed(self, network: tuple[Any, Any], tmp_path: Path) -> None:
        model, _ = network
        done = CliRunner().invoke(app, ["export", model, "--label-set", ",".join(WORDS), "-o", str(tmp_path / "mine")])
        assert done.exit_code == 0, done.output
        path = tmp_path / "mine" / "model.yaml"
        path.write_text(path.read_text().replace("threshold: 0.5", "threshold: 0.9"))
        frame = clip(self.size_hw)[0]
        expected = own_labels(loaded(model), frame, threshold=0.9)
        assert 0.3 < (expected == 0).mean() < 0.95
        for given in ({"model": path.parent, "label_set": None}, {"model": model, "threshold": 0.9}):
            labels = self.load(**given, preset="every-frame").step(frame).labels
            assert (labels == expected).mean() > 0.999

    def test_classes_of_a_run_are_its_words(self, network: tuple[Any, Any], tmp_path: Path) -> None:
        for i, rgb in enumerate(clip(self.size_hw)[:2]):
            (tmp_path / "clip").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / "clip" / f"{i}.png"), rgb[..., ::-1])
        words = [network[0], "--save", "labels", "--online", "--classes", "car, a tree"]
        done = CliRunner().invoke(app, ["run", str(tmp_path / "clip"), "-o", str(tmp_path / "out"), "--model", *words])
        assert done.exit_code == 0, done.output
        expected = own_labels(loaded(network[0]), clip(self.size_hw)[0], ["car", "a tree"])
        with Image.open(next((tmp_path / "out" / "labels").glob("*0.png"))) as picture:
            labels = np.asarray(picture)
        assert set(np.unique(expected)) == {0, 1, 2}
        assert (labels == expected).mean() > 0.999
        done = CliRunner().invoke(
            app, ["run", str(tmp_path / "clip"), "-o", str(tmp_path / "x"), "--model", network[0]]
        )
        assert done.exit_code == 2
        assert "takes words as its classes, and got none" in done.output
        assert not (tmp_path / "x").exists()

    def test_in_torch_it_gives_the_same(self, network: tuple[Any, Any]) -> None:
        model, own = network
        frame = clip(self.size_hw)[0]
        result = self.load(model, device="torch-cpu", preset="every-frame").step(torch.from_numpy(frame))
        assert float((np.asarray(result.labels) == own(frame)).mean()) > 0.99


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(clipseg(), clipseg_processor(), tmp_path_factory.mktemp("clipseg"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (None, r"takes words as its classes, and got none; expected what .*; give the words as label_set="),
        (3, "takes words as its classes, and got 3"),
        ([], "label set"),
        ("cat,, sofa", r"label set is \['cat', '', 'sofa'\]; expected .* class names"),
        (["cat", " "], "is given an empty word"),
        (["cat", "Cat"], "is given the word 'cat' twice"),
        (["cat", "sofa", "cat"], r"repeats a name or an id \('cat'\)"),
        (["background"], "is given no word but background"),
        (["cat", "a very long prompt"], r"the word 'a very long prompt' has 17 tokens; expected at most 16"),
    ],
)
def test_words_that_are_none_are_told(folder: str, words: Any, told: str) -> None:
    with pytest.raises(LabelError, match=told):
        segtween.load(folder, label_set=words)


def test_a_folder_without_a_tokenizer_is_told(tmp_path: Path) -> None:
    model = saved(clipseg(), clipseg_processor().image_processor, tmp_path)
    with pytest.raises(ModelError, match=r"the tokenizer of .* is not there; expected tokenizer\.json, or vocab"):
        segtween.load(model, label_set=["cat"])


# ── A task ────────────────────────────────────────────────────────────────────────────────────


def steady(queries: torch.Tensor, count: int) -> torch.Tensor:
    """(channels, channels): onto the directions in which queries (queries, frames, channels) differ most from each
    other, as compared with what each differs by from frame to frame (Fisher's linear discriminants)."""
    own = queries.double().mean(dim=1)
    within = (queries.double() - own[:, None]).flatten(0, 1)
    root = torch.linalg.cholesky(within.T.cov() + 1e-6 * torch.eye(own.shape[1]))
    _, found = torch.linalg.eigh(torch.linalg.solve(root, torch.linalg.solve(root, own.T.cov()).T))
    basis = torch.linalg.qr(torch.linalg.solve(root.T, found[:, -count:])).Q
    return (basis @ basis.T).float()


class TestOneFormer(QueryContract):
    """40 tokens, some of them none, say the task. Its queries are made to differ, and what all masks have in common is
    taken from them. A query of random weights says more of its frame than of itself: its class is read from what it
    keeps from frame to frame."""

    spread = 1
    kept = 6

    class Images:
        """Its processor, without the task."""

        def __init__(self, processor: Any) -> None:
            self.save_pretrained = processor.save_pretrained
            self.post_process_semantic_segmentation = processor.post_process_semantic_segmentation
            self.images = processor.image_processor

        def __call__(self, **given: Any) -> Any:
            return self.images(**given)

    @classmethod
    def build(cls) -> tuple[Any, list[Any], Any]:
        config = transformers.OneFormerConfig(
            backbone_config=swin(),
            num_queries=48,
            task_seq_len=40,
            conv_dim=32,
            mask_dim=32,
            hidden_dim=32,
            encoder_feedforward_dim=64,
            dim_feedforward=64,
            encoder_layers=1,
            decoder_layers=3,
            num_attention_heads=4,
            **NAMES,
        )
        net = transformers.OneFormerForUniversalSegmentation(config)
        images = transformers.OneFormerImageProcessor(size={"height": SIZE_HW[0], "width": SIZE_HW[1]}, num_text=8)
        processor = transformers.OneFormerProcessor(images, letters(), task_seq_length=40)
        given = processor(images=clip()[0], task_inputs=["semantic"], return_tensors="pt")
        cls.beside = {"task_inputs": given["task_inputs"]}
        module = net.eval().model.transformer_module
        masks = module.decoder.mask_embed.layers[-1].layers[0]
        with torch.no_grad():
            module.queries_embedder.weight *= 30
            shown: list[torch.Tensor] = []
            hook = masks.register_forward_hook(lambda _, __, out: shown.append(out))
            net(given["pixel_values"], **cls.beside)
            hook.remove()
            masks.bias -= shown[-1].mean(dim=(0, 1))
            hook = module.decoder.decoder_norm.register_forward_hook(lambda _, __, out: shown.append(out))
            frames = images(images=clip(), return_tensors="pt")["pixel_values"]
            net(frames, task_inputs=given["task_inputs"].expand(len(frames), -1))
            hook.remove()
            module.decoder.class_embed.weight.copy_(module.decoder.class_embed.weight @ steady(shown[-1], cls.kept))
        return net, [masks, module.decoder.class_embed], cls.Images(processor)
