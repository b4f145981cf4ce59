"""torch's exported programs and OpenVINO's own files: opened by the runtime that reads them, refused where they may run
code."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from segtween.errors import MissingExtraError, ModelError, SettingError
from segtween.models.records import record_from_dict, save_record
from segtween.segmenters import open_segmenter
from segtween.segmenters.inspect import inspect_onnx, propose
from segtween.segmenters.network import open_network
from tiny_onnx import STRIDE, cell_scores, colour_image, colour_weights, write_network

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Tiny(torch.nn.Module):
    """The network of `tiny_onnx` on pixels divided by 255."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        weights, bias = colour_weights(classes)
        kernel = np.broadcast_to(weights[:, :, None, None] / STRIDE**2, (classes, 3, STRIDE, STRIDE))
        self.kernel = torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(kernel)))
        self.bias = torch.nn.Parameter(torch.from_numpy(bias))

    def forward(self, image: Any) -> Any:
        return torch.nn.functional.conv2d(image * 255, self.kernel, self.bias, stride=STRIDE)


def exported(path: Path, *, dynamic: bool = True) -> Path:
    sides = {2: torch.export.Dim("height", min=32, max=4096), 3: torch.export.Dim("width", min=32, max=4096)}
    shapes = {"image": sides} if dynamic else None
    program = torch.export.export(Tiny().eval(), (torch.rand(1, 3, 64, 96),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


def confirmed(path: Path) -> Path:
    record = inspect_onnx(path)
    values = record.to_dict() | {"guessed": []}
    values["input"] |= {"mean": [0, 0, 0], "std": [1, 1, 1], "scale": 1.0, "multiple_of": 8}
    save_record(record_from_dict(values, path=record.path), record.path)
    return path


def agrees(path: Path, rgb: Any) -> None:
    np.testing.assert_allclose(open_segmenter(path)(rgb), cell_scores(rgb, classes=5), rtol=1e-4, atol=1e-2)


def test_an_exported_program_is_a_model(tmp_path: Path) -> None:
    path = exported(tmp_path / "my.pt2")
    record = inspect_onnx(path)
    assert (record.input.name, record.input.size_hw) == ("image", None)
    agrees(confirmed(path), colour_image((64, 96)))
    agrees(path, colour_image((120, 200)))


def test_sizes_that_the_program_fixed_are_fixed(tmp_path: Path) -> None:
    path = exported(tmp_path / "my.pt2", dynamic=False)
    assert inspect_onnx(path).input.size_hw == (64, 96)
    agrees(confirmed(path), colour_image((64, 96)))


def test_once_translated_it_runs_without_torch(tmp_path: Path) -> None:
    path = confirmed(exported(tmp_path / "my.pt2"))
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np; from segtween.segmenters import open_segmenter\n"
        "print(open_segmenter(sys.argv[1])(np.zeros((64, 96, 3), np.uint8)).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "(5, 16, 24)", done.stderr


def test_without_torch_the_install_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = exported(tmp_path / "my.pt2")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"my\.pt2, which torch exported, .*segtween\[torch\]"):
        inspect_onnx(path)


class Harm:
    """A pickle that runs code when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def spoiled(source: Path, target: Path, member: str, content: bytes) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith(member) else old.read(name))
    return target


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    trace, buffer = tmp_path / "trace", io.BytesIO()
    torch.save(Harm(trace), buffer)
    path = exported(tmp_path / "good.pt2")
    harmful = spoiled(path, tmp_path / "bad.pt2", "sample_inputs/model.pt", buffer.getvalue())
    with pytest.raises(
        ModelError, match="bad.pt2 holds a pickle that asks for more than tensors; expected an exported"
    ):
        inspect_onnx(harmful)
    config = b'{"config": {"bias": {"path_name": "weight_0", "is_param": true, "use_pickle": true}}}'
    flagged = spoiled(path, tmp_path / "flag.pt2", "model_weights_config.json", config)
    flagged = spoiled(flagged, tmp_path / "code.pt2", "weight_0", pickle.dumps(Harm(trace), protocol=0))
    with pytest.raises(ModelError, match="code.pt2 holds a pickle that asks for more"):
        inspect_onnx(flagged)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut off"])
def test_what_is_no_exported_program_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "my.pt2").write_bytes(content)
    with pytest.raises(ModelError, match=r"my\.pt2 cannot be read \(.*\); expected a file of torch\.export\.save"):
        inspect_onnx(tmp_path / "my.pt2")


# ── OpenVINO's own ────────────────────────────────────────────────────────────────────────────


def openvino_file(folder: Path) -> Path:
    graph = openvino.Core().read_model(write_network(folder / "net.onnx", dtype="uint8"))
    openvino.save_model(graph, folder / "my.xml", compress_to_fp16=False)
    return folder / "my.xml"


def test_an_openvino_file_is_a_model(tmp_path: Path) -> None:
    path = openvino_file(tmp_path)
    record = inspect_onnx(path)
    assert (record.graph, record.path.name) == ("my.xml", "my.xml.yaml")
    save_record(record, record.path)
    rgb = colour_image((64, 96))
    agrees(path, rgb)
    before = open_segmenter(path).describe()["fingerprint"]
    weights = bytearray((tmp_path / "my.bin").read_bytes())
    weights[2] ^= 0x10
    (tmp_path / "my.bin").write_bytes(weights)
    assert open_segmenter(path).describe()["fingerprint"] != before


def test_what_stands_beside_an_openvino_file_of_ultralytics(tmp_path: Path) -> None:
    path = openvino_file(tmp_path)
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate("abcde"))
    (tmp_path / "metadata.yaml").write_text(f"task: semantic\nstride: 32\nnames:\n{names}args:\n  dynamic: true\n")
    proposal = propose(path)
    assert proposal.record.labels.names == tuple("abcde")
    assert proposal.sources["labels"] == "metadata.yaml"


def test_openvino_files_that_do_not_fit(tmp_path: Path) -> None:
    path = openvino_file(tmp_path)
    record = inspect_onnx(path)
    with pytest.raises(SettingError, match=r"ONNX Runtime does not read my\.xml; expected .*; use runtime='openvino'"):
        open_network(record, runtime="onnxruntime")
    (tmp_path / "my.bin").unlink()
    with pytest.raises(
        ModelError, match="my.xml has no weights my.bin; expected the .bin beside its .xml; copy it there"
    ):
        inspect_onnx(path)
    (tmp_path / "my.bin").write_bytes(b"")
    path.write_text("<net")
    with pytest.raises(ModelError, match=r"my\.xml cannot be read by OpenVINO \(.*\); expected an OpenVINO graph"):
        inspect_onnx(path)
