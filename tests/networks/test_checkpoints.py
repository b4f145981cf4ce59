"""Published checkpoints in every form; nothing in a file is run; what does not fit is said in one line."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden_cases import CHECKPOINT
from segtween.errors import ModelError, SegtweenError, SettingError, SinkError
from segtween.networks import build, build_flow, build_refiner

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def light() -> dict[str, Any]:
    torch.manual_seed(0)
    return dict(build_flow("flow-light").state_dict())


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k].to(one[k].dtype)) for k in one)


class Runs:
    """Unpickling it makes a file: proof that code was run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


# ── What can be read ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.shared
def test_the_real_checkpoint_holds_both_networks(shared: Path) -> None:
    from segtween.networks.checkpoints import read_checkpoint
    from segtween.networks.fitting import identify, load_network

    found = read_checkpoint(shared / "weights" / CHECKPOINT)
    fits = {name: identify(state) for name, state in found.parts.items()}
    assert {name: (str(fit.kind), fit.whole) for name, fit in fits.items() if fit} == {
        "state_dict": ("guided with 19 classes", True),
        "state_dict_of": ("flow-light", True),
    }
    assert found.facts == {"epoch": 54}
    flow = load_network(shared / "weights" / CHECKPOINT, "flow-light")
    assert equal(flow.state_dict(), found.parts["state_dict_of"])
    assert not flow.training
    assert not torch.any(load_network(shared / "weights" / CHECKPOINT, "guided").grm["ideal_dk"].filter_copy_s[8])


