"""Test-time augmentation: what is averaged, on which grid, and for which methods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import segtween
from fakes import BrightnessSegmenter, FakeSegmenter, panning, textured
from segtween.build import Processor, build_engine, build_every_frame, build_streams, method
from segtween.cli import app
from segtween.datasets import open_dataset
from segtween.errors import ScoresError, SettingError
from segtween.evaluation import EvaluationOptions, evaluate_methods
from segtween.evaluation.sharing import FrameScores
from segtween.labels import numbered
from segtween.models.records import InputRecord, ModelRecord, OutputRecord
from segtween.segmenters import open_segmenter
from segtween.segmenters.augmented import SCALES, Augmented, augmented
from segtween.segmenters.network import NetworkSegmenter, open_network
from segtween.settings import PRESETS, Settings, change
from small_sets import camvid, picture
from tiny_onnx import write_network

RGB = textured((40, 56))
RAW = InputRecord("image", scale=255, multiple_of=4)


def network_in(folder: Path, runtime: str = "openvino", pixels: InputRecord = RAW) -> NetworkSegmenter:
    """A tiny network in a runtime."""
    graph = write_network(folder / "tiny.onnx", size_hw=pixels.size_hw)
    sidecar = graph.with_name(graph.name + ".yaml")
    record = ModelRecord("tiny", graph.name, pixels, OutputRecord("scores", stride=4), numbered(5), sidecar)
    return open_network(record, runtime=runtime, threads=1)


def test_scales_are_those_of_the_frame_where_the_network_s_own_is_automatic(tmp_path: Path) -> None:
    inner = network_in(tmp_path)
    wide = replace(inner.record, trained_size_hw=(20, 28))
    automatic = NetworkSegmenter(wide, inner.runtime, scale="auto")
    fixed = NetworkSegmenter(wide, inner.runtime, scale=automatic.scale_at((40, 56)))
    assert fixed.scale == 0.65
    np.testing.assert_array_equal(Augmented(automatic, "scales")(RGB), Augmented(fixed, "scales")(RGB))


class Places:
    """Scores that are the cells' own places, to the left and down, in 0..1: mirroring changes the first class only."""

    labels = numbered(2)

    def __init__(self, stride: int = 4) -> None:
        self.stride, self.seen = stride, list[tuple[int, int]]()

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        h, w = rgb.shape[:2]
        self.seen.append((h, w))
        rows, columns = -(-h // self.stride), -(-w // self.stride)
        x, y = (np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows
        return np.stack(np.broadcast_arrays(x[None], y[:, None])).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        return {"name": "places"}


def test_a_network_that_mirrors_along_gives_identical_scores() -> None:
    network = BrightnessSegmenter()
    assert (Augmented(network, "mirror")(RGB) == BrightnessSegmenter()(RGB)).all()
    assert network.calls == 2


def test_an_asymmetric_network_is_averaged_with_its_mirror_image() -> None:
    scores = Augmented(Places(), "mirror")(RGB)
    x, y = Places()(RGB)
    assert np.allclose(scores[0], 0.5)
    assert (scores[1] == y).all()
    assert not np.allclose(x, 0.5)


def test_the_order_of_classes_and_the_grid_stay() -> None:
    def asymmetric(rgb: np.ndarray) -> np.ndarray:
        left = rgb[..., 0].astype(np.float32) * np.linspace(0, 1, rgb.shape[1], dtype=np.float32)
        return np.stack([left, rgb[..., 1].astype(np.float32), rgb[..., 2].astype(np.float32)])[:, ::4, ::4]

    network = open_segmenter(asymmetric, label_set=["a", "b", "c"])
    mirrored = network(np.ascontiguousarray(RGB[:, ::-1]))[..., ::-1]
    assert np.allclose(Augmented(network, "mirror")(RGB), (network(RGB) + mirrored) / 2)


def test_scales_are_seen_at_their_sizes_and_come_back_half_pixel_centred() -> None:
    network = Places(stride=1)
    scores = Augmented(network, "scales")(RGB)
    assert sorted(set(network.seen)) == [(30, 42), (40, 56), (50, 70)]
    assert len(network.seen) == 6
    # A place in 0..1 is the same on every grid, but where the border clamps the outermost half cell of a coarser one.
    y = (np.arange(40) + 0.5) / 40
    assert np.allclose(scores[1][2:-2], y[2:-2, None], atol=1e-6)
    assert np.allclose(scores[0][:, 2:-2], 0.5, atol=1e-6)
    assert scores.shape == (2, 40, 56)
    assert SCALES["scales"] == (0.75, 1.0, 1.25)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("kind", ["mirror", "scales"])
def test_every_runtime(tmp_path: Path, runtime: str, kind: Any) -> None:
    network = network_in(tmp_path, runtime)
    scores = Augmented(network, kind)(RGB)
    assert scores.shape == network(RGB).shape
    assert np.isfinite(scores).all()
    assert Augmented(network, kind).describe() == {**network.describe(), "key_tta": kind}
    if kind == "mirror":
        other = network(np.ascontiguousarray(RGB[:, ::-1]))[..., ::-1]
        assert np.allclose(scores, (network(RGB) + other) / 2, atol=1e-5)


def test_a_network_of_one_size_has_no_scales(tmp_path: Path) -> None:
    network = network_in(tmp_path, pixels=replace(RAW, size_hw=(32, 32)))
    with pytest.raises(SettingError, match="key_tta='scales' for a network that takes 32x32 only.*mirror"):
        Augmented(network, "scales")
    assert Augmented(network, "mirror")(RGB).shape == network(RGB).shape


def test_stored_scores_cannot_be_augmented() -> None:
    stored = FakeSegmenter(frames=[np.zeros((40, 56), np.uint8)])
    for make in (lambda: Augmented(stored, "mirror"), lambda: build_engine(stored, Settings(key_tta="mirror"))):
        with pytest.raises(SettingError, match="key_tta='mirror' with stored scores; expected a network or a function"):
            make()
    with pytest.raises(SettingError, match="with stored scores"):
        FrameScores(stored).augmented("scales")


def test_another_grid_for_the_mirror_image_is_refused() -> None:
    class Growing(Places):
        def __call__(self, rgb: np.ndarray) -> np.ndarray:
            self.stride += 1
            return super().__call__(rgb)

    with pytest.raises(ScoresError, match="cells for a mirror image, .* for the frame"):
        Augmented(Growing(), "mirror")(RGB)


def test_the_names_are_checked() -> None:
    with pytest.raises(SettingError, match="key_tta 'flip'.*none or mirror or scales"):
        change(Settings(), key_tta="flip")
    with pytest.raises(SettingError, match="key_tta 'none'; expected 'mirror' or 'scales'"):
        Augmented(Places(), "none")
    assert augmented(network := Places(), "none") is network


def test_key_frames_are_augmented_and_the_record_says_so() -> None:
    plain, mirror = PRESETS["warp"], change(PRESETS["warp"], key_tta="mirror", interval=1)
    network = Places()
    engine = build_engine(network, mirror, backend=Processor(1))
    for rgb in panning(3, (40, 56)):
        engine.step(rgb)
    assert len(network.seen) == 4, "two runs at each of two key frames"
    records = [method(build_engine(Places(), s, backend=Processor(1)), name="a") for s in (plain, mirror)]
    assert records[0].hash != records[1].hash
    assert records[1].record["network"] == {"name": "places", "key_tta": "mirror"}
    assert "key_tta" not in records[0].record["network"], "hashes of before stay"


def test_the_network_on_every_frame_stays_plain_unless_asked() -> None:
    def runs(**options: Any) -> int:
        network = Places()
        model = segtween.load(network, label_set=network.labels, threads=1, **options)
        model.step(RGB)
        return len(network.seen)

    assert runs(preset="every-frame") == 1
    assert runs(preset="every-frame", key_tta="mirror") == 2
    assert runs(key_tta="mirror") == 2
    assert runs(key_tta="scales") == 6
    network = Places()
    build_every_frame(network, backend=Processor(1)).step(RGB)
    assert len(network.seen) == 1


def test_an_evaluation_shares_augmented_scores_and_keeps_its_baseline(tmp_path: Path) -> None:
    root, frames = camvid(tmp_path, [f"A_{i}" for i in range(4)]), panning(4, (40, 56), cell=12)
    for i, rgb in enumerate(frames):
        picture(root / f"val/A_{i}.png", rgb[..., ::-1])
        picture(root / f"valannot/A_{i}.png", np.zeros((40, 56), np.uint8))
    data = open_dataset("camvid", root, split="val", labels=numbered(2))
    network = Places()
    methods = {"plain": PRESETS["warp"], "mirror": change(PRESETS["warp"], key_tta="mirror")}
    reports = evaluate_methods(
        data, segmenter=network, methods=methods, intervals=[1], options=EvaluationOptions(threads=1)
    )
    assert len(network.seen) == 8, "each frame once, and once its mirror image"
    both = [reports[name].every_frame["miou"] for name in methods]
    assert both[0] == both[1], "the same network on every frame"
    assert reports["plain"].results[0]["avg_miou"] != reports["mirror"].results[0]["avg_miou"]
    assert [("key_tta" in reports[name].method.record["network"]) for name in methods] == [False, True]


def test_streams_share_an_augmented_network() -> None:
    network = Places()
    streams = build_streams(network, change(PRESETS["composed"], key_tta="mirror"), 2, backend=Processor(1))
    streams.step([RGB, RGB])
    assert len(network.seen) == 4


def test_the_command_line_names_its_flag(tmp_path: Path) -> None:
    scores = tmp_path / "given.npz"
    np.savez(scores, scores=np.zeros((1, 2, 4, 4), np.float32))
    picture(tmp_path / "frames" / "0.png", RGB)
    words = ["run", str(tmp_path / "frames"), "-o", str(tmp_path / "out"), "--model", str(scores), "--label-set",
             str(tmp_path / "two.yaml"), "--key-tta", "mirror"]  # fmt: skip
    (tmp_path / "two.yaml").write_text("names: [a, b]\n")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "--key-tta mirror with stored scores" in done.output
