"""Modules of torch as networks: what they see, what they answer, their export, and what is refused."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segtween
from fakes import textured
from segtween.errors import LabelError, MissingExtraError, ModelError, SettingError
from segtween.models.records import OutputRecord

pytestmark = pytest.mark.train

SIZE_HW = (64, 96)
LABELS = ["a", "b", "c"]
NORMALISATION = {"mean": (0.5, 0.25, 0.125), "std": (0.5, 0.5, 0.25), "channels": "RGB"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "exports"


def colours(classes: int = 3, *, stride: int = 4, bias: bool = True) -> Any:
    """Scores of a cell that are sums of its pixels' values."""
    import torch

    torch.manual_seed(classes)
    net = torch.nn.Conv2d(3, classes, stride, stride=stride, bias=bias)
    return net.requires_grad_(False)


def wrapped(answer: Any, net: Any = None) -> Any:
    """A module that answers with `answer` of the scores."""
    import torch

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = colours() if net is None else net

        def forward(self, image: Any) -> Any:
            return answer(self.net(image))

    return Wrapped()


def normalised(rgb: Any, *, mean: Any, std: Any, channels: str) -> Any:
    import torch

    values = (np.float32(rgb[..., :: 1 if channels == "RGB" else -1]) / 255 - np.float32(mean)) / np.float32(std)
    return torch.from_numpy(values.transpose(2, 0, 1)[None].copy())


def load(model: Any, **options: Any) -> Any:
    return segtween.load(model, **{"label_set": LABELS, "preset": "every-frame", "threads": 2, **options})


def scores(seg: Any, rgb: Any) -> Any:
    values = seg._segmenter(rgb) if seg._backend.name == "cpu" else seg._segmenter(_tensor(rgb)).numpy()
    return np.asarray(values)


def _tensor(rgb: Any) -> Any:
    import torch

    return torch.from_numpy(rgb)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_scores_are_those_of_the_module(channels: str, device: str) -> None:
    net, rgb = colours(), textured(SIZE_HW)
    seen: dict[str, Any] = {**NORMALISATION, "channels": channels}
    found = scores(load(net, device=device, **seen), rgb)
    np.testing.assert_allclose(found, net(normalised(rgb, **seen))[0].numpy(), atol=1e-4)


def test_what_is_not_said_is_that_of_imagenet_and_a_guess() -> None:
    net, rgb = colours(), textured(SIZE_HW)
    seg = load(net)
    imagenet = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "channels": "RGB"}
    np.testing.assert_allclose(scores(seg, rgb), net(normalised(rgb, **imagenet))[0].numpy(), atol=1e-4)
    assert seg.engine.notes[0].startswith("guessed for Conv2d: input.channels, input.mean, input.std, ")
    assert seg.engine.notes[1].startswith("exported from torch: scores differ by ")
    assert seg.engine.notes[1].endswith("labels agree at 100.00% of cells")
    (told,) = (note for note in load(net, **NORMALISATION).engine.notes if note.startswith("guessed"))
    assert told.startswith("guessed for Conv2d: input.multiple_of; ")
    assert not [n for n in load(net, size_hw=SIZE_HW, **NORMALISATION).engine.notes if n.startswith("guessed")]


@pytest.mark.parametrize(
    "answer",
    [
        lambda s: {"out": s, "aux": s * 2},
        lambda s: {"hidden": s * 2, "logits": s},
        lambda s: (s, s.mean(dim=(2, 3))),
        lambda s: [s],
    ],
)
def test_the_scores_are_found_among_several_outputs(answer: Any) -> None:
    rgb, net = textured(SIZE_HW), wrapped(answer)
    expected = net.net(normalised(rgb, **NORMALISATION))[0].numpy()
    np.testing.assert_allclose(scores(load(net, **NORMALISATION), rgb), expected, atol=1e-4)


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_probabilities_become_their_logarithms(device: str) -> None:
    rgb, net = textured(SIZE_HW), wrapped(lambda s: s.softmax(dim=1))
    expected = net.net(normalised(rgb, **NORMALISATION))[0].log_softmax(dim=0).numpy()
    np.testing.assert_allclose(scores(load(net, device=device, **NORMALISATION), rgb), expected, atol=1e-3)


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("labels", [["cat"], ["rest", "cat"]])
def test_one_channel_is_a_class_and_its_background(is_shared: bool, labels: list[str]) -> None:
    rgb = textured(SIZE_HW)
    net = wrapped(lambda s: s.sigmoid() if is_shared else s, colours(1))
    seg = load(net, label_set=labels, **NORMALISATION)
    assert seg.labels.names == ("background" if len(labels) == 1 else "rest", "cat")
    found, own = scores(seg, rgb), net.net(normalised(rgb, **NORMALISATION))[0, 0].numpy()
    assert 0 < (own > 0).mean() < 1
    np.testing.assert_allclose(found[1] - found[0], own, atol=1e-3)


