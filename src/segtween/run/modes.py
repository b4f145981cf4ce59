"""Which mode an input is labelled in.

| what is said of the mode | a file, folder or pattern | a camera, stream, standard input, live, frame by frame |
| --- | --- | --- |
| nothing | bidirectional, if the method allows it | causal |
| causal, bidirectional | as said | as said |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segtween.build import has_stored_flow
from segtween.errors import SourceError
from segtween.interfaces import Engine
from segtween.run.inputs import Input
from segtween.settings import Causal, Composed, Fixed, Settings, change
from segtween.types import BOTH_SIDES, Method
from segtween.video import NamedSource
from segtween.video.inputs import kind_of

ModeName = Literal["causal", "bidirectional"]

MOST_WAITING = 60
"""The longest interval at which files are bidirectional unasked: so many frames may wait for a key frame, which take
about 10 MB each at 2048x1024."""


@dataclass(frozen=True)
class Modes:
    """A method where the mode may still be open: its settings for what comes frame by frame (`online`) and for inputs
    that have an end (`offline`), which are the same where a mode was asked for. `note` says why they are the same
    although none was, where that needs saying."""

    online: Settings
    offline: Settings
    note: str | None = None

    def of(self, *, is_finite: bool) -> Settings:
        """The settings for an input: the one place where an open mode is resolved."""
        return self.offline if is_finite else self.online


def open_modes(settings: Settings, *, mode: ModeName | None = None) -> Modes:
    """The modes of a method's `settings`, which are in the `mode` that was asked for; None: in the causal one, and no
    mode was asked for."""
    if mode is not None or not _leaves_mode_open(settings):
        return Modes(settings, settings)
    if settings.interval > MOST_WAITING:
        note = (
            f"labelled online, from the past alone: with interval {settings.interval} more than {MOST_WAITING} frames "
            "would wait for a key frame; mode='bidirectional' labels them from both sides all the same"
        )
        return Modes(settings, settings, note)
    return Modes(settings, settings.bidirectional())


def each_mode(methods: Mapping[str, Settings], mode: ModeName | None = None) -> dict[str, Settings]:
    """Methods by name as they are measured: in the mode that was asked for; None: in both, where files may have either.

    Raises SettingError for a method that is not possible in the mode.
    """
    if mode is not None:
        return {_name_in(name, of): of for name, given in methods.items() for of in (change(given, mode=mode),)}
    both: dict[str, Settings] = {}
    for name, settings in methods.items():
        modes = open_modes(settings)
        both |= {_name_in(name, of): of for of in (modes.online, modes.offline)}
    return both


def _name_in(name: str, settings: Settings) -> str:
    return f"{name.removesuffix(BOTH_SIDES)}{BOTH_SIDES if settings.is_bidirectional else ''}"


def _leaves_mode_open(settings: Settings) -> bool:
    """Whether both modes would do: key frames at a fixed interval with frames in between, logits looked up along
    composed flow that is estimated, and nothing that belongs to the causal mode alone."""
    mode = settings.mode
    return (
        isinstance(mode, Causal)
        and isinstance(mode.schedule, Fixed)
        and mode.schedule.interval > 0
        and isinstance(mode.propagation, Composed)
        and mode.propagation.kind == "logits"
        and not has_stored_flow(settings)
    )


def is_finite(source: Input) -> bool:
    """Whether an input has an end that waiting for is no trouble: a file, images, or an opened source that is neither
    live nor read from a camera, a stream or standard input."""
    if isinstance(source, NamedSource):
        return _is_stored(source.spec, otherwise=False)
    if isinstance(source, (str, Path, int)):
        return _is_stored(str(source), otherwise=False)
    info = source.info
    return not info.live and _is_stored(info.path, otherwise=info.n_frames is not None)


def _is_stored(spec: str, *, otherwise: bool) -> bool:
    """Whether it names a file or images; `otherwise` where it has a scheme that nothing here opens."""
    try:
        return kind_of(spec) in ("file", "images")
    except SourceError:
        return otherwise


@dataclass(frozen=True)
class InMode:
    """A method in one mode: its settings, its engine and its record; `notes`, one line for each thing that is done
    differently than one may expect."""

    settings: Settings
    engine: Engine
    method: Method
    notes: tuple[str, ...] = ()
