"""The line that says what `segtween run` is about to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segtween.settings import Fixed
from segtween.texttable import ordinal
from segtween.types import BOTH_SIDES, format_size

if TYPE_CHECKING:
    from segtween.run.modes import InMode
    from segtween.types import Method, SourceInfo


def start_line(name: str, info: SourceInfo, used: InMode, folder: Path, *, save: Sequence[str]) -> str:
    """One input: what it is, which network and method it gets, and where the outputs go."""
    frames = "" if info.n_frames is None else f", {info.n_frames} frames"
    return f"{name} ({format_size(info.size_hw)}{frames}): {what(used)}; {where(folder, save)}"


def start_line_of_many(names: Sequence[str], used: InMode, folder: Path, *, save: Sequence[str]) -> str:
    """Several inputs at once, each with a folder of its own."""
    return f"{len(names)} inputs at once ({', '.join(names)}): {what(used)}; {where(folder / '<input>', save)}"


def what(used: InMode) -> str:
    """The network, the method and its mode, and how often the network runs."""
    network = used.method.record["network"]["name"]
    preset = used.method.name.removesuffix(BOTH_SIDES)
    return f"network {network} on {_key_frames(used)}, method {preset}, {used.method.mode_word}"


def network_of(method: Method) -> str:
    """The network of a method, and what runs it how."""
    network = method.record["network"]
    return ", ".join(str(network[key]) for key in ("name", "runtime", "precision") if key in network)


def where(folder: Path, save: Sequence[str]) -> str:
    """The outputs and their folder."""
    return f"writes {', '.join([*save, 'frames.csv', 'run.json'])} to {folder}"


def _key_frames(used: InMode) -> str:
    schedule = used.settings.mode.schedule
    if isinstance(schedule, Fixed):
        return "every frame" if schedule.interval == 0 else f"every {ordinal(schedule.interval + 1)} frame"
    if schedule.target_ms is not None:
        return f"key frames chosen for {schedule.target_ms:g} ms per frame"
    budget = 100 / (schedule.interval + 1) if schedule.budget is None else schedule.budget
    return f"{budget:g} of 100 frames, chosen by need"