def test_the_module_is_left_as_it_is() -> None:
    import torch

    net = torch.nn.Sequential(colours(8), torch.nn.BatchNorm2d(8), torch.nn.Conv2d(8, 3, 1)).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    load(net)
    assert net.training
    assert all(parameter.requires_grad for parameter in net[2].parameters())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_ties_are_left_to_rounding_and_labels_of_a_leading_class_are_not() -> None:
    """Whatever the order in which a processor adds: classes that are as good as equal have no label to keep."""
    from segtween.adapters.export import compared

    rng = np.random.default_rng(3)
    scores = np.repeat(rng.normal(size=(1, 1, 24, 32)), 3, axis=1).astype(np.float32)
    scores[:, 0] -= 4
    rounded = scores + 1e-6 * rng.normal(size=scores.shape).astype(np.float32)
    output = OutputRecord(name="scores")
    assert (scores.argmax(axis=1) != rounded.argmax(axis=1)).any()
    assert compared(scores, rounded, output) == (pytest.approx(0.0, abs=1e-5), 1.0)
    scores[:, 2, :, :16] += 0.5
    assert compared(scores, scores[:, [0, 2, 1]], output)[1] == 0.0
    assert compared(scores[:, :1], scores[:, :1] + 1, output) == (1.0, 1.0)


def test_it_is_exported_once_for_its_weights_and_size(cache: Path) -> None:
    net = colours()
    load(net)
    load(net, **NORMALISATION)
    (first,) = cache.iterdir()
    made = (first / "graph.onnx").stat().st_mtime_ns
    load(net)
    assert (first / "graph.onnx").stat().st_mtime_ns == made
    load(net, size_hw=SIZE_HW)
    net.weight += 0.1
    method = load(net).method
    assert len(list(cache.iterdir())) == 3
    assert load(colours()).method.hash != method.hash


def test_pooling_that_does_not_divide_the_grid_is_exported_for_one_size() -> None:
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = colours()

        def forward(self, image: Any) -> Any:
            found = self.net(image)
            pooled = torch.nn.functional.adaptive_avg_pool2d(found, (3, 5))
            return found + torch.nn.functional.interpolate(pooled, found.shape[2:], mode="bilinear")

    net, rgb = Pooled(), textured(SIZE_HW)
    with pytest.raises(ModelError, match=r"cannot be exported to ONNX .*; give size_hw=\(H, W\), the one size"):
        load(net)
    found = scores(load(net, size_hw=SIZE_HW, **NORMALISATION), rgb)
    np.testing.assert_allclose(found, net(normalised(rgb, **NORMALISATION))[0].numpy(), atol=1e-4)
    assert torch.nn.functional.adaptive_avg_pool2d.__module__ == "torch.nn.functional"


