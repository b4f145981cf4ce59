"""`segtween weights`, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golden_cases import CHECKPOINT
from segtween.cli import main

pytestmark = pytest.mark.train


def segtween(*words: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["segtween", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            main()
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out, said.err


@pytest.mark.shared
def test_the_real_checkpoint(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = shared / "weights" / CHECKPOINT
    code, out, _ = segtween("weights", "inspect", file, "--keys", "--json", tmp_path / "o.json", capsys=capsys)
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for expected in ("network guided", "classes 19", "network flow-light", "fit complete", "epoch 54", "keys 59"):
        assert expected in lines
    assert "toflow.weight 2x64x3x3" in lines
    found = json.loads((tmp_path / "o.json").read_text())
    assert found["sha256"] == "7a000ce69acb3a3e3c2f1f457bcf477de41934da278262abc1034f5f0a4bc3a9"
    made = tmp_path / "flow.safetensors"
    code, out, _ = segtween("weights", "convert", file, "-o", made, "--part", "state_dict_of", capsys=capsys)
    assert code == 0
    assert made.name in out
    code, out, _ = segtween("weights", "inspect", made, capsys=capsys)
    assert code == 0
    assert "flow-light" in out
    code, out, _ = segtween(
        "weights", "convert", file, "-o", tmp_path / "g.onnx", "--part", "state_dict", capsys=capsys
    )
    assert code == 0
    assert "g.onnx.yaml" in out


def test_bad_input_is_one_line_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "w.pt").write_bytes(b"<html>")
    for words in (
        ("weights", "inspect", tmp_path / "none.pt"),
        ("weights", "inspect", tmp_path / "w.pt"),
        ("weights", "convert", tmp_path / "w.pt", "-o", tmp_path / "o.safetensors"),
        ("weights", "convert", tmp_path / "w.pt"),
    ):
        code, out, err = segtween(*words, capsys=capsys)
        assert (code, out) == (2, "")
        assert err.startswith("segtween: error: ")
        assert err.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["w.pt"]
