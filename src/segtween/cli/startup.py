"""What `segtween run` says before the first frame: what it loads and compiles, and the line on what it will do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segtween.settings import Fixed
from segtween.texttable import count, ordinal
from segtween.types import BOTH_SIDES, format_size

if TYPE_CHECKING:
    from segtween.run.modes import InMode
    from segtween.types import Method, SourceInfo


@contextmanager
def compiling(model: str, *, device: str, quiet: bool) -> Iterator[None]:
    """Says that the network is compiled, which the body does; meanwhile the loops are, those that are not on disk yet,
    with their progress. `quiet`: nothing is said."""
    from segtween.cli.screen import notes, progress_bar
    from segtween.device import CPU
    from segtween.run.kernels import compiled_ahead, missing
    from segtween.segmenters import form_of

    parts = missing() if device == CPU else {}
    if not quiet:
        if parts:
            notes.print("compiling kernels, once; the next time they are on disk")
        notes.print(f"{'compiling' if form_of(model) == 'network' else 'opening'} {model}", markup=False)
    with (
        progress_bar("compiling kernels", after_seconds=0.0) as move,
        compiled_ahead(parts, progress=move if parts and not quiet else None),
    ):
        yield


def start_line(
    name: str, info: SourceInfo, used: InMode, folder: Path, *, save: Sequence[str], scale: float = 1.0
) -> str:
    """One input: what it is, which network and method it gets, and where the outputs go. `scale` is the one at which
    the network sees its frames."""
    frames = "" if info.n_frames is None else f", {count(info.n_frames, 'frame')}"
    seen = "" if scale == 1 else f" at scale {scale:g}"
    return f"{name} ({format_size(info.size_hw)}{frames}): {what(used, seen)}; {where(folder, save)}"


def start_line_of_many(names: Sequence[str], used: InMode, folder: Path, *, save: Sequence[str]) -> str:
    """Several inputs at once, each with a folder of its own."""
    return f"{len(names)} inputs at once ({', '.join(names)}): {what(used)}; {where(folder / '<input>', save)}"


def what(used: InMode, seen: str = "") -> str:
    """The network with how it sees frames, the method and its mode, and how often the network runs."""
    network = used.method.record["network"]["name"]
    preset = used.method.name.removesuffix(BOTH_SIDES)
    return f"network {network}{seen} on {_key_frames(used)}, method {preset}, {used.method.mode_word}"


def network_of(method: Method) -> str:
    """The network of a method, and what runs it how."""
    network = method.record["network"]
    return ", ".join(str(network[key]) for key in ("name", "runtime", "precision") if key in network)


def where(folder: Path, save: Sequence[str]) -> str:
    return f"writes {', '.join([*save, 'frames.csv', 'run.json'])} to {folder}"


def _key_frames(used: InMode) -> str:
    schedule = used.settings.mode.schedule
    if isinstance(schedule, Fixed):
        return "every frame" if schedule.interval == 0 else f"every {ordinal(schedule.interval + 1)} frame"
    if schedule.target_ms is not None:
        return f"key frames chosen for {schedule.target_ms:g} ms per frame"
    budget = 100 / (schedule.interval + 1) if schedule.budget is None else schedule.budget
    return f"{budget:g} of 100 frames, chosen by need"
