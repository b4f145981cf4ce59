"""Runs that are refused at once, for what was asked or for an input that does not fit; nothing is left behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import segtween
from fakes import panning
from segtween.cli import app
from segtween.errors import ScoresError, SettingError
from segtween.labels import label_set
from segtween.segmenters.score_file import ScoresWriter
from small_sets import picture
from tiny_propagation import write_model

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
LABELS = ("--label-set", "dark, dim, light, bright")


def command(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


def refused(*args: str | Path) -> str:
    done = command(*args)
    assert done.exit_code == 2, done.output
    return " ".join(done.output.replace("│", " ").split())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    for i, rgb in enumerate(panning(6, (64, 96), cell=16)):
        picture(tmp_path / "clip" / f"{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
    return tmp_path / "clip"


def scores(path: Path, *, frames: int = 6, size_hw: tuple[int, int] = (64, 96)) -> Path:
    rng = np.random.default_rng(0)
    writer = ScoresWriter(path, labels=label_set(["a", "b"]), network={"name": "none"})
    for _ in range(frames):
        writer.add(rng.normal(size=(2, 16, 24)).astype(np.float32), size_hw=size_hw)
    writer.close()
    return path


@pytest.mark.parametrize("mode", ["--online", "--offline"])
def test_a_function_that_ends_the_process_ends_its_run_in_one_line(clip: Path, tmp_path: Path, mode: str) -> None:
    (tmp_path / "ends.py").write_text(
        "import sys\nimport numpy as np\ncalls = []\n"
        "def net(rgb):\n    calls.append(1)\n    if len(calls) > 2:\n        sys.exit('no licence')\n"
        "    return np.zeros(rgb.shape[:2], np.uint8)\n"
    )
    told = refused("run", clip, "-o", tmp_path / "out", "--model", f"{tmp_path}/ends.py:net", *LABELS, "--every", "2",
                   "--save", "labels", mode)  # fmt: skip
    assert "failed with SystemExit: no licence; expected scores" in told
    assert (tmp_path / "out" / "run.json").is_file()
    assert len(list((tmp_path / "out" / "labels").iterdir())) >= 2, "what is labelled is kept"


@pytest.mark.parametrize(
    "words",
    [
        "run CLIP -o FILE/out",
        "run CLIP -o FILE",
        "table losses -o FILE/out",
        "table losses --report FILE/report.html",
        "bench --report FILE/report.html",
        "bench sweep interval --plot FILE/out",
        "scores export CLIP -o FILE/scores.npz",
        "figure failures --seeds 1 -o FILE/picture.png",
        "run CLIP -o LINK",
        "run CLIP -o EARLIER",
        "table losses -o LINK",
    ],
)
def test_outputs_that_cannot_be_written_are_told_before_a_network_is_loaded(
    clip: Path, tmp_path: Path, words: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "net.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w')\nnet = len")
    model = ("--model", f"{tmp_path}/net.py:net", *LABELS)
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "frames.csv").write_text("")
    places = {"CLIP": clip, **{name.upper(): tmp_path / name for name in ("file", "link", "earlier")}}
    for name, place in places.items():
        words = words.replace(name, str(place))
    told = refused(*words.split(), *model)
    reasons = ("cannot be written", "a folder that is there", "frames.csv exists already; expected a folder without")
    assert any(reason in told for reason in reasons), told
    assert not (tmp_path / "loaded").exists()


def test_labels_and_exports_cannot_be_written_below_a_file(clip: Path, tmp_path: Path) -> None:
    """Nor is what they are made of looked at before: it is not there."""
    (tmp_path / "file").write_text("")
    for words in (
        ("propagate", clip, "--labels", tmp_path / "none"),
        ("export", "none"),
        ("weights", "convert", "none"),
    ):
        ending = ".safetensors" if words[0] == "weights" else ""
        assert "cannot be written" in refused(*words, "-o", tmp_path / "file" / f"out{ending}")


def test_weights_are_not_read_before_their_place_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "old.onnx").write_text("")
    for name, told in (
        ("none/new.onnx", "none/new.onnx cannot be written"),
        ("folder.onnx", "folder.onnx is a folder; expected the name of a file"),
        ("old.onnx", "old.onnx exists; expected no such file yet; give --overwrite to replace it"),
    ):
        assert told in refused("weights", "convert", "none", "-o", tmp_path / name)


def test_a_street_is_not_rendered_for_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    assert "link cannot be written" in refused("synth", tmp_path / "link", "--clips", "1000", "--frames", "1000")
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


@pytest.mark.parametrize("scale", ["0", "nan", "0.5"])
def test_a_function_sees_frames_as_they_are(clip: Path, tmp_path: Path, scale: str) -> None:
    told = refused("run", clip, "-o", tmp_path / "out", "--model", MODEL, *LABELS, "--scale", scale)
    assert f"--scale {float(scale)} for a model of form function; expected a shipped network" in told


@pytest.mark.parametrize("words", [("run",), ("propagate", "--labels", "labels"), ("export",), ("train",)])
def test_an_empty_name_is_no_folder(words: tuple[str, ...], clip: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(clip.parent)
    before = sorted(tmp_path.rglob("*"))
    first, *others = words
    assert "--out is ''; expected FOLDER" in refused(first, clip, *others, "-o", "")
    assert sorted(tmp_path.rglob("*")) == before


def test_nor_is_it_one_for_tables(clip: Path) -> None:
    assert "--out is ''; expected FOLDER" in refused("table", "codec", "--dataset", "camvid", "--root", clip, "-o", "")


def test_a_refused_run_leaves_no_folder(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "results" / "one"
    line = refused("run", clip, "-o", out, "--model", MODEL, *LABELS, "--save", "labels", "--classes", "nothing")
    assert "class 'nothing' is not in label set" in line
    assert not out.parent.exists()
    line = refused("run", clip, "-o", out, "--scores", scores(tmp_path / "s.npz", size_hw=(32, 48)))
    assert "s.npz holds scores of frames of 48x32; expected 96x64, as the frames are" in line
    assert not out.parent.exists()


def test_the_input_is_opened_before_the_network(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"nothing")
    assert "no.mp4" in refused("run", tmp_path / "no.mp4", "-o", tmp_path / "out", "--model", tmp_path / "no.onnx")
    assert not (tmp_path / "out").exists()


def test_scores_of_another_number_of_frames_are_told(clip: Path, tmp_path: Path) -> None:
    done = command("run", clip, "-o", tmp_path / "out", "--scores", scores(tmp_path / "s.npz", frames=8))
    assert done.exit_code == 0, done.output
    assert "s.npz holds scores of 8 frames, clip has 6: are they of this video?" in " ".join(done.output.split())
    done = command("run", clip, "-o", tmp_path / "more", "--scores", scores(tmp_path / "t.npz"))
    assert "are they of this video" not in done.output
    with pytest.raises(ScoresError, match="holds scores of frames of 96x64; expected 48x32"):
        list(segtween.load(tmp_path / "s.npz").stream([np.zeros((32, 48, 3), np.uint8)]))


def test_a_lag_is_for_what_comes_live(clip: Path, tmp_path: Path) -> None:
    line = refused("run", clip, "-o", tmp_path / "out", "--model", MODEL, *LABELS, "--lag")
    assert "--lag for files that are not played live; expected a camera, a stream, or --live" in line


@pytest.mark.parametrize("preset", ["warp", "blend", "swnet-seq"])
def test_matching_is_refused_where_flow_is_not_composed(preset: str, clip: Path, tmp_path: Path) -> None:
    line = refused("run", clip, "-o", tmp_path / "out", "--model", MODEL, "--preset", preset, "--match", "fine")
    assert "--match fine with propagation=" in line
    with pytest.raises(SettingError, match="match='none' with propagation="):
        segtween.load(lambda rgb: rgb, label_set=3, preset=preset, match="none")


def test_a_picture_of_another_ending_is_refused(clip: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "net", classes=4)
    target = tmp_path / "t.xyz"
    assert f"{target} is no .png file; expected a name that ends in .png" in refused(
        "models", "test", str(model), clip, "-o", target
    )
    assert not target.exists()


def test_a_single_frame_is_one_frame(clip: Path, tmp_path: Path) -> None:
    done = command("run", clip / "0.png", "-o", tmp_path / "out", "--model", MODEL, *LABELS)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "network on 1 of 1 frame " in text
    assert " 1 frames" not in text


def test_a_note_of_the_runtime_is_said_once(clip: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    done = command("run", clip, "-o", tmp_path / "out", "--provider", "NPU")
    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split()).count("OpenVINO finds no device NPU here; CPU is used")
    assert (said, caplog.messages) == (1, [])


def test_part_of_a_video_is_propagated_into(clip: Path, tmp_path: Path) -> None:
    picture(tmp_path / "labels" / "0.png", np.full((64, 96), 1, np.uint8))
    args = ("--labels", tmp_path / "labels", *LABELS, "--frame-rate", "2", "--duration", "2")
    done = command("propagate", clip, *args, "-o", tmp_path / "out", "--save", "labels")
    assert done.exit_code == 0, done.output
    assert "4 frames from 1 labelled one" in " ".join(done.output.split())


def test_totals_of_a_report_are_read_by_people(clip: Path, tmp_path: Path) -> None:
    done = command("run", clip, "-o", tmp_path / "out", "--model", MODEL, *LABELS, "--report")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "report.html").read_text()
    totals = re.findall(r'<th scope="row">totals[^<]*</th><td>([^<]*)</td>', page)
    assert len(totals) > 3
    assert not [value for value in totals if re.search(r"\.\d{5,}", value)]
