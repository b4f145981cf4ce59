"""What `stream`, `step` and `push` give, and what they take."""

from __future__ import annotations

import copy
import io
import math
import pickle
import re
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

import segtween
from fakes import by_brightness, panning
from segtween.errors import LabelError, MissingExtraError, SettingError, SourceError
from segtween.masks.polygons import from_polygons
from segtween.masks.rle import from_coco

SIZE_HW = (48, 64)


@pytest.fixture(scope="module")
def seg() -> segtween.Segtween:
    return segtween.load(by_brightness, interval=2)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return panning(5, SIZE_HW)


@pytest.fixture
def result(seg: segtween.Segtween, frames: list[np.ndarray]) -> segtween.Result:
    return next(iter(seg.stream(frames)))


def test_results_hold_their_own_frames_in_every_mode(frames: list[np.ndarray]) -> None:
    for mode in ("causal", "bidirectional"):
        seg = segtween.load(by_brightness, interval=2, mode=mode)  # type: ignore[arg-type]
        streamed = list(seg.stream(frames))
        pushed = [result for frame in frames for result in seg.push(frame)] + seg.finish()
        for results in (streamed, pushed):
            assert [result.index for result in results] == list(range(5))
            assert all(np.array_equal(result.rgb, frame) for result, frame in zip(results, frames, strict=True))
            assert all(isinstance(result.scores, segtween.ScoreMap) for result in results)
            assert results[1].scores is results[1].score_map
    assert np.array_equal(segtween.load(by_brightness).step(frames[0]).rgb, frames[0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda result: pickle.loads(pickle.dumps(result))])
def test_copies_hold_what_is_computed_when_asked_for(
    frames: list[np.ndarray], copied: Callable[[segtween.Result], segtween.Result]
) -> None:
    for mode in ("causal", "bidirectional"):
        seg = segtween.load(by_brightness, interval=2, mode=mode)  # type: ignore[arg-type]
        for result in seg.stream(frames):
            same = copied(result)
            assert np.array_equal(same.labels, result.labels)
            assert np.array_equal(same.scores.values, result.scores.values)
            assert np.array_equal(same.confidence, result.confidence)
            assert same.mean_confidence == result.mean_confidence


def test_two_streams_taken_in_turns_are_refused(seg: segtween.Segtween, frames: list[np.ndarray]) -> None:
    first, second = seg.stream(frames), seg.stream(frames)
    next(first)
    assert next(second).index == 0
    with pytest.raises(SettingError, match="a stream goes on after another one has begun; expected one at a time"):
        next(first)
    assert [result.index for result in second] == [1, 2, 3, 4]


def test_several_streams_hold_their_own_frames(tmp_path: Path, seg: segtween.Segtween) -> None:
    clips = {name: panning(3, SIZE_HW, seed=i) for i, name in enumerate("ab")}
    for name, clip in clips.items():
        (tmp_path / name).mkdir()
        for i, rgb in enumerate(clip):
            cv2.imwrite(str(tmp_path / name / f"{i}.png"), rgb[..., ::-1])
    for i, results in enumerate(seg.stream_multi([tmp_path / "a", tmp_path / "b"])):
        assert [np.array_equal(r.rgb, clips[n][i]) for r, n in zip(results, "ab", strict=True) if r] == [True, True]


@pytest.mark.parametrize("seconds", ["x", "1.5", [1.0], True, 1j])
def test_a_time_that_is_no_number_is_refused(seg: segtween.Segtween, frames: list[np.ndarray], seconds: Any) -> None:
    before = seg.step(frames[0]).index
    streams = seg.streams(2)
    told = re.escape(f"pts_seconds is {seconds!r}; expected a number of seconds")
    for call in (
        lambda: seg.step(frames[1], pts_seconds=seconds),
        lambda: seg.push(frames[1], pts_seconds=seconds),
        lambda: streams.step(frames[:2], pts_seconds=[0.0, seconds]),
    ):
        with pytest.raises(SettingError, match=told):
            call()
    with pytest.raises(SettingError, match="pts_seconds of 1 frame for 2 streams; expected one for each"):
        streams.push(frames[:2], pts_seconds=[0.0])
    after = seg.step(frames[1], pts_seconds=Fraction(3, 2))
    assert (after.index, after.pts_seconds) == (before + 1, 1.5)
    seg.reset()


