"""Names of weight files and folders, and where networks run."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from segtween.compat.swnet_seq import weights
from segtween.compat.swnet_seq.flags import Options
from segtween.compat.swnet_seq.places import BEST, RunLog, places_of
from segtween.errors import ModelError, SettingError
from segtween.runtimes import openvino


@pytest.mark.parametrize(
    ("dataset", "segnet", "names"),
    [
        ("cityscapes_2k", "swiftnet", ("cityscapes-swnet-R18.pt", "cityscapes-swnet_model_best.pth.tar")),
        ("camvid", "swiftnet", ("camvid-swnet-R18.pt", "camvid-swnet_model_best.pth.tar")),
        ("cityscapes_2k", "bisenet", ("cityscapes-bisenet-R18.pt", "cityscapes-bisenet_model_best.pth.tar")),
        ("camvid", "bisenet", ("camvid-bisenet-R18.pt", "camvid-bisenet_model_best.pth.tar")),
    ],
)
def test_files_are_named_as_the_reference_names_them(
    dataset: str, segnet: str, names: tuple[str, str], tmp_path: Path
) -> None:
    options = Options(dataset=dataset, segnet=segnet, weights_folder=str(tmp_path))  # type: ignore[arg-type]
    for name in names:
        (tmp_path / name).touch()
    assert weights.segmenter_file(options) == tmp_path / names[0]
    assert weights.propagation_file(options, places_of(options)) == tmp_path / names[1]


def test_the_experiment_s_own_weights_come_first_with_resume(tmp_path: Path) -> None:
    options = Options(weights_folder=str(tmp_path), log_folder=str(tmp_path / "logs"))
    places = places_of(options)
    with pytest.raises(ModelError, match=r"_model_best\.pth\.tar is not found; expected the weights of the refinement"):
        weights.propagation_file(options, places)
    places.checkpoints.mkdir(parents=True)
    (places.checkpoints / BEST).touch()
    assert weights.propagation_file(options, places) == places.checkpoints / BEST
    with pytest.raises(ModelError, match="is not found"):
        weights.propagation_file(
            Options(weights_folder=str(tmp_path), log_folder=options.log_folder, resume=False), places
        )


def test_folders_are_named_as_the_reference_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda form: {"%Y%m%d-%H%M%S": "20240102-030405"}.get(form, "03:04:05"))
    log = str(tmp_path / "l")
    options = Options(
        evaluate=True, checkname="x", ResFolderName="r", log_folder=log, dataset="camvid", segnet="bisenet"
    )
    places = places_of(options)
    assert places.run == tmp_path / "l/run/camvid/bisenet_x/20240102-030405_eval"
    assert places.predictions == tmp_path / "l/pred_img_res/camvid/bisenet_x/r"
    assert places.checkpoints == tmp_path / "l/run/camvid/bisenet_x"
    assert places_of(Options(log_folder=log)).run.name == "20240102-030405_train"
    places.run.mkdir(parents=True)
    assert places_of(options).run.name == "20240102-030405-2_eval"


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(SettingError, match=r"--ResFolderName .*; expected the name of one folder; leave out slashes"):
        places_of(Options(ResFolderName=name))


def test_the_log_keeps_what_was_said_and_how_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)

    def run() -> None:
        with RunLog(tmp_path / "run") as log:
            log.say("one")
            log.note("two")
            log.scalar("x", 1.0, 0)
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        run()
    kept = [line[9:] for line in (tmp_path / "run/run.log").read_text().splitlines()]
    assert kept[1:] == ["one", "two", "ended: no more"]
    assert "TensorBoard needs a package that is not installed" in kept[0]
    assert "no events are written" in kept[0]
    assert capsys.readouterr().out.splitlines()[1:] == ["one"]
    with RunLog(tmp_path / "other", silent=True) as log:
        log.say("nothing")
    assert capsys.readouterr().out == ""
    assert not (tmp_path / "other").exists()


def test_a_gpu_is_used_where_a_runtime_has_one_and_missed_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    library = types.SimpleNamespace(get_available_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setitem(sys.modules, "onnxruntime", library)
    devices = types.SimpleNamespace(available_devices=["CPU"])
    monkeypatch.setattr(openvino, "core", lambda: devices)
    runtime, provider, said = weights.pick_runtime("gpu")
    assert (runtime, provider) == ("openvino", None)
    assert said == ["--device gpu: no runtime here can use a GPU; the CPU is used (--device cpu says so)"]
    assert weights.pick_runtime("cpu") == ("openvino", None, [])
    devices.available_devices = ["CPU", "GPU.0"]
    assert weights.pick_runtime("gpu") == ("openvino", "GPU.0", [])
    library.get_available_providers = lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert weights.pick_runtime("gpu") == ("onnxruntime", "CUDAExecutionProvider", [])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert weights.pick_runtime("gpu") == ("openvino", "GPU.0", [])
