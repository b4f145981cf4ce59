"""The line that says what a run is about to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_cli import MODEL, call, images, refused

from segtween.texttable import ordinal
from segtween.video.images import ImageSource


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return images(tmp_path_factory.mktemp("startup") / "clip", frames=3)


@pytest.mark.parametrize(
    ("options", "middle"),
    [
        ((), "on every 5th frame, method composed, offline"),
        (("--every", "2", "--online"), "on every 2nd frame, method composed, online"),
        (("--interval", "0", "--preset", "blend"), "on every frame, method blend, online"),
        (("--offline",), "on every 5th frame, method composed, offline"),
        (("--online", "--flow", "zero"), "on every 5th frame, method composed*, online"),
        (("--schedule", "adaptive"), "on 20 of 100 frames, chosen by need, method composed*, online"),
        (("--schedule", "adaptive", "--target-ms", "30"), "on key frames chosen for 30 ms per frame, method composed*"),
    ],
)
def test_a_run_says_first_what_it_will_do(clip: Path, tmp_path: Path, options: tuple[str, ...], middle: str) -> None:
    done = call("run", clip, "-o", tmp_path / "out", "--save", "labels", "--model", MODEL, *options)
    assert done.exit_code == 0, done.output
    compiles, line = done.stderr.splitlines()[:2]
    assert compiles == f"opening {MODEL}"
    assert line.startswith(f"{clip} (64x48, 3 frames): network {MODEL} {middle}")
    assert line.endswith(f"; writes labels, frames.csv, run.json to {tmp_path / 'out'}")


def test_several_inputs_at_once_are_one_line(clip: Path, tmp_path: Path) -> None:
    done = call("run", clip, clip, "-o", tmp_path, "--save", "labels", "--model", MODEL, "--multi")
    assert done.exit_code == 0, done.output
    line = (
        f"2 inputs at once (clip, clip-2): network {MODEL} on every 5th frame, method composed, offline; writes labels"
    )
    assert done.stderr.splitlines()[1].startswith(line)


@pytest.mark.parametrize("inputs", [1, 2])
def test_an_input_is_opened_once(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inputs: int) -> None:
    opened: list[str] = []

    class Counted(ImageSource):
        def __init__(self, spec: str, **options: Any) -> None:
            opened.append(spec)
            super().__init__(spec, **options)

    monkeypatch.setattr("segtween.video.images.ImageSource", Counted)
    done = call("run", *[clip] * inputs, "-o", tmp_path, "--save", "labels", "--model", MODEL)
    assert done.exit_code == 0, done.output
    assert opened == [str(clip)] * inputs


def test_quiet_says_nothing(clip: Path, tmp_path: Path) -> None:
    assert call("run", clip, "-o", tmp_path, "--save", "labels", "--model", MODEL, "-q").output == ""


def test_ordinals() -> None:
    said = [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 101, 111, 112)]
    assert said == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "101st", "111th", "112th"]


@pytest.mark.slow
def test_the_scale_at_which_frames_are_seen_is_said_where_it_is_not_1(clip: Path, tmp_path: Path) -> None:
    for options, seen in (((), " at scale 2 on"), (("--scale", "1.5"), " at scale 1.5 on"), (("--scale", "1"), " on")):
        out = ("-o", tmp_path / "out", "--save", "labels", "--overwrite")
        done = call("run", clip, *out, "--model", "swiftnet-r18.camvid", *options)
        assert done.exit_code == 0, done.output
        compiles, line = done.stderr.splitlines()[:2]
        assert compiles == "compiling swiftnet-r18.camvid"
        assert line.startswith(f"{clip} (64x48, 3 frames): network swiftnet-r18.camvid{seen} every 5th frame")
    assert "--scale is 'wide'; expected auto, or a number above 0" in refused("run", clip, *out, "--scale", "wide")
