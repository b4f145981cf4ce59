"""The report of a run: what it records, its films, its page, the command."""

from __future__ import annotations

import csv
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from page_reader import Page, check_alone
from typer.testing import CliRunner

from fakes import panning
from segtween.cli import app
from segtween.labels import CAMVID11, LabelSet, numbered
from segtween.reports.html.recording import APART, UNCERTAIN, RunRecorder, fitted, level_colours
from segtween.reports.html.run_page import Asked
from segtween.run.comparison import ComparedFrame
from segtween.types import Frame, Result, ScoreMap, SourceInfo
from segtween.video.encode import Clock, VideoWriter

MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"
SIZE = (64, 96)


def info(frames: int | None = None) -> SourceInfo:
    return SourceInfo("clip", "clip.mp4", SIZE, Fraction(25), frames)


def result(index: int, labels: np.ndarray, confidence: float = 0.5, *, is_key: bool = False) -> Result:
    other = (1 - confidence) / 3
    values = np.array([confidence, other, other, other], np.float32)[:, None, None] * np.ones((1, 4, 6), np.float32)
    return Result(index, index / 25, is_key, 0, False, labels, ScoreMap(values, "probabilities", SIZE))


def frame(index: int) -> Frame:
    return Frame(index, Fraction(index, 25), np.full((*SIZE, 3), 90, np.uint8))


def test_what_is_recorded_of_each_frame() -> None:
    labels = np.zeros(SIZE, np.uint8)
    labels[:32] = 2
    before = ComparedFrame(labels, (0.03, 0.01), (0.03, 0.01))
    recorder = RunRecorder(info(4), numbered(4), lambda _: before)
    for i in range(4):
        recorder.add(frame(i), result(i, labels, 0.4 + i / 10, is_key=i % 2 == 0), None if i == 0 else 0.01)
    means = recorder.bins.means
    np.testing.assert_allclose(means[0], [0.4, 0.5, 0.6, 0.7], atol=1e-6)
    np.testing.assert_array_equal(means[1], [np.nan, 0.01, 0.01, 0.01])
    np.testing.assert_allclose(means[2], 0.03)
    np.testing.assert_allclose(means[3:, 0], [0.5, 0, 0.5, 0])
    assert recorder.keys == [0, 2]
    assert recorder.times_ms == [0, 40, 80, 120]


def test_the_least_certain_frames_are_some_frames_apart() -> None:
    recorder, labels = RunRecorder(info(), numbered(4)), np.zeros(SIZE, np.uint8)
    rng = np.random.default_rng(3)
    confidences = rng.uniform(0.3, 0.9, 400)
    for i, confidence in enumerate(confidences):
        recorder.add(frame(i), result(i, labels, float(confidence)), None)
    kept = recorder.uncertain
    assert len(kept) == UNCERTAIN
    assert np.diff([one.frame for one in kept]).min() >= APART
    assert min(one.confidence for one in kept) == pytest.approx(confidences.min(), abs=1e-6)
    assert max(one.confidence for one in kept) < np.quantile(confidences, 0.15)
    assert all(cv2.imdecode(np.frombuffer(one.jpeg, np.uint8), 1) is not None for one in kept)


