"""The clips that are timed: the street kept in the cache, a file's first frames, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from fakes import panning
from segtween import street
from segtween.bench import Plan
from segtween.bench.plan import CLIP_FRAMES, clip_frames, clip_name, is_at_hand
from segtween.errors import SettingError

SIZE = (64, 96)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """What is asked of the renderer, which gives random frames; the cache is empty."""
    asked: list[dict[str, Any]] = []

    def drive(seed: int, **options: Any) -> Iterator[Any]:
        asked.append({"seed": seed, **options})
        random, shape = np.random.default_rng(seed), (*options["size_hw"], 3)
        return (SimpleNamespace(rgb=random.integers(0, 256, shape, np.uint8)) for _ in range(options["frames"]))

    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(street, "StreetClip", drive)
    return asked


def test_the_street_is_rendered_once(rendered: list[dict[str, Any]], tmp_path: Path) -> None:
    assert not is_at_hand("street", SIZE)
    first = Plan(SIZE).frames()
    assert is_at_hand("street", SIZE)
    again = Plan(SIZE).frames()
    assert len(rendered) == 1
    assert (len(first), first[0].shape) == (CLIP_FRAMES, (*SIZE, 3))
    assert all(np.array_equal(a, b) and b.dtype == np.uint8 for a, b in zip(first, again, strict=True))
    (kept,) = (tmp_path / "cache/clips").iterdir()
    assert kept.name.startswith("street-7-96x64-"), "nothing unfinished is left beside it"


@pytest.mark.parametrize("change", ["size", "part", "renderer"])
def test_another_size_drive_or_renderer_is_another_clip(
    change: str, rendered: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_frames("street", SIZE)
    if change == "renderer":
        monkeypatch.setattr(street, "renderer_version", lambda: "01234567")
    clip_frames("street", (64, 128) if change == "size" else SIZE, part=int(change == "part"))
    assert len(rendered) == 2


def test_a_damaged_clip_is_rendered_again(rendered: list[dict[str, Any]], tmp_path: Path) -> None:
    expected = clip_frames("street", SIZE)
    (kept,) = (tmp_path / "cache/clips").iterdir()
    for damage in (kept.read_bytes()[:-20], b"", b"no clip"):
        kept.write_bytes(damage)
        assert np.array_equal(clip_frames("street", SIZE), expected)
    assert len(rendered) == 4


def test_a_cache_that_cannot_be_written_costs_the_rendering_alone(
    rendered: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert np.array_equal(clip_frames("street", SIZE), clip_frames("street", SIZE))
    assert len(rendered) == 2


@pytest.mark.slow
def test_the_street_is_a_steady_drive_without_cuts() -> None:
    frames = clip_frames("street", (96, 128))
    steps = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(frames)]
    assert min(steps) > 1
    assert max(steps) < 25


def test_a_file_gives_its_first_frames_in_the_size_asked_for(tmp_path: Path) -> None:
    own = panning(2 * CLIP_FRAMES, SIZE)
    for i, rgb in enumerate(own):
        cv2.imwrite(str(tmp_path / f"{i:03}.png"), rgb[..., ::-1])
    assert np.array_equal(clip_frames(str(tmp_path), SIZE), own[:CLIP_FRAMES])
    assert np.array_equal(clip_frames(str(tmp_path), SIZE, part=1), own[CLIP_FRAMES:])
    assert clip_frames(str(tmp_path), (32, 48))[7].shape == (32, 48, 3)
    assert clip_name(str(tmp_path)) == tmp_path.name
    with pytest.raises(SettingError, match="of 16 frames; expected 24 or more, 8 for each stream; give a longer clip"):
        clip_frames(str(tmp_path), SIZE, part=2)


def test_a_clip_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingError, match="clip 'stret'; expected one of street, textured, a video or a folder of "):
        Plan(SIZE, clip="stret")
