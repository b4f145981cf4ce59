"""Records and stored weights: what is read back, what is derived, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import yaml
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from segtween.errors import ModelError
from segtween.labels import CAMVID11
from segtween.models import weights
from segtween.models.finding import find_record, shipped_models
from segtween.models.records import InputRecord, load_record, record_from_dict, save_record
from tiny_onnx import write_network

PLAIN: dict[str, Any] = {
    "name": "tiny",
    "graph": "graph.onnx",
    "input": {
        "name": "image",
        "layout": "NCHW",
        "channels": "RGB",
        "scale": 255,
        "mean": [123.7, 116.3, 103.5],
        "std": [58.4, 57.1, 57.4],
        "multiple_of": 32,
        "size": None,
    },
    "output": {"name": "logits", "kind": "logits", "layout": "NCHW", "stride": 4},
    "labels": "camvid11",
    "trained_size": "640x360",
    "provenance": {"source": "a test", "measured": {"miou": 0.5}},
    "guessed": [],
}
SHAPES = {"a.weight": (11, 3, 1, 1), "b.bias": (11,)}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def graph_with_external_weights() -> onnx.ModelProto:
    offsets, _ = weights.aligned_offsets({key: int(np.prod(shape)) * 4 for key, shape in SHAPES.items()})
    initializers = []
    for key, shape in SHAPES.items():
        tensor = TensorProto(name=key, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
        where = {"location": "weights.bin", "offset": offsets[key], "length": int(np.prod(shape)) * 4}
        for name, value in where.items():
            tensor.external_data.add(key=name, value=str(value))
        initializers.append(tensor)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "a.weight", "b.bias"], ["logits"])],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 11, "h", "w"])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_shipped(root: Path, *, name: str = "tiny", random: bool = False) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "graph.onnx").write_bytes(graph_with_external_weights().SerializeToString())
    if random:
        (folder / "manifest.json").write_text(json.dumps(SHAPES))
        stored: dict[str, Any] = {"random_seed": 3, "manifest": "manifest.json"}
    else:
        rng = np.random.default_rng(0)
        save_file({k: rng.normal(size=s).astype(np.float16) for k, s in SHAPES.items()}, folder / "weights.safetensors")
        stored = {
            "file": "weights.safetensors",
            "sha256": weights.sha256_of(folder / "weights.safetensors"),
            "dtype": "float16",
        }
    (folder / "model.yaml").write_text(yaml.safe_dump(PLAIN | {"name": name, "weights": stored}))
    return folder


def changed(**sections: Any) -> dict[str, Any]:
    record = {**PLAIN}
    for section, values in sections.items():
        record[section] = {**PLAIN[section], **values} if isinstance(values, dict) else values
    return record


# ── Records ───────────────────────────────────────────────────────────────────────────────────


def test_a_record_survives_writing_and_reading(tmp_path: Path) -> None:
    record = record_from_dict(PLAIN, path=tmp_path / "model.yaml")
    save_record(record, record.path)
    assert load_record(record.path) == record
    assert record.to_dict() == PLAIN
    assert record.labels is CAMVID11
    assert [p.name for p in tmp_path.iterdir()] == ["model.yaml"]


def test_a_fixed_size_is_written_for_people_and_kept_as_height_and_width(tmp_path: Path) -> None:
    record = record_from_dict(changed(input={"size": "1024x512"}), path=tmp_path / "model.yaml")
    assert record.input.size_hw == (512, 1024)
    assert record.to_dict()["input"]["size"] == "1024x512"


def test_a_sidecar_needs_only_input_output_and_labels(tmp_path: Path) -> None:
    plain = {"input": {"name": "x"}, "output": {"name": "y"}, "labels": ["road", "rest"]}
    record = record_from_dict(plain, path=tmp_path / "my.net.onnx.yaml")
    assert (record.name, record.graph, record.labels.names) == ("my.net", "my.net.onnx", ("road", "rest"))
    assert record.graph_path == tmp_path / "my.net.onnx"
    assert record.input == InputRecord("x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(input={"layout": "CHWN"}), "input.layout is 'CHWN'; expected one of NCHW, NHWC"),
        (changed(input={"channels": "YUV"}), "input.channels is 'YUV'; expected one of RGB, BGR"),
        (changed(input={"scale": 0}), "input.scale is 0; expected a number above 0"),
        (changed(input={"mean": [1, 2]}), r"input.mean is \[1, 2\]; expected three numbers"),
        (changed(input={"std": [1, 0, 1]}), "input.std is .*; expected three numbers above 0"),
        (changed(input={"std": [1, float("nan"), 1]}), "input.std is .*; expected three numbers"),
        (changed(input={"multiple_of": 0}), "input.multiple_of is 0; expected a whole number from 1 to 1024"),
        (changed(input={"size": "big"}), "input.size is 'big'; expected WIDTHxHEIGHT"),
        (changed(input={"size": "0x4"}), "input.size is '0x4'; expected WIDTHxHEIGHT"),
        (changed(input={"size": "200000x200000"}), "input.size is '200000x200000'; expected WIDTHxHEIGHT, .*8192 each"),
        (changed(input={"size": 512}), "input.size is 512; expected WIDTHxHEIGHT"),
        (changed(trained_size="wide"), "trained_size is 'wide'; expected WIDTHxHEIGHT"),
        (
            changed(input={"multiple_of": 100_000}),
            "input.multiple_of is 100000; expected a whole number from 1 to 1024",
        ),
        (changed(input={"multiple_of": 10**30}), "input.multiple_of is 10000.*; expected a whole number from 1 to"),
        (changed(input={"multiple_of": "32"}), "input.multiple_of is '32'; expected a whole number"),
        (changed(input={"name": True}), "input.name is True; expected a name"),
        (changed(input={"scale": True}), "input.scale is True; expected a number above 0"),
        (changed(input=[1]), r"input is \[1\]; expected a mapping with name"),
        (changed(input={7: 8}), "input has an unknown field 7; expected fields out of channels, .*; remove it"),
        (changed(graph="9" * 10_000), "graph is '999.*999'; expected the name of a file"),
        (changed(graph=9), "graph is 9; expected the name of a file"),
        (changed(graph=""), "graph is ''; expected the name of a file"),
        (changed(graph="a\0b"), r"graph is 'a\\x00b'; expected the name of a file"),
        (changed(name=["tiny"]), r"name is \['tiny'\]; expected a name"),
        (changed(output={"stride": 10**6}), "output.stride is 1000000; expected a whole number from 1 to 1024"),
        (changed(labels=["road", True]), r"labels is \['road', True\]; expected a label set's name, its record, or"),
        (
            changed() | {"labels": {"names": ["a", "b", "c"], 1: 2, "x": 3}},
            "label set 'labels of model.yaml': it has an unknown field",
        ),
        (
            changed() | {"labels": {"names": ["a", "b"], "ids": [True, 2]}},
            r"label set 'labels of model.yaml': ids\[0\] is True; expected a whole number from 0 to 255",
        ),
        (changed() | {"labels": "x" * 5000 + ".yaml"}, "label file .* cannot be read"),
        (changed() | {"provenance": 3}, "provenance is 3; expected a mapping"),
        (changed(input={"meen": [1, 2, 3]}), "input has an unknown field 'meen'.*did you mean mean?"),
        (changed(output={"kind": "masks"}), "output.kind is 'masks'; expected one of logits, probabilities, labels"),
        (changed(output={"layout": "HW"}), "output.layout is 'HW'; expected a layout with C"),
        (changed(output={"stride": True}), "output.stride is True; expected a whole number"),
        (changed(output={"name": None}), "output.name is None; expected a name"),
        (changed(labels="camvid12"), "label set 'camvid12' is not known.*did you mean camvid11"),
        (changed(labels=3), "labels is 3; expected a label set's name"),
        (changed(guessed="input"), "guessed is 'input'; expected a list of field names"),
        (changed(weights=[]), r"weights is \[\]; expected a mapping"),
        (changed() | {"weights": {"file": "w"}}, "weights.sha256 is None; expected 64 hexadecimal digits"),
        (changed() | {"weights": {"random_seed": -1}}, "weights.random_seed is -1"),
        (changed() | {"weights": {"random_seed": 1}}, "weights.manifest is None; expected the name of a file"),
        (changed() | {"weights": {}}, "weights is .*; expected either file and sha256, or random_seed"),
        (
            {"input": PLAIN["input"], "labels": "camvid11"},
            "the record has no field 'output'; expected output: ...; add",
        ),
        ([1], r"the record is \[1\]; expected a mapping with input, labels, output"),
    ],
)
def test_a_wrong_record_names_its_file_and_field(tmp_path: Path, values: Any, message: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(ModelError, match=rf"model\.yaml: {message}"):
        load_record(path)


BOMB = "x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "\n".join(
    f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 9)
)


@pytest.mark.parametrize(
    "rest", ["name: *x8", "input: {name: a, size: *x8}", "output: {name: a, kind: *x8}", "guessed: *x8", "labels: *x8"]
)
def test_a_record_whose_aliases_expand_is_refused_at_once(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_text(f"{BOMB}\n{rest}\n")
    with pytest.raises(ModelError, match=r"model record .*model\.yaml holds more than 20000 values") as caught:
        load_record(path)
    assert len(str(caught.value)) < 300


def test_a_record_that_load_record_would_not_take_is_not_written(tmp_path: Path) -> None:
    record = record_from_dict(PLAIN, path=tmp_path / "model.yaml")
    wrong = replace(record, input=replace(record.input, std=(1.0, 0.0, 1.0)))
    with pytest.raises(ModelError, match=r"input.std is \[1.0, 0.0, 1.0\]; expected three numbers above 0"):
        save_record(wrong, record.path)
    assert not list(tmp_path.iterdir())


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.yaml cannot be read \(No such file"):
        load_record(tmp_path / "no.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ModelError, match=r"bad\.yaml is not YAML .*; expected a model record"):
        load_record(tmp_path / "bad.yaml")
    (tmp_path / "raw.yaml").write_bytes(b"\xff\xfe\x00\x01\xff")
    with pytest.raises(ModelError, match=r"raw\.yaml is not YAML"):
        load_record(tmp_path / "raw.yaml")


def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    record = record_from_dict(PLAIN, path=tmp_path / "model.yaml")
    with pytest.raises(ModelError, match="cannot be written"):
        save_record(record, tmp_path / "no folder" / "model.yaml")


# ── Finding a model ───────────────────────────────────────────────────────────────────────────


def test_models_are_found_by_name_folder_record_and_file(tmp_path: Path) -> None:
    folder = write_shipped(tmp_path)
    assert shipped_models(tmp_path) == {"tiny": folder}
    for which in (folder, folder / "model.yaml", str(folder)):
        assert find_record(which).name == "tiny"
    assert find_record("tiny", root=tmp_path).path == folder / "model.yaml"
    (folder / "graph.onnx.yaml").write_text(yaml.safe_dump(PLAIN))
    assert find_record(folder / "graph.onnx").graph_path == folder / "graph.onnx"


def test_an_unknown_model_lists_the_nearest(tmp_path: Path) -> None:
    write_shipped(tmp_path, name="swiftnet-r18")
    write_shipped(tmp_path, name="bisenet")
    with pytest.raises(
        ModelError, match=r"model 'swiftnet-r81' is not known; expected one of bisenet, .*; did you mean swiftnet-r18\?"
    ):
        find_record("swiftnet-r81", root=tmp_path)
    with pytest.raises(ModelError, match=r"model 'qqq' is not known; .*; see `segtween models`"):
        find_record("qqq", root=tmp_path)


def test_what_looks_like_a_path_is_a_missing_file(tmp_path: Path) -> None:
    for which in ("folder/net", "net.onnx"):
        with pytest.raises(ModelError, match=f"model file {which} is not found; .*; check the path"):
            find_record(which, root=tmp_path)


@pytest.mark.parametrize("which", ["x" * 5000, "x" * 5000 + ".onnx", "a\0b", "a\0b.onnx"])
def test_names_that_no_file_can_have_are_unknown_models(which: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^model .* is not (known|found); expected") as caught:
        find_record(which, root=tmp_path)
    assert len(str(caught.value)) < 500


def test_a_missing_sidecar_names_the_command(tmp_path: Path) -> None:
    path = tmp_path / "my.onnx"
    path.write_bytes(b"")
    with pytest.raises(
        ModelError,
        match=r"has no sidecar my.onnx.yaml; .*; let `segtween models inspect .*my.onnx` propose and write one",
    ):
        find_record(path)


def test_other_files_and_folders_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"")
    with pytest.raises(ModelError, match=r"net\.pth is no model file; expected a file that ends in \.onnx, \.x"):
        find_record(tmp_path / "net.pth")
    with pytest.raises(ModelError, match=r"holds no model\.yaml"):
        find_record(tmp_path)


# ── Weights ───────────────────────────────────────────────────────────────────────────────────


def test_the_cache_folder_can_be_set_and_has_a_default(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert weights.cache_folder() == cache
    monkeypatch.delenv("SEGTWEEN_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert weights.cache_folder() == Path("/somewhere/segtween")
    monkeypatch.setattr("sys.platform", "darwin")
    assert weights.cache_folder() == Path.home() / "Library" / "Caches" / "segtween"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "local")
    assert weights.cache_folder() == Path("local") / "segtween"


def test_tensors_lie_in_sorted_order_at_multiples_of_64(tmp_path: Path) -> None:
    tensors = {"b": np.arange(3, dtype=np.float32), "a": np.full((5, 4), 2.5, np.float32), "c": np.float32([9])}
    offsets = weights.write_weights_bin(tensors, tmp_path / "weights.bin")
    assert offsets == {"a": 0, "b": 128, "c": 192}
    raw = (tmp_path / "weights.bin").read_bytes()
    assert len(raw) == 196
    for key, offset in offsets.items():
        read = np.frombuffer(raw, "<f4", tensors[key].size, offset)
        np.testing.assert_array_equal(read, tensors[key].ravel())


@pytest.mark.parametrize("random", [False, True])
def test_a_materialised_graph_computes_with_the_stored_weights(tmp_path: Path, random: bool) -> None:
    record = find_record(write_shipped(tmp_path, random=random))
    assert record.is_random == random
    path = weights.materialise(record)
    assert path.name == "graph.onnx"
    assert path.is_relative_to(weights.cache_folder())
    tensors = weights.load_weights(record)
    pixel = np.float32([1, -2, 3])
    answer = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixel.reshape(1, 3, 1, 1))
    expected = tensors["a.weight"].reshape(11, 3) @ pixel + tensors["b.bias"]
    np.testing.assert_allclose(answer[0].ravel(), expected, rtol=1e-5, atol=1e-5)


def test_materialising_is_done_once_and_leaves_nothing_half_written(tmp_path: Path, cache: Path) -> None:
    record = find_record(write_shipped(tmp_path))
    path = weights.materialise(record)
    before = path.stat().st_mtime_ns
    assert weights.materialise(record) == path
    assert path.stat().st_mtime_ns == before
    assert [p.name for p in (cache / "graphs").iterdir()] == [path.parent.name]


def test_other_weights_go_into_another_folder(tmp_path: Path) -> None:
    first = weights.materialise(find_record(write_shipped(tmp_path, name="one")))
    second = weights.materialise(find_record(write_shipped(tmp_path, name="two", random=True)))
    assert first.parent != second.parent


def test_a_graph_with_its_own_weights_stays_where_it_is(tmp_path: Path) -> None:
    record = record_from_dict(PLAIN, path=tmp_path / "model.yaml")
    with pytest.raises(ModelError, match=r"graph .*graph\.onnx of .* is not found"):
        weights.materialise(record)
    write_network(record.graph_path)
    assert weights.materialise(record) == record.graph_path
    with pytest.raises(ModelError, match="model 'tiny' keeps its weights in its graph"):
        weights.load_weights(record)


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    folder = write_shipped(tmp_path)
    with open(folder / "weights.safetensors", "ab") as file:
        file.write(b"!")
    with pytest.raises(ModelError, match=r"weights .* have sha256 .*; expected .* as in model.yaml; install"):
        weights.materialise(find_record(folder))
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"weights .* are not found"):
        weights.materialise(find_record(folder))


@pytest.mark.parametrize("kind", ["not safetensors", "whole numbers"])
def test_weights_of_another_kind_are_refused(tmp_path: Path, kind: str) -> None:
    folder = write_shipped(tmp_path)
    path = folder / "weights.safetensors"
    path.write_text(kind)
    if kind == "whole numbers":
        save_file({"a.steps": np.zeros(1, np.int64)}, path)
    record = yaml.safe_load((folder / "model.yaml").read_text())
    record["weights"]["sha256"] = weights.sha256_of(path)
    (folder / "model.yaml").write_text(yaml.safe_dump(record))
    message = "cannot be read" if kind == "not safetensors" else "hold 'a.steps' of int64; expected float16 or float32"
    with pytest.raises(ModelError, match=message):
        weights.load_weights(find_record(folder))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 3}', "a is 3; expected a shape: up to 8 whole numbers"),
        ('{"a": [-3, 3]}', r"a is \[-3, 3\]; expected a shape"),
        ('{"a": [0, 3]}', r"a is \[0, 3\]; expected a shape"),
        ('{"a": [true]}', r"a is \[True\]; expected a shape"),
        ('{"a": [1.5]}', r"a is \[1.5\]; expected a shape"),
        ('{"a": [1000000000000]}', r"a is \[1000000000000\]; expected a shape"),
        ('{"a": [1, 1, 1, 1, 1, 1, 1, 1, 1]}', r"a is \[1, 1, .*\]; expected a shape"),
        ("[3]", r"all of it is \[3\]; expected a mapping"),
        ('{"a": [1000000, 1000000], "b": [3]}', r"asks for 1.0e\+12 weights; expected at most 5.4e\+08"),
        ('{"a": ' + "[" * 5000, "is nested more than 32 levels deep"),
        ('{"a": [' + "9" * 5000 + "]}", "holds a number of 5000 characters"),
    ],
)
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    folder = write_shipped(tmp_path, random=True)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match=rf"manifest .*manifest\.json:? {message}.*; install the model again"):
        weights.materialise(find_record(folder))


def test_a_cache_that_cannot_be_written_names_the_variable(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match=r"cache folder .* cannot be written .*; free it, or set SEGTWEEN_CACHE"):
        weights.materialise(find_record(write_shipped(tmp_path)))


def test_random_tensors_are_the_same_every_time_and_fit_their_fan_in() -> None:
    manifest = {"conv.weight": (64, 64, 3, 3), "bn.weight": (64,), "bn.running_var": (64,), "bn.bias": (64,)}
    first, second = (weights.random_tensors(manifest, seed=1) for _ in range(2))
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key])
        assert value.dtype == np.float32
        assert value.shape == manifest[key]
    assert np.std(first["conv.weight"]) == pytest.approx(np.sqrt(1 / (64 * 9)), rel=0.02)
    assert first["bn.running_var"].min() >= 0.5
    assert first["bn.weight"].min() >= 0.5
    alone = weights.random_tensors({"bn.bias": (64,)}, seed=1)
    np.testing.assert_array_equal(alone["bn.bias"], first["bn.bias"])
    assert not np.array_equal(weights.random_tensors(manifest, seed=2)["bn.bias"], first["bn.bias"])