FORMS = {
    "plain": lambda s: s,
    "wrapped": lambda s: {"state_dict": s, "epoch": 3},
    "model": lambda s: {"model": s, "step": 7, "optimiser": {"state": {}, "param_groups": [{"lr": 0.1}]}},
    "data parallel": lambda s: {f"module.{k}": v for k, v in s.items()},
    "data parallel, wrapped": lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
    "compiled and wrapped twice": lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
    "without counters": lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
    "float counters": lambda s: {k: v.float() for k, v in s.items()},
    "double": lambda s: {k: v.double() if v.is_floating_point() else v for k, v in s.items()},
    "plain values among the weights": lambda s: {**s, "epoch": 3},
    "a trainer's own": lambda s: {
        "state_dict": s,
        "epoch": 3,
        "best_pred": np.float64(0.5),
        "current_pred": np.float32(0.25),
        "args": argparse.Namespace(lr=0.1, multi_step=[1, 2]),
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zipped", [True, False])
def test_every_form_gives_the_same_network(light: dict[str, Any], form: str, zipped: bool, tmp_path: Path) -> None:
    from segtween.networks.fitting import load_network

    torch.save(FORMS[form](light), tmp_path / "w.pth.tar", _use_new_zipfile_serialization=zipped)
    assert equal(load_network(tmp_path / "w.pth.tar", "flow-light").state_dict(), light)


def test_plain_values_beside_the_weights_are_facts(light: dict[str, Any], tmp_path: Path) -> None:
    from segtween.networks.checkpoints import read_checkpoint

    torch.save(FORMS["a trainer's own"](light), tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.pt").facts == {"epoch": 3, "best_pred": 0.5, "current_pred": 0.25}
    torch.save(light, tmp_path / "w.pt")
    assert read_checkpoint(tmp_path / "w.pt").facts == {}


def test_guided_convolution_of_older_files_and_without_edge(tmp_path: Path) -> None:
    from segtween.networks.fitting import load_network

    torch.manual_seed(0)
    for edge in ("laplacian", "absent"):
        state = build_refiner(classes=11, edge=edge).state_dict()
        torch.save({key.removeprefix("grm."): value for key, value in state.items()}, tmp_path / "w.pt")
        net = load_network(tmp_path / "w.pt", "guided")
        assert equal(net.state_dict(), state)
        assert net.edge == edge


def test_published_flownet2s_also_fills_the_other_layout() -> None:
    """The propagation code's layout has four biases more; there they are zero."""
    from segtween.networks.fitting import Kind, identify, load_into

    with torch.device("meta"):
        shapes = {key: value.shape for key, value in build_flow("flownet2s").state_dict().items()}
    state = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
    fit = identify(state)
    assert fit is not None
    assert str(fit.kind) == "flownet2s"
    net = build_flow("flownets")
    load_into(net, state, kind=Kind("flownets"), source="a file")
    assert not any(value.any() for value in net.state_dict().values())


def test_our_own_forms_can_be_read(tmp_path: Path) -> None:
    from segtween.labels import CAMVID11
    from segtween.networks.export import export_model
    from segtween.networks.fitting import load_network

    torch.manual_seed(0)
    for name in ("swiftnet-lite0", "bisenet-r18"):
        net = build(name, classes=11).half().float()
        folder = export_model(net, network=name, name="mine", labels=CAMVID11, out=tmp_path / name)
        found = load_network(folder / "weights.safetensors", name).state_dict()
        idle = ("heads.0.", "heads.1.")  # of BiSeNet, which only training runs
        assert equal(*({k: v for k, v in s.items() if not k.startswith(idle)} for s in (found, net.state_dict())))


# ── What is refused ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare pickle", "protocol 4", "protocol 5", "a whole module"])
def test_code_in_a_file_is_never_run(light: dict[str, Any], kind: str, tmp_path: Path) -> None:
    from segtween.networks.checkpoints import read_checkpoint

    path, proof = tmp_path / "evil.pt", tmp_path / "proof"
    stored = {"state_dict": light, "extra": Runs(proof)}
    if kind == "bare pickle":
        path.write_bytes(pickle.dumps(Runs(proof), protocol=2))
    elif kind == "a whole module":
        torch.save(torch.nn.Conv2d(1, 1, 1), path)
    else:
        protocol = int(kind[-1]) if kind.startswith("protocol") else 2
        torch.save(stored, path, pickle_protocol=protocol, _use_new_zipfile_serialization=kind != "legacy")
    expected = {
        "protocol 4": r"is pickled in a way that could run code, so it was not read; expected what torch.save writes",
        "protocol 5": r"is pickled in a way that could run code, so it was not read; expected what torch.save writes",
        "a whole module": r"carries code \(torch.nn.modules.conv.Conv2d\), which was not run; expected tensors",
    }
    with pytest.raises(ModelError, match=expected.get(kind, r"evil.pt carries code \(\w+.mkdir\), which was not run")):
        read_checkpoint(path)
    assert not proof.exists()


@pytest.mark.parametrize("kept", [3, 40, 900, 0.2, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files_are_refused(light: dict[str, Any], kept: float, zipped: bool, tmp_path: Path) -> None:
    from segtween.networks.checkpoints import read_checkpoint

    path = tmp_path / "w.pt"
    torch.save(light, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if kept < 1 else int(kept)])
    expected = r"w.pt is damaged or cut off \(.+\); expected the whole file; download it again"
    if zipped and kept == 3:
        expected = r"w.pt is neither a torch nor a safetensors file"
    with pytest.raises(ModelError, match=expected):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, r"w.pt is not found; expected a torch or safetensors file; check the path; docs/networks.md"),
        (b"", r"w.pt is empty; expected a torch or safetensors file; download it again"),
        (b"<!DOCTYPE html><html>", r"w.pt is a web page, not the file behind it"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"w.pt is a Git LFS pointer, not the file itself"),
        (b"no checkpoint", r"w.pt is neither a torch nor a safetensors file"),
        (b"\x10\0\0\0\0\0\0\0{", r"w.pt is damaged or cut off"),
        ({"epoch": 3}, r"w.pt holds no state dict; expected keys and tensors; save one"),
        ([1, 2], r"w.pt holds no state dict"),
    ],
)
def test_files_without_weights_are_refused(content: Any, text: str, tmp_path: Path) -> None:
    from segtween.networks.checkpoints import read_checkpoint

    path = tmp_path / "w.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ModelError, match=text):
        read_checkpoint(path)


def test_a_published_file_that_is_not_there_says_where_it_is(tmp_path: Path) -> None:
    from segtween.networks.checkpoints import read_checkpoint

    with pytest.raises(ModelError, match=r"flownet.pth.tar is not found; .*; get it from the read-me of"):
        read_checkpoint(tmp_path / "flownet.pth.tar")


def without(state: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key not in keys}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda s: without(s, "toflow.bias") | {"toflow.scale": s["toflow.bias"]},
            r"w.pt \(state_dict\) does not fit flow-light: 1 keys missing \(toflow.bias\), 1 surplus \(toflow.scale\); "
            r"expected the weights of flow-light; get the whole file, or the one for this form of the network",
        ),
        (
            lambda s: s | {"conv1.0.weight": s["conv1.0.weight"][:, :3]},
            r"1 of another shape \(conv1.0.weight 32x3x3x3 instead of 32x6x3x3\)",
        ),
        (
            lambda s: {k: v for k, v in s.items() if k.startswith("conv1")},
            r"\d+ keys missing \(conv2.1.* 4, conv_dilate_1.1.* 4, .*, \.\.\.\); .* none of the known networks",
        ),
        (lambda s: s | {"toflow.bias": torch.tensor([0.0, float("nan")])}, r"in toflow.bias that are not finite"),
    ],
)
def test_what_does_not_fit_is_listed(light: dict[str, Any], change: Any, text: str, tmp_path: Path) -> None:
    from segtween.networks.fitting import load_network

    torch.save(change(light), tmp_path / "w.pt")
    with pytest.raises(ModelError, match=text) as caught:
        load_network(tmp_path / "w.pt", "flow-light")
    assert len(str(caught.value)) < 600


