"""What a user may get wrong with files, through the commands: one clear line each, exit code 2, nothing lost."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from fakes import panning
from segtween.cli import app
from small_sets import camvid, cityscapes, grey, picture
from tiny_propagation import write_model

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
SEQ = ("--preset", "swnet-seq", "--intervals", "1", "--threads", "1")


def refused(*args: str | Path) -> str:
    """The one line that a refused command prints."""
    done = CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)
    assert done.exit_code == 2, done.output
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("segtween: error: "))
    assert "Traceback" not in done.output
    return line


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Layout `folders`: six frames of four classes."""
    root = tmp_path / "set"
    for i, rgb in enumerate(panning(6, (64, 96), cell=16)):
        picture(root / "val/frames/a" / f"{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(root / "val/labels/a" / f"{i}.png", rgb[..., 0] // 64)
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    return root


def folders(root: Path, *, command: tuple[str, ...] = ("evaluate",)) -> tuple[str | Path, ...]:
    return (*command, "--dataset", "folders", "--root", root, "--model", MODEL)


# ── Checkpoints ───────────────────────────────────────────────────────────────────────────────


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("it-was-run",)


def a_segmenter(path: Path) -> None:
    import torch

    from segtween.networks import build

    torch.save(build("swiftnet-lite0", classes=4).state_dict(), path)


def eleven_classes(path: Path) -> None:
    import torch

    from segtween.networks import build_flow, build_refiner

    parts = {"state_dict": build_refiner(classes=11), "state_dict_of": build_flow("flow-light")}
    torch.save({**{name: net.state_dict() for name, net in parts.items()}, "epoch": 1}, path)


def flow_alone(path: Path) -> None:
    import torch

    from segtween.networks import build_flow

    torch.save({"state_dict_of": build_flow("flow-light").state_dict()}, path)


def cut_off(path: Path) -> None:
    eleven_classes(path)
    path.write_bytes(path.read_bytes()[:100_000])


def code(path: Path) -> None:
    import torch

    torch.save({"state_dict": Evil()}, path)


def plain_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"state_dict": Evil()}))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def not_there(path: Path) -> None:
    path.unlink(missing_ok=True)


BAD_WEIGHTS: list[tuple[Callable[[Path], None], str]] = [
    (a_segmenter, "bad.pth.tar holds state_dict: swiftnet-lite0 with 4 classes; expected one of flow-light, "),
    (eleven_classes, "the refinement in bad.pth.tar is for 11 classes; expected 4, as the segmentation network has; "),
    (flow_alone, "bad.pth.tar holds no refinement network; expected a trained refinement and flow network; give other"),
    (cut_off, "bad.pth.tar is damaged or cut off ("),
    (code, "bad.pth.tar carries code (posix.mkdir), which was not run; expected tensors and plain values only; "),
    (plain_pickle, "bad.pth.tar is pickled in a way that could run code, so it was not read; expected what torch.save"),
    (empty, "bad.pth.tar is empty; expected a torch or safetensors file; download it"),
    (not_there, "bad.pth.tar are not found; expected a weight file; check the path"),
]


