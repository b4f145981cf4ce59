"""Plain values become typed ones, or one line that says the place, what stands there and what it wants."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Interval, Predicate

from segtween.errors import LabelError, ModelError, SettingError
from segtween.validation import Expected, FileName, Name, Parsed, Positive, Whole, shown, validate


def parse_size(text: Any) -> tuple[int, int]:
    width, height = str(text).split("x")
    return int(height), int(width)


@dataclass(frozen=True)
class Lens:
    name: Name
    focus: Annotated[float, Interval(ge=0, le=10)] = 1.0
    kind: Literal["wide", "long"] = "wide"
    tint: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.kind == "long" and self.focus < 1:
            raise SettingError(f"focus is {self.focus:g}", expected="1 or more, because kind is long", do="raise it")


@dataclass(frozen=True)
class Camera:
    lens: Lens
    spare: Lens | None = None
    more: tuple[Lens, ...] = ()
    file: FileName = "a.yaml"
    size_hw: Annotated[tuple[int, int], Parsed(parse_size), Expected("WIDTHxHEIGHT")] | None = field(
        default=None, metadata={"key": "size"}
    )
    weights: Mapping[str, Annotated[list[float], Predicate(any), Expected("numbers, one above 0")]] = field(
        default_factory=dict
    )
    frames: Whole = 0
    speed: Positive = 1.0
    live: bool = False
    either: Annotated[int | str, Expected("a number or a name")] = 0


def test_values_become_what_the_types_say() -> None:
    given = {
        "lens": {"name": "a", "focus": 2, "tint": [1, 2, 3]},
        "more": [{"name": "b"}],
        "size": "8x6",
        "weights": {"x": [1.5, 0]},
        "either": "x",
    }
    camera = validate(Camera, given)
    assert camera == Camera(
        Lens("a", 2.0, tint=(1.0, 2.0, 3.0)), more=(Lens("b"),), size_hw=(6, 8), weights={"x": [1.5, 0.0]}, either="x"
    )
    assert isinstance(camera.lens.focus, float)
    assert validate(Camera, {"lens": Lens("a"), "size": None}) == Camera(Lens("a"))
    assert validate(tuple[Name, ...], ["a", "b"]) == ("a", "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lens": 3}, "lens is 3; expected a mapping with name; repair"),
        ({"lens": {}}, "lens has no field 'name'; expected name: ...; add it"),
        (
            {"lens": {"nmae": "a"}},
            "lens has an unknown field 'nmae'; expected fields out of focus, .*; did you mean name?",
        ),
        ({"lens": {"name": "a", 1: 2}}, "lens has an unknown field 1; expected fields out of .*; remove it"),
        ({"lens": {"name": "a", b"x": 2, None: 1}}, "lens has an unknown field "),
        ({"lens": {"name": ""}}, "lens.name is ''; expected a name"),
        ({"lens": {"name": b"ab"}}, "lens.name is b'ab'; expected a name"),
        ({"lens": {"name": True}}, "lens.name is True; expected a name"),
        ({"lens": {"name": "a", "focus": True}}, "lens.focus is True; expected a number from 0 to 10"),
        ({"lens": {"name": "a", "focus": "2"}}, "lens.focus is '2'; expected a number from 0 to 10"),
        ({"lens": {"name": "a", "focus": 11}}, "lens.focus is 11; expected a number from 0 to 10"),
        ({"lens": {"name": "a", "focus": math.nan}}, "lens.focus is nan; expected a number from 0 to 10"),
        ({"lens": {"name": "a", "focus": 10**5000}}, "lens.focus is a number of very many digits; expected"),
        ({"lens": {"name": "a", "kind": "wid"}}, "lens.kind is 'wid'; expected one of wide, long"),
        ({"lens": {"name": "a", "kind": ["wide"]}}, r"lens.kind is \['wide'\]; expected one of wide, long"),
        ({"lens": {"name": "a", "tint": [1, 2]}}, r"lens.tint is \[1, 2\]; expected 3 values"),
        ({"lens": {"name": "a", "tint": [1] * 4}}, r"lens.tint is \[1, 1, 1, 1\]; expected 3 values"),
        ({"lens": {"name": "a", "tint": [1, 2, "x"]}}, r"lens.tint\[2\] is 'x'; expected a number"),
        ({"lens": {"name": "a", "tint": "abc"}}, "lens.tint is 'abc'; expected 3 values"),
        ({"lens": {"name": "a", "kind": "long", "focus": 0}}, "focus is 0; expected 1 or more, .*; raise it"),
        ({"spare": {"focus": 1}}, "spare has no field 'name'"),
        ({"spare": [1]}, r"spare is \[1\]; expected a mapping with name"),
        ({"more": {"name": "a"}}, r"more is \{'name': 'a'\}; expected a list"),
        ({"more": [{"name": "a"}, {"name": 3}]}, r"more\[1\].name is 3; expected a name"),
        ({"file": "a\0b"}, r"file is 'a\\x00b'; expected the name of a file"),
        ({"file": "x" * 10_000}, "file is 'xxx.*'; expected the name of a file"),
        ({"file": ""}, "file is ''; expected the name of a file"),
        ({"size": "big"}, "size is 'big'; expected WIDTHxHEIGHT"),
        ({"size_hw": [1, 2]}, "the camera has an unknown field 'size_hw'; .*; did you mean size"),
        ({"weights": {1: [1]}}, "weights has the key 1; expected text"),
        ({"weights": {"x": [0]}}, r"weights.x is \[0\]; expected numbers, one above 0"),
        ({"weights": {"x": [1, "y"]}}, r"weights.x is \[1, 'y'\]; expected numbers, one above 0"),
        ({"weights": 1}, "weights is 1; expected a mapping"),
        ({"frames": 1.5}, "frames is 1.5; expected a whole number from 0 to"),
        ({"frames": True}, "frames is True; expected a whole number"),
        ({"frames": 10**30}, "frames is 1000000.*; expected a whole number from 0 to"),
        ({"speed": 0}, "speed is 0; expected a number above 0"),
        ({"speed": math.inf}, "speed is inf; expected a number above 0"),
        ({"live": 1}, "live is 1; expected true or false"),
        ({"live": "yes"}, "live is 'yes'; expected true or false"),
        ({"either": 1.5}, "either is 1.5; expected a number or a name"),
        ({"lens": {"name": "x", "focus": ["y" * 1000] * 1000}}, r"lens.focus is \['y"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_wrong_value_is_told_with_its_place_in_one_line(change: Any, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^a\.yaml: {message}") as caught:
        validate(
            Camera,
            {"lens": {"name": "a"}} | change,
            source="a.yaml",
            whole="the camera",
            do="repair it",
            error=ModelError,
        )
    line = str(caught.value)
    assert len(line) < 500
    assert "\n" not in line
    assert "pydantic" not in line.lower()
    assert caught.value.expected
    assert caught.value.do
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("values", [None, 3, "text", [1], b"x"])
def test_what_is_no_mapping_at_all_is_called_by_its_name(values: Any) -> None:
    with pytest.raises(LabelError, match=r"^the camera is .*; expected a mapping with lens; correct it"):
        validate(Camera, values, whole="the camera", error=LabelError)


@pytest.mark.parametrize("values", [{0: "sky"}, b"ab", "ab", 11])
def test_only_lists_are_lists(values: Any) -> None:
    with pytest.raises(SettingError, match="^names is .*; expected a list"):
        validate(tuple[Name, ...], values, whole="names")


def test_a_value_is_shown_shortened() -> None:
    assert shown([1, "a"]) == "[1, 'a']"
    assert len(shown(dict.fromkeys(range(1000), "x" * 1000))) < 500
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "[[[[...]]]]"


def test_the_help_of_the_command_line_loads_no_pydantic() -> None:
    code = (
        "import sys; sys.argv = ['segtween', '--help']\n"
        "from segtween.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "import segtween, segtween.labels, segtween.validation\n"
        "sys.exit(sorted(m for m in sys.modules if m.split('.')[0].startswith('pydantic')) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert "segtween" in done.stdout
