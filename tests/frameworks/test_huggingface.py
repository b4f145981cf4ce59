"""Networks of transformers, saved as a folder with random weights and loaded as `hf:FOLDER`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import transformers
from folder_contract import NAMES, FolderContract, QueryContract, saved, swin
from framework_contract import CLASSES, MEAN, SIZE_HW

import segtween
from segtween.adapters.huggingface import exported_record
from segtween.errors import LabelError, ModelError
from segtween.segmenters import Preprocessing


def resnet() -> Any:
    return transformers.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 24, 32, 48],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def segformer(**changes: Any) -> Any:
    sizes = {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1], "decoder_hidden_size": 32}
    config = transformers.SegformerConfig(**{**NAMES, **sizes, **changes})
    return transformers.SegformerForSemanticSegmentation(config)


def processor(size_hw: tuple[int, int] = SIZE_HW, **options: Any) -> Any:
    size = {"height": size_hw[0], "width": size_hw[1]}
    return transformers.SegformerImageProcessor(**{"size": size, **options})


class TestSegformer(FolderContract):
    @classmethod
    def build(cls) -> tuple[Any, list[Any], Any]:
        net = segformer()
        return net, [net.decode_head.classifier], processor()

    def test_it_names_its_classes_and_runs_without_torch(self, network: tuple[Any, Any], tmp_path: Path) -> None:
        np.save(tmp_path / "frame.npy", rgb := np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), np.uint8))
        expected = self.load(network[0], preset="every-frame").step(rgb).labels
        code = (
            "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
            "import importlib.metadata as m; found = m.version\n"
            "def version(name):\n"
            "    if name in ('torch', 'transformers'): raise m.PackageNotFoundError(name)\n"
            "    return found(name)\n"
            "m.version = version\n"
            "import numpy as np, segtween\n"
            f"seg = segtween.load({network[0]!r}, preset='every-frame', threads=2)\n"
            f"np.save({str(tmp_path / 'labels.npy')!r}, seg.step(np.load({str(tmp_path / 'frame.npy')!r})).labels)\n"
            "print(*seg.labels.names)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == list(CLASSES)
        assert np.array_equal(np.load(tmp_path / "labels.npy"), expected)


class TestUperNet(FolderContract):
    """Its pooling does not divide the image's grid, which ONNX has no operation for."""

    @classmethod
    def build(cls) -> tuple[Any, list[Any], Any]:
        net = transformers.UperNetForSemanticSegmentation(
            transformers.UperNetConfig(
                backbone_config=resnet(), hidden_size=24, auxiliary_in_channels=32, auxiliary_channels=16, **NAMES
            )
        )
        return net, [net.decode_head.classifier], processor(image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3])

    mean: ClassVar[tuple[float, float, float]] = (0.4, 0.5, 0.6)
    std: ClassVar[tuple[float, float, float]] = (0.2, 0.25, 0.3)


class TestDpt(FolderContract):
    size_hw = (128, 128)
    mean: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, float, float]] = (0.5, 0.5, 0.5)

    @classmethod
    def build(cls) -> tuple[Any, list[Any], Any]:
        config = transformers.DPTConfig(
            image_size=128,
            patch_size=16,
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=64,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[16, 16, 32, 32],
            fusion_hidden_size=16,
            is_hybrid=False,
            initializer_range=0.2,
            **NAMES,
        )
        net = transformers.DPTForSemanticSegmentation(config)
        return net, [net.head.head[4]], transformers.DPTImageProcessor(size={"height": 128, "width": 128})


class TestMask2Former(QueryContract):
    @classmethod
    def build(cls) -> tuple[Any, list[Any], Any]:
        sizes = {"hidden_dim": 32, "feature_size": 32, "mask_feature_size": 32, "dim_feedforward": 64}
        config = transformers.Mask2FormerConfig(
            backbone_config=swin(),
            encoder_layers=1,
            decoder_layers=2,
            num_queries=16,
            num_attention_heads=4,
            encoder_feedforward_dim=64,
            **sizes,
            **NAMES,
        )
        net = transformers.Mask2FormerForUniversalSegmentation(config)
        size = {"height": SIZE_HW[0], "width": SIZE_HW[1]}
        images = transformers.Mask2FormerImageProcessor(size=size, ignore_index=255)
        masks = net.model.transformer_module.decoder.mask_predictor.mask_embedder.get_submodule("2.0")
        return net, [masks, net.class_predictor], images


