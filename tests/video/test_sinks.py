"""Every output: one picture per frame, exact times, exact values, final names only when whole."""

from __future__ import annotations

import csv
import importlib.util
import io
import threading
import zipfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from segtween.errors import LabelError, SettingError, SinkError
from segtween.labels import CAMVID11, CITYSCAPES19, LabelSet
from segtween.video import SAVE_KINDS, SaveOptions, open_source
from segtween.video.saving import SAVINGS, open_sinks
from segtween.video.sinks import how_made

ALL = [kind for kind in SAVE_KINDS if kind != "rrd" or importlib.util.find_spec("rerun")]


@pytest.fixture
def run(make_frames, make_result):
    """Saves a clip in memory and gives its frames and results."""

    def save(folder: Path, kinds, *, n: int = 6, end: str = "close", size_hw=(48, 64), rate=25, labels=None, **options):
        info, frames = make_frames(n, size_hw=size_hw, rate=rate)
        sink = open_sinks(folder, SaveOptions(kinds, **options), info=info, labels=labels or CAMVID11)
        results = [make_result(frame) for frame in frames]
        for frame, result in zip(frames, results, strict=True):
            sink.write(frame, result)
        getattr(sink, end)()
        getattr(sink, end)()
        sink.abort()
        return frames, results

    return save


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def png_indices(path: Path) -> np.ndarray:
    with av.open(io.BytesIO(path.read_bytes()), format="png_pipe") as container:
        return next(container.decode(video=0)).to_ndarray()[0]


def test_tables_agree():
    assert tuple(SAVINGS) == SAVE_KINDS


@pytest.mark.parametrize("end", ["close", "abort"])
def test_every_kind_under_its_name_and_nothing_else(run, read_back, tmp_path, end):
    out = tmp_path / "deep" / "out"
    run(out, ALL, end=end, classes=["car", "sign-symbol"])
    assert names(out) == [
        *(["clip.rrd"] if "rrd" in ALL else []), "coco-polygons.json", "coco.json", "confidence.mkv", "cutout.webm",
        "cutouts", "cvat-images.xml", "cvat-video.xml", "cvat.zip", "frames.csv", "label-studio-video.json",
        "label-studio.json", "labels", "labels.mkv", "masks-car.mkv", "masks-sign-symbol.mkv", "mattes", "overlay.mp4",
        "side-by-side.mp4", "yolo",
    ]  # fmt: skip
    assert names(out / "labels") == [f"{i:06d}.png" for i in range(6)]
    for name in names(out):
        if name.endswith((".mp4", ".mkv", ".webm")):
            assert [t for t, _ in read_back(out / name)] == [Fraction(i, 25) for i in range(6)], name


@pytest.mark.parametrize("ids", ["train", "dataset"], ids=["train_ids", "own_ids"])
def test_label_files_hold_exact_values(run, read_back, tmp_path, ids):
    _, results = run(tmp_path, ["labels", "labels-video"], ids=ids, size_hw=(47, 63), labels=CITYSCAPES19)
    wanted = [r.labels if ids == "train" else CITYSCAPES19.encode(r.labels) for r in results]
    video = [pixels for _, pixels in read_back(tmp_path / "labels.mkv", form="gray")]
    assert all(np.array_equal(a, b) for a, b in zip(video, wanted, strict=True))
    for i, labels in enumerate(wanted):
        path = tmp_path / "labels" / f"{i:06d}.png"
        assert np.array_equal(png_indices(path), labels)
        colours = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        assert np.array_equal(colours, CITYSCAPES19.colourise(results[i].labels))


def test_confidence_and_masks(run, read_back, tmp_path):
    frames, results = run(tmp_path, ["confidence", "masks"], classes=["car"])
    full = cv2.resize(results[0].confidence, (64, 48), interpolation=cv2.INTER_LINEAR)
    shown = read_back(tmp_path / "confidence.mkv", form="gray")[0][1]
    assert np.abs(shown - 255 * full).max() <= 0.501
    masks = read_back(tmp_path / "masks-car.mkv", form="gray")
    for (_, mask), result in zip(masks, results, strict=True):
        assert np.array_equal(mask, 255 * (result.labels == CAMVID11.index("car")))
    assert len(masks) == len(frames)


