"""Options in groups: one field, an option of every command that takes the group."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from segtween import api
from segtween.build import PRESETS
from segtween.cli.bench import speed
from segtween.cli.grouping import Without, grouped
from segtween.cli.guard import guarded
from segtween.cli.options import MethodOptions, NetworkOptions
from segtween.defaults import DEFAULT_PRESET
from segtween.errors import SettingError


@dataclass(frozen=True)
class Fruit:
    kind: Annotated[str, typer.Option("--kind")]
    ripe: Annotated[bool | None, typer.Option("--ripe/--unripe")] = None
    count: Annotated[int, typer.Option("--count")] = 1


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
    assert changed.settings().flow == "zero"
    assert changed.settings().fusion == PRESETS["warp"].fusion
    assert changed.name == "warp*"


def test_changes_go_to_every_preset() -> None:
    chosen = MethodOptions(flow="zero").of_presets(["blend", "warp"])
    assert {name: settings.flow for name, settings in chosen.items()} == {"blend*": "zero", "warp*": "zero"}
    assert list(MethodOptions().of_presets(["blend"])) == ["blend"]
    mixed = MethodOptions(weights="w", edge=False).of_presets(["blend", "swnet-seq"])
    assert list(mixed) == ["blend", "swnet-seq*"], "blend has no use for weights and stays as it is"
    assert mixed["blend"] == PRESETS["blend"]
    with pytest.raises(SettingError, match="weights w with refine none and flow dis; expected a refinement or flow"):
        MethodOptions(weights="w").of_presets(["blend", "warp"])
    with pytest.raises(
        SettingError, match="no edge without refinement; expected refine guided, .*; leave --no-edge out"
    ):
        MethodOptions(edge=False).settings()
    with pytest.raises(SettingError, match="preset 'magic'; expected one of composed, refined, blend, warp"):
        MethodOptions().of_presets(["magic"])
