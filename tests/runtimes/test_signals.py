"""Ctrl-C after a graph was compiled and thrown away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from segtween.models.finding import shipped_models
from segtween.models.records import load_record
from segtween.models.weights import materialise

PROGRAM = """
import ctypes, gc, signal, sys
import numpy as np
from segtween.runtimes import open_runtime
from segtween.runtimes.base import RuntimeOptions
from segtween.runtimes.openvino import _SignalStack

def stack():
    now = _SignalStack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(now))
    return now.at, now.flags, now.size

before = stack()
for size in (32, 64):
    runtime = open_runtime("openvino", sys.argv[1], options=RuntimeOptions(threads=1))
    runtime.run(np.zeros((1, 3, size, size), np.float32))
    del runtime
    gc.collect()
print("kept" if stack() == before else "another", flush=True)
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="signal stacks are looked at on Linux only")
def test_compiling_leaves_the_signal_stack_alone() -> None:
    graph = materialise(load_record(Path(shipped_models()["swiftnet-lite0.camvid"]) / "model.yaml"))
    run = subprocess.run([sys.executable, "-c", PROGRAM, str(graph)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["kept", "interrupted"]
