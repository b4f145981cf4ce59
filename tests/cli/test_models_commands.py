"""`segtween models inspect`: what it shows, what it takes, what it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import call, refused

from segtween.models.records import load_record
from tiny_onnx import write_network


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
