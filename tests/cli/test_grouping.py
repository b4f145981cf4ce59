"""Options in groups: one field, an option of every command that takes the group."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from segtween import api
from segtween.cli import app
from segtween.cli.bench import app as bench_app
from segtween.cli.bench import speed
from segtween.cli.grouping import Rare, Without, grouped
from segtween.cli.guard import guarded
from segtween.cli.options import MethodOptions, NetworkOptions
from segtween.errors import SettingError
from segtween.settings import DEFAULT_PRESET, PRESETS


@dataclass(frozen=True)
class Fruit:
    kind: Annotated[str, typer.Option("--kind")]
    ripe: Annotated[bool | None, typer.Option("--ripe/--unripe")] = None
    count: Annotated[int, typer.Option("--count")] = 1

    PANEL: ClassVar[str] = "Fruit bowl"


def called(command: object, *words: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    done = CliRunner().invoke(app, list(words))
    return done.exit_code, done.output


def test_a_group_arrives_as_one_value_beside_other_options() -> None:
    @guarded
    @grouped
    def buy(*, fruit: Fruit, price: Annotated[int, typer.Option("--price")] = 3) -> None:
        typer.echo(f"{fruit} for {price}")

    code, said = called(buy, "--kind", "pear", "--unripe", "--price", "5")
    assert (code, said) == (0, "Fruit(kind='pear', ripe=False, count=1) for 5\n")
    assert called(buy)[0] == 2  # --kind is required
    assert list(inspect.signature(buy).parameters) == ["kind", "ripe", "count", "price"]


def test_an_option_can_be_left_out() -> None:
    @grouped
    def buy(*, fruit: Annotated[Fruit, Without("ripe", "count")]) -> None:
        typer.echo(str(fruit.count))

    assert called(buy, "--kind", "pear") == (0, "1\n")
    assert called(buy, "--kind", "pear", "--count", "2")[0] == 2


def test_leaving_out_what_is_not_there_is_a_mistake() -> None:
    def buy(*, fruit: Annotated[Fruit, Without("stone")]) -> None: ...

    with pytest.raises(TypeError, match="Fruit has no field 'stone'"):
        grouped(buy)


def test_rare_options_work_and_are_shown_on_request() -> None:
    @grouped
    def buy(*, fruit: Annotated[Fruit, Rare("count")]) -> None:
        typer.echo(str(fruit.count))

    usual, everything = called(buy, "--help"), called(buy, "--help-all")
    assert (usual[0], everything[0]) == (0, 0)
    assert "--count" not in usual[1]
    assert all(text in everything[1] for text in ("--kind", "--count", "Fruit bowl"))
    assert called(buy, "--kind", "pear", "--count", "2") == (0, "2\n")
    assert "--count" not in called(buy, "--help")[1], "asking once changes nothing"


def test_a_command_without_rare_options_has_one_help() -> None:
    @grouped
    def buy(*, fruit: Fruit) -> None:
        typer.echo(str(fruit.count))

    assert "Fruit bowl" in called(buy, "--help")[1]
    assert called(buy, "--kind", "pear", "--help-all")[0] == 2


def test_marking_what_is_not_there_as_rare_is_a_mistake() -> None:
    def buy(*, fruit: Annotated[Fruit, Rare("stone")]) -> None: ...

    with pytest.raises(TypeError, match="Fruit has no field 'stone'"):
        grouped(buy)


BENCH = ("speed", "roofline", "cold-start", "sweep", "streams", "real-time", "device")


@pytest.mark.parametrize("command", BENCH)
def test_a_benchmark_shows_about_a_dozen_options(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["bench", command, "--help"])
    assert done.exit_code == 0
    shown = {word for word in done.output.split() if word.startswith("--") and word.strip("-")} & options_of(command)
    assert len(shown - {"--help", "--help-all"}) <= 13
    assert max(map(len, done.output.splitlines())) <= 80
    assert all(panel in done.output for panel in ("Network", "Method"))


def options_of(command: str) -> set[str]:
    group = typer.main.get_command(bench_app)
    return {name for parameter in group.commands[command].params for name in parameter.opts}  # type: ignore[attr-defined]


def test_bench_without_a_subcommand_measures_speed() -> None:
    def helped(*words: str) -> str:
        done = CliRunner().invoke(app, ["bench", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert helped("--help-all") == helped("speed", "--help-all")
    assert all(name in helped("--help") for name in BENCH)
    refused = CliRunner().invoke(app, ["bench", "--size", "64x64", "roofline"])
    assert refused.exit_code == 2
    assert "unexpected extra argument" in refused.output


def test_defaults_are_those_of_the_python_door() -> None:
    loaded = inspect.signature(api.load).parameters
    for options in (NetworkOptions(), MethodOptions()):
        for name, value in vars(options).items():
            if name in loaded:
                assert value == loaded[name].default, name


def test_help_names_every_preset() -> None:
    (option,) = inspect.signature(speed).parameters["preset"].annotation.__metadata__
    assert option.help == f"Preset of the method: {', '.join(PRESETS)}."


def test_stored_scores_beside_a_model_are_refused() -> None:
    with pytest.raises(SettingError, match="--scores a.npz and --model b.onnx; expected one of them; leave one out"):
        NetworkOptions(model="b.onnx", scores=Path("a.npz")).open()


def test_a_setting_that_is_given_replaces_the_presets_and_stars_its_name() -> None:
    assert MethodOptions().settings() == PRESETS[DEFAULT_PRESET]
    assert MethodOptions().name == DEFAULT_PRESET
    changed = MethodOptions(preset="warp", flow="zero")
    assert changed.settings().flow.name == "zero"
    assert changed.settings().history_weight == PRESETS["warp"].history_weight
    assert changed.name == "warp*"


def test_changes_go_to_every_preset() -> None:
    chosen = MethodOptions(flow="zero").of_presets(["blend", "warp"])
    assert {name: settings.flow.name for name, settings in chosen.items()} == {"blend*": "zero", "warp*": "zero"}
    assert list(MethodOptions().of_presets(["blend"])) == ["blend"]
    mixed = MethodOptions(weights="w", edge=False).of_presets(["blend", "swnet-seq"])
    assert list(mixed) == ["blend", "swnet-seq*"], "blend has no use for weights and stays as it is"
    assert mixed["blend"] == PRESETS["blend"]
    with pytest.raises(SettingError, match="weights='w' with refine='none' and flow='dis'; expected a refinement"):
        MethodOptions(weights="w").of_presets(["blend", "warp"])
    with pytest.raises(SettingError, match="edge=False without refinement; expected refine='guided', .*; leave it out"):
        MethodOptions(edge=False).settings()
    with pytest.raises(SettingError, match="preset 'magic'; expected one of composed, blend, warp"):
        MethodOptions().of_presets(["magic"])
