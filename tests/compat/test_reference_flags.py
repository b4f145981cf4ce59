"""The reference's flags: all there, with their defaults; what wins over what; and what is said of wrong ones."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from segtween.compat.swnet_seq.flags import FLAGS, Options, flag_name, parse
from segtween.errors import SettingError

DEFAULTS_FILE = Path(__file__).resolve().parents[2] / "recipes" / "reference" / "defaults.yaml"

REFERENCE: dict[str, Any] = {
    "device": "gpu",
    "local_rank": 0,
    "freeze-bn": 0,
    "num-worker": 4,
    "lr": 0.002,
    "guide-lr": 0.02,
    "lr-gamma": 0.992,
    "weight-decay": 5e-4,
    "param-ce": 10,
    "param-ce-distil": 10,
    "distil": 1,
    "optim": "sgd",
    "step-scheduler": 100,
    "load-flow": 1,
    "finetune-all": 0,
    "seed": 1,
    "crop-height": 768,
    "crop-width": 1536,
    "use-crop": 1,
    "early-stop": 0,
    "dataset": "cityscapes_2k",
    "multi-step": [1, 2, 3, 4],
    "eval-multi-step": [1, 2, 3, 4],
    "eval-single": 0,
    "segnet": "swiftnet",
    "optical-flow-network": "light",
    "optical-flow-lr": 0.02,
    "train-optical-flow": 1,
    "log-folder": "./logs",
    "reset-optimizer": 1,
    "reset-best-pred": 1,
    "resume": 1,
    "visualization": 0,
}
"""Flags of the reference whose default is known."""

COMMANDS = ("evaluate", "inference", "checkname", "batch-size", "epoch", "eval-scale", "ResFolderName", "save-res",
            "save-seq-res")  # fmt: skip
"""Flags of its commands."""

OTHER: dict[str, list[str]] = {
    "device": ["cpu"], "optim": ["adam"], "dataset": ["camvid"], "segnet": ["bisenet"],
    "optical-flow-network": ["flownet"], "multi-step": ["2", "5"], "eval-multi-step": ["3"], "lr-gamma": ["0.5"],
    "eval-scale": ["0.5"], "inference": ["0"],
}  # fmt: skip


def test_every_flag_of_the_reference_has_its_default() -> None:
    options, given = parse([])
    assert {name: options.to_json()[name] for name in REFERENCE} == REFERENCE
    assert set(COMMANDS) <= set(FLAGS)
    assert given == []
    assert options.mode == "train"


def test_the_defaults_are_shipped_as_a_config() -> None:
    stored = yaml.safe_load(DEFAULTS_FILE.read_text())
    assert set(stored) == {*REFERENCE, *COMMANDS}
    options, given = parse(["--config", str(DEFAULTS_FILE)])
    assert options == Options()
    assert set(given) == set(stored)


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_every_flag_is_taken_as_it_was_given(name: str) -> None:
    default = getattr(Options(), FLAGS[name].name)
    words = OTHER.get(name)
    if words is None:
        words = {bool: [str(int(not default))], int: ["64"], float: ["0.25"], str: ["other"]}[type(default)]
    options, given = parse([f"--{name}", *words])
    assert given == [name]
    value = options.to_json()[name]
    assert value == ([int(w) for w in words] if isinstance(value, list) else type(value)(words[0]))
    unchanged = {flag_name(f): f.default for f in fields(Options) if flag_name(f) != name}
    assert {n: getattr(options, FLAGS[n].name) for n in unchanged} == unchanged


def test_the_command_line_wins_over_the_config_and_that_over_the_default(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("epoch: 7\nbatch_size: 2\neval-multi-step: [2]\n")
    options, given = parse(["--config", str(config), "--epoch", "3", "--lr=0.5"])
    assert (options.epoch, options.batch_size, options.eval_multi_step, options.lr) == (3, 2, (2,), 0.5)
    assert options.guide_lr == 0.02
    assert given == ["batch-size", "epoch", "eval-multi-step", "lr"]


def test_the_older_launcher_s_spelling_of_the_rank_is_known() -> None:
    assert parse(["--local-rank", "1"])[0].local_rank == parse(["--local_rank=1"])[0].local_rank == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--evalute 1", r"--evalute is no flag; expected one of those .* lists; did you mean --evaluate\?"),
        ("--eval_scale 1", r"--eval_scale is no flag; .*; did you mean --eval-scale\?"),
        ("--nothing", r"--nothing is no flag; .*; leave it out"),
        ("word", r"'word' belongs to no flag; expected --flag value; see main\.py --help"),
        ("--evaluate", r"--evaluate: expected one argument; expected --flag value; see main\.py --help"),
        ("--evaluate yes", r"--evaluate yes; expected 0 or 1; correct the value"),
        ("--evaluate 1 --inference 1", r"--evaluate 1 and --inference 1; expected one of them; run the command once"),
        ("--dataset cityscapes", r"--dataset cityscapes; expected cityscapes_2k or .*; did you mean cityscapes_2k\?"),
        ("--segnet unet", r"--segnet unet; expected swiftnet or bisenet; correct the value"),
        ("--lr -1", r"--lr -1; expected a number, above 0; correct the value"),
        ("--lr nan", r"--lr nan; expected a number, above 0"),
        ("--lr-gamma 1.5", r"--lr-gamma 1\.5; expected a number, above 0, at most 1"),
        ("--batch-size 0", r"--batch-size 0; expected a whole number, 1 or more"),
        ("--batch-size 1.5", r"--batch-size 1\.5; expected a whole number, 1 or more"),
        ("--eval-multi-step 1 0", r"--eval-multi-step 1 0; expected whole numbers of 1 or more, such as 1 2 3 4"),
        ("--config none.yaml", r"--config none\.yaml cannot be read \(No such file .*\); expected a YAML file"),
    ],
)  # fmt: skip
def test_wrong_words_are_said(words: str, text: str) -> None:
    with pytest.raises(SettingError, match=text):
        parse(words.split())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("epochs: 3", r"--epochs in .*mine\.yaml is no flag; .*; did you mean --epoch\?"),
        ("epoch: many", r"--epoch many in .*mine\.yaml; expected a whole number, 1 or more; correct the value"),
        ("multi-step: []", r"--multi-step  in .*mine\.yaml; expected whole numbers"),
        ("- epoch", r"mine\.yaml holds \['epoch'\]; expected flag: value lines; correct it"),
        ("a: [", r"mine\.yaml is not YAML \(.*\); expected flag: value lines; correct it"),
    ],
)
def test_a_wrong_config_is_said(content: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(SettingError, match=text):
        parse(["--config", str(tmp_path / "mine.yaml")])


def test_an_empty_config_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("# nothing\n")
    assert parse(["--config", str(tmp_path / "mine.yaml")]) == (Options(), [])


def test_help_lists_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert all(f"--{name}" in said for name in FLAGS)
