"""What networks promise beyond golden numbers: sizes, ImageNet weights, the list, refusals."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtween.errors import ModelError, SettingError
from segtween.networks import NETWORKS, build, fit_size, network

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size_hw", [(64, 96), (96, 32), (120, 200)])
def test_logits_have_the_stated_stride_and_classes(name: str, size_hw: tuple[int, int]) -> None:
    spec = NETWORKS[name]
    with torch.no_grad():
        logits = build(name, classes=7).eval()(torch.zeros(1, 3, *size_hw))
    assert tuple(logits.shape) == (1, 7, size_hw[0] // spec.stride, size_hw[1] // spec.stride)


@given(rows=st.sampled_from([8, 4, 2]), height=st.integers(1, 70), width=st.integers(1, 140))
def test_grid_columns_round_halves_to_even(rows: int, height: int, width: int) -> None:
    from segtween.networks.swiftnet import grid_columns

    expected = max(1, round(Fraction(rows * width, height)))
    assert grid_columns(rows, (height, width)) == expected
    assert int(grid_columns(rows, (torch.tensor(height), torch.tensor(width)))) == expected


@settings(max_examples=30)
@given(height=st.integers(1, 20), width=st.integers(1, 20), rows=st.integers(1, 9), columns=st.integers(1, 20))
def test_averaging_by_matrices_is_adaptive_pooling(height: int, width: int, rows: int, columns: int) -> None:
    from segtween.networks.swiftnet import _averaging

    x = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(height * 31 + width))
    ours = _averaging(rows, height, x) @ x @ _averaging(columns, width, x).T
    assert torch.allclose(ours, torch.nn.functional.adaptive_avg_pool2d(x, (rows, columns)), atol=1e-5)


def test_imagenet_weights_fill_the_whole_encoder() -> None:
    torch.manual_seed(0)
    fresh = build("swiftnet-lite0", classes=3).state_dict()
    torch.manual_seed(0)
    filled = build("swiftnet-lite0", classes=3, initial="imagenet").state_dict()
    decoder = ("backbone.spp.", "backbone.upsample.", "logits.")
    for key in fresh:
        same = torch.equal(fresh[key], filled[key])
        assert same == (key.startswith(decoder) or key.endswith("num_batches_tracked")), key


def test_imagenet_features_are_of_the_scale_that_the_norms_expect() -> None:
    """A wrong padding, norm or input scale shows as running statistics that do not fit the activations."""
    net = build("swiftnet-lite0", classes=3, initial="imagenet").eval()
    seen: dict[str, float] = {}

    def watch(name: str) -> Any:
        def hook(module: Any, given: Any, _: Any) -> None:
            spread = given[0].var((0, 2, 3)) / (module.running_var + module.eps)
            seen[name] = float(spread.median())

        return hook

    for name, module in net.backbone.blocks.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(watch(name))
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((2, 3, 14, 14), np.float32))
    picture = torch.nn.functional.interpolate(coarse, size=(224, 224), mode="bicubic") * 255
    with torch.no_grad():
        net.backbone.features((picture - 127) / 128)
    assert len(seen) == 47
    assert all(0.005 < v < 20 for v in seen.values()), seen


def test_unknown_network_names_the_nearest() -> None:
    with pytest.raises(
        SettingError, match=r"network is 'swiftnet-r81'; expected one of .*; did you mean swiftnet-r18\?"
    ):
        network("swiftnet-r81")


def test_imagenet_weights_only_where_there_are_some() -> None:
    with pytest.raises(SettingError, match=r"swiftnet-r18 has no ImageNet weights .*; expected one of swiftnet-lite0"):
        build("swiftnet-r18", classes=2, initial="imagenet")


def test_missing_torch_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from segtween.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"expected the extra \[train\]; pip install 'segtween\[train\]'"):
        build("swiftnet-r18", classes=2)


def test_fit_size_takes_the_nearest_multiple() -> None:
    assert fit_size((360, 480), multiple_of=32) == (352, 480)
    assert fit_size((368, 5), multiple_of=32) == (384, 32)


def test_weights_beyond_float16_are_refused() -> None:
    from segtween.networks.export import round_to_float16

    with pytest.raises(ModelError, match=r"weight a reaches 1e\+06; expected values within float16"):
        round_to_float16({"a": torch.tensor([1e6])})


def test_checkpoint_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    from segtween.networks import export_checkpoint

    path = tmp_path / "foreign.pth"
    with pytest.raises(ModelError, match=r"foreign.pth is not found; expected a torch or safetensors file"):
        export_checkpoint(path, tmp_path / "out")
    path.write_text("no checkpoint")
    with pytest.raises(ModelError, match=r"foreign.pth is neither a torch nor a safetensors file"):
        export_checkpoint(path, tmp_path / "out")
    torch.save({"a": 3}, path)
    with pytest.raises(ModelError, match=r"holds no state dict; expected keys and tensors"):
        export_checkpoint(path, tmp_path / "out")
    torch.save({"state_dict": {"a": torch.zeros(1)}}, path)
    with pytest.raises(ModelError, match=r"holds state_dict: no known network; expected one of swiftnet-r18, "):
        export_checkpoint(path, tmp_path / "out")
    with pytest.raises(ModelError, match=r"does not fit swiftnet-r18 with 11 classes: \d+ keys missing .*, 1 surplus"):
        export_checkpoint(path, tmp_path / "out", network="swiftnet-r18", label_set="camvid11")
    torch.save({f"module.{k}": v for k, v in build("swiftnet-lite0", classes=11).state_dict().items()}, path)
    with pytest.raises(
        SettingError, match=r"does not say its labels; expected a name of them; give label_set=camvid11 or another"
    ):
        export_checkpoint(path, tmp_path / "out")
    with pytest.raises(ModelError, match=r"does not fit swiftnet-lite0 with 19 .*it looks like swiftnet-lite0 with"):
        export_checkpoint(path, tmp_path / "out", label_set="cityscapes19")
    assert (export_checkpoint(path, tmp_path / "out", label_set="camvid11") / "weights.safetensors").is_file()
