"""The engine on a device gives the processor's labels for given flow, recorded or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning, uncovering
from segtween.build import Processor, build_engine, open_backend
from segtween.device import Fast, check_device
from segtween.errors import MissingExtraError, ModelError, ScoresError, SettingError
from segtween.flow.dis import DisFlow
from segtween.settings import Settings, change, find_preset
from segtween.types import Motion, Result

SIZE = (96, 128)


def moving(frames: int = 7) -> list[Any]:
    return panning(frames, SIZE, step=2, cell=20)


def with_a_cut() -> list[Any]:
    return [*panning(4, SIZE, step=2, cell=20, seed=1), *panning(4, SIZE, step=2, cell=20, seed=2)]


CLIPS = pytest.mark.parametrize(
    "frames", [moving(), with_a_cut(), uncovering(7, SIZE, step=4)], ids=["moving", "cut", "uncovering"]
)


def device() -> Any:

    return open_backend("torch-cpu", threads=1)


def beside(segmenter: Any) -> Any:
    """A segmenter or flow of NumPy on the device."""
    import torch

    from segtween.device.flows import ProcessorFlow
    from segtween.device.segmenter import ProcessorSegmenter

    kind = ProcessorFlow if hasattr(segmenter, "prepare") else ProcessorSegmenter
    return kind(segmenter, device=torch.device("cpu"))


def built(settings: Settings, *, record: Any = None, flow: Any = None) -> Any:
    backend = device()
    if record is None:
        return build_engine(beside(BrightnessSegmenter()), settings, backend=backend, flow=flow)
    from segtween.device.engine import CapturedEngine

    class Recording(type(backend)):  # type: ignore[misc]
        def causal(self, keys: Any, motion: Any, cuts: Any) -> Any:
            return CapturedEngine(keys, motion, cuts, record=record)

    parts = {name: getattr(backend, name) for name in ("name", "arrays", "fast", "processor")}
    return build_engine(beside(BrightnessSegmenter()), settings, backend=Recording(**parts), flow=flow)


def through(engine: Any, frames: Sequence[Any]) -> list[Result]:
    return [engine.step(rgb) for rgb in frames]


@pytest.mark.train
@pytest.mark.parametrize("preset", ["composed", "blend", "warp"])
@CLIPS
def test_labels_for_given_flow_are_the_processors(preset: str, frames: list[Any]) -> None:
    settings = find_preset(preset).at(2)
    cpu = build_engine(BrightnessSegmenter(), settings, backend=Processor(1), flow=DisFlow())
    expected = through(cpu, frames)
    found = through(built(settings, flow=beside(DisFlow())), frames)
    for one, other in zip(found, expected, strict=True):
        assert (one.is_key, one.is_cut, one.distance) == (other.is_key, other.is_cut, other.distance)
        assert (one.labels != other.labels).mean() <= 1e-4
        assert np.abs(one.confidence - other.confidence).max() < 1e-4
        assert one.mean_confidence == pytest.approx(other.mean_confidence, abs=1e-4)


@pytest.mark.train
@pytest.mark.parametrize(
    "settings",
    [
        find_preset("composed").at(2),
        find_preset("composed").at(0),
        change(find_preset("composed").at(2), cuts=False),
        change(find_preset("composed").at(2), history_weight=0.0),
        change(find_preset("composed").at(2), match="none"),
        change(find_preset("composed").at(2), schedule="adaptive", budget=40.0),
    ],
    ids=["composed", "every frame", "no cuts", "replace", "no match", "adaptive"],
)
@CLIPS
def test_recorded_is_the_same_as_one_by_one(settings: Settings, frames: list[Any]) -> None:
    from segtween.device.graphs import rerun

    flow = None if settings == find_preset("composed").at(2) else beside(DisFlow())
    expected, found = (through(built(settings, record=record, flow=flow), frames) for record in (None, rerun))
    for one, other in zip(found, expected, strict=True):
        assert (one.is_key, one.is_cut, one.distance) == (other.is_key, other.is_cut, other.distance)
        assert np.array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-6)
        assert one.mean_confidence == pytest.approx(other.mean_confidence, abs=1e-6)


@pytest.mark.train
@CLIPS
def test_files_are_read_from_both_sides_there_too(frames: list[Any]) -> None:
    settings = change(find_preset("composed").at(2), mode="bidirectional")
    cpu = build_engine(BrightnessSegmenter(), settings, backend=Processor(1), flow=DisFlow())
    there = built(settings, flow=beside(DisFlow()))
    for found, expected in zip(there.stream(frames), cpu.stream(frames), strict=True):
        assert (found.index, found.is_key, found.distance) == (expected.index, expected.is_key, expected.distance)
        assert (found.labels != expected.labels).mean() <= 1e-4
        # Matching rounds places to half cells, so that a rounding of the flow may lead to another one.
        apart = np.abs(found.confidence - expected.confidence)
        assert (apart > 1e-4).mean() < 0.005
        assert apart.max() < 0.01


@pytest.mark.train
def test_a_clip_on_which_matching_counts() -> None:
    frames, settings = uncovering(7, SIZE, step=4), find_preset("composed").at(2)
    matched, other = (through(built(chosen), frames) for chosen in (settings, change(settings, match="none")))
    assert any((one.labels != two.labels).any() for one, two in zip(matched, other, strict=True))


@pytest.mark.train
@pytest.mark.parametrize("shift", [0, 3, 90])
def test_a_cut_is_scored_as_on_the_processor(shift: int) -> None:
    import torch

    from segtween.device.cuts import DeviceCuts
    from segtween.schedule.cuts import ResidualCuts

    rng = np.random.default_rng(shift)
    view, error = rng.integers(0, 256, (48, 64), np.uint8), rng.random((48, 64), np.float32) * shift
    error[: shift // 3] = 255
    there: Any = Motion(torch.from_numpy(view), residual=torch.from_numpy(error))  # type: ignore[arg-type]
    found = float(DeviceCuts().score(there))
    assert found == pytest.approx(ResidualCuts().score(Motion(view, residual=error)), rel=1e-4, abs=1e-6)


@pytest.mark.train
def test_labels_lie_where_the_frame_lay() -> None:
    import torch

    frames = moving(4)
    one, other = built(find_preset("composed").at(2)), built(find_preset("composed").at(2))
    for rgb in frames:
        labels, tensor = one.step(rgb).labels, other.step(torch.from_numpy(rgb)).labels
        assert isinstance(labels, np.ndarray)
        assert isinstance(tensor, torch.Tensor)
        assert np.array_equal(labels, tensor.numpy())


@pytest.mark.train
def test_a_result_stays_as_it_was_when_the_next_frame_comes() -> None:
    import torch

    from segtween.device.graphs import rerun

    engine = built(find_preset("composed").at(3), record=rerun)
    results = [engine.step(torch.from_numpy(rgb)) for rgb in moving(4)]
    kept = [result.labels.clone() for result in results]
    for rgb in moving(5)[::-1]:
        engine.step(torch.from_numpy(rgb))
    assert all(torch.equal(result.labels, labels) for result, labels in zip(results, kept, strict=True))


@pytest.mark.train
def test_another_size_needs_a_reset_recorded_or_not() -> None:
    from segtween.device.graphs import rerun

    for record in (None, rerun):
        engine = built(find_preset("composed").at(2), record=record)
        through(engine, moving(2))
        with pytest.raises(SettingError, match="frame 2 is 64x48; expected 128x96 as before; call reset"):
            engine.step(panning(1, (48, 64))[0])
        engine.reset()
        assert engine.step(panning(1, (48, 64))[0]).labels.shape == (48, 64)


@pytest.mark.train
@pytest.mark.parametrize("kind", ["float", "planes", "list"])
def test_what_is_no_frame_is_refused(kind: str) -> None:
    import torch

    wrong = {"float": torch.zeros(8, 8, 3), "planes": torch.zeros(3, 8, 9, dtype=torch.uint8), "list": [1]}[kind]
    with pytest.raises(SettingError, match="expected an RGB image"):
        built(find_preset("composed")).step(wrong)


@pytest.mark.train
def test_a_frame_given_again_is_sent_once_if_that_is_wanted() -> None:
    import torch

    from segtween.device.arrays import TorchOps

    rgb, here = moving(1)[0], torch.device("cpu")
    assert TorchOps(here, keeps_frame=True).image(rgb) is not None
    keeping = TorchOps(here, keeps_frame=True)
    assert keeping.image(rgb) is keeping.image(rgb)
    plain = TorchOps(here)
    assert plain.image(rgb) is not plain.image(rgb)


@pytest.mark.train
def test_every_stage_is_timed_by_itself_when_that_is_wanted() -> None:
    waits = []
    backend = replace(device(), timed=True)
    engine: Any = build_engine(beside(BrightnessSegmenter()), find_preset("composed").at(1), backend=backend)
    engine.ops.wait = lambda: waits.append(1)
    engine.clock = type(engine.clock)(engine.clock.func, engine.ops.wait)
    stages = [result.stages_ms for result in through(engine, moving(3))]
    assert set(stages[1]) == {"prepare", "flow", "propagate", "label"}
    assert set(stages[2]) == {"prepare", "flow", "propagate", "segment", "label"}
    assert len(waits) >= sum(len(stage) for stage in stages)


# ── The network ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.train
@pytest.mark.parametrize("scale", [1.0, 0.75, 0.4, 1.3])
def test_the_network_gives_the_processors_scores(scale: float) -> None:
    import torch

    from segtween.segmenters import open_segmenter

    name, rgb = "swiftnet-lite0.camvid", panning(1, (128, 192), cell=24)[0]
    expected = open_segmenter(name, threads=1, scale=scale)(rgb)
    found = device().segmenter(name, scale=scale)(torch.from_numpy(rgb)).numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < 5e-3 * np.abs(expected).mean()
    assert (found.argmax(0) == expected.argmax(0)).mean() > 0.995


@pytest.mark.train
@pytest.mark.parametrize("size", [(48, 72), (96, 160), (40, 64), (20, 30), (64, 96), (32, 48)])
@pytest.mark.parametrize("is_bgr", [False, True])
@pytest.mark.parametrize("how", [None, "bilinear", "antialiased-bilinear", "antialiased-bicubic"])
def test_what_it_sees_is_what_it_sees_on_the_processor(size: tuple[int, int], is_bgr: bool, how: Any) -> None:
    import torch

    from segtween.device import eager
    from segtween.device.preprocess import Normalisation
    from segtween.segmenters.network import resize

    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    normalisation = Normalisation((1.0,) * 3, (0.0,) * 3, is_bgr, torch.float32, how)
    seen = eager.preprocess(torch.from_numpy(rgb), size, normalisation)
    assert seen.shape == (1, 3, *size)
    expected = resize(rgb, size, how).astype(np.float32)
    found = seen[0].permute(1, 2, 0).numpy()
    off = np.abs((found[..., ::-1] if is_bgr else found) - expected)
    assert off.max() <= 1
    assert (off > 0).mean() < 0.01


@pytest.mark.train
def test_scores_that_are_not_finite_are_an_error() -> None:
    import torch

    segmenter = device().segmenter("swiftnet-lite0.camvid")
    segmenter._net = lambda _: torch.full((1, 11, 8, 8), float("nan"))
    with pytest.raises(ScoresError, match="gave scores that are not finite in frame 0"):
        segmenter(torch.zeros((64, 64, 3), dtype=torch.uint8))


@pytest.mark.train
def test_other_segmenters_run_on_the_processor_and_say_so() -> None:
    import torch

    said = device().segmenter("tests/fakes.py:by_brightness")
    assert "runs on the processor" in said.notes[-1]
    rgb = moving(1)[0]
    assert np.array_equal(said(torch.from_numpy(rgb)).numpy(), BrightnessSegmenter()(rgb))


# ── What is refused ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CUDA", ""])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match="expected cpu, cuda, cuda:1 or torch-cpu; choose one of these"):
        check_device(name)


@pytest.mark.train
def test_a_card_that_is_not_there_is_refused() -> None:

    with pytest.raises(SettingError, match="device cuda:77; expected a card that CUDA can use .*; give device='cpu'"):
        open_backend("cuda:77")


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"device torch-cpu needs .*; pip install 'segtween\[gpu\]'"):
        open_backend("torch-cpu")


@pytest.mark.train
@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (find_preset("swnet-seq"), "propagation='published'"),
        (change(find_preset("composed"), async_keys=2), "async_keys=2"),
    ],
)
def test_what_the_device_cannot_do_is_refused(settings: Settings, what: str) -> None:
    with pytest.raises(SettingError, match=f"{what} on device torch-cpu; expected preset composed, .* or device cpu"):
        built(settings)


@pytest.mark.train
@pytest.mark.parametrize("precision", ["int8", "bfloat16", "float16"])
def test_a_precision_that_the_device_lacks_is_refused(precision: str) -> None:
    with pytest.raises(SettingError, match=f"precision {precision} on device torch-cpu; expected float32 there"):
        device().segmenter("swiftnet-lite0.camvid", precision=precision)


@pytest.mark.train
@pytest.mark.parametrize("options", [{"runtime": "onnxruntime"}, {"provider": "GPU"}])
def test_a_runtime_that_would_not_be_used_is_refused(options: dict[str, str]) -> None:
    (said,) = options.values()
    with pytest.raises(
        SettingError, match=f"runtime or provider {said} on device torch-cpu; expected torch, .*; leave"
    ):
        device().segmenter("swiftnet-lite0.camvid", **options)


@pytest.mark.train
def test_a_network_without_a_definition_is_refused_where_one_is_needed() -> None:
    import torch

    from segtween.device.segmenter import DeviceSegmenter
    from segtween.models.finding import find_record

    record = replace(find_record("swiftnet-lite0.camvid"), provenance={})
    with pytest.raises(ModelError, match="has no definition in torch here; expected a model of swiftnet-r18"):
        DeviceSegmenter(record, device=torch.device("cpu"), fast=Fast.nothing())


def test_what_makes_a_card_fast_can_be_left_out_by_name() -> None:
    assert Fast.without("graphs", "half") == Fast(half=False, graphs=False)
    assert Fast().to_json() == {"half": True, "kernels": True, "graphs": True, "compiled": True}
    with pytest.raises(SettingError, match="without 'graph'; .* did you mean graphs"):
        Fast.without("graph")


# ── What makes a card fast, on the processor ──────────────────────────────────────────────────


def segmenter_with(fast: Fast, *, record: Any = None) -> Any:
    import torch

    from segtween.device.graphs import Captured
    from segtween.device.segmenter import DeviceSegmenter
    from segtween.models.finding import find_record

    made = DeviceSegmenter(find_record("swiftnet-lite0.camvid"), device=torch.device("cpu"), fast=fast)
    if record is not None:
        made._run = Captured(made._scores, record=record)
    return made


@pytest.mark.train
def test_half_precision_gives_nearly_the_same_labels() -> None:
    import torch

    rgb = torch.from_numpy(panning(1, (64, 96), cell=24)[0])
    whole = segmenter_with(Fast.nothing())
    half = segmenter_with(replace(Fast.nothing(), half=True))
    one, other = whole(rgb), half(rgb)
    assert other.dtype == torch.float32
    assert float((one.argmax(0) == other.argmax(0)).float().mean()) > 0.99
    assert (whole.describe()["precision"], half.describe()["precision"]) == ("float32", "float16")


@pytest.mark.train
def test_a_recorded_network_gives_scores_of_its_own_for_every_frame_and_size() -> None:
    import torch

    from segtween.device.graphs import rerun

    recorded, plain = segmenter_with(Fast.nothing(), record=rerun), segmenter_with(Fast.nothing())
    frames = [torch.from_numpy(rgb) for size in ((64, 96), (96, 64)) for rgb in panning(2, size, cell=24)]
    frames = [*frames, frames[0]]
    found, expected = [recorded(rgb) for rgb in frames], [plain(rgb) for rgb in frames]
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.train
def test_the_last_four_sizes_stay_recorded() -> None:
    import torch

    from segtween.device.graphs import MOST_SHAPES, Captured, rerun

    recordings: list[int] = []

    def counted(function: Any) -> Any:
        recordings.append(1)
        return rerun(function)

    twice = Captured(lambda values: [2 * values], record=counted)
    for length in [*range(1, MOST_SHAPES + 2), 2, 1]:
        assert torch.equal(twice(torch.ones(length))[0], torch.full((length,), 2.0))
    assert len(recordings) == MOST_SHAPES + 2  # all once, and the first, which was forgotten, again


@pytest.mark.train
def test_where_recording_fails_calls_are_made_one_by_one_and_said_so() -> None:
    import torch

    from segtween.device.graphs import Captured

    def fails(_: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    twice = Captured(lambda values: [2 * values], record=fails)
    assert torch.equal(twice(torch.ones(2))[0], torch.full((2,), 2.0))
    assert twice.notes == ["calls are not recorded here (operation not permitted when stream is capturing)"]
    engine = built(find_preset("composed").at(2), record=fails)
    expected = through(built(find_preset("composed").at(2)), moving(4))
    for one, other in zip(through(engine, moving(4)), expected, strict=True):
        assert np.array_equal(one.labels, other.labels)
    assert any("not recorded" in note for note in engine.notes)


@pytest.mark.train
def test_where_compiling_fails_the_network_runs_as_it_is_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def broken(_net: Any) -> Any:
        def run(_: Any) -> Any:
            raise RuntimeError("no compiler")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    rgb = torch.zeros((64, 64, 3), dtype=torch.uint8)
    compiled, plain = segmenter_with(replace(Fast.nothing(), compiled=True)), segmenter_with(Fast.nothing())
    assert torch.equal(compiled(rgb), plain(rgb))
    assert compiled.notes == ["torch.compile fails here (no compiler)"]


@pytest.mark.train
@pytest.mark.slow
def test_compiled_the_network_gives_the_same_scores() -> None:
    import torch

    rgb = torch.from_numpy(panning(1, (64, 96), cell=24)[0])
    compiled, plain = segmenter_with(replace(Fast.nothing(), compiled=True)), segmenter_with(Fast.nothing())
    found = compiled(rgb)
    if compiled.notes:
        pytest.skip(compiled.notes[0])
    torch.testing.assert_close(found, plain(rgb), rtol=1e-3, atol=1e-3)