@pytest.mark.parametrize("mode", ["causal", "bidirectional"])
def test_cameras_hold_their_own_frames(mode: Any) -> None:
    clips = [panning(5, SIZE_HW, seed=i) for i in range(2)]
    streams = segtween.load(by_brightness, interval=2, mode=mode).streams(2)
    for _ in range(2):  # and again after they have ended
        found: list[list[Any]] = [[], []]
        for i in range(5):
            pushed = streams.push([clips[0][i], clips[1][i] if i < 3 else None])
            for results, new in zip(found, pushed, strict=True):
                results += new
        for results, new in zip(found, streams.finish(), strict=True):
            results += new
        assert [len(results) for results in found] == [5, 3]
        for results, clip in zip(found, clips, strict=True):
            assert all(np.array_equal(result.rgb, frame) for result, frame in zip(results, clip, strict=False))
            assert results[1].class_shares()


def test_masks_run_lengths_and_polygons_are_the_labels(result: segtween.Result) -> None:
    again = {name: np.full(SIZE_HW, 255, np.uint8) for name in ("masks", "rle", "polygons")}
    for name, mask in result.masks().items():
        again["masks"][mask] = result.label_set.index(name)
    for name, rle in result.to_rle().items():
        again["rle"][from_coco(tuple(rle["size"]), rle["counts"])] = result.label_set.index(name)
    for name, polygons in result.to_polygons().items():
        again["polygons"][from_polygons(polygons, SIZE_HW)] = result.label_set.index(name)
    for labels in again.values():
        assert np.array_equal(labels, result.labels)


def test_shares_are_of_all_pixels_largest_first(result: segtween.Result) -> None:
    shares = result.class_shares()
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["dark"] == (result.labels == 0).mean()
    result.labels[:24] = 255
    fresh = segtween.Result(result, rgb=result.rgb, label_set=result.label_set)
    assert sum(fresh.class_shares().values()) == pytest.approx(0.5)


def test_an_overlay_mixes_picture_and_colours(result: segtween.Result) -> None:
    assert np.array_equal(result.overlay(alpha=0, outline=False), result.rgb)
    assert np.array_equal(result.overlay(alpha=1, outline=False), result.label_set.colourise(result.labels))
    safe = result.label_set.with_palette("colour-blind")
    assert np.array_equal(result.overlay(alpha=1, outline=False, palette="colour-blind"), safe.colourise(result.labels))
    only = result.overlay(alpha=1, outline=False, classes=["dark"])
    assert np.array_equal(only[result.labels != 0], result.rgb[result.labels != 0])
    assert not np.array_equal(result.overlay(), result.overlay(outline=False))
    with pytest.raises(SettingError, match="alpha=2; expected a share from 0 to 1"):
        result.overlay(alpha=2)
    with pytest.raises(LabelError, match="class 'car' is not in"):
        result.overlay(classes=["car"])


def test_representations_are_short_and_notebooks_show_a_picture(
    result: segtween.Result, seg: segtween.Segtween
) -> None:
    assert repr(result) == "Result(frame 0, key frame, labels 64x48 uint8, 4 classes of custom)"
    assert (
        repr(seg) == "Segtween(network by_brightness, preset composed, interval 2, precision its own, runtime callable)"
    )
    assert repr(result.label_set) == "LabelSet(custom, 4 classes: dark, dim, light, bright)"
    decoded = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decoded[..., ::-1], result.overlay(legend=True))


def test_the_shipped_network_names_its_precision() -> None:
    text = repr(segtween.load("swiftnet-lite0.camvid", every=5))
    assert text.startswith(
        "Segtween(network swiftnet-lite0.camvid, preset composed, interval 4, precision float32, runtime openvino "
    )


