"""Outputs that fail, folders that are taken, and runs that are stopped, as they are met on the command line."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_cli import MODEL, call, frames_of, images, refused, video

from fakes import panning, textured
from segtween.cli.flags import in_flags

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")


def start(*words: str | Path, most_bytes: int | None = None) -> subprocess.Popen[str]:
    def limit() -> None:
        if most_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    command = [sys.executable, "-m", "segtween", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit)


def ended(process: subprocess.Popen[str]) -> list[str]:
    """The lines on standard error."""
    _, stderr = process.communicate(timeout=120)
    assert "Traceback" not in stderr
    assert "Exception ignored" not in stderr
    return stderr.splitlines()


def wait_until(there: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120  # the first frame waits for what is compiled
    while not there():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def left_in(folder: Path) -> list[str]:
    """What is there, with what begins with a dot: parts, old results, locks."""
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return video(tmp_path_factory.mktemp("clip") / "long.mp4", panning(30, (96, 128)) * 40)


def outputs(folder: Path) -> dict[str, tuple[int, bool]]:
    """From `run.json`: the frames in each output, and whether it failed."""
    record = json.loads((folder / "run.json").read_text())
    return {o["name"]: (o["frames"], o["error"] is not None) for o in record["outputs"]}


@pytest.mark.slow
def test_a_file_that_grows_too_large_costs_itself_only(tmp_path: Path) -> None:
    clip, out = video(tmp_path / "v.mp4", [textured((96, 128), cell=12)] * 50), tmp_path / "out"
    process = start(
        "run", clip, "-o", out, "--save", "cvat,labels,overlay", "--model", MODEL, "-q", most_bytes=64 * 1024
    )
    lines = ended(process)
    assert process.returncode == 2
    assert len(lines) == 1
    assert lines[0].startswith("segtween: error: no space is left to write ")
    assert "out/cvat.zip (File too large); expected room on the disk; what was finished is kept" in lines[0]
    assert lines[0].endswith("(finished: labels, overlay.mp4, frames.csv)")
    assert left_in(out) == ["frames.csv", "labels", "overlay.mp4", "run.json"]
    assert frames_of(out / "overlay.mp4") == len(list((out / "labels").iterdir())) == 50
    assert outputs(out) == {
        "cvat.zip": (0, True), "labels": (50, False), "overlay.mp4": (50, False), "frames.csv": (50, False),
    }  # fmt: skip
    assert "cvat.zip" in json.loads((out / "run.json").read_text())["error"]


@pytest.mark.slow
def test_an_annotation_file_that_grows_too_large_leaves_nothing_of_itself(tmp_path: Path) -> None:
    clip, out = video(tmp_path / "v.mp4", [textured((96, 128), cell=3)] * 12), tmp_path / "out"
    saved = "coco-polygons,cvat-video,label-studio,yolo"
    process = start("run", clip, "-o", out, "--save", saved, "--model", MODEL, "-q", most_bytes=150 * 1024)
    (line,) = ended(process)
    assert process.returncode == 2
    assert "coco-polygons.json" in line
    state = outputs(out)
    failed = {name for name, (_, has_failed) in state.items() if has_failed}
    assert {"coco-polygons.json", "cvat-video.xml", "label-studio.json"} <= failed
    assert state["yolo"] == (12, False)
    assert left_in(out) == sorted([*(name for name in state if name not in failed), "run.json"])


def test_classes_by_another_name_cut_out_before_a_colour(tmp_path: Path) -> None:
    clip, out = video(tmp_path / "v.mp4", panning(3, (96, 128))), tmp_path / "out"
    words = ("run", clip, "-o", out, "--save", "cutouts,mattes", "--model", MODEL, "--unknown-below", "0")
    (tmp_path / "own.yaml").write_text("names: [road, sky, car, pedestrian]\n")
    done = call(*words, "--label-set", tmp_path / "own.yaml", "--classes", "person", "--background", "white")
    assert done.exit_code == 0, done.output
    assert "class 'person' is 'pedestrian' in label set 'own'" in " ".join(done.stdout.split())
    picture = cv2.imread(str(out / "cutouts" / "000000.png"))
    matte = cv2.imread(str(out / "mattes" / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert 0 < (matte == 255).mean() < 1
    assert (picture[cv2.dilate(matte, np.ones((3, 3), np.uint8)) == 0] == 255).all()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--save", "cutout"), "a cut-out of all classes; expected the classes that are to be cut out; give --classes"),
        (
            ("--save", "cutout", "--classes", "dark", "--background", "pink"),
            "--background pink; expected blur, an",
        ),
        (("--unknown-below", "7"), "--unknown-below 7.0; expected a number from 0 to 1"),
        (("--classes", ""), "--classes ; expected a list of class names"),
        (("--save", "coco.jsn"), "--save coco.jsn is not known; .*did you mean coco"),
    ],
)
def test_outputs_that_cannot_be_are_refused(tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    clip = images(tmp_path / "clip", frames=2)
    assert re.search(text, refused("run", clip, "-o", tmp_path / "out", "--model", MODEL, *options))


@pytest.mark.slow
def test_no_room_for_anything_leaves_no_part(tmp_path: Path) -> None:
    clip, out = images(tmp_path / "clip"), tmp_path / "out"
    call("run", clip, "-o", tmp_path / "warm", *("--model", MODEL, "--quiet"))  # compiles what the limit would stop
    process = start("run", clip, "-o", out, "--save", "overlay", "--model", MODEL, "-q", most_bytes=500)
    lines = ended(process)
    assert process.returncode == 2
    assert len(lines) == 1
    assert re.search(r"out/overlay.mp4 \(File too large\), and likewise [\w., ]*run.json;", lines[0])
    assert not [name for name in left_in(out) if name.startswith(".") or name == "run.json"]


@pytest.mark.slow
def test_scores_that_find_no_room_leave_nothing(tmp_path: Path, long_clip: Path) -> None:
    process = start("scores", "export", long_clip, "-o", tmp_path / "s.npz", "--model", MODEL, most_bytes=100_000)
    (line,) = ended(process)
    assert process.returncode == 2
    assert f"no space is left to write {tmp_path / 's.npz'} (File too large)" in line
    assert left_in(tmp_path) == []


def test_a_second_run_is_refused_and_sigterm_keeps_what_the_first_did(tmp_path: Path, long_clip: Path) -> None:
    out = tmp_path / "out"
    process = start("run", long_clip, "-o", out, "--save", "overlay,labels,cvat", "--model", MODEL, "-q")
    wait_until(lambda: sum(1 for _ in out.rglob("*.png")) >= 10, process)
    for more in ((), ("--overwrite",)):
        line = refused("run", long_clip, "-o", out, "--model", MODEL, "--quiet", *more)
        assert f"a run is under way in {out} (process {process.pid} on " in line
        assert line.endswith("wait for that run or stop it, or choose another folder")
    process.send_signal(signal.SIGTERM)
    assert ended(process) == ["segtween: stopped; what was done by then is kept"]
    assert process.returncode == 143
    assert left_in(out) == ["cvat.zip", "frames.csv", "labels", "overlay.mp4", "run.json"]
    record = json.loads((out / "run.json").read_text())
    assert record["error"] == "stopped by SIGTERM"
    done = record["totals"]["frames"]
    assert 10 <= done < 1200
    assert frames_of(out / "overlay.mp4") == len(list((out / "labels").iterdir())) == done
    assert all(output["frames"] == done for output in record["outputs"])


@pytest.mark.slow
def test_a_part_that_is_removed_during_a_run(tmp_path: Path, long_clip: Path) -> None:
    out = tmp_path / "out"
    process = start(
        "run", long_clip, "-o", out, "--save", "overlay,labels,cvat", "--model", MODEL, "-q", "--duration", "12"
    )
    wait_until(lambda: sum(1 for _ in out.rglob("*.png")) >= 10, process)
    shutil.rmtree(out / ".labels.part", ignore_errors=True)
    (line,) = ended(process)
    assert process.returncode == 2
    assert "out/labels" in line
    assert "(finished: overlay.mp4, cvat.zip, frames.csv" in line
    assert [n for n in left_in(out) if n != "labels"] == ["cvat.zip", "frames.csv", "overlay.mp4", "run.json"]
    assert frames_of(out / "overlay.mp4") == 300


@pytest.mark.slow
def test_sigterm_ends_several_live_inputs(tmp_path: Path, long_clip: Path) -> None:
    out = tmp_path / "out"
    other = shutil.copy(long_clip, tmp_path / "other.mp4")
    process = start("run", long_clip, other, "-o", out, "--save", "labels", "--model", MODEL, "-q", "--live")
    wait_until(lambda: all(len(list((out / n).rglob("*.png"))) >= 5 for n in ("long", "other")), process)
    assert (out / "long" / ".segtween.lock").exists()
    assert (out / "other" / ".segtween.lock").exists()
    process.send_signal(signal.SIGTERM)
    assert ended(process)[-1] == "segtween: stopped; what was done by then is kept"
    assert process.returncode == 143
    assert left_in(out) == ["long", "other", "session.json"]
    for name in ("long", "other"):
        assert left_in(out / name) == ["frames.csv", "labels", "run.json"]
        assert json.loads((out / name / "run.json").read_text())["error"] == "stopped by SIGTERM"


@pytest.mark.slow
def test_sigterm_ends_propagate(tmp_path: Path, long_clip: Path) -> None:
    labels, out = tmp_path / "labels", tmp_path / "out"
    labels.mkdir()
    for index in (0, 8, 1190):
        cv2.imwrite(str(labels / f"{index:06d}.png"), np.full((96, 128), index % 3, np.uint8))
    process = start(
        "propagate", long_clip, "--labels", labels, "--label-set", "camvid11", "-o", out, "--save", "labels"
    )
    wait_until(lambda: sum(1 for _ in out.rglob("*.png")) >= 4, process)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[-1] == "segtween: stopped; what was done by then is kept"
    assert process.returncode == 143
    assert left_in(out) == ["frames.csv", "labels", "run.json"]
    with open(out / "frames.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(list((out / "labels").iterdir()))


@pytest.mark.slow
def test_sigterm_ends_scores_export(tmp_path: Path, long_clip: Path) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import time\nimport numpy as np\nfrom pathlib import Path\n"
        f"def f(rgb):\n    Path({str(tmp_path / 'begun')!r}).touch()\n    time.sleep(0.02)\n"
        "    return np.zeros((2, 4, 4), np.float32)\n"
        "f.labels = ['a', 'b']\n"
    )
    out = tmp_path / "s.npz"
    process = start("scores", "export", long_clip, "-o", out, "--model", f"{slow}:f")
    wait_until((tmp_path / "begun").exists, process)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == ["segtween: stopped; what was done by then is kept"]
    assert process.returncode == 143
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    with np.load(out) as stored:
        assert 2 <= len(stored["scores_q"]) < 1200


SLOW = """
import signal, threading, time
import numpy as np
frames = 0
lock = threading.Lock()