def test_masks_of_classes_whose_names_are_one_file_name(make_frames, make_result, read_back, tmp_path):
    info, (frame,) = make_frames(1)
    known = LabelSet("clash", ("a b", "a/b", "A-B"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)), (0, 1, 2))
    labels = (np.indices(frame.size_hw).sum(axis=0) % 3).astype(np.uint8)
    sink = open_sinks(tmp_path, SaveOptions(["masks"]), info=info, labels=known)
    sink.write(frame, replace(make_result(frame), labels=labels))
    sink.close()
    for train_id, name in enumerate(("masks-a-b.mkv", "masks-a-b-2.mkv", "masks-A-B-3.mkv")):
        (_, mask), *_ = read_back(tmp_path / name, form="gray")
        assert np.array_equal(mask, 255 * (labels == train_id))


def test_masks_of_all_classes(run, tmp_path):
    run(tmp_path, ["masks"], n=1)
    assert [n for n in names(tmp_path) if n != "frames.csv"] == sorted(f"masks-{n}.mkv" for n in CAMVID11.names)


def test_frames_table(run, tmp_path):
    _, results = run(tmp_path, [], n=5)
    rows = table(tmp_path / "frames.csv")
    assert list(rows[0]) == [
        "frame", "pts_seconds", "key", "frames_since_key", "ms", "confidence",
        *(f"share_{name}" for name in CAMVID11.names), "change_rate",
    ]  # fmt: skip
    assert [int(r["frame"]) for r in rows] == list(range(5))
    assert [float(r["pts_seconds"]) for r in rows] == [i / 25 for i in range(5)]
    assert [(int(r["key"]), int(r["frames_since_key"])) for r in rows] == [(1, 0), (0, 1), (0, 2), (1, 0), (0, 1)]
    assert {float(r["ms"]) for r in rows} == {1.75}
    for row, result in zip(rows, results, strict=True):
        shares = [float(row[f"share_{name}"]) for name in CAMVID11.names]
        wanted = [(result.labels == i).mean() for i in range(len(CAMVID11))]
        assert np.allclose(shares, wanted, atol=1e-6)
        assert float(row["confidence"]) == pytest.approx(float(result.confidence.mean()), abs=1e-6)
    changed = [(a.labels != b.labels).mean() for a, b in zip(results[1:], results[:-1], strict=True)]
    assert np.allclose([float(r["change_rate"]) for r in rows], [0, *changed], atol=1e-6)


def test_lines_are_written_as_they_come(make_frames, make_result, tmp_path):
    info, frames = make_frames(2)
    sink = open_sinks(tmp_path, SaveOptions([]), info=info, labels=CAMVID11)
    for i, frame in enumerate(frames):
        sink.write(frame, make_result(frame))
        assert (tmp_path / ".frames.csv.part").read_text().count("\n") == i + 2
    assert not (tmp_path / "frames.csv").exists()
    sink.close()