def test_pil_images_hold_train_ids_in_colours(result: segtween.Result) -> None:
    pytest.importorskip("PIL", reason="pillow is not installed")
    image = result.to_pil()
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), result.labels)
    assert np.array_equal(np.asarray(image.convert("RGB")), result.label_set.colourise(result.labels))


def test_supervision_gets_masks_with_names(result: segtween.Result) -> None:
    pytest.importorskip("supervision", reason="supervision is not installed")
    found = result.to_supervision()
    assert list(found.data["class_name"]) == list(result.masks())
    assert np.array_equal(found.mask[0], result.labels == found.class_id[0])
    assert found.xyxy.shape == (len(found), 4)
    assert ((found.confidence > 0.25) & (found.confidence <= 1)).all()


@pytest.mark.parametrize(("library", "call"), [("PIL", "to_pil"), ("supervision", "to_supervision")])
def test_a_missing_library_is_named(
    result: segtween.Result, monkeypatch: pytest.MonkeyPatch, library: str, call: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"{call}\(\) needs .*; pip install 'segtween\[results\]'"):
        getattr(result, call)()


# ── What is taken ─────────────────────────────────────────────────────────────────────────────


def of_torch(frames: list[np.ndarray]) -> Iterable[Any]:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    return [
        torch.from_numpy(frame).permute(2, 0, 1) if i % 2 else torch.from_numpy(frame) for i, frame in enumerate(frames)
    ]


def of_pil(frames: list[np.ndarray]) -> Iterable[Any]:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    return (image.fromarray(frame) for frame in frames)


def of_torchcodec(frames: list[np.ndarray]) -> Any:
    """A stand-in with the class's name, module and methods."""
    tensors = list(of_torch(frames))

    class VideoDecoder:
        def __len__(self) -> int:
            return len(tensors)

        def get_frame_at(self, index: int) -> Any:
            return SimpleNamespace(data=tensors[index], pts_seconds=index / 25)

    VideoDecoder.__module__ = "torchcodec.decoders._video_decoder"
    return VideoDecoder()


@pytest.mark.parametrize("make", [list, iter, np.stack, of_torch, of_pil, of_torchcodec])
def test_frames_of_other_libraries_are_the_same_frames(
    seg: segtween.Segtween, frames: list[np.ndarray], make: Callable[[Any], Any]
) -> None:
    results = list(seg.stream(make(frames)))
    assert all(np.array_equal(result.rgb, frame) for result, frame in zip(results, frames, strict=True))
    assert math.isnan(results[1].pts_seconds) == (make is not of_torchcodec)


def test_names_of_image_files_and_one_picture_alone(
    seg: segtween.Segtween, frames: list[np.ndarray], tmp_path: Path
) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(2)]
    for path, frame in zip(paths, frames, strict=False):
        cv2.imwrite(str(path), frame[..., ::-1])
    results = list(seg.stream([paths[1], str(paths[0])]))
    assert [np.array_equal(r.rgb, frames[i]) for r, i in zip(results, (1, 0), strict=True)] == [True, True]
    assert len(list(seg.stream(frames[0]))) == 1
    with pytest.raises(SourceError, match=r"none\.png cannot be read"):
        list(seg.stream([tmp_path / "none.png"]))


