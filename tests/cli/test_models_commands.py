"""`segtween models inspect` and `test`: what they show, take and write."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from test_cli import call, images, refused

from segtween.models.records import load_record
from tiny_onnx import cell_scores, colour_image, write_network


def test_inspect_says_where_each_field_is_from(tmp_path: Path) -> None:
    path = write_network(tmp_path / "my.onnx", classes=19)
    done = call("models", "inspect", path)
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "guessed" in lines["input.mean"]
    assert "graph" in lines["input.layout"]
    assert "trial run" in lines["output.stride"]
    assert not (tmp_path / "my.onnx.yaml").exists()


def test_what_is_given_is_no_guess(tmp_path: Path) -> None:
    path = write_network(tmp_path / "my.onnx", classes=5, size_input=True)
    (tmp_path / "my.yaml").write_text("names: [a, b, c, d, e]\n")
    given = ("--label-set", tmp_path / "my.yaml", "--fixed", "size=2,2", "--write")
    done = call("models", "inspect", path, *given)
    assert done.exit_code == 0, done.output
    record = load_record(tmp_path / "my.onnx.yaml")
    assert record.labels.names == ("a", "b", "c", "d", "e")
    assert record.input.fixed == {"size": [2, 2]}
    assert "labels" not in record.guessed
    assert "exists; expected no such file yet; give --overwrite to replace it" in refused(
        "models", "inspect", path, *given
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--fixed", "size"), "--fixed 'size'; expected NAME=NUMBERS; give --fixed size=512,1024"),
        (("--fixed", "size=big"), "--fixed 'size=big'; expected NAME=NUMBERS"),
        (("--output-kind", "logit"), "--output-kind 'logit'"),
        (("--output-kind", "probabilities"), "expected scores (1, classes, h, w) or labels of kind probabilities"),
        (("--label-set", "camvid11"), "has 5 classes"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, given: tuple[str, ...], message: str) -> None:
    assert message in refused("models", "inspect", write_network(tmp_path / "my.onnx"), *given)


def picture(folder: Path) -> tuple[Path, Path]:
    """An image of cells in one colour, and the labels that a network of 5 classes gives it in the range -1 to 1."""
    rgb = np.ascontiguousarray(colour_image((16, 24), seed=3).repeat(4, 0).repeat(4, 1))
    labels = cell_scores(rgb / 127.5 - 1, classes=5).argmax(axis=0).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    cv2.imwrite(str(folder / "image.png"), rgb[..., ::-1])
    cv2.imwrite(str(folder / "labels.png"), labels)
    return folder / "image.png", folder / "labels.png"


def test_a_guess_is_checked_with_a_labelled_picture(tmp_path: Path) -> None:
    path = write_network(tmp_path / "my.onnx", classes=5)
    image, labels = picture(tmp_path)
    done = call("models", "inspect", path, "--check", image, labels, "--write")
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    first = next(i for i, line in enumerate(lines) if line[:1] == ["preprocessing"])
    assert any(line[:3] == ["-1", "to", "1"] and line[-2] == "RGB" for line in lines[first + 1 : first + 4])
    record = load_record(tmp_path / "my.onnx.yaml")
    assert (record.input.mean, record.input.channels) == ((0.5, 0.5, 0.5), "RGB")
    assert "input.mean" not in record.guessed


def test_without_labels_the_entropies_are_shown(tmp_path: Path) -> None:
    done = call("models", "inspect", write_network(tmp_path / "my.onnx"), "--check", picture(tmp_path)[0])
    assert done.exit_code == 0, done.output
    assert "bits per cell" in done.stdout
    assert "without a picture; expected --check" in refused(
        "models", "inspect", tmp_path / "my.onnx", tmp_path / "labels.png"
    )


def test_a_test_is_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write_network(tmp_path / "my.onnx", classes=5)
    clip = images(tmp_path / "clip")
    done = call("models", "test", path, clip)
    assert done.exit_code == 0, done.output
    assert "ms for a frame on this machine" in done.stdout
    assert "guessed" in done.stdout, "there is no sidecar"
    drawn = cv2.imread(str(tmp_path / "my.test.png"))
    assert drawn.shape[1] == 1600
    assert "exists; expected no such file yet" in refused("models", "test", path, clip)
    for target, words in (("no/a.png", "no/a.png cannot be written"), (path.parent, "is a folder; expected the name")):
        assert words in refused("models", "test", path, clip, "-o", target, "--overwrite")
    last = cv2.imread(str(sorted(clip.iterdir())[-1]))
    shown = cv2.resize(drawn[16 : 16 + 588, 16 : 16 + 776], last.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(shown.astype(int) - last).mean() < 12, "the input, at the left"
