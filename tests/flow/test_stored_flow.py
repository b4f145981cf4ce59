"""Flow from files, for every preset."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning
from segtween.build import build_engine
from segtween.errors import DatasetError, SettingError
from segtween.flow.stored import StoredFlow, read_flow
from segtween.settings import change, find_preset

SIZE = (96, 128)


def write_flow(path: Path, flow: np.ndarray) -> None:  # type: ignore[type-arg]
    if path.suffix == ".flo":
        assert cv2.writeOpticalFlow(str(path), flow)
    else:
        np.savez(path, flow=flow)


@pytest.mark.parametrize("ending", [".flo", ".npz"])
def test_the_carried_labels_follow_the_stored_flow(tmp_path: Path, ending: str) -> None:
    frames, step = panning(4, SIZE, step=4, cell=24), np.zeros((*SIZE, 2), np.float32)
    step[..., 0] = 4
    for index in range(1, 4):
        write_flow(tmp_path / f"{index:06d}{ending}", step)
    stored = build_engine(
        BrightnessSegmenter(), change(find_preset("blend"), interval=3, flow=str(tmp_path), cuts=False)
    )
    moved = list(stored.stream(frames))[-1].labels
    own = BrightnessSegmenter()(frames[3]).argmax(axis=0)
    own = cv2.resize(own.astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    inside = (slice(8, -8), slice(8, -24))
    assert (moved == own)[inside].mean() > 0.8


def test_padding_pads_the_flow_too(tmp_path: Path) -> None:
    flow = np.zeros((90, 120, 2), np.float32)
    flow[-1] = 8
    write_flow(tmp_path / "a.flo", flow)
    stored = StoredFlow(tmp_path, stride=1, padded=True)
    stored.select("a")
    view = stored.prepare(np.zeros((90, 120, 3), np.uint8))
    assert view.shape == (96, 128)
    assert (stored(view, view)[90:] == 8).all()


def test_stored_flow_works_in_the_reference_preset(tmp_path: Path) -> None:
    frames = panning(3, (90, 121), step=2)
    for index in (1, 2):
        write_flow(tmp_path / f"{index:06d}.flo", np.zeros((45, 60, 2), np.float32))
    settings = change(find_preset("swnet-seq"), interval=2, flow=str(tmp_path), refine="none")
    results = list(build_engine(BrightnessSegmenter(), settings).stream(frames))
    assert [r.labels.shape for r in results] == [(90, 121)] * 3


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "cannot be read as a flow"),
        (b"PIEH" + bytes(8), "cannot be read as a flow"),
        (b"PIEH" + np.array([1000, 1000], "<i4").tobytes(), "cannot be read as a flow"),
    ],
)
def test_a_damaged_file(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "a.flo").write_bytes(content)
    with pytest.raises(DatasetError, match=text):
        read_flow(tmp_path / "a.flo")


def test_a_missing_file_a_missing_folder_and_values_that_are_no_numbers(tmp_path: Path) -> None:
    stored = StoredFlow(tmp_path)
    stored.select(7)
    view = stored.prepare(np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(DatasetError, match=r"flow of frame 7 is not in .*000007.flo or 000007.npz"):
        stored(view, view)
    with pytest.raises(SettingError, match="is not found"):
        StoredFlow(tmp_path / "absent")
    np.savez(tmp_path / "b.npz", flow=np.full((4, 4, 2), np.nan))
    with pytest.raises(DatasetError, match="not all of its values are finite"):
        read_flow(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", other=np.zeros((4, 4, 2)))
    with pytest.raises(DatasetError, match="cannot be read as a flow"):
        read_flow(tmp_path / "c.npz")
