"""Another method to compare with: what is seen of it, the film of both, and the command."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween
from segtween.cli import app
from segtween.errors import SettingError
from segtween.labels import numbered
from segtween.metrics.consistency import ConsistencyMeter
from segtween.run.comparison import ComparedFrame, Comparison
from segtween.settings import PRESETS, change, find_preset
from segtween.types import Frame, Result
from segtween.video.side_by_side import COLOURS, ComparedMethod, ComparisonPicture
from small_sets import picture

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
SIZE = (96, 160)


def method(name: str = "blend", *, plain: bool = False) -> Segtween:
    return Segtween(BrightnessSegmenter(), PRESETS[name], threads=1, name=name, plain=plain)


def frames(count: int = 7) -> list[Frame]:
    return [Frame(i, Fraction(i, 25), rgb) for i, rgb in enumerate(panning(count, SIZE, cell=16))]


def test_both_methods_see_every_frame() -> None:
    first, other, alone = method(), method(plain=True), method(plain=True)
    comparison, meter = Comparison(other.engine, other.method, classes=4), ConsistencyMeter(4)
    for frame in frames():
        result = first.step(frame.rgb)
        comparison.update(frame, result)
        seen = comparison.take(frame.index)
        assert np.array_equal(seen.labels, alone.step(frame.rgb).labels)
        own = meter.update(frame.rgb, result.labels, is_key=result.is_key, is_cut=result.is_cut)
        assert seen.flicker[1] == own
        assert seen.so_far[1] == meter.compute()["flicker"]
        assert (own is None) == (frame.index == 0)
    told = comparison.to_json()
    assert told["own_consistency"] == meter.compute()
    assert told["method"]["name"] == "every-frame"
    assert (told["frames_per_second"], told["own_frames_per_second"]) == seen.fps
    assert min(seen.fps) > 0
    assert told["consistency"]["change_rate_elsewhere"] is None, "the other one has key frames only"
    with pytest.raises(KeyError):
        comparison.take(0)


class Slow(BrightnessSegmenter):
    """Writes down when it is asked, and takes long enough for a frame to be written meanwhile."""

    def __init__(self, events: list[str]) -> None:
        super().__init__()
        self.events = events

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.events.append("network")
        time.sleep(0.1)
        return super().__call__(rgb)


@pytest.mark.parametrize("stops", [False, True])
def test_progress_moves_within_a_period_too(tmp_path: Path, stops: bool) -> None:
    """Both sides of a period come at once, and the network of the other method runs on each of its frames."""
    events: list[str] = []

    def progress(*_: object) -> None:
        events.append("progress")
        if stops:
            raise KeyboardInterrupt

    seg, other = method("composed"), Segtween(Slow(events), PRESETS["blend"], threads=1, plain=True)
    for frame in frames(9):
        picture(tmp_path / "clip" / f"{frame.index}.png", frame.rgb)
    with pytest.raises(KeyboardInterrupt) if stops else nullcontext():
        seg.run(tmp_path / "clip", tmp_path / "out", save=["labels"], compare=other, progress=progress)
    assert events.index("progress") < 5, "before the last frame of the first period"
    written = sorted(int(path.stem) for path in (tmp_path / "out" / "labels").iterdir())
    assert written == list(range(len(written))), "none is left out, whoever stops it when"
    assert stops or len(written) == events.count("network") == events.count("progress") == 9


def test_a_method_whose_results_come_late_cannot_be_compared_with() -> None:
    late = Segtween(BrightnessSegmenter(), change(find_preset("blend"), mode="bidirectional"), threads=1, name="late")
    with pytest.raises(SettingError, match="late, bidirectional to compare with; expected a method that gives"):
        Comparison(late.engine, late.method, classes=4)


def test_the_film_has_both_pictures_and_both_curves() -> None:
    shown = {i: ComparedFrame(np.full(SIZE, 1, np.uint8), (0.02 * (i % 2), 0.001), (0.01, 0.001)) for i in range(1, 40)}
    shown[0] = ComparedFrame(np.full(SIZE, 1, np.uint8), (None, None), (None, None))
    draw = ComparisonPicture(ComparedMethod("every-frame", "segtween", shown.__getitem__), numbered(4))
    grey, left = np.full((*SIZE, 3), 128, np.uint8), np.full(SIZE, 2, np.uint8)
    for i in range(40):
        result = Result(i, 0.0, is_key=True, distance=0, is_cut=False, labels=left, scores=lambda: None, stages_ms={})  # type: ignore[arg-type,return-value]
        picture = draw(Frame(i, Fraction(i), grey), result)
    height, width = picture.shape[:2]
    assert width == 2 * SIZE[1]
    assert height > SIZE[0]
    assert height % 2 == 0
    assert not np.array_equal(picture[60, 100], picture[60, 100 + SIZE[1]]), "each side has its own labels"
    strip = picture[SIZE[0] :].astype(int)
    rows = [np.flatnonzero((np.abs(strip - colour).sum(axis=2) < 30).any(axis=1)) for colour in COLOURS]
    assert min(rows[0]) < min(rows[1]), "what flickers more stands higher"


def call(*args: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "clip").mkdir()
    for frame in frames(6):
        cv2.imwrite(str(tmp_path / "clip" / f"{frame.index}.png"), frame.rgb[..., ::-1])
    return tmp_path / "clip"


@pytest.mark.parametrize("other", ["every-frame", "warp"])
def test_the_command_films_both(clip: Path, tmp_path: Path, other: str) -> None:
    out = tmp_path / "out"
    code, told = call("run", clip, "-o", out, "--model", MODEL, "--every", "3", "--compare", other, "--save", "labels")
    assert code == 0, told
    assert "frames per second, with the comparison" in told
    assert f"compared with {other}: temporal consistency" in told
    with av.open(str(out / f"compare-{other}.mp4")) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(pictures) == 6
    assert pictures[0].shape[1] == 2 * SIZE[1]
    record = json.loads((out / "run.json").read_text())
    assert record["comparison"]["method"]["name"] == other
    assert "compare" in record["stages_ms"]
    code, told = call("run", clip, "-o", out, "--model", MODEL, "--compare", other)
    assert code == 2
    assert f"compare-{other}.mp4 exists already" in told or "frames.csv exists already" in told


def test_an_unknown_neighbour_is_named(clip: Path, tmp_path: Path) -> None:
    code, told = call("run", clip, "-o", tmp_path / "out", "--model", MODEL, "--compare", "every-fram")
    assert code == 2
    assert "--compare 'every-fram'" in told
    assert "every-frame" in told