def test_overlay_format(run, tmp_path):
    run(tmp_path, ["overlay"], rate=Fraction(30_000, 1001))
    with av.open(str(tmp_path / "overlay.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_range) == (1, 1)
        assert stream.average_rate == Fraction(30_000, 1001)
        times = [f.pts * f.time_base for f in container.decode(video=0)]
    assert times == [i * Fraction(1001, 30_000) for i in range(6)]
    data = (tmp_path / "overlay.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_overlay_shows_tint_and_picture(run, read_back, tmp_path, frame_level):
    _, results = run(tmp_path, ["overlay", "side-by-side"])
    shown = read_back(tmp_path / "overlay.mp4")[0][1]
    colours = CAMVID11.colourise(results[0].labels)[24, 28].astype(int)
    assert np.abs(shown[24, 28] - (frame_level(0) + colours) / 2).max() < 12
    both = read_back(tmp_path / "side-by-side.mp4")[0][1]
    assert both.shape == (48, 128, 3)
    assert np.abs(both[40, 20].astype(int) - frame_level(0)).max() < 8
    assert np.abs(both[24, 64 + 28].astype(int) - shown[24, 28]).max() < 12


@pytest.mark.parametrize("size_hw", [(47, 63), (48, 63), (47, 64), (1, 1)])
def test_odd_sizes_repeat_the_last_line(run, read_back, tmp_path, size_hw):
    run(tmp_path, ["overlay", "labels-video"], size_hw=size_hw)
    height, width = size_hw
    shown = read_back(tmp_path / "overlay.mp4")
    assert len(shown) == 6
    assert shown[0][1].shape == (height + height % 2, width + width % 2, 3)
    assert read_back(tmp_path / "labels.mkv", form="gray")[0][1].shape == size_hw


def test_variable_rate_and_exact_times_from_a_file(make_video, make_result, read_back, tmp_path):
    times = [0, 1, 2, 7, 8, 30, 31, 90]
    path = make_video(tmp_path / "a.mp4", n=8, pts=times, time_base=Fraction(1, 90), options={"bf": "2"})
    source = open_source(path)
    sink = open_sinks(tmp_path / "out", SaveOptions(["overlay", "labels-video"]), info=source.info, labels=CAMVID11)
    for frame in source:
        sink.write(frame, make_result(frame))
    sink.close()
    assert [t for t, _ in read_back(tmp_path / "out" / "overlay.mp4")] == [Fraction(t, 90) for t in times]
    rounded = [t for t, _ in read_back(tmp_path / "out" / "labels.mkv")]
    assert [round(t * 1000) for t in rounded] == [round(Fraction(t, 90) * 1000) for t in times]


def test_part_of_a_file_starts_at_zero(make_video, make_result, read_back, tmp_path):
    source = open_source(make_video(tmp_path / "a.mp4", n=30), start_seconds=0.4, duration_seconds=0.2)
    sink = open_sinks(tmp_path / "out", SaveOptions(["overlay"]), info=source.info, labels=CAMVID11)
    for frame in source:
        sink.write(frame, make_result(frame))
    sink.close()
    assert [t for t, _ in read_back(tmp_path / "out" / "overlay.mp4")] == [Fraction(i, 25) for i in range(5)]
    rows = table(tmp_path / "out" / "frames.csv")
    assert [float(r["pts_seconds"]) for r in rows] == [0.4, 0.44, 0.48, 0.52, 0.56]


def test_cvat_layout(run, tmp_path):
    _, results = run(tmp_path, ["cvat"], n=3)
    with zipfile.ZipFile(tmp_path / "cvat.zip") as archive:
        assert archive.testzip() is None
        frames = [f"frame_{i:06d}" for i in range(3)]
        assert sorted(archive.namelist()) == sorted(
            ["labelmap.txt", "ImageSets/Segmentation/default.txt"]
            + [f"Segmentation{kind}/{f}.png" for kind in ("Class", "Object") for f in frames]
        )
        assert archive.read("ImageSets/Segmentation/default.txt").decode().split() == frames
        lines = archive.read("labelmap.txt").decode().splitlines()
        sky = ",".join(map(str, CAMVID11.colours[0]))
        assert lines[:3] == ["# label:color_rgb:parts:actions", "background:0,0,0::", f"sky:{sky}::"]
        assert len(lines) == 2 + len(CAMVID11)
        for i, name in enumerate(frames):
            classes, objects = (
                cv2.imdecode(np.frombuffer(archive.read(f"Segmentation{k}/{name}.png"), np.uint8), cv2.IMREAD_COLOR)
                for k in ("Class", "Object")
            )
            assert np.array_equal(classes[..., ::-1], CAMVID11.colourise(results[i].labels))
            assert len(np.unique(objects.reshape(-1, 3), axis=0)) == len(np.unique(results[i].labels))
            assert tuple(objects[1, 0][::-1]) == ((128, 0, 0), (0, 128, 0))[int(results[i].labels[1, 0] > 0)]


def test_cvat_needs_distinct_colours(make_frames, tmp_path):
    same = LabelSet("same", ("a", "b"), ((9, 9, 9), (9, 9, 9)), (0, 1))
    with pytest.raises(SinkError, match=r"uses a colour twice, .*; expected one colour per class; change the label"):
        open_sinks(tmp_path, SaveOptions(["cvat"]), info=make_frames()[0], labels=same)
    assert names(tmp_path) == []


def test_a_class_in_black_is_the_background_of_cvat_or_none(make_frames, make_result, tmp_path):
    """Whatever its name, black is what is not labelled there."""
    info, frames = make_frames(n=1)
    void = LabelSet("void", ("a", "Void"), ((9, 9, 9), (0, 0, 0)), (0, 1))
    with pytest.raises(SinkError, match=r"class 'Void' of label set 'void' is black.*; expected no class in black but"):
        open_sinks(tmp_path, SaveOptions(["cvat"]), info=info, labels=void)
    for name in ("background", "Background"):
        labels = LabelSet("people", (name, "person"), ((0, 0, 0), (9, 9, 9)), (0, 1))
        result = make_result(frames[0])
        result.labels[:] = 1
        result.labels[0, :2] = (0, 255)
        sink = open_sinks(tmp_path, SaveOptions(["cvat"], overwrite=True), info=info, labels=labels)
        sink.write(frames[0], result)
        sink.close()
        with zipfile.ZipFile(tmp_path / "cvat.zip") as archive:
            lines = archive.read("labelmap.txt").decode().splitlines()
            assert lines[1:] == [f"{name}:0,0,0::", "person:9,9,9::"]
            for kind, colour in (("Class", (9, 9, 9)), ("Object", (0, 128, 0))):
                data = np.frombuffer(archive.read(f"Segmentation{kind}/frame_000000.png"), np.uint8)
                image = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
                assert not image[0, :2].any()
                assert (image[1:] == colour).all()


def test_existing_output_is_refused_before_anything_is_changed(run, tmp_path):
    run(tmp_path, ["overlay"])
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    with pytest.raises(SinkError, match=r"exists already; expected a folder without .*; give overwrite=True to"):
        run(tmp_path, ["labels"])
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("kind", ALL)
def test_each_existing_kind_is_named(run, make_frames, tmp_path, kind):
    run(tmp_path, [kind], classes=["sky"])
    (tmp_path / "frames.csv").unlink()
    (name,) = names(tmp_path)
    with pytest.raises(SinkError, match=rf"{name} exists already"):
        open_sinks(tmp_path, SaveOptions([kind], classes=["sky"]), info=make_frames()[0], labels=CAMVID11)


def test_overwrite_leaves_no_old_frames(run, read_back, tmp_path):
    run(tmp_path, ["labels", "overlay", "masks"], n=9)
    (tmp_path / "mine.txt").write_text("stays")
    run(tmp_path, ["labels", "overlay", "masks"], n=4, overwrite=True, classes=["car"])
    assert names(tmp_path) == ["frames.csv", "labels", "masks-car.mkv", "mine.txt", "overlay.mp4"]
    assert len(names(tmp_path / "labels")) == len(read_back(tmp_path / "overlay.mp4")) == 4


def test_old_results_stay_until_the_new_ones_are_whole(run, make_frames, make_result, tmp_path):
    run(tmp_path, ["labels"], n=3)
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["labels"], overwrite=True), info=info, labels=CAMVID11)
    sink.write(frames[0], make_result(frames[0]))
    assert len(names(tmp_path / "labels")) == 3
    sink.abort()
    assert len(names(tmp_path / "labels")) == 1


@pytest.mark.parametrize("end", ["close", "abort"])
def test_without_frames_nothing_is_left(run, tmp_path, end):
    run(tmp_path, ALL, n=0, end=end, classes=["sky"])
    assert names(tmp_path) == []


def test_leftovers_of_a_killed_run_are_replaced(run, tmp_path):
    (tmp_path / ".labels.part").mkdir()
    (tmp_path / ".labels.part" / "000099.png").write_bytes(b"old")
    (tmp_path / ".overlay.mp4.part").write_bytes(b"old")
    run(tmp_path, ["labels", "overlay"], n=2)
    assert names(tmp_path / "labels") == ["000000.png", "000001.png"]
    assert names(tmp_path) == ["frames.csv", "labels", "overlay.mp4"]


def test_unknown_kind_lists_the_choices(make_frames, tmp_path):
    with pytest.raises(SettingError, match=r"save='overlays' .*; expected some of overlay, .*; did you mean overlay\?"):
        open_sinks(tmp_path, SaveOptions(["overlays"]), info=make_frames()[0], labels=CAMVID11)


def test_kinds_may_be_named_by_their_files(run, tmp_path):
    run(tmp_path, ["overlay.mp4", "Overlay", "labels.mkv"], n=1)
    assert names(tmp_path) == ["frames.csv", "labels.mkv", "overlay.mp4"]


def test_unknown_class_and_ids(make_frames, tmp_path):
    info, _ = make_frames()
    with pytest.raises(LabelError, match="class 'lorry' is not in"):
        open_sinks(tmp_path, SaveOptions([], classes=["lorry"]), info=info, labels=CAMVID11)
    with pytest.raises(SettingError, match=r"ids='own'; expected train or dataset"):
        open_sinks(tmp_path, SaveOptions([], ids="own"), info=info, labels=CAMVID11)


def test_a_class_by_another_name_is_taken_and_said(make_frames, tmp_path):
    sink = open_sinks(tmp_path, SaveOptions(["masks"], classes=["person"]), info=make_frames()[0], labels=CAMVID11)
    assert [output.name for output in sink.report.outputs] == ["masks-pedestrian.mkv", "frames.csv"]
    assert sink.report.notes == ["class 'person' is 'pedestrian' in label set 'camvid11'"]
    sink.abort()
    with pytest.raises(SettingError, match=r"classes=\[\]; expected a list of class names"):
        open_sinks(tmp_path / "b", SaveOptions([], classes=[]), info=make_frames()[0], labels=CAMVID11)


def test_colours_may_be_those_that_the_colour_blind_tell_apart(run, tmp_path):
    safe = CAMVID11.with_palette("colour-blind")
    _, results = run(tmp_path, ["labels"], n=1, palette="colour-blind")
    image = cv2.imread(str(tmp_path / "labels" / "000000.png"), cv2.IMREAD_COLOR)
    assert np.array_equal(image[..., ::-1], safe.colourise(results[0].labels))
    assert not np.array_equal(image[..., ::-1], CAMVID11.colourise(results[0].labels))


def test_unwritable_folder(make_frames, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError, match=r"cannot be written \(.*\); expected a .*folder.*; choose another folder"):
        open_sinks(tmp_path / "file" / "out", SaveOptions(["overlay"]), info=make_frames()[0], labels=CAMVID11)


def test_how_a_frame_was_made(make_frames, make_result):
    _, frames = make_frames(3)
    assert [how_made(make_result(f)) for f in frames] == [
        "network (key frame)",
        "optical flow, 1 frame since key",
        "optical flow, 2 frames since key",
    ]


def test_outputs_can_be_written_in_another_thread(run, tmp_path):
    thread = threading.Thread(target=run, args=(tmp_path, ["labels"]))
    thread.start()
    thread.join()
    assert len(names(tmp_path / "labels")) == 6
