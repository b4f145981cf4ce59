"""The demo: both speeds are told, all kernels that it needs are compiled ahead, and it says what it is doing."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from segtween.cli import app
from segtween.demo import Run, Shown, _Films, _table, run_demo
from segtween.demo.kernels import PARTS
from segtween.errors import SettingError
from segtween.run.kernels import SIZE_HW, missing
from segtween.types import Result
from segtween.video.animation import AnimationWriter

LABELS = np.zeros((4, 6), np.uint8)


def result(index: int, *, is_key: bool, ms: float) -> Any:
    return SimpleNamespace(index=index, labels=LABELS, is_key=is_key, stages_ms={"all": ms})


class HandClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class SlowEngine:
    """Gives frames out in pairs: 40 ms pass for the second of them, whatever its stages say."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.waiting: list[Any] = []

    def push(self, rgb: Any, *, pts_seconds: float) -> list[Result]:  # noqa: ARG002
        self.waiting.append(result(len(self.waiting), is_key=len(self.waiting) == 0, ms=1.0))
        return [] if len(self.waiting) < 2 else self.finish()

    def finish(self) -> list[Any]:
        self.clock.now += 0.04
        given, self.waiting = self.waiting, []
        return given


def frame(index: int) -> Any:
    flow = np.zeros((4, 6, 2), np.float32)
    hidden = flow[..., 0] > 0
    return SimpleNamespace(rgb=None, index=index, pts_seconds=index / 15, camvid11=LABELS, flow=flow, occlusion=hidden)


def measured(frames: int, monkeypatch: pytest.MonkeyPatch) -> Run:
    clock = HandClock()
    monkeypatch.setattr("segtween.demo.time", clock)
    seg = SimpleNamespace(engine=SlowEngine(clock), method=SimpleNamespace(to_json=dict))
    run = Run("slow", seg)  # type: ignore[arg-type]
    for item in (*map(frame, range(frames)), None):
        for _ in run.push(item):
            clock.now += 0.03  # what is done with a result is not the engine's time
    return run


def test_the_wall_clock_stands_beside_the_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    run = measured(5, monkeypatch)
    told = run.to_json()
    assert told["frames"] == 5
    assert told["fps"] == pytest.approx(1000)
    assert told["wall_seconds"] == pytest.approx(3 * 0.04), "two pairs, and the last frame at the end"
    assert told["wall_fps"] == pytest.approx(5 / 0.12)


def test_the_table_shows_both_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    table = _table([measured(4, monkeypatch), measured(4, monkeypatch)])
    assert table.columns[1:3] == ("frames per second", "by the wall clock")
    for row in table.rows:
        assert row[1:3] == ("1000.0", "33.3"), "4 frames; three times 40 ms, the last time for none"


def shown(index: int, label: int) -> Shown:
    rgb, truth = np.full((*SIZE_HW, 3), 80, np.uint8), np.full(SIZE_HW, 3, np.uint8)
    own = SimpleNamespace(index=index, pts_seconds=Fraction(index, 15), rgb=rgb, camvid11=truth)
    labels = np.full(SIZE_HW, label, np.uint8)
    made = Result(index, index / 15, index == 0, index, False, labels, lambda: None)  # type: ignore[arg-type,return-value]
    return Shown(own, made, 0.01, 0.01)  # type: ignore[arg-type]


def two_runs() -> Any:
    return [SimpleNamespace(name=name, fps=fps) for name, fps in (("network on every frame", 5.0), ("segtween", 15.0))]


def test_the_film_has_the_truth_below_and_the_moving_picture_has_not(tmp_path: Path) -> None:
    moving = AnimationWriter(tmp_path / "flicker.webp", frame_rate=Fraction(15))
    films = _Films(tmp_path / "film.mp4", two_runs(), 3, threads=1, animation=moving)
    for i in range(3):
        films.write(shown(i, 3), shown(i, 8))
    films.close()
    with av.open(str(tmp_path / "film.mp4")) as container:
        pictures = [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]
    assert len(pictures) == 3
    height, width = SIZE_HW
    assert pictures[0].shape[1] == 2 * width
    assert pictures[0].shape[0] > 2 * height
    left, right, truth = pictures[0][240, 320], pictures[0][240, 960], pictures[0][-240, 320]
    assert np.abs(left.astype(int) - truth).max() < 6, "the one that is right looks like the truth"
    assert np.abs(left.astype(int) - right).max() > 40
    assert (tmp_path / "flicker.webp").read_bytes().count(b"ANMF") == 3


def test_films_that_are_given_up_leave_nothing(tmp_path: Path) -> None:
    moving = AnimationWriter(tmp_path / "flicker.webp", frame_rate=Fraction(15))
    films = _Films(tmp_path / "film.mp4", two_runs(), 3, threads=1, animation=moving)
    films.write(shown(0, 3), shown(0, 8))
    films.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"], "a film is kept as far as it goes"


def test_a_moving_picture_of_another_kind_is_refused_at_once(tmp_path: Path) -> None:
    told: list[str] = []
    with pytest.raises(SettingError, match=r"expected a name that ends in \.webp"):
        run_demo(tmp_path, seconds=3, animation=tmp_path / "flicker.gif", tell=told.append)
    assert not told


@pytest.mark.slow
def test_what_is_compiled_ahead_is_all_that_the_demo_needs(tmp_path: Path) -> None:
    """In a process of its own, where nothing else was compiled before."""
    code = """
import json, sys
from pathlib import Path
from numba.core.dispatcher import Dispatcher
from segtween.demo import run_demo
from segtween.demo.kernels import PARTS

def known():
    modules = [m for name, m in sys.modules.items() if name.startswith("segtween.")]
    found = {f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
    return {f"{f.py_func.__module__}.{f.py_func.__name__}{s}" for f in found for s in f.signatures}

for part in PARTS.values():
    part.compile()
before = known()
run_demo(sys.argv[1], seconds=0.7)
print(json.dumps([len(before), sorted(known() - before)]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    compiled, later = json.loads(done.stdout)
    assert compiled > 20
    assert later == []
    assert missing(PARTS) == {}
    assert len(PARTS) == 4


def test_the_command_speaks_before_it_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run_demo(out: Path, *, tell: Any, **_: Any) -> Any:
        tell("compiling kernels, once")
        return SimpleNamespace(table="the table", video=out / "film.mp4")

    monkeypatch.setattr("segtween.demo.run_demo", run_demo)
    done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[:2] == ["getting ready", "compiling kernels, once"]
    assert "the table" in done.stdout
