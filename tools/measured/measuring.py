"""Runs the commands and keeps what they leave and print."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

from measured.store import PLACE, MeasuredError, entry, measurements, put, read_yaml

FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimddp")
PACKAGES = ("numpy", "opencv-python-headless", "openvino", "numba")
OUT = "OUT"
"""In a command: a folder that is made for it and thrown away."""


def measure(root: Path, name: str, data: Mapping[str, str]) -> Path:
    """Runs a measurement's command and keeps its figures as `docs/measured/NAME.json`, whole or not at all."""
    of = entry(measurements(root), name, "measurement")
    words, commit = shlex.split(of["command"]), _commit(root)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as made:
        data = {**data, **_missing_data(root, words, data, Path(made))}
        load = os.getloadavg()[0]
        command = [_replaced(word, {**data, OUT: folder}) for word in words]
        began = datetime.datetime.now(datetime.timezone.utc)
        print(f"{name}: {of['command']}", flush=True)
        printed = _call(command)
        figures = _figures(Path(folder) / of["figures"]) if "figures" in of else {}
        clips = _clips(command)
    places = sorted([folder, *data.values()], key=len, reverse=True)
    record = {
        "command": of["command"],
        "date": began.date().isoformat(),
        "seconds": round((datetime.datetime.now(datetime.timezone.utc) - began).total_seconds()),
        "commit": commit,
        "machine": {**machine(), "load_before": round(load, 2)},
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        "clips": clips,
        "printed": _without(printed, places, {**data, OUT: folder}),
        "figures": json.loads(_without(json.dumps(figures), places, {**data, OUT: folder})),
    }
    target = root / PLACE / f"{name}.json"
    put(target, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return target


def _figures(path: Path) -> Any:
    """What a command left."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise MeasuredError(f"{OUT}/{path.name} cannot be read ({why}); expected the command's figures there") from None


def _call(command: Sequence[str]) -> str:
    """What the command prints; `python` and `segtween` are this interpreter's, variables may stand before them.
    MeasuredError where it fails."""
    own = {"segtween": [sys.executable, "-m", "segtween"], "python": [sys.executable]}
    variables = list(takewhile(lambda word: "=" in word, command))
    program, *rest = command[len(variables) :]
    words = [*own.get(program, [program]), *rest]
    wide = {**os.environ, "COLUMNS": "120", **dict(word.split("=", 1) for word in variables)}
    wide.pop("PYTHONDONTWRITEBYTECODE", None)  # without it every process would compile all that it imports
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, env=wide)
    except OSError as error:
        raise MeasuredError(f"`{words[0]}` cannot be run ({error.strerror}); expected a program; install it") from None
    if done.returncode:
        raise MeasuredError(
            f"`{shlex.join(command)}` ended with {done.returncode}; expected 0; run it by hand to see why"
        )
    return done.stdout


def _missing_data(root: Path, words: Sequence[str], data: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Data that a command names and whose place is not told, where a command makes them: made in the folder."""
    known = read_yaml(root / PLACE / "data.yaml")
    made = {}
    for name in dict.fromkeys(word.partition("/")[0] for word in words):
        if name in known and name not in data:
            if "made" not in known[name]:
                raise MeasuredError(f"{name} is not told; expected {known[name]['is']}; give --data {name}=PATH")
            made[name] = str(folder / name)
            _call([_replaced(word, made) for word in shlex.split(known[name]["made"])])
    return made


def _clips(command: Sequence[str]) -> dict[str, int] | None:
    """Frames of each clip that the command read of a data set, by the clip's name; None without a data set."""
    from segtween.datasets import open_dataset

    given = dict(pairwise(command))
    if "--dataset" not in given:
        return None
    opened = open_dataset(given["--dataset"], Path(given["--root"]), split=given.get("--split", "val"))
    limit = given.get("--max-frames")
    return {clip.name: len(clip) for clip in opened.limited(None if limit is None else int(limit)).clips}


def machine() -> dict[str, Any]:
    """Processor, those of its features that decide about precisions and speed, processors, system."""
    from segtween.bench.machine import processor_name

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    listed = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    flags = listed.partition(":")[2].split()
    return {
        "processor": processor_name(),
        "features": [feature for feature in FEATURES if feature in flags],
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _replaced(word: str, places: Mapping[str, str]) -> str:
    """A word of a command with the names of data at the start of paths put in their places."""
    first, slash, rest = word.partition("/")
    return f"{places[first]}{slash}{rest}" if first in places else word


def _without(text: str, places: Sequence[str], names: Mapping[str, str]) -> str:
    for place in places:
        text = text.replace(place, next(name for name, where in names.items() if where == place))
    return text


def _commit(root: Path) -> str:
    """HEAD, and whether `src` holds anything else: changed files, and new ones that no commit holds."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=all", "--", "src")
        return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")
    except OSError as error:
        raise MeasuredError(
            f"git cannot be run ({error.strerror}); expected git, to tell the commit; install it"
        ) from None
    except subprocess.CalledProcessError as error:
        why = " ".join(error.stderr.split())
        raise MeasuredError(f"git tells no commit ({why}); expected a checkout with a commit; measure in one") from None