def test_weights_of_another_network_are_named(light: dict[str, Any], tmp_path: Path) -> None:
    from segtween.networks.fitting import load_network

    path = tmp_path / "w.pt"
    torch.save(light, path)
    with pytest.raises(ModelError, match=r"w.pt \(state_dict\) has no layer that says .*; it looks like flow-light"):
        load_network(path, "swiftnet-r18")
    with pytest.raises(ModelError, match=r"does not fit flownets: .*; it looks like flow-light; give another file"):
        load_network(path, "flownets")
    guided = build_refiner(classes=11).state_dict()
    torch.save({"state_dict": guided, "state_dict_of": light}, path)
    with pytest.raises(
        ModelError,
        match=r"w.pt holds state_dict: guided with 11 classes, state_dict_of: flow-light; expected the weights of bi",
    ):
        load_network(path, "bisenet-r18", classes=11)
    with pytest.raises(
        ModelError, match=r"does not fit guided with 19 classes: .*; it looks like guided with 11 classes"
    ):
        load_network(path, "guided", classes=19)
    with pytest.raises(SettingError, match=r"has the parts state_dict, state_dict_of, not 'x'; expected one of these"):
        load_network(path, "guided", part="x")


def test_components_of_a_checkpoint_are_made_once_in_the_cache(
    light: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.networks import parts_of_checkpoint

    path, cache = tmp_path / "w.pt", tmp_path / "cache"
    torch.save({"state_dict_of": light}, path)
    monkeypatch.setenv("SEGTWEEN_CACHE", str(cache))
    cache.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match=r"cache folder .* cannot be written .*; free it, or set SEGTWEEN_CACHE"):
        parts_of_checkpoint(path)
    cache.unlink()
    folder = parts_of_checkpoint(path)
    assert sorted(p.name for p in folder.iterdir()) == ["flow.onnx", "flow.onnx.yaml"]
    written = (folder / "flow.onnx").stat().st_mtime_ns
    assert parts_of_checkpoint(path) == folder
    assert (folder / "flow.onnx").stat().st_mtime_ns == written
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


# ── Conversion ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def both(light: dict[str, Any], tmp_path: Path) -> Path:
    torch.manual_seed(1)
    guided = build_refiner(classes=11).state_dict()
    of = {f"module.{key}": value.float() for key, value in light.items()}
    torch.save({"state_dict": guided, "state_dict_of": of, "epoch": 54}, tmp_path / "both.pth.tar")
    return tmp_path / "both.pth.tar"


@pytest.mark.parametrize("float16", [False, True])
def test_converted_weights_are_the_same_weights(
    both: Path, light: dict[str, Any], float16: bool, tmp_path: Path
) -> None:
    from segtween.models.weights import sha256_of
    from segtween.networks import convert_weights, describe_weights
    from segtween.networks.fitting import load_network

    files = [
        convert_weights(both, tmp_path / name, part="state_dict_of", float16=float16)[0]
        for name in ("a.safetensors", "b.safetensors")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()
    wanted = {k: v.half().float() if float16 and v.is_floating_point() else v for k, v in light.items()}
    assert equal(load_network(files[0], "flow-light").state_dict(), wanted)
    found = describe_weights(files[0])
    assert found["facts"] == {
        "network": "flow-light",
        "part": "state_dict_of",
        "source": "both.pth.tar",
        "source_sha256": sha256_of(both),
        "epoch": 54,
    }
    types = found["parts"]["state_dict"]["types"]
    assert types == {"float16" if float16 else "float32": 44, "int64": 7}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors", "both.pth.tar"]


def test_bad_conversions_are_refused(both: Path, tmp_path: Path) -> None:
    from segtween.networks import convert_weights

    out = tmp_path / "o.safetensors"
    with pytest.raises(SettingError, match=r"has the parts state_dict, state_dict_of; expected one of these; choose"):
        convert_weights(both, out)
    with pytest.raises(SinkError, match=r"o.npz ends in '.npz'; expected .safetensors or .onnx"):
        convert_weights(both, tmp_path / "o.npz", part="state_dict")
    for name in ("o.safetensors", "o.onnx"):
        with pytest.raises(SinkError, match=r"cannot be written \(.*\); expected a folder with some room"):
            convert_weights(both, tmp_path / "none" / name, part="state_dict")
    out.write_text("kept")
    with pytest.raises(SinkError, match=r"o.safetensors exists; expected a new file; give another out=, or"):
        convert_weights(both, out, part="state_dict")
    assert out.read_text() == "kept"
    segmenter = tmp_path / "s.pt"
    torch.save(build("swiftnet-lite0", classes=3).state_dict(), segmenter)
    with pytest.raises(ModelError, match=r"is swiftnet-lite0 with 3 classes; expected one of flow-light, .* for .onnx"):
        convert_weights(segmenter, tmp_path / "o.onnx")


def test_every_refusal_is_one_line(tmp_path: Path) -> None:
    from segtween.networks import describe_weights

    (tmp_path / "w.pt").write_bytes(b"\x80\x02garbage\nmore\n")
    with pytest.raises(SegtweenError) as caught:
        describe_weights(tmp_path / "w.pt")
    assert "\n" not in str(caught.value)
