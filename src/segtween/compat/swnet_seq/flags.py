"""Every flag of the reference system's `main.py`, with its default, and those that we add.

A value comes from the command line, else from the file of `--config`, else from the default; nothing changes it
afterwards. `recipes/reference/defaults.yaml` holds the defaults as such a file.
"""

from __future__ import annotations

import argparse
import difflib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from segtween.errors import SettingError
from segtween.validation import read_yaml

Mode = Literal["train", "evaluate", "inference"]


def _flag(default: Any, help: str, *, ours: bool = False, **limits: Any) -> Any:
    """A field of `Options`, whose type says what the flag takes. Limits: `least` and `most`, both included; `above`,
    not included."""
    return field(default=default, metadata={"help": help, "ours": ours, **limits})


@dataclass(frozen=True)
class Options:
    """What was asked for. Field `eval_scale` is the flag `--eval-scale`."""

    evaluate: bool = _flag(False, "1: measure on labelled clips; 0, with --inference 0: train")
    inference: bool = _flag(False, "1: write predictions of every frame; no labels are needed")
    dataset: Literal["cityscapes_2k", "camvid"] = _flag("cityscapes_2k", "layout and classes of the data")
    segnet: Literal["swiftnet", "bisenet"] = _flag("swiftnet", "the network of key frames, ResNet-18")
    optical_flow_network: Literal["light", "flownet"] = _flag("light", "the flow network: the light one, or FlowNet2S")
    device: Literal["gpu", "cpu"] = _flag("gpu", "a GPU where there is one, or the CPU")
    local_rank: int = _flag(0, "this process among those of the machine (torchrun says it by itself)", least=0)
    checkname: str = _flag("default", "name of the experiment: one folder of logs, checkpoints, predictions")
    log_folder: str = _flag("./logs", "folder of run/ and pred_img_res/")
    resume: bool = _flag(True, "1: go on from, or measure, the experiment's own weights where it has some")
    seed: int = _flag(1, "of order, augmentation and random weights", least=0)
    num_worker: int = _flag(4, "threads or processes that read pictures; 0: none beside the main one", least=0)
    batch_size: int = _flag(8, "clips of a training step, of all processes together; clips read ahead", least=1)
    # Evaluation and inference
    eval_scale: float = _flag(0.75, "scale at which the network of key frames sees a frame", above=0, most=4)
    eval_multi_step: tuple[int, ...] = _flag((1, 2, 3, 4), "frames from key frame to measured frame")
    eval_single: bool = _flag(False, "1: the network alone on every frame, nothing propagated")
    ResFolderName: str = _flag("results", "folder of this run's predictions")
    save_res: bool = _flag(False, "1: write a coloured label image per evaluated frame and distance")
    save_seq_res: bool = _flag(False, "1: write a strip of pictures from key frame to last frame")
    # Training
    epoch: int = _flag(100, "passes over the training clips", least=1)
    multi_step: tuple[int, ...] = _flag((1, 2, 3, 4), "lengths of training chains, one drawn per sample")
    lr: float = _flag(0.002, "learning rate of the intra network", above=0)
    guide_lr: float = _flag(0.02, "learning rate of the guide network", above=0)
    optical_flow_lr: float = _flag(0.02, "learning rate of the flow network", above=0)
    lr_gamma: float = _flag(0.992, "factor of all rates every --step-scheduler steps", above=0, most=1)
    step_scheduler: int = _flag(100, "optimiser steps between two falls of the rates", least=1)
    optim: Literal["sgd", "adam"] = _flag("sgd", "SGD with Nesterov momentum 0.9, or Adam")
    weight_decay: float = _flag(5e-4, "weight decay", least=0)
    param_ce: float = _flag(10.0, "factor of the whole loss", least=0)
    param_ce_distil: float = _flag(10.0, "weight of distillation beside cross-entropy", least=0)
    distil: bool = _flag(True, "1: distil the network's own scores on the last frame")
    train_optical_flow: bool = _flag(True, "1: train the flow network; 0: keep it as it is")
    load_flow: bool = _flag(True, "1: begin with stored weights of the flow network; 0: with random ones")
    finetune_all: bool = _flag(False, "1: train the network of key frames as well")
    freeze_bn: bool = _flag(False, "1: keep the statistics of batch normalisation")
    use_crop: bool = _flag(True, "1: train on random crops; 0: on whole frames")
    crop_height: int = _flag(768, "height of a crop in pixels", least=32)
    crop_width: int = _flag(1536, "width of a crop in pixels", least=32)
    early_stop: int = _flag(0, "epochs without a better validation after which to stop; 0: never", least=0)
    reset_optimizer: bool = _flag(True, "with --resume 1: 1: begin with a fresh optimiser and epoch 0")
    reset_best_pred: bool = _flag(True, "with --resume 1: 1: forget the best validation so far")
    visualization: bool = _flag(False, "1: pictures of training and validation among the TensorBoard events")
    # Ours
    data_root: str = _flag("", "folder of the data set; else $SEGTWEEN_DATA", ours=True)
    train_list: str = _flag("", "list file of training clips: `image label` per line", ours=True)
    val_list: str = _flag("", "list file of clips to validate and to evaluate on", ours=True)
    test_list: str = _flag("", "list file of clips for inference; labels may be left out", ours=True)
    split: str = _flag("", "split to evaluate (val) or to predict (test) where no list is given", ours=True)
    weights_folder: str = _flag("./weights", "folder of published weights", ours=True)
    edge: bool = _flag(True, "0: published weights without their edge input", ours=True)
    threads: int = _flag(0, "processors to use; 0: all", ours=True, least=0)

    @property
    def mode(self) -> Mode:
        """SettingError where both --evaluate and --inference are 1."""
        if self.evaluate and self.inference:
            raise SettingError(
                "--evaluate 1 and --inference 1", expected="one of them", do="run the command once for each"
            )
        return "evaluate" if self.evaluate else "inference" if self.inference else "train"

    @property
    def longest(self) -> int:
        """The largest distance that is evaluated."""
        return max(self.eval_multi_step)

    def to_json(self) -> dict[str, Any]:
        """Flag -> plain value."""
        plain = {bool: int, tuple: list}
        values = {flag_name(f): getattr(self, f.name) for f in fields(self)}
        return {name: plain.get(type(value), type(value))(value) for name, value in values.items()}