class TestEomt(QueryContract):
    size_hw = (128, 128)
    larger_hw = (200, 200)

    @classmethod
    def build(cls) -> tuple[Any, list[Any], Any]:
        config = transformers.EomtConfig(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            image_size=128,
            patch_size=16,
            num_blocks=1,
            num_queries=16,
            num_upscale_blocks=1,
            **NAMES,
        )
        net = transformers.EomtForUniversalSegmentation(config)
        images = transformers.EomtImageProcessor(size={"shortest_edge": 128, "longest_edge": 128}, do_pad=True)
        return net, [net.mask_head.fc3, net.class_predictor], images


# ── What stands in the folder ─────────────────────────────────────────────────────────────────


def test_preprocessing_labels_and_ids_come_from_the_folder(tmp_path: Path) -> None:
    net = segformer(semantic_loss_ignore_index=7)
    model = saved(net, processor(image_mean=[0.5, 0.4, 0.3], do_reduce_labels=True), tmp_path / "ade")
    record = exported_record(model)
    assert record.input.size_hw == SIZE_HW
    assert record.input.mean == (0.5, 0.4, 0.3)
    assert record.guessed == ()
    assert record.labels.names == CLASSES
    assert record.labels.ids == (1, 2, 3, 4, 5, 6), "0 is what `reduce_labels` takes away"
    assert record.labels.ignore_id == 0
    asked = Preprocessing(mean=(0.1, 0.2, 0.3))
    first = exported_record(saved(net, processor(), tmp_path / "plain"), label_set=list("abcdef"), preprocessing=asked)
    assert (first.input.mean, first.labels.names) == ((0.1, 0.2, 0.3), tuple("abcdef"))
    record = exported_record(f"hf:{tmp_path / 'plain'}")
    assert (record.input.mean, record.labels.names) == (MEAN, CLASSES), "what was asked for once is not kept"
    assert (record.labels.ids, record.labels.ignore_id) == ((0, 1, 2, 3, 4, 5), 7)


