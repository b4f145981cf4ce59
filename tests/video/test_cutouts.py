"""Cut-outs, mattes and backgrounds, and labels that are not sure enough."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from fakes import textured
from segtween.errors import MissingExtraError, SettingError
from segtween.labels import CAMVID11
from segtween.types import ScoreMap
from segtween.video import SaveOptions
from segtween.video.cutouts import CutOut
from segtween.video.rerun_log import Arrows
from segtween.video.saving import open_sinks

TREE = CAMVID11.index("tree")


@pytest.fixture
def save(make_frames, make_result):
    def run(folder: Path, kinds, **options):
        info, frames = make_frames(3)
        results = [make_result(frame) for frame in frames]
        sink = open_sinks(folder, SaveOptions(kinds, **options), info=info, labels=CAMVID11)
        for frame, result in zip(frames, results, strict=True):
            sink.write(frame, result)
        sink.close()
        return frames, results

    return run


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else 4)


def test_cut_outs_and_mattes_are_exact(save, tmp_path):
    frames, results = save(tmp_path, ["cutouts", "mattes"], classes=["tree", "sky"])
    for i, (frame, result) in enumerate(zip(frames, results, strict=True)):
        inside = np.isin(result.labels, [TREE, CAMVID11.index("sky")])
        assert inside.any()
        cut = read(tmp_path / "cutouts" / f"{i:06d}.png")
        assert np.array_equal(cut[..., :3], frame.rgb)
        assert np.array_equal(cut[..., 3], 255 * inside)
        assert np.array_equal(read(tmp_path / "mattes" / f"{i:06d}.png"), 255 * inside)


def test_a_cut_out_video_has_alpha(save, tmp_path):
    frames, results = save(tmp_path, ["cutout"], classes=["tree"])
    decoder = av.CodecContext.create("libvpx-vp9", "r")  # FFmpeg's own decoder leaves alpha out
    with av.open(str(tmp_path / "cutout.webm")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name in ("vp9", "libvpx-vp9")
        packets = [packet for packet in container.demux(stream) if packet.size]
        shown = [frame for packet in packets for frame in decoder.decode(packet)]
    shown += decoder.decode(None)
    assert [frame.format.name for frame in shown] == ["yuva420p"] * 3
    assert [frame.pts for frame in shown] == [packet.pts for packet in packets]
    assert (results[0].labels == TREE).any()
    alpha = shown[0].reformat(format="rgba").to_ndarray()[..., 3]
    assert np.abs(alpha.astype(int) - 255 * (results[0].labels == TREE)).mean() < 4
    assert len(frames) == 3


@pytest.mark.parametrize(
    ("background", "colour"), [("#00ff80", (0, 255, 128)), ("White", (255, 255, 255)), ("file", (9, 90, 180))]
)
def test_a_background_shows_where_nothing_is_cut_out(save, tmp_path, background, colour):
    if background == "file":
        background = tmp_path / "behind.png"
        cv2.imwrite(str(background), np.full((10, 7, 3), colour[::-1], np.uint8))
    frames, results = save(tmp_path / "out", ["cutouts", "cutout"], classes=["tree"], background=background)
    cut = read(tmp_path / "out" / "cutouts" / "000000.png")
    inside = results[0].labels == TREE
    deep = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    outside = cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    assert deep.any()
    assert np.array_equal(cut[deep], frames[0].rgb[deep])
    assert (cut[outside] == colour).all()
    assert (tmp_path / "out" / "cutout.mp4").is_file()


def test_a_blurred_background_is_the_frame_s_own(make_frames, make_result):
    _, (frame, *_) = make_frames(1)
    noisy = replace(frame, rgb=np.random.default_rng(0).integers(0, 256, frame.rgb.shape).astype(np.uint8))
    result = make_result(noisy)
    shown = CutOut([TREE], "blur").composed(noisy, result)
    outside = cv2.dilate((result.labels == TREE).astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    assert shown[outside].std() < noisy.rgb[outside].std() / 3


def test_what_cannot_be_cut_out_is_refused(save, tmp_path):
    for kind in ("cutout", "cutouts", "mattes"):
        with pytest.raises(SettingError, match=r"a cut-out of all classes; .*give classes=\['person'\]"):
            save(tmp_path / kind, [kind])
    with pytest.raises(SettingError, match=r"background='#12'; expected blur, an image file, #rrggbb or black"):
        save(tmp_path / "b", ["cutout"], classes=["tree"], background="#12")
    with pytest.raises(SettingError, match="background='5'; expected blur"):
        save(tmp_path / "b", ["cutout"], classes=["tree"], background=5)
    with pytest.raises(SettingError, match=r"unknown_below='x'; expected a number from 0 to 1"):
        save(tmp_path / "b", ["labels"], unknown_below="x")
    with pytest.raises(SettingError, match=r"alpha='x'; expected a share from 0 to 1"):
        save(tmp_path / "b", ["overlay"], alpha="x")
    with pytest.raises(SettingError, match=r"background='white' without a cut-out; .*leave background= out"):
        save(tmp_path / "b", ["overlay"], classes=["tree"], background="white")


def test_labels_of_a_low_confidence_are_unknown_everywhere(make_frames, make_result, tmp_path):
    info, frames = make_frames(1)
    scores = np.zeros((11, 1, 2), np.float32)
    scores[0] = 0.9, 0.4
    known = ScoreMap(scores, "probabilities", frames[0].size_hw)
    result = replace(make_result(frames[0]), scores=known, labels=np.zeros(frames[0].size_hw, np.uint8))
    sink = open_sinks(tmp_path, SaveOptions(["labels", "masks"], unknown_below=0.65), info=info, labels=CAMVID11)
    sink.write(frames[0], result)
    sink.close()
    image = read_indices(tmp_path / "labels" / "000000.png")
    width = frames[0].size_hw[1]
    assert (image[:, : width // 2] == 0).all()
    assert (image[:, width // 2 :] == 255).all()
    assert "share_sky" in (tmp_path / "frames.csv").read_text()
    assert ",0.500000," in (tmp_path / "frames.csv").read_text()
    with pytest.raises(SettingError, match="unknown_below=2; expected a number from 0 to 1"):
        open_sinks(tmp_path / "b", SaveOptions([], unknown_below=2), info=info, labels=CAMVID11)


def read_indices(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray()[0]


def test_arrows_lead_from_where_things_were():
    scene, arrows = textured((200, 300), seed=1), Arrows()
    assert arrows(np.ascontiguousarray(scene[:160, :240]))[0].shape == (0, 2)
    origins, vectors = arrows(np.ascontiguousarray(scene[4:164, 6:246]))  # everything moves left and up
    assert origins.shape == vectors.shape == (5 * 7, 2)
    assert np.median(vectors, axis=0) == pytest.approx([-6, -4], abs=0.1)
    assert np.median(origins + vectors, axis=0) == pytest.approx([112, 80], abs=0.1)


def test_a_recording_needs_its_extra(make_frames, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rerun", None)
    with pytest.raises(MissingExtraError, match=r"save='rrd' needs .*pip install 'segtween\[rerun\]'"):
        open_sinks(tmp_path, SaveOptions(["rrd"]), info=make_frames()[0], labels=CAMVID11)


def test_a_recording_holds_frames_labels_and_curves(save, tmp_path):
    chunk = pytest.importorskip("rerun.chunk", reason="rerun-sdk is not installed, or cannot read recordings")
    save(tmp_path, ["rrd"])
    rows: dict[str, int] = {}
    for part in chunk.RrdReader(str(tmp_path / "clip.rrd")).stream():
        if not part.is_static:
            rows[part.entity_path] = rows.get(part.entity_path, 0) + part.num_rows
    assert rows.pop("/key_frames") == 1
    curves = {"/mean_confidence", "/milliseconds/segment", "/milliseconds/label"}
    assert {path for path, n in rows.items() if n == 3} == {
        "/frame",
        "/frame/labels",
        "/frame/flow",
        "/confidence",
        *curves,
    }
