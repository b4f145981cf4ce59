"""Kernels are compiled ahead, in parts, once; a run says so."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from segtween.cli import screen
from segtween.cli.run_texts import compiling
from segtween.demo.kernels import PARTS as OF_DEMO
from segtween.run import kernels
from segtween.run.kernels import Part, _is_kept, compiled_ahead, missing


def test_a_part_is_kept_while_its_source_is_older(tmp_path: Path) -> None:
    source = tmp_path / "loops.py"
    source.write_text("")
    kernel = SimpleNamespace(
        py_func=SimpleNamespace(__code__=SimpleNamespace(co_filename=str(source)), __name__="work"),
        stats=SimpleNamespace(cache_path=str(tmp_path)),
    )
    assert not _is_kept(kernel)
    index = tmp_path / "loops.work-12.py311.nbi"
    index.write_text("")
    os.utime(index, (2e9, 2e9))
    assert _is_kept(kernel)
    os.utime(source, (3e9, 3e9))
    assert not _is_kept(kernel)


class Sleeper(subprocess.Popen[bytes]):
    """Sleeps for as many seconds as the part is called."""

    started: list[Sleeper]

    def __init__(self, command: list[str], **how: Any) -> None:
        assert command[1:3] == ["-m", "segtween.run.kernels"]
        super().__init__([sys.executable, "-c", f"import time; time.sleep({command[3]})"], **how)
        self.started.append(self)


@pytest.fixture
def sleepers(monkeypatch: pytest.MonkeyPatch) -> list[Sleeper]:
    Sleeper.started = []
    monkeypatch.setattr("segtween.run.kernels.subprocess.Popen", Sleeper)
    return Sleeper.started


def slow(*seconds: str) -> dict[str, Part]:
    return {name: Part(lambda: None, lambda: None) for name in seconds}


def test_compiling_ahead_ends_with_its_body(sleepers: list[Sleeper]) -> None:
    with compiled_ahead(slow("0.1", "0.2")):
        pass
    assert [process.returncode for process in sleepers] == [0, 0], "waited for"
    with pytest.raises(KeyboardInterrupt), compiled_ahead(slow("60")):
        raise KeyboardInterrupt
    assert sleepers[-1].returncode not in (0, None), "not left behind"


def test_parts_are_counted_while_they_are_waited_for(sleepers: list[Sleeper]) -> None:
    counted: list[tuple[int, int | None]] = []
    with compiled_ahead(slow("0", "0.5"), progress=lambda done, total: counted.append((done, total))):
        assert counted == []
    assert len(sleepers) == 2
    assert {total for _, total in counted} == {2}
    assert [done for done, _ in counted] == sorted(done for done, _ in counted)
    assert counted[-1] == (2, 2)


class Done:
    """A process that has ended as soon as it is started."""

    started: list[list[str]]

    def __init__(self, command: list[str], **_: Any) -> None:
        self.started.append(command[2:])

    def poll(self) -> int:
        return 0

    wait = kill = poll


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    Done.started = []
    monkeypatch.setattr("segtween.run.kernels.subprocess.Popen", Done)
    return Done.started


def test_without_a_part_the_missing_ones_are_compiled(
    monkeypatch: pytest.MonkeyPatch, started: list[list[str]]
) -> None:
    monkeypatch.setattr("segtween.run.kernels._is_kept", lambda kernel: kernel.py_func.__name__ == "mix_rows")
    kernels.main([], OF_DEMO)
    assert started == [
        ["segtween.demo.kernels", "street"],
        ["segtween.run.kernels", "motion"],
        ["segtween.run.kernels", "matching"],
    ]
    here: list[str] = []
    kernels.main(["here"], {"here": Part(lambda: here.append("compiled"), lambda: None)})
    assert here == ["compiled"]
    assert len(started) == 3
    with pytest.raises(SystemExit, match="part 'x' is unknown; expected one of labels, motion, matching"):
        kernels.main(["x"])


def lines(
    monkeypatch: pytest.MonkeyPatch, *, parts: dict[str, Part], model: str = "swiftnet-lite0.camvid", **how: Any
) -> list[str]:
    """What is said while kernels are compiled, to a file."""
    said = io.StringIO()
    monkeypatch.setattr(screen, "notes", Console(file=said, soft_wrap=True, highlight=False))
    monkeypatch.setattr("segtween.run.kernels.missing", lambda: parts)
    with compiling(model, **{"device": "cpu", "quiet": False, **how}):
        pass
    return said.getvalue().splitlines()


def test_a_run_says_what_it_compiles(monkeypatch: pytest.MonkeyPatch, started: list[list[str]]) -> None:
    network = "compiling swiftnet-lite0.camvid"
    assert lines(monkeypatch, parts={}) == [network]
    monkeypatch.setattr(screen, "FIRST_LINE_SECONDS", 0.0)
    first, second, third = lines(monkeypatch, parts=slow("a", "b"))
    assert first.startswith("compiling kernels, once")
    assert (second, third) == (network, "compiling kernels: 2 of 2 after 0 s"), "one line of progress, as elsewhere"
    assert len(started) == 2
    assert lines(monkeypatch, parts={}, model="drive.npz") == ["opening drive.npz"]


def test_quiet_compiles_in_silence_and_a_card_needs_no_kernels(
    monkeypatch: pytest.MonkeyPatch, started: list[list[str]]
) -> None:
    assert lines(monkeypatch, parts=slow("a"), quiet=True) == []
    assert len(started) == 1
    assert lines(monkeypatch, parts=slow("a"), device="torch-cpu") == ["compiling swiftnet-lite0.camvid"]
    assert len(started) == 1


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, sleepers: list[Sleeper]) -> None:
    said = io.StringIO()
    terminal = Console(file=said, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr(screen, "notes", terminal)
    monkeypatch.setattr("segtween.run.kernels.missing", lambda: slow("0.3"))
    with compiling("swiftnet-lite0.camvid", device="cpu", quiet=False):
        pass
    assert len(sleepers) == 1
    assert "0/1" in said.getvalue()
    assert " after " not in said.getvalue()


def main_says(*words: str) -> list[str]:
    """Standard error until the command itself begins, and what is loaded by then."""
    code = f"""
