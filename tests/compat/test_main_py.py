"""`python main.py` from end to end on a tiny layout of Cityscapes, with networks that never learned anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from fakes import panning
from segtween.compat.swnet_seq import main
from segtween.labels import CITYSCAPES19
from small_sets import picture

MAIN = Path(__file__).resolve().parents[2] / "main.py"
SIZE = (64, 128)
torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def street(root: Path, *, clips: int = 2, last: int = 5) -> Path:
    """Clips of `last` + 1 frames, of which the last is labelled, laid out as Cityscapes."""
    for c in range(clips):
        for n, rgb in enumerate(panning(last + 1, SIZE, seed=c)):
            name = f"ulm_{c:06d}_{n:06d}"
            picture(root / f"leftImg8bit_sequence/val/ulm/{name}_leftImg8bit.png", np.ascontiguousarray(rgb[..., ::-1]))
        ids = np.asarray(CITYSCAPES19.ids, np.uint8)[np.random.default_rng(c).integers(0, 19, SIZE)]
        ids[:4] = 3  # "out of roi": no train id
        picture(root / f"gtFine/val/ulm/ulm_{c:06d}_{last:06d}_gtFine_labelIds.png", ids)
    return root


def save_networks(folder: Path, *, classes: int = 19) -> Path:
    """Random weights under the names of published ones."""
    from segtween.networks import build, build_flow, build_refiner

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(build("swiftnet-r18", classes=classes).state_dict(), folder / "cityscapes-swnet-R18.pt")
    parts = {
        "epoch": 3,
        "state_dict": build_refiner(classes=classes).state_dict(),
        "state_dict_of": build_flow("flow-light").state_dict(),
    }
    torch.save(parts, folder / "cityscapes-swnet_model_best.pth.tar")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with data `city` and `weights`, and a cache of its own."""
    folder = tmp_path_factory.mktemp("home")
    street(folder / "city")
    save_networks(folder / "weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGTWEEN_CACHE", str(folder / "cache"))
        for name in ("SEGTWEEN_DATA", "RANK", "WORLD_SIZE", "LOCAL_RANK"):
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with data and weights in it."""
    (tmp_path / "city").symlink_to(home / "city")
    shutil.copytree(home / "weights", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a refused command prints."""
    capsys.readouterr()
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("segtween: error: ")
    assert said.count("\n") == 1
    return said


EVALUATE = "--evaluate 1 --device cpu --data-root city --threads 1"


@pytest.mark.slow
def test_evaluation_writes_what_the_reference_writes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "--eval-scale 0.75 --checkname t --ResFolderName r --save-res 1 --save-seq-res 1 --batch-size 1"
    assert main([*EVALUATE.split(), *words.split()]) == 0
    said = capsys.readouterr().out
    (run,) = (here / "logs/run/cityscapes_2k/swiftnet_t").iterdir()
    assert run.name.endswith("_eval")
    stored = json.loads((run / "results.json").read_text())
    assert set(stored["distances"]) == {"0", "1", "2", "3", "4"}
    assert stored["method"]["name"] == "swnet-seq"
    assert stored["min_miou"] == stored["distances"]["4"]["miou"]
    mean = np.mean([d["miou"] for d in stored["distances"].values()])
    assert stored["mean_miou"] == pytest.approx(mean)
    assert f"{mean:.2%}" in said
    assert f"{stored['avg_miou']:.2%}" in said
    folder = here / "logs/pred_img_res/cityscapes_2k/swiftnet_t/r"
    names = {f"ulm_{c:06d}_000005_pred_k{k}.png" for c in (0, 1) for k in range(5)}
    assert {p.name for p in folder.iterdir()} == names | {f"ulm_{c:06d}_000005_seq_k4.png" for c in (0, 1)}
    colours = cv2.cvtColor(cv2.imread(str(folder / "ulm_000000_000005_pred_k2.png")), cv2.COLOR_BGR2RGB)
    assert colours.shape[:2] == SIZE
    assert set(map(tuple, colours.reshape(-1, 3).tolist())) <= set(CITYSCAPES19.colours)
    log = (run / "run.log").read_text()
    assert "--checkname t\n" in log
    assert "--lr 0.002 (default)\n" in log
    assert len(list(run.glob("events.out.tfevents.*"))) == 1


