"""Flow and refinement networks as ONNX files equal torch at every size, in both runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_cases import CHECKPOINT, array, cases, fill, share_changed, worst_error
from segtween.errors import SettingError
from segtween.networks import FLOWS, build_flow, build_refiner, convert_weights

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

SIZES_HW = [(64, 64), (45, 90), (36, 132)]


def lively(net: Any) -> Any:
    """In eval mode, with norms that do something."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.copy_(0.5 + torch.rand(module.running_var.shape, generator=generator))
            module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=generator))
    return net.eval()


def export(net: Any, kind: Any, folder: Path) -> tuple[Any, Path]:
    from segtween.networks.export_components import export_part

    files = export_part(lively(net), kind, folder / "part.onnx", provenance={"source": "a test"})
    assert [f.name for f in files] == ["part.onnx", "part.onnx.yaml"]
    assert sorted(p.name for p in folder.iterdir()) == ["part.onnx", "part.onnx.yaml"]
    return net, folder / "part.onnx"


@pytest.fixture(scope="module", params=FLOWS)
def flow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, Any]:
    from segtween.networks.fitting import Kind

    torch.manual_seed(0)
    name = request.param
    return *export(build_flow(name), Kind(name), tmp_path_factory.mktemp(name)), FLOWS[name]


@pytest.fixture(scope="module", params=["laplacian", "zero", "absent"])
def refinement(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    from segtween.networks.fitting import Kind

    torch.manual_seed(0)
    kind = Kind("guided", 11, edge=request.param != "absent")
    return export(build_refiner(classes=11, edge=request.param), kind, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_flow_equals_torch_at_any_size(flow: tuple[Any, Path, Any], runtime: str) -> None:
    net, path, spec = flow
    run = opened(path, runtime=runtime)
    for size_hw in SIZES_HW:
        height, width = (-(-n // spec.multiple_of) * spec.multiple_of for n in size_hw)
        if spec.name != "flownet2s":
            height, width = size_hw
        rng = np.random.default_rng(height)
        scale = 60 if spec.name == "flownet2s" else 1
        pair = [scale * rng.normal(size=(1, 3, height, width)).astype(np.float32) for _ in range(2)]
        with torch.no_grad():
            expected = net(*map(torch.from_numpy, pair)).numpy()
        assert abs(expected.shape[2] - height / spec.stride) < 1  # flownets drops an odd row, the others add one
        (found,) = run({"current": pair[0], "previous": pair[1]})
        assert close(found, expected)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_refinement_equals_torch_at_any_size(refinement: tuple[Any, Path], runtime: str) -> None:
    net, path = refinement
    run = opened(path, runtime=runtime)
    for size_hw in SIZES_HW:
        rng = np.random.default_rng(size_hw[0])
        warped, image = (rng.normal(size=(1, c, *size_hw)).astype(np.float32) for c in (11, 3))
        with torch.no_grad():
            expected = [t.numpy() for t in net(torch.from_numpy(warped), torch.from_numpy(image))]
        found = run({"warped": warped, "image": image})
        assert all(close(f, e) for f, e in zip(found, expected, strict=True))
        weights = expected[1].sum(1)
        assert np.all(np.isclose(weights, 1, atol=1e-5) | (weights == 0))
        assert np.any(expected[2]) == (net.edge == "laplacian")


@pytest.mark.shared
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_published_weights_give_the_golden_numbers_without_torch(shared: Path, runtime: str, tmp_path: Path) -> None:
    file = shared / "weights" / CHECKPOINT
    graphs = {part: tmp_path / f"{part}.onnx" for part in ("state_dict", "state_dict_of")}
    for part, path in graphs.items():
        convert_weights(file, path, part=part)
    normal = {"mean": fill.IMG_MEAN_BGR, "std": fill.IMG_STD_BGR, "bgr": True}
    run = opened(graphs["state_dict_of"], runtime=runtime)
    for case in [p.values[0] for p in cases("flowlight_seed")][:2]:
        previous, current = np.split(fill.normalise(array(case, "clip_u8"), **normal), 2)
        assert worst_error(case, "flow", run({"current": current, "previous": previous})[0]) <= 1
    run = opened(graphs["state_dict"], runtime=runtime)
    case = cases("gsv_fusion_seed")[0].values[0]
    image = fill.normalise(array(case, "image_u8"), **normal)
    scores, guide, edge = run({"warped": array(case, "logits"), "image": image})
    assert worst_error(case, "pred", scores) <= 1
    assert worst_error(case, "guide", guide) <= 1
    assert share_changed(case, "edge", edge) == 0


def test_record_says_what_the_graph_wants(flow: tuple[Any, Path, Any]) -> None:
    import yaml

    _, path, spec = flow
    record = yaml.safe_load(path.with_name("part.onnx.yaml").read_text())
    assert (record["network"], record["kind"], record["graph"]) == (spec.name, "flow", "part.onnx")
    assert (record["inputs"], record["outputs"]) == (["current", "previous"], ["flow"])
    assert (record["stride"], record["units"], record["image"]["channels"]) == (spec.stride, spec.units, spec.channels)
    assert record["provenance"] == {"source": "a test"}


def test_flownet2s_refuses_sizes_that_it_cannot_take() -> None:
    with torch.device("meta"):
        net = build_flow("flownet2s")
    with pytest.raises(
        SettingError, match=r"images of 100x64 \(width x height\); expected sides that are multiples of 64"
    ):
        net(torch.zeros(1, 3, 64, 100), torch.zeros(1, 3, 64, 100))


def test_order_of_the_two_images_matters() -> None:
    torch.manual_seed(0)
    for name in ("flow-light", "flownets"):
        net = lively(build_flow(name))
        a, b = torch.randn(2, 1, 3, 32, 32)
        with torch.no_grad():
            assert not torch.allclose(net(a, b), net(b, a), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: build_flow("flownet"),
            r"flow network is 'flownet'; expected one of flow-light, flownets, flownet2s; did",
        ),
        (
            lambda: build_refiner("x", classes=3),
            r"refinement network is 'x'; expected one of guided; choose one of these",
        ),
        (lambda: build_refiner(classes=3, edge="no"), r"edge is 'no'; expected one of laplacian, zero, absent"),
    ],
)
def test_unknown_choices_are_refused(make: Any, text: str) -> None:
    with pytest.raises(SettingError, match=text):
        make()


def opened(path: Path, *, runtime: str) -> Any:
    """inputs -> list of outputs, in float32."""
    if runtime == "onnxruntime":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(None, inputs)
    import openvino

    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda inputs: list(model(inputs).values())


def close(found: Any, expected: Any) -> bool:
    same = found.shape == expected.shape
    return bool(same and np.abs(found - expected).max() <= 1e-4 * expected.std() + 1e-4)