def test_a_size_that_is_fixed_in_the_graph_is_noticed() -> None:
    import torch

    class Positions(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = colours()

        def forward(self, image: Any) -> Any:
            found = self.net(image)
            rows = torch.arange(int(found.shape[2]), dtype=torch.float32) * 3 - 30
            return found * 0.01 + rows[None, None, :, None] * torch.tensor([1.0, -1.0, 0.2])[None, :, None, None]

    with pytest.raises(ModelError, match=r"once exported.*; give size_hw=\(H, W\), the one size to export it for"):
        load(Positions())
    assert load(Positions(), size_hw=SIZE_HW).engine.notes


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            lambda s: s.mean(dim=(2, 3)),
            r"network 'Wrapped' answers with \(1, 3\); expected scores \(1, classes, h, w\)",
        ),
        (lambda s: {"boxes": s}, "answers with dict"),
        (lambda _: 7, "answers with int"),
        (lambda s: s > 0, "answers with bool; expected scores"),
        (lambda s: s.argmax(dim=1, keepdim=True), "answers with int64; expected scores"),
        (lambda s: s[..., :5, :3], "has 3x5 cells for an image of 192x128; expected a grid that spans the image"),
        (lambda s: {"class_queries_logits": s, "masks_queries_logits": s}, "queries of a kind that is not known"),
        (lambda s: s.no_such_thing, "fails on an image of 192x128 .AttributeError.*give size_hw="),
        (lambda _: sys.exit(3), "fails on an image of 192x128 .SystemExit: 3"),
    ],
)
def test_another_kind_of_network_is_refused(answer: Any, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        load(wrapped(answer))


def test_a_module_that_cannot_be_copied_is_refused() -> None:
    import torch

    net = colours()
    net.log = open(__file__)  # type: ignore[assignment]  # noqa: SIM115
    with (
        net.log,
        pytest.raises(ModelError, match=r"network 'Conv2d' cannot be copied \(TypeError: .*; expected a torch"),
    ):
        load(net)
    with pytest.raises(ModelError, match="network 'LazyConv2d' cannot be copied"):
        load(torch.nn.LazyConv2d(3, 8))


def test_an_export_that_fails_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    import torch

    with pytest.raises(ModelError, match="cannot be exported to ONNX"):
        load(wrapped(lambda s: torch.fft.fft(s).real))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("own", [{"mean": 5, "std": "x"}, {"mean": (0.5,), "std": (0.5,)}])
def test_what_a_module_says_of_other_channels_is_not_taken(own: dict[str, Any]) -> None:
    net = colours()
    net.pretrained_cfg = own  # type: ignore[assignment]
    assert any("input.mean" in note for note in load(net).engine.notes)


def test_labels_are_asked_for_and_have_to_fit() -> None:
    net = colours()
    with pytest.raises(LabelError, match="network 'Conv2d' comes without labels; expected the names of its 3 classes"):
        segtween.load(net)
    with pytest.raises(ModelError, match="has 3 classes; expected 11, as label set 'camvid11' has"):
        load(net, label_set="camvid11")
    net.labels = ["x", "y", "z"]
    assert segtween.load(net).labels.names == ("x", "y", "z")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mean": (123.7, 116.3, 103.5)}, r"mean\b.* expected three numbers for pixels from 0 to 1"),
        ({"mean": (0.5, 0.5)}, "mean"),
        ({"std": (0.0, 1.0, 1.0)}, r"std\b.* expected three numbers for pixels from 0 to 1"),
        ({"channels": "GBR"}, "channels"),
        ({"size_hw": (0, 10)}, "size_hw"),
    ],
)
def test_wrong_values_are_told_by_their_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        load(colours(), **given)


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
@pytest.mark.parametrize("model", ["swiftnet-lite0.camvid", lambda rgb: rgb])
def test_they_are_for_networks_in_torch_alone(model: Any, device: str) -> None:
    with pytest.raises(SettingError, match="mean= for a model of form (network|callable); expected a network in torch"):
        segtween.load(model, mean=(0.5, 0.5, 0.5), device=device)


def file_of(folder: Path, text: str) -> str:
    (folder / "mine.py").write_text("import torch\n\n" + text)
    return f"{folder / 'mine.py'}"


@pytest.mark.parametrize("name", ["build", "Net", "net"])
@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_a_file_may_build_it_define_it_or_hold_it(tmp_path: Path, name: str, device: str) -> None:
    text = (
        "class Net(torch.nn.Conv2d):\n    def __init__(self):\n        super().__init__(3, 3, 4, stride=4)\n\n"
        "def build(weights='x.pt'):\n    return Net()\n\nnet = Net()\n"
    )
    seg = load(f"{file_of(tmp_path, text)}:{name}", device=device)
    assert seg.step(textured(SIZE_HW)).labels.shape == SIZE_HW


def test_what_a_file_builds_wrongly_is_told(tmp_path: Path) -> None:
    path = file_of(tmp_path, "def build():\n    return 7\n\ndef fails():\n    raise ValueError('no weights')\n")
    with pytest.raises(
        ModelError, match=r"takes no argument and gives int; expected a torch\.nn\.Module, or a function"
    ):
        load(f"{path}:build")
    with pytest.raises(ModelError, match="failed with ValueError: no weights"):
        load(f"{path}:fails")


def test_a_function_of_a_frame_stays_one_and_takes_no_mean(tmp_path: Path) -> None:
    path = file_of(tmp_path, "def scores(rgb, gain=1):\n    return rgb[::4, ::4].transpose(2, 0, 1) * gain\n")
    assert load(f"{path}:scores").step(textured(SIZE_HW)).labels.max() <= 2
    with pytest.raises(SettingError, match="mean= for a model of form function"):
        load(f"{path}:scores", mean=(0.5, 0.5, 0.5))


def test_a_missing_package_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    own = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnx" else own(name))
    with pytest.raises(MissingExtraError, match=r"export to ONNX needs .*; pip install 'segtween\[torch\]'"):
        load(colours())


def test_export_writes_a_folder_for_any_runtime(tmp_path: Path) -> None:
    from segtween.adapters import exported_model
    from segtween.networks import export_network

    text = "def build():\n    torch.manual_seed(0)\n    return torch.nn.Conv2d(3, 2, 4, stride=4)\n"
    exported_model(f"{file_of(tmp_path, text)}:build", label_set=["x", "y"])
    record = exported_model(f"{file_of(tmp_path, text)}:build", label_set=["a", "b"])
    assert record is not None
    export_network(record, tmp_path / "out")
    seg = segtween.load(tmp_path / "out", preset="every-frame")
    assert seg.labels.names == ("a", "b")
    assert any("exported from torch" in note for note in seg.engine.notes)
    assert exported_model("swiftnet-lite0.camvid") is None
