"""What is said of a machine in bug reports."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from segtween.bench import machine
from segtween.bench.machine import look_at_machine, processor_name
from segtween.cli import app
from segtween.ops.threads import available_threads
from segtween.runtimes.openvino import core, int8_weight_bits


def test_it_says_what_is_really_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path))
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "ALL")
    found = look_at_machine()
    assert found.precisions == {
        "float32": True,
        "bfloat16": "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        f"int8 ({int8_weight_bits() or 8}-bit weights)": int8_weight_bits() > 0,
    }
    assert (found.threads, found.processors) == (available_threads(), os.cpu_count())
    assert found.versions["av"] == version("av")
    assert found.versions["python"] == platform.python_version()
    assert found.cache == tmp_path
    assert found.environment["SEGTWEEN_CACHE"] == str(tmp_path)
    assert found.environment["DNNL_MAX_CPU_ISA"] == "ALL", "oneDNN knows its variable by two names"
    assert found.processor == processor_name()


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="an instruction set of x86")
@pytest.mark.parametrize("held", ["SSE41", "AVX2"])
def test_a_precision_is_there_where_networks_compile(held: str) -> None:
    """With SSE4.1 a convolution alone does. oneDNN reads its variables once per process."""
    code = (
        "from segtween.bench.machine import precisions\nfrom segtween.errors import ModelError\n"
        "from segtween.segmenters import open_segmenter\n"
        "try:\n    open_segmenter('swiftnet-lite0.camvid')\n    compiles = True\n"
        "except ModelError:\n    compiles = False\n"
        "print(compiles, any(precisions().values()))"
    )
    env = os.environ | {"ONEDNN_MAX_CPU_ISA": held, "DNNL_MAX_CPU_ISA": held}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    compiles, told = done.stdout.split()
    assert told == compiles
    assert held != "AVX2" or told == "True"


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="features as Linux lists them")
def test_features_are_those_that_the_system_lists() -> None:
    listed = set(Path("/proc/cpuinfo").read_text().split())
    found = machine.features()
    linux = {"AVX2": "avx2", "AVX-512": "avx512f", "AVX-512 VNNI": "avx512_vnni", "AVX-512 bf16": "avx512_bf16",
             "Arm dot product": "asimddp"}  # fmt: skip
    known = {name: feature for name, feature in linux.items() if name in found}
    assert known
    assert {name: found[name] for name in known} == {name: feature in listed for name, feature in known.items()}


def test_a_processor_of_arm_is_asked_for_its_own_features(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: {"dotprod": True, "avx2": False})
    assert machine.features() == {"Arm dot product": True, "Arm int8 matrices": False, "Arm bf16": False}


def test_cards_are_named_by_who_sees_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def driver(command: Any, **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, stdout="NVIDIA Card,  550.1, 24576 MiB\n\n", stderr="")

    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(machine.subprocess, "run", driver)
    monkeypatch.setattr("segtween.device.card_names", lambda: ["cuda:0 Card"])
    found = look_at_machine(with_torch=True)
    assert found.cards["nvidia-smi"] == ["NVIDIA Card, 550.1, 24576 MiB"]
    assert found.cards["torch"] == ["cuda:0 Card"]
    assert "NVIDIA Card, 550.1, 24576 MiB (nvidia-smi); cuda:0 Card (torch)" in str(found.tables()[0])


def test_a_driver_s_tool_that_fails_names_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", 5)

    monkeypatch.setattr(machine.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(machine.subprocess, "run", fails)
    assert look_at_machine().cards["nvidia-smi"] == []


def test_the_command_prints_lines_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGTWEEN_CACHE", str(Path.home() / "somewhere" / "segtween"))
    text = CliRunner().invoke(app, ["info"])
    assert text.exit_code == 0, text.output
    names = [line.split(":")[0] for line in text.stdout.splitlines()]
    assert names == ["versions", "system", "processor", "features", "precisions", "threads", "cache",
                     "graphics cards", "environment"]  # fmt: skip
    assert "cache: ~/somewhere/segtween" in text.stdout
    plain = CliRunner().invoke(app, ["info", "--json"])
    assert plain.exit_code == 0, plain.output
    record = json.loads(plain.stdout)
    assert record["cache"] == "~/somewhere/segtween"
    assert {name.split()[0] for name in record["precisions"]} == {"float32", "bfloat16", "int8"}


def test_torch_is_loaded_on_request_only() -> None:
    code = (
        "import sys\nfrom segtween.bench.machine import look_at_machine\n"
        "look_at_machine()\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
