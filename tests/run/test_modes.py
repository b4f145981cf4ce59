"""Which mode an input gets: what was asked for, else bidirectional for what has an end and causal for the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween, load
from segtween.build import build_engine
from segtween.cli import app
from segtween.errors import SettingError
from segtween.labels import numbered
from segtween.run.modes import MOST_WAITING, Modes, each_mode, is_finite, open_modes
from segtween.settings import PRESETS, change
from segtween.types import Frame, SourceInfo
from segtween.video import NamedSource, open_source
from small_sets import picture

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
FRAMES, SIZE = 7, (48, 64)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modes") / "clip"
    for i, rgb in enumerate(panning(FRAMES, SIZE, step=1, cell=16)):
        picture(folder / f"{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
    return folder


def loaded(**options: Any) -> Segtween:
    given = {"label_set": numbered(4), "interval": 2, "threads": 1, "flow": "zero", **options}
    return load(BrightnessSegmenter(), **given)


class Memory:
    """Frames that no file holds."""

    def __init__(self, *, path: str = "memory", n_frames: int | None = None, live: bool = False) -> None:
        self.info = SourceInfo("clip", path, SIZE, Fraction(25), n_frames, live=live)

    def __iter__(self) -> Iterator[Frame]:
        for i, rgb in enumerate(panning(FRAMES, SIZE, step=1, cell=16)):
            yield Frame(i, Fraction(i, 25), rgb)

    def close(self) -> None:
        pass


# ── What has an end ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "finite"),
    [
        ("drive.mp4", True),
        (Path("drive.mp4"), True),
        ("frames/*.png", True),
        ("file:///drive.mkv", True),
        ("camera:0", False),
        (0, False),
        ("rtsp://gate/stream", False),
        ("http://host/drive.mp4", False),
        ("-", False),
        (NamedSource("drive", "drive.mp4", Memory), True),
        (NamedSource("gate", "camera:1", Memory), False),
        (Memory(), True),
        (Memory(live=True), False),
        (Memory(path="-"), False),
        (Memory(path="memory://clip"), False),
        (Memory(path="memory://clip", n_frames=7), True),
    ],
)
def test_an_input_has_an_end_or_comes_frame_by_frame(source: Any, finite: bool) -> None:
    assert is_finite(source) is finite


# ── Which methods leave the mode open ─────────────────────────────────────────────────────────


def test_the_default_leaves_the_mode_open() -> None:
    modes = open_modes(PRESETS["composed"])
    assert modes.online == PRESETS["composed"]
    assert modes.offline == PRESETS["composed"].bidirectional()
    assert modes.note is None
    assert modes.of(is_finite=True) is modes.offline
    assert modes.of(is_finite=False) is modes.online


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("blend", {}),
        ("warp", {}),
        ("swnet-seq", {}),
        ("composed", {"interval": 0}),
        ("composed", {"schedule": "adaptive"}),
        ("composed", {"async_keys": 2}),
        ("composed", {"async_keys": "auto"}),
        ("composed", {"kind": "probabilities"}),
        ("composed", {"propagation": "resampled"}),
    ],
)
def test_what_is_causal_by_its_nature_stays_so_without_a_word(preset: str, changes: dict[str, Any]) -> None:
    settings = change(PRESETS[preset], **changes)
    assert open_modes(settings) == Modes(settings, settings, None)


def test_stored_flow_has_no_way_back(tmp_path: Path) -> None:
    settings = change(PRESETS["composed"], flow=str(tmp_path))
    assert open_modes(settings) == Modes(settings, settings)


def test_more_frames_than_may_wait_are_labelled_online_and_a_note_says_so() -> None:
    assert open_modes(PRESETS["composed"].at(MOST_WAITING)).offline.is_bidirectional
    modes = open_modes(PRESETS["composed"].at(MOST_WAITING + 1))
    assert modes.online == modes.offline
    assert "with interval 61 more than 60 frames would wait" in str(modes.note)
    asked = change(PRESETS["composed"].at(500), mode="bidirectional")
    assert open_modes(asked, mode="bidirectional") == Modes(asked, asked), "asked for, so it is done"


def test_methods_are_measured_in_each_mode_that_files_may_have() -> None:
    given = {"composed": PRESETS["composed"], "blend": PRESETS["blend"]}
    assert {name: settings.is_bidirectional for name, settings in each_mode(given).items()} == {
        "composed": False, "composed, bidirectional": True, "blend": False,
    }  # fmt: skip
    assert list(each_mode(given, "causal")) == ["composed", "blend"]
    assert list(each_mode(given, "bidirectional")) == ["composed, bidirectional", "blend, bidirectional"]
    with pytest.raises(SettingError, match="mode='bidirectional' with propagation='published'"):
        each_mode({"swnet-seq": PRESETS["swnet-seq"]}, "bidirectional")


# ── From Python ───────────────────────────────────────────────────────────────────────────────


def test_a_file_is_bidirectional_and_frames_one_by_one_are_causal(clip: Path, tmp_path: Path) -> None:
    seg = loaded()
    summary = seg.run(clip, tmp_path / "out", save=["labels"])
    assert summary.method.mode == "bidirectional"
    assert summary.method.name == "composed*, bidirectional"
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["method"]["mode"] == "bidirectional"
    asked = loaded(mode="bidirectional").run(clip, tmp_path / "asked", save=["labels"])
    assert asked.method == summary.method, "the same method under one hash"
    for path in sorted((tmp_path / "out" / "labels").iterdir()):
        assert path.read_bytes() == (tmp_path / "asked" / "labels" / path.name).read_bytes()
    assert (seg.method.name, seg.method.mode) == ("composed*", "causal")
    assert seg.method.to_json()["mode"] == "causal"
    assert seg.method.hash != summary.method.hash
    frames = panning(FRAMES, SIZE, step=1, cell=16)
    causal = [r.labels for r in loaded(mode="causal").stream(frames)]
    assert all(np.array_equal(a.labels, b) for a, b in zip(seg.stream(clip), causal, strict=True))
    seg.reset()
    assert np.array_equal(seg.step(frames[0]).labels, causal[0])


@pytest.mark.parametrize(
    ("mode", "live", "wanted"),
    [
        (None, False, "bidirectional"),
        (None, True, "causal"),
        ("causal", False, "causal"),
        ("bidirectional", False, "bidirectional"),
    ],
)
def test_the_mode_that_was_asked_for_holds_everywhere(
    mode: Any, live: bool, wanted: str, clip: Path, tmp_path: Path
) -> None:
    seg = loaded(mode=mode)
    assert seg.in_mode_for(clip, live=live).method.mode == wanted
    assert seg.run(clip, tmp_path, save=["labels"], live=live).method.mode == wanted


def test_several_inputs_share_the_mode_that_all_of_them_can_have(clip: Path, tmp_path: Path) -> None:
    seg = loaded()
    both = seg.run([clip, open_source(clip)], tmp_path / "files", save=["labels"])
    assert both.method.mode == "bidirectional"
    assert json.loads((tmp_path / "files" / "session.json").read_text())["method"]["mode"] == "bidirectional"
    assert [s.frames for s in both.summaries] == [FRAMES, FRAMES]
    mixed = seg.run([clip, Memory(live=True)], tmp_path / "mixed", save=["labels"])
    assert mixed.method.mode == "causal"
    assert [s.frames for s in mixed.summaries] == [FRAMES, FRAMES]


def test_frames_that_are_pushed_complete_results() -> None:
    frames = [frame.rgb for frame in Memory()]
    causal = loaded()
    assert [[r.index for r in causal.push(rgb)] for rgb in frames] == [[i] for i in range(FRAMES)]
    assert causal.finish() == []
    assert [r.index for r in causal.push(frames[0])] == [0], "a new video"
    seg = loaded(mode="bidirectional")
    found = [r for rgb in frames for r in seg.push(rgb)]
    assert len(found) in (3, 6), "those of the periods that have ended, if the network has been quick of all"
    found += seg.finish()
    assert [r.index for r in found] == list(range(FRAMES))
    file = build_engine(BrightnessSegmenter(), seg.settings)
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(found, file.stream(frames), strict=True))
    assert [r.index for r in seg.stream(frames)] == list(range(FRAMES))
    again = [*seg.push(frames[0]), *seg.push(frames[1])]
    seg.reset()
    assert [r.index for r in again] in ([], [0])
    assert [r.index for r in [*seg.push(frames[0]), *seg.finish()]] == [0]
    with pytest.raises(SettingError, match="one step of bidirectional propagation"):
        seg.step(frames[0])


def test_streams_in_the_mode_that_was_asked_for() -> None:
    frames = [frame.rgb for frame in Memory()]
    assert all(engine.is_causal for engine in loaded().streams(2).engines)
    both = loaded(mode="bidirectional").streams(2)
    done: list[list[int]] = [[], []]
    for rgb in frames:
        for stream, results in enumerate(both.push([rgb, rgb])):
            done[stream] += [r.index for r in results]
    for stream, results in enumerate(both.finish()):
        done[stream] += [r.index for r in results]
    assert done == [list(range(FRAMES))] * 2


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(SettingError, match="mode 'offline'; expected causal or bidirectional"):
        loaded(mode="offline")


def test_engines_are_built_when_they_are_needed_and_share_their_flow() -> None:
    seg = loaded()
    assert len(seg._built) == 1
    offline, again = seg.in_mode_for("drive.mp4"), seg.in_mode_for("other.mp4")
    assert offline.engine is again.engine is not seg.engine
    assert offline.engine.motion.flow is not seg.engine.motion.flow, "a finer search"  # type: ignore[union-attr]
    same = loaded(flow_quality="fine")
    assert same.in_mode_for("drive.mp4").engine.motion.flow is same.engine.motion.flow  # type: ignore[union-attr]


def test_the_plain_network_has_one_mode(clip: Path, tmp_path: Path) -> None:
    seg = load(BrightnessSegmenter(), label_set=numbered(4), preset="every-frame", threads=1)
    summary = seg.run(clip, tmp_path, save=["labels"])
    assert (summary.method.name, summary.method.mode) == ("every-frame", "causal")
    assert summary.network_runs == FRAMES


# ── The command ───────────────────────────────────────────────────────────────────────────────


def call(*args: str | Path) -> Result:
    given = ["run", *map(str, args), "--model", MODEL, "--save", "labels", "--flow", "zero", "--threads", "1"]
    return CliRunner().invoke(app, given, catch_exceptions=False)


@pytest.mark.parametrize(
    ("more", "mode"),
    [
        ((), "bidirectional"),
        (("--preset", "composed"), "bidirectional"),
        (("--offline",), "bidirectional"),
        (("--online",), "causal"),
        (("--live",), "causal"),
        (("--preset", "warp"), "causal"),
        (("--schedule", "adaptive"), "causal"),
        (("--async-keys", "auto"), "causal"),
    ],
)
def test_the_line_at_the_start_the_end_and_the_record_tell_the_mode(
    more: tuple[str, ...], mode: str, clip: Path, tmp_path: Path
) -> None:
    done = call(clip, "-o", tmp_path / "out", *more)
    assert done.exit_code == 0, done.output
    word = {"causal": "online", "bidirectional": "offline"}[mode]
    assert f", {word}; writes labels" in done.stderr.splitlines()[1]
    assert f", {word}, " in next(line for line in done.stdout.splitlines() if line.startswith("  method: "))
    assert json.loads((tmp_path / "out" / "run.json").read_text())["method"]["mode"] == mode


def test_a_note_in_flags_where_too_many_frames_would_wait(clip: Path, tmp_path: Path) -> None:
    done = call(clip, "-o", tmp_path / "out", "--every", "100")
    assert done.exit_code == 0, done.output
    assert "would wait for a key frame; --offline labels them from both sides all the same" in done.stderr


def test_both_modes_at_once_cannot_be(clip: Path, tmp_path: Path) -> None:
    done = call(clip, "-o", tmp_path / "out", "--online", "--offline")
    assert done.exit_code == 2
    assert "--online and --offline; expected one of them; leave one out" in done.stderr