def test_a_size_that_depends_on_the_frame_is_a_guess(tmp_path: Path) -> None:
    images = transformers.MaskFormerImageProcessor(size={"shortest_edge": 96, "longest_edge": 512}, size_divisor=32)
    record = exported_record(saved(segformer(), images, tmp_path))
    assert record.input.size_hw == (96, 160)
    assert record.guessed == ("input.size",)
    asked = segtween.load(f"hf:{tmp_path}", size_hw=(64, 96))
    assert not any(note.startswith("guessed") for note in asked.engine.notes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("segformer")
    saved(segformer(), processor(), path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def change(folder: Path, name: str = "config.json", **values: Any) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_another_kind_of_network_is_refused_by_its_name(copy: Path) -> None:
    change(copy, architectures=["SegformerForImageClassification"])
    with pytest.raises(ModelError, match=r"is SegformerForImageClassification; expected \.\.\.ForSemanticSegmentation"):
        segtween.load(f"hf:{copy}")
    change(copy, architectures=["NobodysForSemanticSegmentation"])
    with pytest.raises(ModelError, match="expected a network that transformers .* knows"):
        segtween.load(f"hf:{copy}")


def test_classes_without_names_are_asked_for(copy: Path) -> None:
    change(copy, id2label={str(i): f"LABEL_{i}" for i in range(6)}, label2id={f"LABEL_{i}": i for i in range(6)})
    with pytest.raises(LabelError, match="comes without labels; expected the names of its 6 classes; give label_set="):
        segtween.load(f"hf:{copy}")
    with pytest.raises(ModelError, match="has 6 classes; expected 2, as label set 'custom' has"):
        segtween.load(f"hf:{copy}", label_set=["a", "b"])
    assert segtween.load(f"hf:{copy}", label_set=list("abcdef")).labels.names == tuple("abcdef")
    with pytest.raises(LabelError, match="comes without labels"):
        segtween.load(f"hf:{copy}")


@pytest.mark.parametrize("content", ["{", "[1]", '"text"'])
def test_a_configuration_that_cannot_be_read_is_told(copy: Path, content: str) -> None:
    (copy / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"config\.json (cannot be read|holds)"):
        segtween.load(f"hf:{copy}")


def test_a_folder_without_configuration_or_weights_is_told(copy: Path, tmp_path_factory: Any) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        segtween.load(f"hf:{tmp_path_factory.mktemp('empty')}")
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"holds no weights; expected model\.safetensors"):
        segtween.load(f"hf:{copy}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"decoder_hidden_size": 64},
            r"has weights decode_head\.batch_norm\.bias of shape \(32,\); expected \(64,\), as",
        ),
        (
            {"id2label": {"0": "a", "1": "b"}},
            r"has weights decode_head\.classifier\.bias of shape \(6,\); expected \(2,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_told_by_name_and_nothing_else_is_written(
    copy: Path, capfd: pytest.CaptureFixture[str], changes: Any, message: str
) -> None:
    change(copy, **changes)
    with pytest.raises(ModelError, match=message):
        segtween.load(f"hf:{copy}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_mean": [0.5]}, "mean is .0.5.; expected three numbers, one for each channel; correct the file"),
        ({"image_mean": [float("nan")] * 3}, "mean is .nan, nan, nan.; expected three numbers"),
        ({"image_std": [0, 0, 0]}, "std is .0, 0, 0.; expected three numbers above 0"),
        ({"image_std": None}, "preprocessor_config.json cannot be read"),
        ({"rescale_factor": 0}, "scale is 0.0; expected a number above 0"),
        ({"rescale_factor": "x"}, "preprocessor_config.json cannot be read"),
        ({"size": {"height": 0, "width": 0}}, "size is '0x0'; expected WIDTHxHEIGHT"),
        ({"size": {"height": 99999, "width": 99999}}, "size is '99999x99999'; expected WIDTHxHEIGHT"),
    ],
)
def test_preprocessing_that_cannot_be_is_told(copy: Path, changes: Any, message: str) -> None:
    change(copy, "preprocessor_config.json", **changes)
    with pytest.raises(ModelError, match=message):
        exported_record(f"hf:{copy}")


def test_one_number_of_an_image_processor_is_that_of_all_channels(copy: Path) -> None:
    change(copy, "preprocessor_config.json", image_mean=0.4, image_std=0.2)
    record = exported_record(f"hf:{copy}")
    assert (record.input.mean, record.input.std) == ((0.4,) * 3, (0.2,) * 3)


@pytest.mark.parametrize(
    "names", [{str(i + (i > 2)): f"class {i}" for i in range(6)}, {str(i): None for i in range(6)}]
)
def test_names_that_are_not_numbered_from_0_are_none(copy: Path, names: Any) -> None:
    change(copy, id2label=names)
    with pytest.raises(LabelError, match="comes without labels; expected the names of its 6 classes"):
        exported_record(f"hf:{copy}")
    assert exported_record(f"hf:{copy}", label_set=list("abcdef")).labels.names == tuple("abcdef")


@pytest.mark.parametrize("ignored", [-100, 3])
def test_an_ignore_index_that_is_no_id_or_that_of_a_class_is_not_taken(copy: Path, ignored: int) -> None:
    change(copy, semantic_loss_ignore_index=ignored)
    assert exported_record(f"hf:{copy}").labels.ignore_id == 255


def test_a_backbone_alone_is_no_network(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    kept = {key: value for key, value in state.items() if not key.startswith("decode_head.classifier")}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"has no weights for decode_head\.classifier\.bias and 1 others"):
        segtween.load(f"hf:{copy}")


class _Runs:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_a_pickle_that_runs_code_is_refused_and_tensors_are_taken(copy: Path) -> None:
    from safetensors.torch import load_file

    state = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    mark = copy / "it-ran"
    torch.save({**state, "more": _Runs(mark)}, copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match="holds more than tensors: loading it would run its code"):
        segtween.load(f"hf:{copy}")
    assert not mark.exists()
    torch.save(state, copy / "pytorch_model.bin")
    assert segtween.load(f"hf:{copy}").labels.names == CLASSES
