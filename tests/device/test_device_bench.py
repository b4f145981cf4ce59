"""The benchmark of a device, on the processor: that it runs, and says what it timed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from segtween.errors import ModelError, SettingError
from segtween.settings import find_preset

NETWORK = "swiftnet-lite0.camvid"


def call(*args: str | Path) -> Result:
    from segtween.cli import app

    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


def timed(model: str = NETWORK, **changes: Any) -> Any:
    from segtween.bench import Plan
    from segtween.bench.on_device import bench_device
    from segtween.build import open_backend

    device = open_backend("torch-cpu", threads=1)
    plan = Plan(**{"size_hw": (64, 96), "intervals": [2], "repeats": 1, "clip": "textured", **changes})
    settings = find_preset("composed")
    return bench_device(device.segmenter(model), device=device, settings=settings, name="composed", plan=plan)


@pytest.mark.train
def test_the_offline_mode_is_timed_there_too(tmp_path: Path) -> None:
    done = call("bench", "device", "torch-cpu", "--size", "96x64", "--intervals", "2", "--repeats", "1", "--threads",
                "1", "--clip", "textured", "--offline", "--json", tmp_path / "gpu.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["method"]["mode"] == "bidirectional"
    ours = record["results"][1]
    assert (ours["key_frame"]["frames"], ours["other_frame"]["frames"]) == (1, 2)
    assert set(ours["stages_ms"]["other"]) == {"prepare", "flow", "propagate", "label"}
    assert f"method composed, bidirectional {record['method']['hash']}, offline" in done.stdout


@pytest.mark.train
def test_one_command_times_everything_beside_plain_torch(tmp_path: Path) -> None:
    done = call("bench", "device", "torch-cpu", "--size", "96x64", "--intervals", "0,2", "--repeats", "1",
                "--threads", "1", "--clip", "textured",
                "--against", "reference,torch", "--json", tmp_path / "gpu.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert record["device"] == {
        "name": "torch on the processor",
        "fast": {"half": False, "kernels": False, "graphs": False, "compiled": False},
    }
    plain, ours = record["results"]
    assert (plain["interval"], ours["interval"]) == (0, 2)
    assert ours["share_of_limit"] == pytest.approx(plain["ms_per_frame"] / ours["ms_per_frame"] / 3)
    assert (ours["key_frame"]["frames"], ours["other_frame"]["frames"]) == (1, 2)
    assert {row["name"]: row["interval"] for row in record["against"]} == {"reference": 2, "torch": 0}
    for row in record["against"]:
        assert row["times_faster"]["2"] == pytest.approx(row["ms_per_frame"] / ours["ms_per_frame"])
    assert ours["in_a_row_fps"] > 0
    assert ours["peak_mib"] is None  # a card's
    assert set(ours["stages_ms"]["other"]) == {"prepare", "flow", "propagate", "label"}
    assert "segment" in ours["stages_ms"]["key"]
    assert "SwNet-seq in plain torch, light flow" in " ".join(done.stdout.split())


@pytest.mark.train
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"repeats": 0}, "0 repeats on frames of 96x64; expected 1 repeat or more"),
        ({"size_hw": (32, 96)}, "1 repeats on frames of 96x32; expected 1 repeat or more"),
        ({"against": ["openvino"]}, "against 'openvino' on device torch-cpu; expected one of reference"),
    ],
)
def test_what_cannot_be_timed_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        timed(**changes)


@pytest.mark.train
def test_a_function_has_no_baseline_in_torch() -> None:
    model = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
    with pytest.raises((ModelError, SettingError), match="expected a network, of which there is a graph"):
        timed(model, against=["torch"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["device", "cpu", "--without", "half"], "device cpu; expected cuda or cuda:1; use segtween bench speed"),
        pytest.param(
            ["device", "torch-cpu", "--without", "grafs"],
            "without 'grafs'; expected one of half, kernels, graphs, compiled",
            marks=pytest.mark.train,
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: list[str], said: str) -> None:
    done = call("bench", *options)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["speed", "--without", "half"],
        ["roofline", "--device", "cuda"],
        ["device", "cuda", "--accuracy", "a.json"],
        ["device", "cuda", "--rate", "25"],
        ["cold-start", "--against", "torch"],
        ["streams", "--async-keys", "auto"],
        ["--rate", "25"],
    ],
)
def test_options_that_would_contradict_a_subcommand_are_none_of_its_options(options: list[str]) -> None:
    from segtween.cli import app

    done = CliRunner().invoke(app, ["bench", *options])
    assert done.exit_code == 2
    assert re.search(r"error: option --[a-z-]+; expected an option of segtween bench [a-z-]+; ", done.output)