@pytest.fixture
def video(frames: list[np.ndarray], tmp_path: Path) -> Path:
    path = tmp_path / "drive.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=SIZE_HW[1], height=SIZE_HW[0], pix_fmt="bgr0")
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_opencv_and_pyav_are_read_with_their_times(
    seg: segtween.Segtween, frames: list[np.ndarray], video: Path
) -> None:
    with av.open(str(video)) as container:
        by_av = list(seg.stream(container))
    with av.open(str(video)) as container:
        by_frames = list(seg.stream(container.decode(video=0)))
    capture = cv2.VideoCapture(str(video))
    for results in (by_av, by_frames, list(seg.stream(capture))):
        assert [result.pts_seconds for result in results] == pytest.approx([i / 25 for i in range(5)])
        assert all(np.array_equal(result.rgb, frame) for result, frame in zip(results, frames, strict=True))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3.5, "source is float; expected a file, camera or stream"),
        ([3.5], "frame is float of shape None; expected an RGB image, uint8 of shape"),
        ([np.zeros((4, 4), np.uint8)], r"frame is uint8 of shape \(4, 4\); expected an RGB image"),
    ],
)
def test_what_holds_no_frames_is_refused(seg: segtween.Segtween, source: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        list(seg.stream(source))


def test_images_of_pillow_in_all_modes(seg: segtween.Segtween) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    for mode in ("L", "P", "RGBA"):
        own = image.fromarray((grey >> 8).astype(np.uint8)).convert(mode)
        assert np.array_equal(next(seg.stream([own])).rgb, np.asarray(own.convert("RGB")))
    assert np.array_equal(next(seg.stream([image.fromarray(grey)])).rgb[..., 1], grey >> 8)
    for values in (grey.astype(np.int32), grey.astype(np.float32)):
        with pytest.raises(SettingError, match=r"frame is a PIL image of mode [IF]; expected an image of 8 bits"):
            next(seg.stream([image.fromarray(values)]))


def test_images_and_videos_that_are_closed_are_told(seg: segtween.Segtween) -> None:
    with pytest.raises(SourceError, match="the VideoCapture is not open; expected a file or camera that OpenCV can"):
        list(seg.stream(cv2.VideoCapture("no-such-file.avi")))
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    held = io.BytesIO()
    image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(held, "BMP")
    with pytest.raises(SourceError, match=r"a PIL image cannot be read \(.*truncated"):
        list(seg.stream([image.open(io.BytesIO(held.getvalue()[:2000]))]))


def test_float_tensors_are_refused_with_what_to_do(seg: segtween.Segtween) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(SettingError, match=r"frame is torch.float32 of shape \(3, 4, 5\); .*from 0..1 with"):
        list(seg.stream([torch.zeros(3, 4, 5)]))


def test_classes_are_given_as_a_label_set() -> None:
    def scores(rgb: np.ndarray) -> np.ndarray:
        return np.zeros((11, rgb.shape[0] // 4, rgb.shape[1] // 4), np.float32)

    assert segtween.load(scores, label_set=11).labels.names[0] == "class-0"
    with pytest.raises(SettingError, match=r"labels=11; expected a network's classes as label_set; rename it"):
        segtween.load(scores, labels=11)
    with pytest.raises(LabelError, match="has 300 classes; expected 1 to 254, because a label is one byte"):
        segtween.load(scores, label_set=300)


# ── Summaries ─────────────────────────────────────────────────────────────────────────────────


def test_a_summary_is_three_lines_and_a_table(seg: segtween.Segtween, video: Path, tmp_path: Path) -> None:
    summary = seg.run(video, tmp_path / "out", save=["labels"])
    lines = repr(summary).splitlines()
    assert lines[0].startswith("drive: network on 2 of 5 frames, ")
    assert lines[1].startswith("method composed")
    assert lines[2] == f"written: labels, frames.csv in {tmp_path / 'out'}"
    both = seg.run([video, video], tmp_path / "both", save=[])
    assert len(repr(both).splitlines()) == 3
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = summary.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert list(table.index) == list(range(5))
    assert table["key"].sum() == summary.network_runs
    assert list(both.to_pandas()["input"].unique()) == [outcome.name for outcome in both.outcomes]
    (tmp_path / "out" / "frames.csv").unlink()
    with pytest.raises(SourceError, match=r"frames\.csv cannot be read"):
        summary.to_pandas()


def test_pandas_is_named_where_it_is_missing(
    seg: segtween.Segtween, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = seg.run(video, tmp_path / "out", save=[])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"to_pandas\(\) needs .*segtween\[results\]"):
        summary.to_pandas()


def test_palette_images_come_back_from_their_bytes(result: segtween.Result) -> None:
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    held = io.BytesIO()
    result.to_pil().save(held, "PNG")
    assert np.array_equal(np.asarray(image.open(io.BytesIO(held.getvalue()))), result.labels)
