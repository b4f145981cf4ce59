"""Advice for a video: what is measured of the candidates, and which is recommended."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from test_cli import MODEL, call, images, refused, video

import segtween
from fakes import BrightnessSegmenter, textured
from segtween.build import Processor, build_engine
from segtween.errors import SettingError
from segtween.reports import advice
from segtween.reports.advice import Request, advise, choose
from segtween.segmenters import open_segmenter
from segtween.settings import Settings
from segtween.types import Rgb


def row(agreement: float, faster: float, interval: int = 4, mode: str = "offline") -> dict[str, Any]:
    return {"preset": "composed", "mode": mode, "interval": interval, "agreement": agreement, "times_faster": faster}


def test_the_fastest_within_the_tolerance_is_recommended() -> None:
    rows = [row(0.90, 1.5, 1), row(0.87, 3.0, 4), row(0.80, 5.0, 9)]
    chosen, reason = choose(rows, tolerance=0.05)
    assert chosen is rows[1]
    assert reason == (
        "Recommended: composed, offline, the network on every 5th frame (87.0%, 3.0 times as fast). "
        "What agrees best is composed, offline, the network on every 2nd frame (90.0%, 1.5 times as fast), "
        "and more speed costs more agreement: "
        "composed, offline, the network on every 10th frame (80.0%, 5.0 times as fast)."
    )
    assert choose(rows, tolerance=0.0)[0] is rows[0]
    assert choose(rows, tolerance=0.5)[0] is rows[2]
    assert choose(rows[:1], tolerance=0.05)[1].endswith(
        "Nothing agrees better with the network, and nothing is much faster."
    )


def test_of_what_is_about_as_fast_the_best_is_recommended() -> None:
    rows = [row(0.87, 3.0, mode="online"), row(0.89, 2.8), row(0.90, 2.0)]
    assert choose(rows, tolerance=0.05)[0] is rows[1]


def test_what_is_hardly_faster_is_not_worth_it() -> None:
    chosen, reason = choose([row(0.99, 1.1)], tolerance=0.05)
    assert chosen is None
    assert reason == "Recommended: the network on every frame. Nothing is 1.2 times as fast."
    rows = [row(0.99, 1.1), row(0.9, 2.0)]
    assert choose(rows, tolerance=0.05)[0] is rows[1], "what is not worth it does not raise the bar"


class Counting(BrightnessSegmenter):
    """Counts its runs."""

    runs = 0

    def __call__(self, rgb: Rgb) -> Any:
        self.runs += 1
        return super().__call__(rgb)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images(tmp_path_factory.mktemp("advice") / "clip", frames=64)


def test_the_network_runs_once_per_frame_and_every_candidate_is_judged_by_it(clip: Path) -> None:
    segmenter = Counting()
    found = advise(Request(str(clip), threads=1), segmenter, command=lambda _: "", backend=Processor(1))
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (record["clips"], record["frames"]) == (2, 62), "64 frames hold two clips"
    assert segmenter.runs == 62 + 3 + 4, "and the warm-up's"
    assert [(r["preset"], r["mode"], r["interval"]) for r in record["rows"]] == [
        (preset, {"causal": "online"}.get(mode, "offline"), i)
        for preset, mode in advice.METHODS
        for i in advice.INTERVALS
    ]
    for r in record["rows"]:
        assert 0 < r["agreement"] <= r["pixels"] <= 1
        assert r["ms_per_frame"] == pytest.approx(
            (r["key_frame_ms"] + r["interval"] * r["other_frame_ms"]) / (r["interval"] + 1)
        )
    table, remarks, _ = found.tables()
    assert len(table.rows) == 11  # type: ignore[union-attr]
    assert "it is not accuracy" in str(remarks)


def test_classes_of_a_few_pixels_do_not_count() -> None:
    candidate = advice.Candidate("composed", 4, Settings(), build_engine(BrightnessSegmenter(), Settings()), classes=3)
    network = np.zeros((50, 80), np.uint8)
    network[:, 40:] = 1
    network[0, :3] = 2  # 3 of 4000
    wrong = np.where(network == 2, 0, network).astype(np.uint8)
    for is_key in (True, False):
        candidate._waiting.append(network)
        candidate._note([SimpleNamespace(labels=wrong, is_key=is_key, stages_ms={"flow": 2.0, "segment": 9.0})])  # type: ignore[list-item]
    found = candidate.figures(network_ms=10.0, plain_ms=11.0)
    assert found["agreement"] == pytest.approx((1997 / 2000 + 1) / 2)
    assert (found["worst_class"], found["worst_class_iou"]) == (0, pytest.approx(1997 / 2000))
    assert found["ms_per_frame"] == pytest.approx((12 + 4 * 2) / 5)
    assert found["times_faster"] == pytest.approx(11 / 4)


def test_a_still_video_agrees_wholly(tmp_path: Path) -> None:
    still = video(tmp_path / "still.mp4", [textured((48, 64))] * 6)
    found = advise(Request(str(still)), BrightnessSegmenter(), command=lambda _: "")
    assert {r["interval"] for r in found.rows} == {1, 2, 4}, "whose next key frame is in the clip"
    assert min(r["pixels"] for r in found.rows) > 0.999


def test_a_video_of_cuts_alone_takes_the_network_everywhere(tmp_path: Path) -> None:
    noise = [np.random.default_rng(i).integers(0, 256, (8, 8, 3), dtype=np.uint8) for i in range(6)]
    found = advise(Request(str(images_of(tmp_path / "noise", noise))), BrightnessSegmenter(), command=lambda _: "")
    assert found.rows
    assert all(r["ms_per_frame"] == pytest.approx(r["key_frame_ms"]) for r in found.rows), "each is a key frame"
    json.dumps(found.to_json(), allow_nan=False)


def images_of(folder: Path, frames: list[Rgb]) -> Path:
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:03}.png"), frame)
    return folder


def test_the_methods_are_those_of_a_run(clip: Path) -> None:
    found = advise(Request(str(clip), seconds=0.001), open_segmenter(MODEL), command=lambda _: "")
    assert found.clips == 1, "no time for another"
    seg = segtween.load(MODEL, interval=4)
    by = {(r["preset"], r["mode"], r["interval"]): r["method"] for r in found.rows}
    assert by["composed", "online", 4]["hash"] == seg.method.hash
    assert by["composed", "offline", 4]["hash"] == seg.in_mode_for(clip).method.hash


def test_a_slow_network_gets_a_short_clip(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice, "CLIP", 31)
    found = advise(Request(str(clip), seconds=1e-6), BrightnessSegmenter(), command=lambda _: "")
    assert (found.clips, found.frames) == (1, advice.SHORT_CLIP)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"video": "camera:0"}, r"advice on camera:0 \(camera\); expected a file or images: .*; record a minute of it"),
        ({"video": "-"}, r"advice on - \(stdin\)"),
        ({"video": "rtsp://gate/1"}, r"advice on rtsp://gate/1 \(stream\)"),
        ({"seconds": 0}, "seconds=0; expected a number above 0"),
        ({"seconds": float("nan")}, "seconds=nan; expected a number above 0"),
        ({"tolerance": 1.0}, "tolerance=1.0; expected agreement that speed may cost, 0 or more, below 1"),
        ({"tolerance": -0.1}, "tolerance=-0.1; expected"),
    ],
)
def test_what_cannot_be_asked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Request(**{"video": "a.mp4", **values})


@pytest.mark.slow
def test_the_command_writes_what_it_prints_and_its_line_runs(clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "advice.json"
    done = call("advise", clip, "--model", MODEL, "--threads", "1", "--seconds", "1", "--json", target)
    assert done.exit_code == 0, done.output
    record = json.loads(target.read_text())
    assert record["reason"] in " ".join(done.stdout.split())
    assert record["command"] in done.stdout
    words = shlex.split(record["command"])
    assert words[:5] == ["segtween", "run", str(clip), "-o", "out"]
    assert words[-4:] == ["--model", MODEL, "--threads", "1"]
    words[4] = str(tmp_path / "out")
    run = call(*words[1:], "--save", "labels")
    assert run.exit_code == 0, run.output
    chosen = record["recommended"]
    method = json.loads((tmp_path / "out" / "run.json").read_text())["method"]
    assert chosen is None or chosen["method"]["hash"] == method["hash"]


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    short = images(tmp_path / "short", frames=3)
    assert f"{short} has 3 frames; expected 4 or more; give a longer video" in refused(
        "advise", short, "--model", MODEL
    )
    assert "no.mp4' does not exist" in refused("advise", tmp_path / "no.mp4", "--model", tmp_path / "no.onnx")
    assert "--seconds 0" in refused("advise", short, "--model", MODEL, "--seconds", "0")
    assert "--tolerance 2" in refused("advise", short, "--model", MODEL, "--tolerance", "2")
    assert "advice on camera:0" in refused("advise", "camera:0")
    long = images(tmp_path / "long", frames=6)
    (kept := tmp_path / "taken" / "kept.txt").parent.mkdir()
    kept.write_text("kept")
    for target, words in ((kept.parent, "taken is a folder; expected the name of a file"), ("no/a.json", "no/a.json")):
        assert words in refused("advise", long, "--model", MODEL, "--json", target)
    assert [*kept.parent.iterdir()] == [kept]
    np.savez(tmp_path / "s.npz", scores=np.zeros((3, 2, 12, 16), np.float32))
    assert "stored scores cannot be timed" in refused("advise", short, "--model", tmp_path / "s.npz", "--label-set",
                                                      labels_file(tmp_path))  # fmt: skip


def labels_file(folder: Path) -> Path:
    path = folder / "two.yaml"
    path.write_text("name: two\nnames: [a, b]\n")
    return path
