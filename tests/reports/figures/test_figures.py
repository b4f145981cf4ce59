"""Pictures of what a method does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, FakeSegmenter, panning
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.errors import LabelError, SettingError, SinkError
from segtween.flow.occlusion import open_occlusion
from segtween.labels import CAMVID11, CITYSCAPES19, numbered
from segtween.reports.figures import panels
from segtween.reports.figures.clip import clip_figure
from segtween.reports.figures.page import check_picture, compose, panel_size, save_png, seen_classes
from segtween.reports.figures.passage import HISTORY, Subject, first_frame, motion_between, passage
from segtween.reports.figures.sequence import sequence_figure
from segtween.reports.figures.shots import DatasetShots, StreetShots, VideoShots
from segtween.settings import PRESETS, change, find_preset
from segtween.video.text import text_width, write
from small_sets import picture
from tiny_propagation import write_model

MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"
FOUR = numbered(4)
INTERVAL_2 = change(find_preset("blend"), interval=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("data")
    for clip in ("a", "b"):
        for i, rgb in enumerate(panning(10, (60, 80), cell=16)):
            picture(root / f"val/frames/{clip}" / f"{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
            if clip == "a":
                picture(root / f"val/labels/{clip}" / f"{i}.png", rgb[..., 0] // 64)
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    return open_dataset("folders", root, split="val", labels=FOUR)


@given(shown=st.integers(0, 500), interval=st.integers(0, 9))
def test_a_run_begins_so_that_the_frame_comes_just_before_the_next_key(shown: int, interval: int) -> None:
    start = first_frame(shown, distance=min(interval, shown), interval=interval)
    assert start >= 0
    assert (shown - start) % (interval + 1) == min(interval, shown)
    assert (shown - start) // (interval + 1) <= HISTORY
    if shown >= (HISTORY + 1) * (interval + 1) - 1:
        assert (shown - start) // (interval + 1) == HISTORY


def test_panels_stand_where_they_belong() -> None:
    rng = np.random.default_rng(0)
    tiles = [[rng.integers(0, 256, (60, 80, 3), dtype=np.uint8) for _ in range(3)] for _ in range(2)]
    page = compose(
        tiles, headings=["x", "a heading that is far too long for its column", "z"], row_names=["one\nrow", "r"]
    )
    found = []
    for row in tiles:
        for tile in row:
            match = cv2.matchTemplate(page, tile, cv2.TM_SQDIFF)
            _, _, at, _ = cv2.minMaxLoc(match)
            np.testing.assert_array_equal(page[at[1] : at[1] + 60, at[0] : at[0] + 80], tile)
            found.append(at)
    xs, ys = [x for x, _ in found], [y for _, y in found]
    assert xs[:3] == xs[3:] == sorted(set(xs))
    assert sorted(set(ys)) == [ys[0], ys[3]]
    assert (page[: ys[0], : xs[0]] == 255).all(), "no heading over the row names"
    assert (page[: ys[0], xs[0] :] < 128).any(), "headings"
    assert (page[ys[0] :, : xs[0]] < 128).any(), "row names"
    taller = compose(tiles, headings=["x", "y", "z"], legend=[(f"class {i}", (9, 9, 9)) for i in range(9)], footer="f")
    assert taller.shape[0] > page.shape[0]


def test_text_is_within_its_width_and_cut_at_the_border() -> None:
    page = np.full((40, 200, 3), 255, np.uint8)
    write(page, "Prediction", (10, 5), 20)
    dark = np.argwhere((page < 128).any(axis=2))
    assert dark[:, 1].min() >= 10
    assert dark[:, 1].max() < 10 + text_width("Prediction", 20)
    assert dark[:, 0].min() >= 5
    assert np.ptp(dark[:, 0]) >= 10
    write(page, "Prediction", (180, 30), 20)


def test_an_edge_is_where_the_class_changes() -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[:, 40:] = 3
    drawn = panels.edge(labels, (60, 80))
    white = (drawn == 255).all(axis=2)
    assert white[:, 39:41].all()
    assert white.sum() == 120
    assert not (panels.edge(labels * 0, (30, 40)) == 255).any()


def test_flow_is_white_at_rest_and_coloured_by_direction() -> None:
    still, right, left = (np.broadcast_to(np.array(v, np.float32), (8, 8, 2)) for v in ((0, 0), (4, 0), (-4, 0)))
    assert (panels.flow(still, (8, 8), full=4) == 255).all()
    colours = [panels.flow(vectors, (8, 8), full=4)[0, 0].tolist() for vectors in (right, left)]
    assert colours == [[255, 0, 0], [0, 255, 255]]
    faint = panels.flow(right, (8, 8), full=8)[0, 0]
    assert faint.tolist() == [255, 128, 128]
    np.testing.assert_array_equal(panels.flow(right * 9, (8, 8), full=4), panels.flow(right, (8, 8), full=4))


def test_occlusion_tells_hits_misses_and_errors_apart() -> None:
    rgb, exact, estimate = np.full((8, 8, 3), 100, np.uint8), np.zeros((8, 8), bool), np.zeros((4, 4), bool)
    exact[:2], estimate[:, :2] = True, True
    drawn = panels.occlusion(rgb, estimate, exact, (8, 8))
    ground = [65, 65, 65]
    assert [drawn[y, x].tolist() for y, x in ((0, 0), (0, 7), (7, 0), (7, 7))] == [
        list(panels.FOUND), list(panels.MISSED), list(panels.FALSE), ground,
    ]  # fmt: skip
    alone = panels.occlusion(rgb, estimate, None, (4, 4))
    assert alone[0, 0].tolist() == list(panels.FALSE)
    assert alone[0, 3].tolist() == ground


def test_the_legend_holds_what_is_seen() -> None:
    labels = np.full((100, 100), 255, np.uint8)
    labels[:50] = 8
    labels[99, 99] = 3
    assert seen_classes(CAMVID11, [labels, labels * 0]) == [
        (name, CAMVID11.colours[CAMVID11.index(name)]) for name in ("sky", "car")
    ]


def test_a_clip_has_a_row_per_frame_and_truth_where_it_is_known(data: Dataset) -> None:
    network, width = BrightnessSegmenter(), 80

    def of(clip: str) -> Subject:
        return Subject(DatasetShots(data, clip, network.labels), network, INTERVAL_2, "blend", threads=1)

    labelled = clip_figure(of("a"), frames=[8, 0], width=width)
    bare = clip_figure(of("1"), frames=[8, 0], width=width)
    assert labelled.shape[1] - bare.shape[1] == width + 4, "one column more"
    rgb = data.read_rgb(data.clips[0].frames[8])
    _, _, at, _ = cv2.minMaxLoc(cv2.matchTemplate(labelled, rgb, cv2.TM_SQDIFF))
    np.testing.assert_array_equal(labelled[at[1] : at[1] + 60, at[0] : at[0] + 80], rgb)
    default = clip_figure(of("a"), width=width)
    assert labelled.shape[0] - default.shape[0] == 60 + 4, "frame 8 alone"


def test_a_sequence_shows_both_ways_through_a_key_interval(data: Dataset) -> None:
    network = BrightnessSegmenter()
    shots = DatasetShots(data, "a", network.labels)
    plain = sequence_figure(Subject(shots, network, INTERVAL_2, "blend", threads=1), width=80)
    assert network.calls == 3 + 3, "key frames 0, 3, 6; and frames 6, 7, 8"
    with_truth = sequence_figure(Subject(shots, network, INTERVAL_2, "blend", threads=1), width=80, truth=True)
    assert with_truth.shape[0] - plain.shape[0] == 60 + 4
    first = sequence_figure(
        Subject(shots, network, change(find_preset("blend"), interval=1), "blend", threads=1), key=0, width=80
    )
    assert plain.shape[1] - first.shape[1] == 80 + 4


def test_stored_scores_are_told_each_frame(data: Dataset) -> None:
    told: list[str | int] = []
    fake = FakeSegmenter(FOUR)
    fake.select = told.append  # type: ignore[method-assign]
    sequence_figure(Subject(DatasetShots(data, "a", FOUR), fake, INTERVAL_2, "blend", threads=1), key=3, width=80)
    assert told == [f"a/{i}" for i in (0, 1, 2, 3, 4, 5, 3, 4, 5)]


def test_the_edge_is_the_one_that_the_repair_sees(data: Dataset, tmp_path: Path) -> None:
    settings = change(find_preset("swnet-seq"), interval=2, weights=str(write_model(tmp_path, classes=4)))
    network, shots = BrightnessSegmenter(), DatasetShots(data, "a", FOUR)
    subject = Subject(shots, network, settings, "swnet-seq", threads=1)
    engine = subject.engine
    seen = list(passage(shots, engine, 0, 3, refiner=subject.refiner))
    assert [one.edge is None for one in seen] == [True, False, False, True], "key frames are not repaired"
    assert {one.spans_hw for one in seen} == {(64, 96)}
    edge = seen[1].edge
    assert edge is not None
    assert edge.shape == (8, 10), "of the frame, without the padding to (64, 96)"
    assert edge.any()
    assert not edge.all()
    motion = motion_between(
        seen[0].shot, seen[1], flow=subject.flow, ops=engine.ops, estimate=open_occlusion("photometric")
    )
    assert motion.flow.shape == (60, 80, 2)
    page = clip_figure(Subject(shots, network, settings, "swnet-seq", threads=1), frames=[5], width=80)
    shown = list(passage(shots, engine, 0, 5, refiner=subject.refiner))[5].edge
    assert shown is not None
    drawn = panels.guiding_edge(shown, (60, 80))
    _, _, at, _ = cv2.minMaxLoc(cv2.matchTemplate(page, drawn, cv2.TM_SQDIFF))
    np.testing.assert_array_equal(page[at[1] : at[1] + 60, at[0] : at[0] + 80], drawn)
    without = replace(subject, settings=change(settings, edge=False))
    silent = list(passage(shots, without.engine, 0, 1, refiner=without.refiner))
    assert silent[1].edge is None, "nothing guides it"


def test_a_sequence_of_every_preset(data: Dataset, tmp_path: Path) -> None:
    shots, weights = DatasetShots(data, "a", FOUR), str(write_model(tmp_path, classes=4))
    for name in PRESETS:
        settings = change(find_preset(name), interval=1, weights=weights if name == "swnet-seq" else None)
        page = sequence_figure(Subject(shots, BrightnessSegmenter(), settings, name, threads=1), width=80)
        assert page.shape[1] > 2 * 80


@pytest.mark.slow
def test_the_street_comes_with_exact_truth() -> None:
    shots = StreetShots(1, CAMVID11, size_hw=(48, 64))
    first, second = shots.read(2, 3)
    assert (first.index, second.index) == (2, 3)
    assert first.truth is not None
    assert first.occlusion is not None
    assert 0 < first.occlusion.mean() < 0.5, "not all, as in a drive's first frame"
    assert next(shots.read(0, 0)).occlusion is None
    assert StreetShots(1, CITYSCAPES19).labels is CITYSCAPES19
    with pytest.raises(LabelError, match="no map is known from label set 'classes4' to 'camvid11'"):
        StreetShots(1, FOUR)


def test_a_video_has_no_truth(data: Dataset) -> None:
    shots = VideoShots(str(data.clips[0].frames[0].image_path.parent), FOUR, threads=1)
    seen = list(shots.read(2, 3))
    assert [(shot.index, shot.key, shot.truth) for shot in seen] == [(2, 2, None), (3, 3, None)]


def test_frames_and_clips_that_are_not_there_are_named(data: Dataset) -> None:
    with pytest.raises(
        SettingError,
        match=r"frame 10 of data\d val \(folders layout\), clip a; expected 0 to 9; show earlier frames",
    ):
        list(DatasetShots(data, "a", FOUR).read(9, 10))
    folder = data.clips[0].frames[0].image_path.parent
    with pytest.raises(SettingError, match="frame 12 of a; expected 0 to 9"):
        list(VideoShots(str(folder), FOUR, threads=1).read(3, 12))
    with pytest.raises(SettingError, match="clip 'c' of folders val; expected a name, or a number 0 to 1; give"):
        DatasetShots(data, "c", FOUR)
    with pytest.raises(SettingError, match="frame -1; expected 0 or more"):
        first_frame(-1, distance=0, interval=2)
    with pytest.raises(SettingError, match="panel width 10; expected 80 to 4000 pixels; give width=400"):
        panel_size((60, 80), 10)


def test_pictures_get_their_name_when_they_are_whole(tmp_path: Path) -> None:
    page = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    path = save_png(page, tmp_path / "new" / "p.png")
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], page)
    assert [p.name for p in path.parent.iterdir()] == ["p.png"]
    with pytest.raises(SinkError, match=r"p\.png exists; expected no such file yet; give overwrite=True"):
        check_picture(path, overwrite=False)
    with pytest.raises(SettingError, match=r"picture p\.jpg; expected a name that ends in \.png; give p\.png"):
        check_picture("p.jpg", overwrite=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="cannot be written"):
        save_png(page, tmp_path / "file" / "p.png")


def test_the_commands(data: Dataset, tmp_path: Path) -> None:
    root = data.clips[0].frames[0].image_path.parents[3]
    base = ["--model", MODEL, "--threads", "1", "--panel", "80", "--every", "3"]
    where = ["--dataset", "folders", "--root", str(root)]

    def call(*command: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["figure", *command, *base])
        return done.exit_code, " ".join(done.output.split())

    code, text = call("clip", *where, "--frames", "5,8", "-o", str(tmp_path / "c.png"))
    assert code == 0, text
    assert cv2.imread(str(tmp_path / "c.png")).shape[:2] == tuple(
        int(n) for n in reversed(text.split(" (width")[0].split(", ")[-1].split("x"))
    )
    code, text = call("sequence", str(root / "val/frames/a"), "--key", "3", "-o", str(tmp_path / "s.png"))
    assert code == 0, text
    assert (tmp_path / "s.png").is_file()
    code, text = call("sequence", *where, "-o", str(tmp_path / "s.png"))
    assert code == 2
    assert "s.png exists" in text
    code, text = call("clip", "--street", "1", *where, "-o", str(tmp_path / "d.png"))
    assert code == 2
    assert "the input is not clear; expected one of a video, --street, or --dataset with --root" in text