import sys
from segtween import cli
sys.argv = ["segtween", *{words!r}]
cli.app = lambda **_: print(*sorted({{"numpy", "numba", "rich", "segtween.cli.run"}} & set(sys.modules)))
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numba" not in done.stdout
    return [*done.stderr.split(), *done.stdout.split()]


def test_a_run_speaks_before_it_loads_anything() -> None:
    assert main_says("run", "a.mp4", "-o", "out") == ["loading"]
    for words in (("run", "a.mp4", "-q"), ("run", "-qo", "out"), ("run", "--quiet"), ("run", "--help-all"), ("run",)):
        assert main_says(*words) == []
    assert main_says("models", "list") == []


@pytest.mark.slow
def test_a_first_run_finds_all_that_it_needs(tmp_path: Path) -> None:
    """Nothing is compiled in the run itself: in a process of its own, where nothing else was compiled before."""
    code = """
import json, sys
from numba.core.dispatcher import Dispatcher
import numpy as np
from segtween.api import load
from segtween.run.kernels import PARTS
from segtween.street import StreetClip

frames = [frame.rgb for frame in StreetClip(3, frames=7)]

def known():
    modules = [m for name, m in sys.modules.items() if name.startswith("segtween.") and ".street" not in name]
    found = {f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
    return {f"{f.py_func.__module__}.{f.py_func.__name__}{s}" for f in found for s in f.signatures}

for part in PARTS.values():
    part.compile()
before = known()
for mode in ("causal", "bidirectional"):
    seg = load(mode=mode)
    for frame in frames:
        seg.push(frame)
    seg.finish()
print(json.dumps([len(before), sorted(known() - before)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    compiled, later = json.loads(done.stdout)
    assert compiled > 15
    assert later == []
    assert missing() == {}
