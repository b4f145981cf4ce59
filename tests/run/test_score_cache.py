"""`segtween scores export`, and what is measured from the stored file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, panning
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.errors import ScoresError, SettingError, SinkError
from segtween.evaluation import EvaluationOptions, evaluate_method
from segtween.labels import numbered
from segtween.run.score_cache import dataset_frames, export_scores
from segtween.segmenters.cached import CachedScores
from segtween.settings import find_preset
from small_sets import cityscapes, picture

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


def clip(root: Path, frames: int = 12, size_hw: tuple[int, int] = (48, 64)) -> Dataset:
    for i, rgb in enumerate(panning(frames, size_hw, cell=16)):
        picture(root / "val/frames/a" / f"{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(root / "val/labels/a" / f"{i}.png", rgb[..., 0] // 64)
    return open_dataset("folders", root, split="val", labels=numbered(4))


def test_evaluation_from_the_file_equals_the_networks(tmp_path: Path) -> None:
    """Within 0.5 points: labels may differ only where two classes are closer than two rounding errors."""
    data = clip(tmp_path)
    export_scores(BrightnessSegmenter(), dataset_frames(data), tmp_path / "s.npz")
    stored = CachedScores(tmp_path / "s.npz")
    assert stored.labels == numbered(4)

    def measured(segmenter: object) -> list[float]:
        report = evaluate_method(
            data,
            segmenter=segmenter,
            settings=find_preset("blend"),
            name="blend",
            intervals=[0, 2],
            options=EvaluationOptions(threads=1),
        )  # type: ignore[arg-type]
        return [row["miou"] for row in report.rows()]

    assert measured(stored) == pytest.approx(measured(BrightnessSegmenter()), abs=5e-3)


def test_sparse_labels_need_only_the_frames_before_them(tmp_path: Path) -> None:
    root = cityscapes(tmp_path, {"bonn_000000": range(30)}, {"bonn_000000": [19]})
    data = open_dataset("cityscapes", root, split="val")
    assert len(list(dataset_frames(data))) == 30
    assert [name for name, _ in dataset_frames(data, before=2)] == [f"bonn_000000_{n:06d}" for n in (17, 18, 19)]
    with pytest.raises(SettingError, match="-1 frames before each label; expected 0 or more"):
        list(dataset_frames(data, before=-1))


def test_nothing_is_left_of_a_run_that_fails(tmp_path: Path) -> None:
    pictures = [(None, np.zeros((48, 64, 3), np.uint8)), (None, np.zeros((40, 64, 3), np.uint8))]
    with pytest.raises(ScoresError, match="store frames of different sizes in files of their own"):
        export_scores(BrightnessSegmenter(), pictures, tmp_path / "s.npz")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_keeps_the_frames_so_far(tmp_path: Path) -> None:
    def stopped() -> Iterator[tuple[None, np.ndarray]]:
        for rgb in panning(3, (48, 64)):
            yield None, rgb
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_scores(BrightnessSegmenter(), stopped(), tmp_path / "s.npz")
    assert len(CachedScores(tmp_path / "s.npz")) == 3


def test_targets_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"scores file .*s\.npy; expected a name that ends in \.npz; give s\.npz"):
        export_scores(BrightnessSegmenter(), [], tmp_path / "s.npy")
    with pytest.raises(SinkError, match="cannot be written"):
        export_scores(BrightnessSegmenter(), [], tmp_path / "none" / "s.npz")


def test_the_command_stores_data_sets_and_videos(tmp_path: Path) -> None:
    clip(tmp_path, frames=4)
    (tmp_path / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    command = ["scores", "export", "--dataset", "folders", "--root", str(tmp_path), "--model", MODEL]
    done = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "s.npz"), "--max-frames", "3"])
    assert done.exit_code == 0, done.output
    assert "scores of 3 frames, 4 classes on 16x12 cells (width x height)" in done.stdout
    given = CachedScores(tmp_path / "s.npz")
    assert given.frames == ["a/0", "a/1", "a/2"]
    assert given.labels.names == ("dark", "dim", "light", "bright")
    again = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "s.npz")])
    assert again.exit_code == 2
    assert "s.npz exists; expected no such file yet; give --overwrite" in again.stderr

    frames = str(tmp_path / "val/frames/a")
    done = CliRunner().invoke(app, ["scores", "export", frames, "-o", str(tmp_path / "v.npz"), "--model", MODEL])
    assert done.exit_code == 0, done.output
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["run", frames, "-o", str(out), "--save", "labels", "--model", str(tmp_path / "v.npz")]
    )
    assert done.exit_code == 0, done.output
    assert json.loads((out / "run.json").read_text())["totals"]["frames"] == 4
    assert cv2.imread(str(out / "labels/000003.png")) is not None

    unclear = CliRunner().invoke(app, ["scores", "export", "-o", str(tmp_path / "w.npz")])
    assert unclear.exit_code == 2
    assert "the input is not clear; expected either a video, or --dataset with --root" in unclear.stderr