@pytest.mark.slow
def test_its_figures_are_those_of_segtween_evaluate(here: Path) -> None:
    from segtween.compat.swnet_seq.flags import parse
    from segtween.compat.swnet_seq.weights import open_key_network
    from segtween.datasets import open_dataset
    from segtween.evaluation import EvaluationOptions, evaluate_method
    from segtween.settings import change, find_preset

    assert main([*EVALUATE.split(), "--checkname", "same"]) == 0
    (run,) = (here / "logs/run/cityscapes_2k/swiftnet_same").iterdir()
    stored = json.loads((run / "results.json").read_text())
    options, _ = parse(EVALUATE.split())
    segmenter, _ = open_key_network(options, here / "weights/cityscapes-swnet-R18.pt")
    settings = change(find_preset("swnet-seq"), weights=str(here / "weights/cityscapes-swnet_model_best.pth.tar"))
    report = evaluate_method(
        open_dataset("cityscapes", here / "city", split="val"),
        segmenter=segmenter,
        settings=settings,
        name="swnet-seq",
        intervals=[4],
        options=EvaluationOptions(threads=1),
    )
    distances = report.results[0]["per_distance"]
    assert [stored["distances"][str(k)]["miou"] for k in range(1, 5)] == distances[1:]
    assert stored["distances"]["0"]["miou"] == report.every_frame["miou"]


@pytest.mark.slow
def test_the_network_alone(here: Path) -> None:
    (here / "weights/cityscapes-swnet_model_best.pth.tar").unlink()  # it is not needed
    words = f"{EVALUATE} --eval-single 1 --save-res 1 --save-seq-res 1 --eval-multi-step 2"
    assert main(words.split()) == 0
    folder = here / "logs/pred_img_res/cityscapes_2k/swiftnet_default/results"
    names = {f"ulm_{c:06d}_000005_{end}.png" for c in (0, 1) for end in ("pred_k0", "seq_k2")}
    assert {p.name for p in folder.iterdir()} == names
    (run,) = (here / "logs/run/cityscapes_2k/swiftnet_default").iterdir()
    assert set(json.loads((run / "results.json").read_text())["distances"]) == {"0"}