def wait_for_lock():
    with lock:
        pass

def f(rgb):
    global frames
    frames += 1
    {body}
    return np.zeros((2, 4, 4), np.float32)

f.labels = ["a", "b"]
"""


def slow_network(path: Path, *lines: str) -> str:
    """A network that does this with every frame; `frames` is the frame's number."""
    path.write_text(SLOW.format(body="\n    ".join(lines)))
    return f"{path}:f"


@pytest.mark.slow
def test_a_frame_is_done_before_sigterm_stops_a_run(tmp_path: Path) -> None:
    done = tmp_path / "done"
    lines = ("if frames == 3:", "    signal.raise_signal(signal.SIGTERM)", f"    open({str(done)!r}, 'w').close()")
    out, network = tmp_path / "out", slow_network(tmp_path / "net.py", *lines)
    words = ("--online", "--interval", "0", "--save", "labels", "-q")
    process = start("run", images(tmp_path / "clip", frames=6), "-o", out, "--model", network, *words)
    assert ended(process) == ["segtween: stopped; what was done by then is kept"]
    assert process.returncode == 143
    assert done.exists()
    assert len(list((out / "labels").iterdir())) == 3


@pytest.mark.slow
def test_a_second_signal_stops_a_network_that_hangs(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    lines = ("if frames == 3:", f"    open({str(begun)!r}, 'w').close()", "    time.sleep(600)")
    out, network = tmp_path / "out", slow_network(tmp_path / "net.py", *lines)
    words = ("--online", "--interval", "0", "--save", "labels", "-q")
    process = start("run", images(tmp_path / "clip", frames=6), "-o", out, "--model", network, *words)
    wait_until(begun.exists, process)
    for _ in range(2):
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
    assert ended(process) == ["segtween: stopped; what was done by then is kept"]
    assert process.returncode == 143
    assert len(list((out / "labels").iterdir())) == 2


@pytest.mark.slow
def test_a_thread_that_waits_for_ever_does_not_keep_a_stopped_run(tmp_path: Path) -> None:
    lines = (
        "if frames == 3:",
        "    lock.acquire()",
        "    threading.Thread(target=wait_for_lock).start()",
        "    signal.raise_signal(signal.SIGTERM)",
    )
    out, network = tmp_path / "out", slow_network(tmp_path / "net.py", *lines)
    words = ("--online", "--interval", "0", "--save", "labels", "-q")
    process = start("run", images(tmp_path / "clip", frames=6), "-o", out, "--model", network, *words)
    assert ended(process) == ["segtween: stopped; what was done by then is kept"]
    assert process.returncode == 143
    assert not (out / ".segtween.lock").exists()


@pytest.mark.slow
def test_sigterm_before_anything_is_done(tmp_path: Path) -> None:
    script = tmp_path / "slow.py"
    script.write_text(
        f"import time\nfrom pathlib import Path\nPath({str(tmp_path / 'begun')!r}).touch()\ntime.sleep(60)\n"
    )
    process = start("run", images(tmp_path / "clip"), "-o", tmp_path / "out", "--model", f"{script}:f")
    wait_until((tmp_path / "begun").exists, process)
    process.send_signal(signal.SIGTERM)
    before = ["loading", f"opening {script}:f"]
    assert ended(process) == [*before, "segtween: stopped; what was done by then is kept"]
    assert process.returncode == 143


def test_sound_that_is_converted_is_said_once(tmp_path: Path) -> None:
    import av

    clip = tmp_path / "x.avi"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        sound = container.add_stream("pcm_s16le", rate=48_000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 11_520), np.int16), format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(sound.encode(frame))
        for picture in panning(6, (48, 64)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    done = call("run", clip, "-o", tmp_path / "out", "--save", "overlay,side-by-side", "--model", MODEL)
    assert done.exit_code == 0
    note = "the sound (pcm_s16le) is converted to AAC in the videos: MP4 cannot hold it as it is"
    assert done.stdout.count(note) == 1
    assert json.loads((tmp_path / "out" / "run.json").read_text())["notes"] == [note]
    assert frames_of(tmp_path / "out" / "overlay.mp4") == 6


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("start_seconds=-1; correct start_seconds", "--start -1; correct --start"),
        ("give overwrite=True to replace them", "give --overwrite to replace them"),
        ("threads=-2; the threads are many", "--threads -2; the threads are many"),
        ("my/start_seconds.mp4 and ids/a", "my/start_seconds.mp4 and ids/a"),
        ("frame rate 0; correct frame_rate", "frame rate 0; correct --frame-rate"),
    ],
)  # fmt: skip
def test_errors_name_the_flags_of_arguments(said: str, typed: str) -> None:
    assert in_flags(said) == typed


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--start", "-1"), "--start -1.0; expected seconds, 0 or more; correct --start"),
        (("--start", "100"), "lower --start"),
        (("--duration", "0"), "--duration 0"),
        (("--frame-rate", "-3"), "correct --frame-rate"),
        (("--threads", "-2"), "--threads -2; expected 0 (all) or more"),
        (("--save", "movie"), "--save movie is not known"),
    ],
)
def test_flags_are_named_where_they_are_wrong(tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    clip = images(tmp_path / "clip", frames=2)
    assert text in refused("run", clip, "-o", tmp_path / "out", "--model", MODEL, *options)
    assert not (tmp_path / "out").exists() or os.listdir(tmp_path / "out") == []