@pytest.mark.parametrize("labels", [CAMVID11, numbered(40)], ids=["11", "40"])
def test_classes_can_be_read_from_the_film_of_labels(labels: LabelSet, tmp_path: Path) -> None:
    """With the arithmetic of the page: the level's interval is the class."""
    recorder = RunRecorder(info(), labels, lambda _: ComparedFrame(other, (None, None), (None, None)))
    rng = np.random.default_rng(0)
    own = cv2.resize(rng.integers(0, len(labels), (8, 12), dtype=np.uint8), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
    own[:5] = 255
    other = np.roll(own, 5, axis=1)
    film = recorder.films()["report-labels.mp4"]
    writer = VideoWriter(tmp_path / "f.mp4", codec="h264", clock=Clock(Fraction(1, 25), Fraction(25)), x264=film.x264)
    for i in range(3):
        writer.write(film.draw(frame(i), result(i, own)), Fraction(i, 25))
    writer.close()
    with av.open(str(tmp_path / "f.mp4")) as container:
        pictures = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    levels = len(labels) + 1
    found = np.minimum((pictures[-1][..., 0].astype(float) / 255 * levels).astype(int), levels - 1)
    wanted = np.concatenate([other, own], axis=0)
    np.testing.assert_array_equal(found, np.where(wanted == 255, len(labels), wanted))


def test_with_many_classes_the_film_is_in_colours() -> None:
    recorder = RunRecorder(info(), numbered(41))
    assert not recorder.has_levels
    labels = np.full(SIZE, 40, np.uint8)
    shown = recorder.films()["report-labels.mp4"].draw(frame(0), result(0, labels))
    assert shown[3, 3].tolist() == list(numbered(41).colours[40])
    assert level_colours(numbered(41), grey=False)[255].tolist() == [0, 0, 0]


def test_films_are_even_and_no_wider_than_the_page() -> None:
    assert fitted((1080, 1920), 960) == (540, 960)
    assert fitted((97, 131), 960) == (96, 130)
    assert fitted((1, 4000), 960) == (2, 960)


def test_lines_of_python_that_do_the_same() -> None:
    load = {"model": "my.onnx", "interval": None, "every": 4, "mode": None, "preset": "composed", "threads": 0}
    asked = Asked("segtween run", load, {"save": ["labels"]}, "every-frame")
    assert asked.python("a.mp4", "out").splitlines() == [
        "import segtween",
        "",
        "seg = segtween.load('my.onnx', every=4)",
        "other = segtween.load('my.onnx', every=4, preset='every-frame')",
        "seg.run('a.mp4', 'out', save=['labels'], compare=other)",
    ]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clip").mkdir()
    for i, rgb in enumerate(panning(14, SIZE, cell=16)):
        cv2.imwrite(str(tmp_path / "clip" / f"{i:02}.png"), rgb[..., ::-1])
    return tmp_path / "clip"


def call(*args: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize("compared", [True, False])
def test_the_command_writes_a_page_and_its_films(clip: Path, tmp_path: Path, compared: bool) -> None:
    out = tmp_path / "out"
    more = ["--compare", "every-frame"] if compared else []
    code, told = call("run", clip, "-o", out, "--model", MODEL, "--every", "3", "--report", "--frame-rate", "10", *more)
    assert code == 0, told
    assert "temporal consistency" in told
    assert "report.html" in told
    read = Page((out / "report.html").read_text())
    check_alone(read)
    assert read.headings == [
        "clip", "Figures", "Player", "Timeline", "Least certain frames", "Where the time goes", "How to repeat it",
        "Method",
    ]  # fmt: skip
    films = {video["src"]: out / str(video["src"]) for video in read.all("video")}
    sizes = {}
    for name, path in films.items():
        with av.open(str(path)) as container:
            pictures = list(container.decode(video=0))
        assert len(pictures) == 14
        sizes[name] = pictures[0].height, pictures[0].width
    assert sizes == {"report-picture.mp4": SIZE, "report-labels.mp4": ((1 + compared) * SIZE[0], SIZE[1])}
    data = read.data
    assert data["frames"] == 14
    assert data["step"] == 100
    assert data["keys"] == [0, 3, 6, 9, 12]
    assert data["before"] is compared
    with (out / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose(data["confidence"], [float(row["confidence"]) for row in rows], atol=1e-4)
    for shares, name in zip(data["shares"], ("dark", "dim", "light", "bright"), strict=True):
        np.testing.assert_allclose(shares, [float(row[f"share_{name}"]) for row in rows], atol=1e-4)
    assert "every=3" in read.text
    assert ("compare=other" in read.text) is compared
    shown = [button for button in read.all("button") if button.get("data-id") is not None]
    assert len(shown) == sum(max(shares) > 0 for shares in data["shares"])


def test_classes_that_are_not_tinted_are_switched_off_at_first(clip: Path, tmp_path: Path) -> None:
    code, told = call("run", clip, "-o", tmp_path / "out", "--model", MODEL, "--report", "--classes", "dim,light")
    assert code == 0, told
    buttons = Page((tmp_path / "out" / "report.html").read_text()).all("button")
    pressed = {str(button["data-id"]): button["aria-pressed"] for button in buttons if "data-id" in button}
    assert pressed == {"0": "false", "1": "true", "2": "true", "3": "false"}


def test_films_of_a_report_are_not_replaced_unasked(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report-labels.mp4").write_text("mine")
    code, told = call("run", clip, "-o", tmp_path / "out", "--model", MODEL, "--report")
    assert code == 2
    assert "report-labels.mp4 exists already" in told
    assert (tmp_path / "out" / "report-labels.mp4").read_text() == "mine"


def test_several_inputs_have_a_page_each(clip: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(clip.iterdir())[:5]:
        (other / path.name).write_bytes(path.read_bytes())
    code, told = call("run", clip, other, "-o", tmp_path / "out", "--model", MODEL, "--report", "--multi", "-q")
    assert code == 0, told
    frames = {
        name: Page((tmp_path / "out" / name / "report.html").read_text()).data["frames"] for name in ("clip", "other")
    }
    assert frames == {"clip": 14, "other": 5}
