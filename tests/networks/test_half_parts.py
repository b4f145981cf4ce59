"""Flow and refinement graphs whose weights are stored as float16: what they compute, in two runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtween.networks import build_flow, build_refiner

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train
NETS: dict[str, Any] = {
    "flow-light": lambda: build_flow("flow-light"),
    "guided": lambda: build_refiner(classes=5, edge="laplacian"),
    "guided without edge": lambda: build_refiner(classes=5, edge="absent"),
}


def exported(name: str, folder: Path, *, half: bool) -> tuple[Any, Path]:
    """A network in eval mode with weights that are no float16 numbers, and its graph."""
    from segtween.networks.export_components import export_part
    from segtween.networks.fitting import identify

    torch.manual_seed(0)
    net = NETS[name]().eval()
    for key, value in net.state_dict().items():
        if key.endswith(("running_mean", "running_var", "bias")):
            value.copy_(torch.rand(value.shape) + 0.5)
    fit = identify(net.state_dict())
    assert fit is not None
    export_part(net, fit.kind, folder / "part.onnx", half=half)
    return net, folder / "part.onnx"


def inputs(name: str) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(1)
    channels = 3 if name == "flow-light" else 5
    return tuple(torch.randn(1, c, 32, 48, generator=generator) for c in (channels, 3))  # type: ignore[return-value]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_graph_computes_with_the_rounded_weights(name: str, runtime: str, tmp_path: Path) -> None:
    from segtween.networks.export import round_to_float16

    net, path = exported(name, tmp_path, half=True)
    net.load_state_dict(round_to_float16(net.state_dict()))
    with torch.no_grad():
        result = net(*inputs(name))
    expected = (result if name == "flow-light" else result.scores).numpy()
    arrays = [x.numpy() for x in inputs(name)]
    if runtime == "openvino":
        import openvino

        compiled = openvino.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = compiled(arrays)[0]
    else:
        session = pytest.importorskip("onnxruntime").InferenceSession(str(path))
        found = session.run(None, dict(zip([i.name for i in session.get_inputs()], arrays, strict=True)))[0]
    assert found == pytest.approx(expected, abs=1e-4 * float(np.abs(expected).max()))


def test_half_is_half_the_size_and_checks(tmp_path: Path) -> None:
    import onnx

    sizes = {}
    for half in (False, True):
        _, path = exported("guided", tmp_path, half=half)
        onnx.checker.check_model(str(path), full_check=True)
        sizes[half] = path.stat().st_size
    assert sizes[True] < 0.55 * sizes[False]
    stored = {t.data_type for t in onnx.load(str(path)).graph.initializer}
    assert onnx.TensorProto.FLOAT not in stored
