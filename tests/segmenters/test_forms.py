"""Every form of model in the table of segmenters, held to the contract."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from segmenter_contract import SegmenterContract

from fakes import BrightnessSegmenter, by_brightness
from segtween import segmenters
from segtween.adapters.cache import KIND, key_of
from segtween.adapters.huggingface import read_folder
from segtween.errors import SettingError
from segtween.labels import numbered
from segtween.models.records import RECORD_FILE, save_record
from segtween.segmenters import SEGMENTERS, open_segmenter
from segtween.segmenters.inspect import inspect_onnx
from segtween.segmenters.truth import TrueLabels
from tiny_onnx import write_network


class TestTruth(SegmenterContract):
    form = "truth"
    names = ("frame",)

    def model(self, folder: Path) -> Any:  # noqa: ARG002
        def read(name: str, size_hw: tuple[int, int]) -> Any:  # noqa: ARG001
            return np.indices(size_hw, dtype=np.uint8).sum(axis=0, dtype=np.uint8) // 16 % 3

        return TrueLabels(numbered(3), read, ["frame"])


class TestCallable(SegmenterContract):
    form = "callable"

    def model(self, folder: Path) -> Any:  # noqa: ARG002
        return by_brightness


class TestObject(SegmenterContract):
    form = "callable"

    def model(self, folder: Path) -> Any:  # noqa: ARG002
        return BrightnessSegmenter(3)


class TestScores(SegmenterContract):
    form = "scores"

    def model(self, folder: Path) -> Any:
        path = folder / "scores.npz"
        np.savez(path, scores=np.random.default_rng(1).normal(size=(2, 11, 9, 12)).astype(np.float32))
        return path


class TestFunction(SegmenterContract):
    form = "function"

    def model(self, folder: Path) -> Any:
        (folder / "mine.py").write_text(
            "import numpy as np\n\ndef scores(rgb):\n"
            "    red = rgb[::4, ::4, 0].astype(np.float32) / 64\n    return np.stack([red, 4 - red])\n\n"
            'scores.labels = ["bright", "dark"]\n'
        )
        return f"{folder / 'mine.py'}:scores"


@pytest.mark.train
class TestModule(SegmenterContract):
    form = "module"
    options: ClassVar[dict[str, Any]] = {"threads": 1, "label_set": ["a", "b", "c"]}

    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))

    def model(self, folder: Path) -> Any:  # noqa: ARG002
        from torch import nn

        return nn.Conv2d(3, 3, 4, stride=4)


class TestHuggingFace(SegmenterContract):
    """Exported before: neither torch nor transformers is needed any more."""

    form = "huggingface"

    @pytest.fixture(autouse=True)
    def _own_cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))

    def model(self, folder: Path) -> Any:
        network = folder / "segformer"
        network.mkdir(exist_ok=True)
        names = {str(i): name for i, name in enumerate("abcde")}
        config = {"architectures": ["SegformerForSemanticSegmentation"], "id2label": names}
        (network / "config.json").write_text(json.dumps(config))
        (network / "model.safetensors").write_bytes(b"weights")
        kept = folder / "cache" / KIND / key_of(read_folder(f"hf:{network}").digest(None))
        if not kept.is_dir():
            kept.mkdir(parents=True)
            record = inspect_onnx(write_network(kept / "graph.onnx"))
            save_record(replace(record, path=kept / RECORD_FILE), kept / RECORD_FILE)
        return f"hf:{network}"


class TestNetwork(SegmenterContract):
    form = "network"

    def model(self, folder: Path) -> Any:  # noqa: ARG002
        return "swiftnet-lite0.camvid"


def test_every_row_has_a_contract() -> None:
    assert {kind.form for kind in SegmenterContract.__subclasses__()} == {row.name for row in SEGMENTERS}


def test_a_model_that_no_row_accepts_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenters, "SEGMENTERS", SEGMENTERS[:-1])
    with pytest.raises(SettingError, match=r"model 'x'; expected true labels .*; give one of these"):
        open_segmenter("x")


def test_the_page_on_models_lists_every_form() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    for row in SEGMENTERS:
        assert row.what in page, f"docs/models.md must list {row.what}"
