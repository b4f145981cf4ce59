"""The command line: what works, and one line with exit code 2 for what does not."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fakes import panning, textured
from segtween.cli import app

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
RUN = ("--model", MODEL, "--quiet")


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


def refused(*args: str | Path) -> str:
    """The one line that a refused command prints."""
    done = call(*args)
    assert done.exit_code == 2, done.output
    lines = [line for line in done.stderr.splitlines() if line.startswith("segtween: error: ")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.output
    return lines[0]


def images(folder: Path, frames: int = 6, size_hw: tuple[int, int] = (48, 64), seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    for i, rgb in enumerate(panning(frames, size_hw, seed=seed)):
        cv2.imwrite(str(folder / f"f{i}.png"), rgb[..., ::-1])
    return folder


def video(path: Path, pictures: list[np.ndarray]) -> Path:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_run_gives_one_output_per_frame_and_says_what_it_did(tmp_path: Path) -> None:
    clip = images(tmp_path / "clip")
    done = call("run", clip, "-o", tmp_path / "out", "--save", "labels,overlay", "--every", "3", "--model", MODEL)
    assert done.exit_code == 0, done.output
    assert "network on 2 of 6 frames" in done.stdout
    assert re.search(r"processors busy: \d+% of \d", done.stdout)
    assert sorted(p.name for p in (tmp_path / "out" / "labels").iterdir()) == [f"{i:06}.png" for i in range(6)]
    with open(tmp_path / "out" / "frames.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == ["1", "0", "0", "1", "0", "0"]
    assert [row["frames_since_key"] for row in rows] == ["0", "1", "2", "0", "1", "2"]
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["totals"]["frames"] == 6
    assert record["totals"]["network_runs"] == 2
    assert record["interval"] == 2
    assert record["method"]["hash"] in done.stdout
    assert record["error"] is None
    assert {"decode", "segment", "flow", "propagate", "label", "encode"} <= set(record["stages_ms"])


def test_several_inputs_have_a_folder_each_and_a_bad_one_does_not_stop_the_rest(tmp_path: Path) -> None:
    first, last = images(tmp_path / "a"), images(tmp_path / "b", seed=1)
    bad = tmp_path / "bad.mp4"
    bad.write_text("this is a text file\n" * 50)
    done = call("run", first, bad, last, "-o", tmp_path / "out", "--save", "labels", "--model", MODEL)
    assert done.exit_code == 2
    assert "bad.mp4" in done.stderr
    assert "2 of 3 inputs done, 1 failed" in done.stderr
    assert len(list((tmp_path / "out" / "a" / "labels").iterdir())) == 6
    assert len(list((tmp_path / "out" / "b" / "labels").iterdir())) == 6


def test_a_folder_of_videos_gives_a_folder_each(tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    video(folder / "one.mp4", panning(4, (48, 64)))
    done = call("run", folder, "-o", tmp_path / "out", "--save", "labels", *RUN)
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out" / "one" / "labels").iterdir())) == 4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--interval", "-1"), "interval is -1; expected a whole number, 0 or more; give --interval 4 (or --every 5)"),
        (("--every", "0"), "every is 0; expected a whole number, 1 or more"),
        (("--every", "5", "--interval", "3"), "interval 3 and every 5; expected one of them"),
        (("--save", "movie"), "movie"),
        (("--preset", "magic"), "preset 'magic'; expected one of composed, blend, warp"),
        (("--classes", "cat"), "class 'cat' is not in label set 'custom'; expected one of dark, dim, light, bright"),
        (("--threads", "-2"), "threads"),
        (("--model", "swiftnet-lite0.camvd"), "swiftnet-lite0.camvid"),
        (("--model", "none.onnx"), "none.onnx"),
        (("--scale", "0", "--model", "swiftnet-r18"), "scale"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    clip = images(tmp_path / "clip", frames=2)
    assert text in refused("run", clip, "-o", tmp_path / "out", *RUN, *options)


def test_missing_and_empty_inputs_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "none.mp4" in refused("run", tmp_path / "none.mp4", "-o", tmp_path / "out", *RUN)
    assert "empty" in refused("run", tmp_path / "empty", "-o", tmp_path / "out", *RUN)


def test_an_output_that_exists_is_kept_unless_overwrite_is_given(tmp_path: Path) -> None:
    clip, out = images(tmp_path / "clip", frames=5), tmp_path / "out"
    assert call("run", clip, "-o", out, "--save", "labels", *RUN).exit_code == 0
    before = (out / "frames.csv").read_bytes()
    assert "--overwrite" in refused("run", clip, "-o", out, "--save", "labels", *RUN)
    assert (out / "frames.csv").read_bytes() == before
    short = images(tmp_path / "short", frames=2)
    assert call("run", short, "-o", out, "--save", "labels", "--overwrite", *RUN).exit_code == 0
    assert len(list((out / "labels").iterdir())) == 2


def test_an_output_below_a_file_is_refused(tmp_path: Path) -> None:
    clip = images(tmp_path / "clip", frames=2)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused("run", clip, "-o", tmp_path / "file" / "out", *RUN)


def test_frames_before_a_change_of_size_are_kept(tmp_path: Path) -> None:
    clip = images(tmp_path / "clip", frames=3)
    cv2.imwrite(str(clip / "f9.png"), textured((50, 70)))
    line = refused("run", clip, "-o", tmp_path / "out", "--save", "labels,overlay", *RUN)
    assert "70x50" in line
    assert "64x48" in line
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 3
    assert frames_of(tmp_path / "out" / "overlay.mp4") == 3
    assert "70x50" in json.loads((tmp_path / "out" / "run.json").read_text())["error"]


def frames_of(path: Path) -> int:
    import av

    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_scores_that_are_not_numbers_name_the_model(tmp_path: Path) -> None:
    script = tmp_path / "bad.py"
    script.write_text("import numpy as np\ndef f(rgb):\n    return np.full((2, 4, 4), np.nan, np.float32)\n")
    clip = images(tmp_path / "clip", frames=2)
    line = refused("run", clip, "-o", tmp_path / "out", "--model", f"{script}:f", "--label-set", "camvid11")
    assert "bad.py:f" in line


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_keeps_what_is_done_and_playable(tmp_path: Path) -> None:
    clip = video(tmp_path / "long.mp4", panning(30, (96, 128)) * 40)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "segtween", "run", clip, "-o", out, "--save", "overlay,labels", "--model", MODEL]
    process = subprocess.Popen([str(c) for c in command], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120  # the first frame waits for what is compiled
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if sum(1 for _ in out.rglob("*.png")) >= 20:
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert "what was done by then is kept" in stderr
    written = len(list((out / "labels").glob("*.png")))
    assert written >= 20
    assert abs(frames_of(out / "overlay.mp4") - written) <= 1
    assert json.loads((out / "run.json").read_text())["error"] == "stopped by the user"


def test_lists_and_sizes_say_their_form() -> None:
    assert "--intervals 'a'; expected whole numbers" in refused("bench", "--model", MODEL, "--intervals", "a")
    assert "--size '1280'; expected WIDTHxHEIGHT in pixels" in refused("bench", "--model", MODEL, "--size", "1280")
    assert "--frame-rate 'fast'; expected a number or a fraction" in refused("synth", "x", "--frame-rate", "fast")
