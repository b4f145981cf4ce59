"""Late keys: what the engine would have said, from the frame on where it arrives."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, panning
from segtween.build import build_engine
from segtween.cli import app
from segtween.engine.delayed import DelayedKeyFrames
from segtween.errors import ScoresError, SettingError
from segtween.settings import MOST_DELAY, PRESETS, change, find_preset
from segtween.types import Result
from small_sets import camvid

SIZE = (64, 96)


def engine(late: Any, *, interval: int = 3, preset: str = "composed", segmenter: Any = None) -> Any:
    settings = change(PRESETS[preset].at(interval), async_keys=late)
    return build_engine(segmenter or BrightnessSegmenter(), settings)


def results(of: Any, frames: list[NDArray[np.uint8]]) -> list[Result]:
    of.reset()
    return [of.step(rgb) for rgb in frames]


class Held(BrightnessSegmenter):
    """Answers when it may; notes the thread that it works in."""

    def __init__(self) -> None:
        super().__init__()
        self.may = threading.Event()
        self.may.set()
        self.threads: list[str] = []

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.threads.append(threading.current_thread().name)
        assert self.may.wait(10)
        return super().__call__(rgb)


@pytest.mark.parametrize("preset", ["composed", "blend", "warp"])
def test_once_they_arrive_labels_are_those_of_the_engine(preset: str) -> None:
    frames = panning(13, SIZE, step=3, cell=16)
    now, late = results(engine(None, preset=preset), frames), results(engine(2, preset=preset), frames)
    for one, other in zip(now, late, strict=True):
        if other.index < 4 or other.index % 4 >= 2:
            assert other.key_index == one.key_index == 4 * (other.index // 4)
            same = np.mean(one.labels == other.labels)
            # Where scores are resampled in each frame, a path resamples them once: borders differ by a pixel.
            assert same == 1 if preset == "composed" or other.index < 4 else same > 0.9, same
        else:
            assert other.key_index == one.key_index - 4
    assert [r.index for r in late if r.is_key] == [0, 6, 10]
    assert [r.distance for r in late] == [0, 1, 2, 3, 4, 5, 2, 3, 4, 5, 2, 3, 4]
    np.testing.assert_array_equal(now[7].score_map.values, late[7].score_map.values) if preset == "composed" else None


def test_at_most_a_period_late() -> None:
    frames = panning(12, SIZE, cell=16)
    assert [r.distance for r in results(engine(4), frames)] == [0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7]
    with pytest.raises(
        SettingError, match=r"async_keys=5 with interval=3; expected at most 4 frames: one key frame is on"
    ):
        engine(5)
    assert not isinstance(engine(0).keys, DelayedKeyFrames)


@pytest.mark.parametrize("preset", ["composed", "blend"])
def test_with_auto_no_frame_waits_for_the_network(preset: str) -> None:
    frames, network = panning(13, SIZE, cell=16), Held()
    late = engine("auto", segmenter=network, preset=preset)
    network.may.clear()
    unknown = [late.step(rgb) for rgb in frames[:3]]
    assert all((r.labels == 255).all() for r in unknown)
    assert not any(r.is_key for r in unknown)
    assert unknown[2].confidence.max() < 0.26, "four classes, all alike"
    network.may.set()
    late.keys._sent.logits.result()
    first = late.step(frames[3])
    assert first.is_key
    assert (first.distance, first.key_index) == (3, 0)
    expected = results(engine(None, preset=preset), frames[:4])[3]
    assert np.mean(first.labels == expected.labels) > (0.99 if preset == "composed" else 0.9)
    network.may.clear()
    held = [late.step(rgb) for rgb in frames[4:10]]
    assert [r.distance for r in held] == [4, 5, 6, 7, 8, 9]
    assert not any(r.is_key or (r.labels == 255).any() for r in held)
    network.may.set()
    late.keys._sent.logits.result()
    arrived = late.step(frames[10])
    assert arrived.is_key
    assert (arrived.distance, arrived.key_index) == (6, 4)
    assert late.keys._sent is not None, "the next one is due, and goes at once"
    assert {name.split("_")[0] for name in network.threads} == {"segtween-network"}


def test_when_labels_grow_too_old_each_frame_waits_a_little_with_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segtween.build.MOST_DELAY", 3)
    frames, network = panning(12, SIZE, cell=16), Held()
    late = engine("auto", segmenter=network)
    for rgb in frames[:4]:
        late.step(rgb)
        late.keys._sent.logits.result() if late.keys._sent else None
    network.may.clear()
    made = [late.step(rgb) for rgb in frames[4:10]]
    waited = [r.stages_ms.get("segment", 0.0) for r in made]
    at = next(i for i, r in enumerate(made) if r.index - 3 >= 4 and waited[i] > 1)
    assert all(45 <= ms < 1000 for ms in waited[at:]), "it goes on without them"
    assert all(ms < 45 for ms in waited[:at])
    threading.Timer(0.01, network.may.set).start()
    arrived = late.step(frames[10])
    assert arrived.is_key
    assert arrived.stages_ms["segment"] < 45


def test_a_cut_drops_what_was_on_its_way() -> None:
    frames = [*panning(6, SIZE, cell=16), *panning(6, SIZE, seed=5, cell=9)]
    made = results(engine(3), frames)
    assert [r.index for r in made if r.is_cut] == [6]
    assert made[6].is_key
    assert [r.distance for r in made[6:]] == [0, 1, 2, 3, 4, 5]
    alone = results(engine(3), frames[6:])
    for one, other in zip(made[6:], alone, strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)


def test_with_auto_nothing_is_known_after_a_cut_and_one_frame_waits_in_line() -> None:
    scenes = [panning(3, SIZE, seed=seed, cell=cell) for seed, cell in ((0, 16), (5, 9), (9, 16), (5, 9))]
    network = Held()
    late = engine("auto", segmenter=network)
    late.step(scenes[0][0])
    late.keys._sent.logits.result()
    assert (late.step(scenes[0][1]).labels != 255).all()
    network.may.clear()
    made = [late.step(rgb) for scene in scenes[1:] for rgb in scene]
    assert [r.is_cut for r in made] == [True, False, False] * 3
    assert all((r.labels == 255).all() for r in made)
    network.may.set()
    late.keys._sent.logits.result()
    arrived = late.step(scenes[3][2])
    assert (arrived.distance, arrived.is_key) == (3, True)
    assert network.calls <= 3, "the frame between was never begun"


def test_reset_begins_afresh_and_runs_repeat_themselves() -> None:
    frames, late = panning(9, SIZE, cell=16), engine(2)
    first = results(late, frames)
    for one, other in zip(first, results(late, frames), strict=True):
        np.testing.assert_array_equal(one.labels, other.labels)
        assert one.key_index == other.key_index


def test_what_the_network_raises_arrives_with_its_scores() -> None:
    class Fails(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.calls:
                raise ScoresError("not finite")
            return super().__call__(rgb)

    late = engine(2, segmenter=Fails())
    frames = panning(8, SIZE, cell=16)
    for rgb in frames[:6]:
        late.step(rgb)
    with pytest.raises(ScoresError, match="not finite"):
        late.step(frames[6])


def test_stored_scores_are_read_where_they_belong() -> None:
    class Stored(BrightnessSegmenter):
        key: Any = None
        read: list[Any]

        def select(self, key: Any) -> None:
            self.key = key

        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            assert threading.current_thread() is threading.main_thread()
            self.read.append(self.key)
            return super().__call__(rgb)

    stored = Stored()
    stored.read = []
    list(engine(2, segmenter=stored).stream(panning(9, SIZE, cell=16)))
    assert stored.read == [0, 4, 8]


def test_the_record_names_it() -> None:
    assert engine(2).describe()["async_keys"] == 2
    assert "async_keys" not in engine(None).describe()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"async_keys": "soon"},
            rf"async_keys=soon; expected auto, or a whole number of frames from 1 to {MOST_DELAY}; give async_keys",
        ),
        ({"async_keys": -1}, "async_keys=-1; expected auto"),
        (
            {"async_keys": 2, "schedule": "adaptive"},
            "async_keys=2 with schedule='adaptive'; expected .* fixed interval; leave one",
        ),
    ],
)
def test_what_cannot_be_late_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        change(find_preset("blend"), **settings)


def test_an_evaluation_needs_a_number(tmp_path: Any) -> None:
    root = camvid(tmp_path, [f"0016E5_{7959 + 2 * i:05d}" for i in range(6)])
    command = ["evaluate", "--dataset", "camvid", "--root", str(root), "--scores", "labels", "--intervals", "2"]
    refused = CliRunner().invoke(app, [*command, "--async-keys", "auto"])
    assert refused.exit_code == 2
    assert "--async-keys auto in an evaluation; expected a number" in " ".join(refused.output.split())


@pytest.mark.parametrize(("own", "expected"), [(None, 2), (1, 1)])
def test_the_network_may_have_threads_of_its_own(
    own: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.api import load
    from segtween.cli.options import NetworkOptions

    def opened(_: Any, *, threads: int, **__: Any) -> BrightnessSegmenter:
        asked.append(threads)
        return BrightnessSegmenter()

    asked: list[int] = []
    monkeypatch.setattr("segtween.segmenters.open_segmenter", opened)
    assert load(threads=2, network_threads=own).threads == 2
    NetworkOptions(threads=2, network_threads=own).open()
    assert asked == [expected, expected]