def flag_name(of: Field[Any]) -> str:
    """The flag without its dashes."""
    return of.name if of.name in ("local_rank", "ResFolderName") else of.name.replace("_", "-")


FLAGS: dict[str, Field[Any]] = {flag_name(f): f for f in fields(Options)}
TYPES: dict[str, Any] = {name: get_type_hints(Options)[f.name] for name, f in FLAGS.items()}


def parse(words: Sequence[str]) -> tuple[Options, list[str]]:
    """The options of a command line, and the names of the flags that came from it or from the config file.

    Raises SettingError for an unknown flag or a value that a flag does not take, SystemExit 0 after `--help`.
    """
    given, unknown = _parser().parse_known_args(list(words))
    if unknown:
        raise _unknown(unknown[0])
    typed = {name: value for name, value in vars(given).items() if value is not None}
    config = typed.pop("config", None)
    values = {} if config is None else read_config(config)
    values |= {FLAGS[name].name: convert(name, value) for name, value in typed.items()}
    options = Options(**values)
    _ = options.mode
    return options, sorted(flag_name(f) for f in fields(Options) if f.name in values)


def read_config(path: str | Path) -> dict[str, Any]:
    """Field -> value of a YAML file `flag: value`; names may be written with - or _. Raises SettingError."""
    stored = read_yaml(path, what="--config", expected="flag: value lines")
    if stored is None:
        return {}
    if not isinstance(stored, Mapping):
        raise SettingError(f"--config {path} holds {stored!r:.60}", expected="flag: value lines", do="correct it")
    by_field = {f.name: name for name, f in FLAGS.items()}
    values = {}
    for key, value in stored.items():
        name = key if key in FLAGS else by_field.get(str(key).replace("-", "_"))
        if name is None:
            raise _unknown(f"--{key}", where=f" in {path}")
        values[FLAGS[name].name] = convert(name, value, where=f" in {path}")
    return values