@pytest.mark.train
@pytest.mark.parametrize(("make", "text"), BAD_WEIGHTS, ids=[make.__name__ for make, _ in BAD_WEIGHTS])
def test_weights_that_do_not_fit(
    make: Callable[[Path], None], text: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    make(tmp_path / "bad.pth.tar")
    assert text in refused(*folders(clip), *SEQ, "--weights", tmp_path / "bad.pth.tar", "--json", tmp_path / "o.json")
    assert not (tmp_path / "o.json").exists()
    assert not (tmp_path / "it-was-run").exists()


@pytest.mark.train
@pytest.mark.parametrize(("make", "text"), BAD_WEIGHTS[3:6], ids=["cut off", "code", "pickle"])
def test_weights_that_cannot_be_read_are_not_taken_over(
    make: Callable[[Path], None], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "bad.pth.tar")
    assert text in refused("weights", "inspect", "bad.pth.tar")
    assert text in refused("weights", "convert", "bad.pth.tar", "-o", "out.safetensors")
    assert text in refused("export", "bad.pth.tar", "-o", "out")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.pth.tar"], "nothing was written, nothing was run"


@pytest.mark.train
def test_a_checkpoint_is_no_model_before_it_is_exported(clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    a_segmenter(tmp_path / "net.pt")
    line = refused("run", clip / "val/frames/a", "-o", tmp_path / "out", "--model", tmp_path / "net.pt")
    assert "net.pt is no model file; expected a file that ends in .onnx, .xml or .pt2; segtween export " in line
    line = refused("export", tmp_path / "net.pt", "-o", tmp_path / "out", "--label-set", "camvid11")
    assert "net.pt (state_dict) does not fit swiftnet-lite0 with 11 classes: " in line
    assert "; it looks like swiftnet-lite0 with 4 classes; give another file" in line
    assert not (tmp_path / "out").exists()


def test_a_model_folder_for_other_classes(clip: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "three", classes=3)
    line = refused(*folders(clip), *SEQ, "--weights", model)
    assert (
        "three/refine.onnx is for 3 classes; expected 4, as the segmentation network has; give weights trained" in line
    )
    line = refused("run", clip / "val/frames/a", "-o", tmp_path / "out", "--model", MODEL, *SEQ[:2], "--weights", model)
    assert "three/refine.onnx is for 3 classes; expected 4" in line
    assert not (tmp_path / "out").exists()


def test_a_model_folder_that_is_not_whole(clip: Path, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", classes=4)
    graph = (model / "refine.onnx").read_bytes()
    (model / "refine.onnx").write_bytes(graph[: len(graph) // 2])
    assert "refine.onnx cannot be read as ONNX (it" in refused(*folders(clip), *SEQ, "--weights", model)
    (model / "refine.onnx").write_bytes(graph)
    record = model / "flow.onnx.yaml"
    record.write_text("kind: [flow")
    line = refused(*folders(clip), *SEQ, "--weights", model)
    assert "flow.onnx.yaml is not YAML (while parsing" in line
    record.unlink()
    assert "flow.onnx.yaml is not found; expected the record" in refused(*folders(clip), *SEQ, "--weights", model)
    (model / "flow.onnx").unlink()
    assert "model holds no flow.onnx (refine-no-edge.onnx, refine.onnx)" in refused(
        *folders(clip), *SEQ, "--weights", model
    )


# ── Data ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("val/s_9.png valannot/s_9.png", "val.txt, line 4: val/s_9.png is missing; expected that file under "),
        ("val/s_0.png valannot/s_9.png", "val.txt, line 4: valannot/s_9.png is missing; expected that file under "),
        ("val/s_0.png", "val.txt, line 4"),
    ],
)
@pytest.mark.parametrize("command", [("evaluate",), ("table", "intervals"), ("scores", "export", "-o", "s.npz")])
def test_a_list_that_names_missing_frames(
    command: tuple[str, ...], line: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = camvid(tmp_path / "set", ["s_0", "s_1", "s_2"])
    with (root / "val.txt").open("a") as file:
        file.write(f"{line}\n")
    assert text in refused(*command, "--dataset", "camvid", "--root", root, "--model", MODEL)
    assert not (tmp_path / "s.npz").exists()


def test_lists_and_folders_of_the_other_layouts(tmp_path: Path) -> None:
    picture(tmp_path / "vspw/data/v1/origin/0.png", grey())
    (tmp_path / "vspw/val.txt").write_text("v1\nv2\n")
    line = refused("evaluate", "--dataset", "vspw", "--root", tmp_path / "vspw", "--model", MODEL)
    assert "video 'v2' has no folder" in line
    root = cityscapes(tmp_path / "cs", {"aa_000001": range(18)}, {"aa_000001": [19]})
    line = refused("evaluate", "--dataset", "cityscapes", "--root", root, "--model", MODEL)
    assert "1 label files in" in line
    assert (
        "have no picture, such as aa_000001_000019_gtFine_labelIds.png; expected aa_000001_000019_leftImg8bit" in line
    )


EARLIER = "frame {} of set val (folders layout), clip a; expected 0 to 5; show"
TOO_LONG = "interval 6; expected less than the 6 frames of the longest clip; give shorter intervals"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("evaluate", "--intervals", "6"), TOO_LONG),
        (("table", "intervals", "--intervals", "6"), TOO_LONG),
        (
            ("figure", "clip", "--interval", "6", "-o", "f.png"),
            EARLIER.format(20),
        ),
        (
            ("figure", "clip", "--frames", "6", "-o", "f.png"),
            EARLIER.format(6),
        ),
        (
            ("figure", "sequence", "--key", "2", "-o", "f.png"),
            EARLIER.format(6),
        ),
    ],
)
def test_a_clip_shorter_than_the_interval(
    command: tuple[str, ...], text: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert text in refused(*folders(clip, command=command), "--threads", "1")
    assert not (tmp_path / "f.png").exists()


def test_a_labelled_frame_with_too_few_frames_before_it(tmp_path: Path) -> None:
    root = cityscapes(tmp_path, {"aa_000001": range(3)}, {"aa_000001": [2]})
    (tmp_path / "f.py").write_text("import numpy as np\ndef f(rgb):\n    return np.zeros((19, 4, 6), np.float32)\n")
    model = ("--model", f"{tmp_path / 'f.py'}:f", "--label-set", "cityscapes19")
    line = refused("evaluate", "--dataset", "cityscapes", "--root", root, *model, "--intervals", "3")
    assert "interval 3; expected at most the 2 frames before a labelled frame in cityscapes val; give" in line


@pytest.mark.parametrize(
    "command", [("evaluate", "--json", "o.json"), ("table", "intervals", "-o", "t"), ("figure", "clip", "-o", "f.png")]
)
def test_label_ids_outside_the_table(
    command: tuple[str, ...], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong = clip / "val/labels/a/3.png"
    ids = cv2.imread(str(wrong), cv2.IMREAD_UNCHANGED)
    ids[0, 0] = 77
    cv2.imwrite(str(wrong), ids)
    option = ("--frames", "4") if "clip" in command else ("--intervals", "1")
    line = refused(*folders(clip, command=command), *option, "--threads", "1")
    assert (
        "3.png holds ids [77]; expected the ids of label set 'labels': [0, 1, 2, 3, 255]; choose the label set" in line
    )
    assert not [name for name in ("o.json", "t", "f.png") if Path(name).exists()]


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--json", "o.json", "--model", MODEL, "--intervals", "2"),
        ("table", "codec", "-o", "t", "--model", MODEL, "--intervals", "2"),
        ("table", "losses", "-o", "t", "--model", MODEL, "--intervals", "2"),
        ("table", "propagation", "-o", "t", "--every", "2"),
    ],
)
def test_frames_of_two_sizes_in_a_clip(
    command: tuple[str, ...], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(clip / "val/frames/a/3.png", grey((32, 40)))
    picture(clip / "val/labels/a/3.png", np.zeros((32, 40), np.uint8))
    line = refused(*command, "--dataset", "folders", "--root", clip, "--threads", "1")
    assert "a/3.png is 40x32; expected 96x64 (width x height), the size of 0.png; make clips of one size each" in line
    assert not [name for name in ("o.json", "t") if Path(name).exists()]


@pytest.mark.parametrize(
    ("starts", "text"),
    [
        ("0", "0 starts; expected 1 to 6, as many as the longest clip has frames; give --starts 1 for one run"),
        ("-1", "-1 starts; expected 1 to 6"),
        ("7", "7 starts; expected 1 to 6"),
    ],
)
def test_starts_that_a_clip_does_not_have(
    starts: str, text: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    budgets = folders(clip, command=("table", "budgets", "-o", "t", "--intervals", "2"))
    assert text in refused(*budgets, "--starts", starts)
    for path in (clip / "val/labels/a").glob("[0-4].png"):
        path.unlink()
    line = refused(*budgets, "--starts", "2")
    assert "2 starts in set val (folders layout), where few frames are labelled; expected 1: a run leads up to" in line
    assert not Path("t").exists()


@pytest.fixture
def void(clip: Path) -> Path:
    """The clip with labels that are all ignore."""
    for path in (clip / "val/labels/a").iterdir():
        picture(path, np.full((64, 96), 255, np.uint8))
    return clip


NOTHING = CliRunner(env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", "--json", "o.json", "--csv", "o.csv", "--report", "o.html", "--measures", "vspw,boundary"),
        ("evaluate", "--schedule", "adaptive", "--json", "o.json", "--report", "o.html"),
        ("table", "methods", "-o", "t", "--presets", "blend", "--repeats", "1", "--report", "o.html"),
        ("table", "budgets", "-o", "t", "--report", "o.html"),
        ("table", "delays", "-o", "t", "--interval", "2", "--delays", "0,1", "--report", "o.html"),
        ("table", "codec", "-o", "t", "--report", "o.html"),
        ("table", "losses", "-o", "t", "--report", "o.html"),
        ("table", "propagation", "-o", "t", "--every", "2", "--report", "o.html"),
    ],
)
def test_labels_that_are_all_ignore_give_tables_without_figures(
    command: tuple[str, ...], void: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    intervals = () if {"delays", "adaptive", "propagation"} & {*command} else ("--intervals", "2")
    words = [str(word) for word in (*folders(void, command=command), *intervals, "--threads", "1")]
    if "propagation" in command:
        words.remove(MODEL)
        words.remove("--model")
    done = NOTHING.invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert not re.search(r"\b(nan|None)\b", done.output + Path("o.html").read_text())
    for path in (*tmp_path.glob("*.json"), *tmp_path.glob("t/*.json")):
        assert "NaN" not in path.read_text()


@pytest.mark.parametrize("command", ["methods", "budgets", "intervals"])
def test_a_plot_of_nothing_is_refused(
    command: str, void: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    words = folders(void, command=("table", command, "-o", "t", "--plot", "--presets", "blend", "--intervals", "2"))
    line = refused(*words, *(() if command == "budgets" else ("--repeats", "1")), "--threads", "1")
    assert "a plot without accuracies; expected data with labels of a class; leave the plot out" in line


def test_files_are_looked_at_before_anything_is_measured(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("segtween.evaluation.evaluate_modes", None)
    monkeypatch.setattr("segtween.bench.bench_modes", None)
    line = refused(*folders(clip, command=("evaluate", "--csv", str(clip))))
    assert f"{clip} is a folder; expected the name of a file; choose a name that no folder has" in line
    line = refused("bench", "--model", MODEL, "--accuracy", "none.json")
    assert "none.json holds no accuracy (No such file or directory); expected a file of segtween evaluate" in line
    line = refused("bench", "--model", MODEL, "--accuracy", "")
    assert "--accuracy ''; expected files of segtween evaluate --json, with commas; name one" in line
    Path("a.json").write_text('{"every_frame": NaN}')
    assert "a.json holds no accuracy (NaN is no figure)" in refused("bench", "--model", MODEL, "--accuracy", "a.json")


# ── Training ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.train
def test_a_run_whose_recipe_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    camvid(tmp_path / "data", ["s_0", "s_1"], split="train")
    lists = [{"kind": "list", "list": "train.txt", "name": "tiny"}]
    recipe = tmp_path / "r.yaml"
    fields = {
        "name": "r", "network": "swiftnet-lite0", "steps": 1, "batch": 2, "crop": "32x32", "licence": "none",
        "train": lists, "evaluate": lists,
    }  # fmt: skip
    recipe.write_text(yaml.safe_dump(fields))
    (tmp_path / "run").mkdir()
    checkpoint = tmp_path / "run/checkpoint.pt"
    torch.save({"model": {}, "step": 1, "recipe": "0" * 64, "data": "0" * 64}, checkpoint)
    before = checkpoint.read_bytes()
    line = refused("train", recipe, "--data-root", tmp_path / "data", "-o", tmp_path / "run", "--device", "cpu")
    assert "checkpoint.pt was made with another recipe (000000000000, now " in line
    assert "; expected the same training; give another --out, or --fresh to begin anew" in line
    checkpoint.write_bytes(b"not a checkpoint")
    line = refused("train", recipe, "--data-root", tmp_path / "data", "-o", tmp_path / "run", "--device", "cpu")
    assert "checkpoint.pt cannot be read (" in line
    checkpoint.write_bytes(before)
    assert [p.name for p in (tmp_path / "run").glob("*.pt")] == ["checkpoint.pt"]