@pytest.mark.slow
def test_inference_predicts_every_frame(here: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(home / "city/leftImg8bit_sequence", here / "bare/leftImg8bit_sequence")  # no labels
    words = "--inference 1 --data-root bare --eval-scale 0.5 --ResFolderName p --checkname t --save-seq-res 1"
    assert main([*words.split(), "--eval-multi-step", "2", "--log-folder", "elsewhere", "--threads", "1"]) == 0
    assert "the CPU is used" in capsys.readouterr().out  # --device gpu is the default
    folder = here / "elsewhere/pred_img_res/cityscapes_2k/swiftnet_t/p"
    names = {f"ulm_{c:06d}_{n:06d}_pred_k{n % 3}.png" for c in (0, 1) for n in range(6)}
    strips = {f"ulm_{c:06d}_{n:06d}_seq_k2.png" for c in (0, 1) for n in (2, 5)}
    assert {p.name for p in folder.iterdir()} == names | strips


def test_a_safetensors_file_of_the_same_stem_will_do(here: Path) -> None:
    from segtween.compat.swnet_seq.flags import Options
    from segtween.compat.swnet_seq.weights import segmenter_file

    old, new = (here / "weights" / f"cityscapes-swnet-R18.{end}" for end in ("pt", "safetensors"))
    new.touch()
    assert segmenter_file(Options()).resolve() == old
    old.unlink()
    assert segmenter_file(Options()).resolve() == new


@pytest.mark.slow
def test_flownet_takes_the_light_one_s_place(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from segtween.networks import build_flow

    words = f"{EVALUATE} --optical-flow-network flownet --eval-multi-step 1 --eval-scale 0.5"
    said = refused(words, capsys)
    assert "weights/flownet.pth.tar is not found; expected the weights of flownets; get it from the read-me of" in said
    torch.save({"state_dict": build_flow("flownets").state_dict()}, here / "weights/flownet.pth.tar")
    assert main(words.split()) == 0
    assert "weights of flow: weights/flownet.pth.tar" in capsys.readouterr().out


def test_missing_weights_are_said_with_where_they_are_published(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "weights/cityscapes-swnet_model_best.pth.tar").unlink()
    said = refused(EVALUATE, capsys)
    assert "weights/cityscapes-swnet_model_best.pth.tar is not found" in said
    assert "github.com/Jerry2990/Video-sequence-semantic-segmentation, folder weights, and put it there" in said
    (here / "weights/cityscapes-swnet-R18.pt").unlink()
    said = refused(EVALUATE, capsys)
    assert "cityscapes-swnet-R18.pt is not found; expected the weights of swiftnet-r18 with 19 classes" in said
    assert "github.com/orsic/swiftnet" in said
    said = refused(f"{EVALUATE} --segnet bisenet --dataset camvid", capsys)
    assert "weights/camvid-bisenet-R18.pt is not found; expected the weights of bisenet-r18 with 11 classes" in said
    assert "--weights-folder" in said
    assert not (here / "logs/pred_img_res").exists()


def test_weights_that_do_not_fit_are_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segmenter = here / "weights/cityscapes-swnet-R18.pt"
    whole = segmenter.read_bytes()
    segmenter.write_bytes(whole[: len(whole) // 2])
    assert "is damaged or cut off" in refused(EVALUATE, capsys)
    save_networks(here / "other", classes=11)
    shutil.copy(here / "other/cityscapes-swnet-R18.pt", segmenter)
    said = refused(EVALUATE, capsys)
    assert "does not fit swiftnet-r18 with 19 classes" in said
    assert "it looks like swiftnet-r18 with 11 classes" in said
    shutil.copy(here / "weights/cityscapes-swnet_model_best.pth.tar", segmenter)
    assert "cityscapes-swnet-R18.pt has the parts state_dict, state_dict_of" in refused(EVALUATE, capsys)
    torch.save({"state_dict": {}, "run": print}, segmenter)
    assert "carries code (print), which was not run" in refused(EVALUATE, capsys)


@pytest.mark.slow
def test_what_is_found_only_when_it_is_run_is_said(here: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "city").unlink()
    shutil.copytree(home / "city", here / "city")
    picture(here / "city/gtFine/val/ulm/ulm_000001_000005_gtFine_labelIds.png", np.full(SIZE, 99, np.uint8))
    assert "holds ids [99]; expected the ids of label set 'cityscapes19'" in refused(EVALUATE, capsys)
    save_networks(here / "other", classes=11)
    shutil.copy(here / "other/cityscapes-swnet_model_best.pth.tar", here / "weights")
    assert "is for 11 classes; expected 19, as the segmentation network has" in refused(EVALUATE, capsys)


def test_data_that_does_not_fit_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(f"{EVALUATE} --eval-multi-step 9", capsys)
    assert "clip ulm_000000_000005 has 5 frames before its last labelled one; expected 9 or more" in said
    assert "folder city/leftImg8bit_sequence/test is missing" in refused(f"{EVALUATE} --split test", capsys)
    (here / "val.txt").write_text("a.png b.png\n")
    assert "val.txt, line 1: a.png is missing" in refused(f"{EVALUATE} --val-list val.txt", capsys)
    assert "--checkname 'a/b'; expected the name of one folder" in refused(f"{EVALUATE} --checkname a/b", capsys)
    (here / "taken").write_text("")
    assert "taken" in refused(f"{EVALUATE} --log-folder taken", capsys)


@pytest.mark.slow
def test_the_experiment_s_own_weights_are_measured_unless_resume_is_0(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = here / "logs/run/cityscapes_2k/swiftnet_t"
    own.mkdir(parents=True)
    shutil.copy(here / "weights/cityscapes-swnet_model_best.pth.tar", own / "model_best.pth.tar")
    words = f"{EVALUATE} --checkname t --eval-multi-step 1 --eval-scale 0.5"
    assert main(words.split()) == 0
    assert f"weights of propagation: {own.relative_to(here)}/model_best.pth.tar" in capsys.readouterr().out
    assert main(f"{words} --resume 0".split()) == 0
    assert "weights of propagation: weights/cityscapes-swnet_model_best.pth.tar" in capsys.readouterr().out


# ── Training ──────────────────────────────────────────────────────────────────────────────────

TRAIN = "--device cpu --data-root city --checkname t --batch-size 1 --eval-scale 0.5 --threads 1 --use-crop 0"


def test_every_training_flag_finds_its_place(here: Path) -> None:
    from segtween.compat.swnet_seq.clips import labelled_clips
    from segtween.compat.swnet_seq.flags import parse
    from segtween.compat.swnet_seq.train import recipe_of

    def recipe(words: str) -> dict[str, Any]:
        options, _ = parse(["--data-root", "city", *words.split()])
        data = labelled_clips(options, split="val", listing="", before=1)
        return asdict(recipe_of(options, here / "w.pt", data, here / "list.txt"))

    default = recipe("")
    assert (default["epochs"], default["batch"], default["crop"], default["chain"]) == (
        100,
        8,
        "1536x768",
        (1, 2, 3, 4),
    )
    assert (default["loss"]["ce"], default["gradient_steps"]) == (10, 2)
    assert default["loss"]["distil"] == 10 / 19  # ours adds up over the classes
    rates = {"kind": "sgd", "intra": 0.002, "guide": 0.02, "flow": 0.02, "weight_decay": 5e-4, "every": 100}
    assert rates.items() <= default["optimiser"].items()
    assert default["optimiser"]["gamma"] == 0.992
    assert (default["train_flow"], default["finetune_all"], default["freeze_norms"]) == (True, False, False)
    for words, path, value in (
        ("--epoch 3", "epochs", 3), ("--batch-size 2", "batch", 2), ("--seed 9", "seed", 9),
        ("--crop-width 64 --crop-height 32", "crop", "64x32"), ("--use-crop 0", "crop", "128x64"),
        ("--use-crop 0", "augment.scale", (1.0, 1.0)), ("--multi-step 2 3", "chain", (2, 3)),
        ("--lr 0.5", "optimiser.intra", 0.5), ("--guide-lr 0.5", "optimiser.guide", 0.5),
        ("--optical-flow-lr 0.5", "optimiser.flow", 0.5), ("--lr-gamma 0.5", "optimiser.gamma", 0.5),
        ("--step-scheduler 7", "optimiser.every", 7), ("--weight-decay 0", "optimiser.weight_decay", 0),
        ("--optim adam", "optimiser.kind", "adam"), ("--param-ce 3", "loss.ce", 3),
        ("--param-ce-distil 38", "loss.distil", 2), ("--distil 0", "loss.distil", 0),
        ("--early-stop 2", "early_stop", 2),
        ("--train-optical-flow 0", "train_flow", False), ("--finetune-all 1", "finetune_all", True),
        ("--freeze-bn 1", "freeze_norms", True), ("--optical-flow-network flownet", "flow", "flownets"),
        ("--edge 0", "edge", "absent"), ("--eval-scale 0.5", "scale", 0.5),
        ("--segnet bisenet", "network", "bisenet-r18"),
        ("--checkname x", "name", "swiftnet_x"),
    ):  # fmt: skip
        found: Any = recipe(words)
        for key in path.split("."):
            found = found[key]
        assert found == value, words


@pytest.mark.usefixtures("here")
def test_a_crop_that_does_not_fit_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    said = refused("--device cpu --data-root city --resume 0 --crop-width 100 --crop-height 50", capsys)
    assert "--crop-width 100 --crop-height 50; expected multiples of 32; give --crop-width 96 --crop-height 64" in said


def test_training_and_validation_never_share_a_frame(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = "leftImg8bit_sequence/val/ulm/ulm_000000_000005_leftImg8bit.png"
    (here / "list.txt").write_text(f"{image} gtFine/val/ulm/ulm_000000_000005_gtFine_labelIds.png\n")
    said = refused(f"{TRAIN} --resume 0 --train-list list.txt --val-list list.txt", capsys)
    assert "1 frame in both training and validation, first ulm_000000_000005; expected other clips" in said
    said = refused(f"{TRAIN} --resume 0 --val-list list.txt", capsys)
    assert "city has no split train; expected clips to train on; give --train-list FILE" in said
    street(here / "single", clips=1)
    said = refused(TRAIN.replace("city", "single") + " --resume 0", capsys)
    assert "single has no split train, and val has 1 clip; expected clips to train on and others" in said


@pytest.mark.slow
def test_an_epoch_is_trained_validated_kept_and_gone_on_from(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from segtween.networks.checkpoints import read_checkpoint

    own = here / "logs/run/cityscapes_2k/swiftnet_t"
    assert main(f"{TRAIN} --resume 0 --epoch 1 --visualization 1".split()) == 0
    said = capsys.readouterr().out
    assert "of the 2 clips of val the first 1 train and the others validate" in said
    assert "epoch 1 of 1: loss" in said
    kept = read_checkpoint(own / "model_best.pth.tar")
    assert set(kept.parts) == {"state_dict", "state_dict_of"}
    assert kept.facts["epoch"] == 1
    assert f"validation mIoU {kept.facts['best_pred']:.2%}" in said
    (run,) = own.glob("*_train")
    assert {"run.log", "results.json"} <= {p.name for p in run.iterdir()}
    assert not [p for p in run.iterdir() if p.name.startswith(".")]
    # Finished: going on exactly changes nothing.
    before = (own / "training/checkpoint.pt").read_bytes()
    assert main(f"{TRAIN} --epoch 1 --visualization 1 --reset-optimizer 0".split()) == 0
    assert (own / "training/checkpoint.pt").read_bytes() == before
    said = refused(f"{TRAIN} --epoch 1 --lr 0.1 --reset-optimizer 0", capsys)
    assert "was made with another recipe" in said
    assert "give --reset-optimizer 1 to begin a new training with its weights, or another --checkname" in said
    # Begins a new one with those weights, without their flow; the best so far stays unless it is beaten.
    best = kept.facts["best_pred"]
    assert main(f"{TRAIN} --epoch 1 --load-flow 0 --reset-best-pred 0 --lr 1e-9".split()) == 0
    assert "checkpoint.pth.tar, its refinement only" in capsys.readouterr().out
    assert read_checkpoint(own / "model_best.pth.tar").facts["best_pred"] >= best
    # Measured with its own weights.
    assert main(f"{EVALUATE} --checkname t --eval-scale 0.5".split()) == 0
    assert "swiftnet_t/model_best.pth.tar" in capsys.readouterr().out


@pytest.mark.slow
def test_two_processes_train_together(here: Path) -> None:
    words = f"--evaluate 0 {TRAIN} --resume 0 --epoch 1 --eval-multi-step 1 --multi-step 1 2".replace(
        "size 1", "size 2"
    )
    street(here / "three", clips=3)
    words = words.replace("--data-root city", "--data-root three")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29713"]
    done = subprocess.run(
        [*launcher, str(MAIN), *words.split()], capture_output=True, text=True, timeout=280, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("epoch 1 of 1: loss") == 1
    own = here / "logs/run/cityscapes_2k/swiftnet_t"
    assert {"model_best.pth.tar", "checkpoint.pth.tar", "training"} <= {p.name for p in own.iterdir()}
    assert len(list(own.glob("*_train"))) == 1


@pytest.mark.usefixtures("here")
def test_from_a_checkout_as_a_program() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    for words, code, text in (
        (["--help"], 0, "--eval-multi-step"),
        (["--evalute", "1"], 2, "did you mean --evaluate?"),
    ):
        done = subprocess.run([sys.executable, str(MAIN), *words], capture_output=True, text=True, env=environment)
        assert done.returncode == code
        assert text in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_the_recipe_that_makes_a_first_network_fits_the_weights_it_stands_for() -> None:
    recipe = yaml.safe_load((MAIN.parent / "recipes/swiftnet-r18.street19.yaml").read_text())
    assert (recipe["network"], recipe["labels"], recipe["initial"]) == ("swiftnet-r18", "cityscapes19", "random")