def convert(name: str, value: Any, *, where: str = "") -> Any:
    """A word of the command line, or a YAML value, as the flag's field wants it; SettingError if it cannot be."""
    meta, kind, choices = FLAGS[name].metadata, TYPES[name], _choices(name)
    if kind is str or choices:
        text = "" if value is None else str(value)
        if choices and text not in choices:
            near = difflib.get_close_matches(text, choices, n=1)
            raise _refused(name, value, where, " or ".join(choices), f"did you mean {near[0]}?" if near else "")
        return text
    if kind is bool:
        if str(value).lower() not in ("0", "1", "true", "false"):
            raise _refused(name, value, where, "0 or 1")
        return str(value).lower() in ("1", "true")
    if _is_steps(name):
        items = value if isinstance(value, (list, tuple)) else str(value).replace(",", " ").split()
        steps = [_number(item, whole=True) for item in items]
        if not steps or any(n is None or n < 1 for n in steps):
            raise _refused(name, value, where, "whole numbers of 1 or more, such as 1 2 3 4")
        return tuple(sorted({int(n) for n in steps if n is not None}))
    number = _number(value, whole=kind is int)
    least, above, most = meta.get("least", -math.inf), meta.get("above", -math.inf), meta.get("most", math.inf)
    if number is None or not (least <= number <= most and number > above):
        raise _refused(name, value, where, _wanted(meta, whole=kind is int))
    return number


def _choices(name: str) -> tuple[str, ...]:
    return get_args(TYPES[name]) if get_origin(TYPES[name]) is Literal else ()


def _is_steps(name: str) -> bool:
    return get_origin(TYPES[name]) is tuple


def _number(value: Any, *, whole: bool) -> float | int | None:
    if isinstance(value, bool):
        return None
    try:
        number = int(str(value)) if whole else float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _wanted(meta: Mapping[str, Any], *, whole: bool) -> str:
    limits = [f"{meta['least']:g} or more"] if "least" in meta else []
    limits += [f"above {meta['above']:g}"] if "above" in meta else []
    limits += [f"at most {meta['most']:g}"] if "most" in meta else []
    return ", ".join([f"a {'whole ' if whole else ''}number", *limits])


def _refused(name: str, value: Any, where: str, expected: str, do: str = "") -> SettingError:
    shown = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return SettingError(f"--{name} {shown}{where}", expected=expected, do=do or "correct the value")


def _unknown(word: str, *, where: str = "") -> SettingError:
    name = word.lstrip("-").split("=")[0]
    if not word.startswith("-"):
        return SettingError(f"{word!r}{where} belongs to no flag", expected="--flag value", do="see main.py --help")
    near = difflib.get_close_matches(name.replace("_", "-"), FLAGS, n=1)
    return SettingError(
        f"--{name}{where} is no flag",
        expected="one of those that main.py --help lists",
        do=f"did you mean --{near[0]}?" if near else "leave it out",
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingError(message.removeprefix("argument "), expected="--flag value", do="see main.py --help")


def _parser() -> argparse.ArgumentParser:
    """Takes words apart only; `convert` judges the values."""
    parser = _Parser(
        prog="main.py",
        description="The reference system's command line (SwNet-seq) on segtween. docs/reference-commands.md",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE.yaml", help="flag: value lines; flags of the command line win")
    groups = {ours: parser.add_argument_group(title) for ours, title in ((False, "flags"), (True, "our own flags"))}
    for name, of in FLAGS.items():
        other = {"local_rank": ["--local-rank"]}.get(name, [])
        groups[of.metadata["ours"]].add_argument(
            f"--{name}",
            *other,
            dest=name,
            nargs="+" if _is_steps(name) else None,
            metavar="|".join(_choices(name)) or {bool: "0|1", str: "TEXT"}.get(TYPES[name], "N"),
            help=f"{of.metadata['help']} ({_shown(of.default)})".replace("%", "%%"),
        )
    return parser


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value) or "none"


def data_root(options: Options) -> Path | None:
    """Where the data lies; None where it was not said."""
    given = options.data_root or os.environ.get("SEGTWEEN_DATA", "")
    return Path(given) if given else None
