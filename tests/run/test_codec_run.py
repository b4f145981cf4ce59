"""Flow from motion vectors, from the video to the labels: in files, frame by frame, with several inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

import segtween
from fakes import by_brightness, panning
from segtween.cli import app
from segtween.flow import codec

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 as a camera sends it."""
    path = tmp_path_factory.mktemp("codec") / "v.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"tune": "zerolatency", "refs": "1"})
        stream.height, stream.width, stream.pix_fmt = 96, 160, "yuv420p"
        for rgb in panning(9, (96, 160), step=4, cell=16):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether vectors gave a flow, call by call."""
    found, real = list[bool](), codec.flow_of_vectors

    def flow_of_vectors(*given: Any) -> Any:
        flow = real(*given)
        found.append(flow is not None)
        return flow

    monkeypatch.setattr(codec, "flow_of_vectors", flow_of_vectors)
    return found


@pytest.mark.parametrize("mode", ["causal", "bidirectional"])
def test_a_run_takes_its_flow_from_the_video(
    video: Path, tmp_path: Path, used: list[bool], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seg = segtween.load(by_brightness, flow="codec", interval=2, mode=mode)
    turned, real = [], codec.turned_round
    monkeypatch.setattr(codec, "turned_round", lambda flow: turned.append(flow) or real(flow))
    assert seg.run(video, tmp_path, save=["labels"]).frames == 9
    assert used == [True] * 8
    assert len(turned) == (0 if mode == "causal" else 8)


def test_the_command_takes_it_too(video: Path, tmp_path: Path, used: list[bool]) -> None:
    words = ["run", str(video), "-o", str(tmp_path), "--model", MODEL, "--flow", "codec", "--online", "-q"]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    assert used == [True] * 8


def test_frames_of_a_stream_and_of_several(video: Path, used: list[bool]) -> None:
    seg = segtween.load(by_brightness, flow="codec", interval=2, mode="causal")
    assert len(list(seg.stream(video))) == 9
    assert used == [True] * 8
    assert len(list(seg.stream_multi([video, video]))) == 9
    assert used == [True] * 24


def test_arrays_have_their_flow_estimated(used: list[bool]) -> None:
    seg = segtween.load(by_brightness, flow="codec", interval=2, mode="causal")
    plain = segtween.load(by_brightness, flow="dis", interval=2, mode="causal")
    frames = panning(6, (96, 160), step=4, cell=16)
    for ours, theirs in zip(seg.stream(frames), plain.stream(frames), strict=True):
        np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert used == []


def test_propagate_takes_it_too(video: Path, tmp_path: Path, used: list[bool]) -> None:
    import cv2

    from segtween.run.propagation import Labelled, propagate
    from segtween.settings import Bidirectional, Settings, change

    (tmp_path / "labels").mkdir()
    for index in (0, 8):
        cv2.imwrite(str(tmp_path / "labels" / f"{index:06d}.png"), np.full((96, 160), index // 8, np.uint8))
    how = Labelled(label_set="camvid11", settings=change(Settings(Bidirectional()), flow="codec"))
    propagate(video, tmp_path / "labels", tmp_path / "out", how=how)
    assert used
    assert all(used)
