"""The wheel in an empty environment: no torch, small, quick, and the demo runs from it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MOST_MB = 800
INSTALLERS = ("pip", "setuptools", "_distutils_hack", "pkg_resources")
"""What an environment has before anything is installed into it."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def call(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**clean, **env}, capture_output=True, text=True, check=False
    )


def succeed(*command: str | Path, cwd: Path, **env: str) -> str:
    done = call(*command, cwd=cwd, **env)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def image_lines(word: str) -> list[str]:
    """What follows the word in the Dockerfile, line by line."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix(word).strip() for line in lines if line.startswith(f"{word} ")]


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment made by the Dockerfile's commands: the wheel and what it asks for, nothing
    else."""
    place = tmp_path_factory.mktemp("core")
    venv.create(place / "venv", with_pip=True)
    bin_folder, wheels = place / "venv" / "bin", place / "wheel"
    wheels.mkdir()
    shutil.copy(ROOT / "constraints.txt", wheels)
    commands = [line for line in image_lines("RUN") if line.startswith("python ")]
    assert [words[2] for words in map(str.split, commands)] == ["pip", "pip", "segtween.demo.kernels"]
    for line in commands:
        words = line.replace("/wheel", str(wheels)).split()[1:]
        for i, word in enumerate(words):
            if "*" in word:
                words[i : i + 1] = [str(path) for path in wheels.glob(Path(word).name)]
        succeed(bin_folder / "python", *words, cwd=ROOT)
    return bin_folder


def test_the_image_is_nobody_s_and_runs_the_demo(core: Path, tmp_path: Path) -> None:
    (user,) = image_lines("USER")
    assert any(user in line for line in image_lines("RUN") if line.startswith("useradd"))
    words = [*json.loads(image_lines("ENTRYPOINT")[0]), *json.loads(image_lines("CMD")[0])]
    (cache,) = image_lines("ENV")
    name, _, _ = cache.partition("=")
    succeed(core / words[0], *words[1:], "--seconds", "1", cwd=tmp_path, **{name: str(tmp_path / "cache")})
    assert (tmp_path / "demo" / "side-by-side.mp4").is_file()
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert all(f"!{name}" in ignored for name in ("src", "pyproject.toml", "constraints.txt"))


def test_the_installation_is_small_and_holds_no_torch(core: Path, tmp_path: Path) -> None:
    packages = next(core.parent.glob("lib/python*/site-packages"))
    brought = [place for place in packages.iterdir() if not place.name.startswith(INSTALLERS)]
    files = [f for place in brought for f in (place.rglob("*") if place.is_dir() else [place])]
    used = sum(f.stat().st_blocks * 512 for f in files if f.is_file() and not f.is_symlink())
    assert used < MOST_MB * 2**20
    assert call(core / "python", "-c", "import torch", cwd=tmp_path).returncode != 0


def test_help_comes_at_once(core: Path, tmp_path: Path) -> None:
    """Under 0.4 s, or on a slow processor little more than the libraries that draw the text need by themselves."""
    commands = {"help": (core / "segtween", "--help"), "libraries": (core / "python", "-c", "import typer.rich_utils")}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(5):
        for name, command in commands.items():
            began = time.perf_counter()
            text = succeed(*command, cwd=tmp_path)
            times[name].append(time.perf_counter() - began)
            assert ("evaluate" in text) == (name == "help")
    assert min(times["help"]) < max(0.4, 2.2 * min(times["libraries"]))


def test_the_demo_runs_from_the_wheel(core: Path, tmp_path: Path) -> None:
    printed = succeed(
        core / "segtween", "demo", "--out", "demo", "--seconds", "2", cwd=tmp_path, SEGTWEEN_CACHE="cache"
    )
    assert (tmp_path / "demo" / "side-by-side.mp4").stat().st_size > 10_000
    figures = json.loads((tmp_path / "demo" / "demo.json").read_text())
    every, *ours = figures["runs"]
    assert every["network_runs"] == every["frames"] == 30
    for run in ours:
        assert (run["frames"], run["network_runs"]) == (30, 6)
        assert run["miou"] > 0.5
    assert "times faster" in printed


def test_run_and_evaluate_need_no_torch(core: Path, tmp_path: Path) -> None:
    succeed(core / "segtween", "synth", "street", "--frames", "12", "--size", "240x180", cwd=tmp_path)
    images = tmp_path / "street" / "val"
    succeed(core / "segtween", "run", images, "-o", "out", "--save", "labels,overlay", "--interval", "4", cwd=tmp_path)
    assert len(list((tmp_path / "out" / "labels").glob("*.png"))) == 12
    succeed(
        core / "segtween", "evaluate", "--dataset", "camvid", "--root", "street", "--split", images.name,
        "--intervals", "0,2", "--json", "out.json", cwd=tmp_path,
    )  # fmt: skip
    report = json.loads((tmp_path / "out.json").read_text())
    assert [r["interval"] for r in report["results"]] == [0, 2]
    assert report["frames"] == 12
