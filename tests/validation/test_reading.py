"""Files that people, or somebody unknown, wrote: read plainly, or refused in one line, soon and in little memory."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import pytest

from segtween.errors import DatasetError
from segtween.validation import read_yaml


def bomb(levels: int = 9) -> str:
    lines = ["x0: &x0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


MERGED = "\n".join(
    ["m0: &m0 {a: 1}"] + [f"m{i}: &m{i} {{<<: [{', '.join([f'*m{i - 1}'] * 10)}]}}" for i in range(1, 9)]
)
CHAIN = "\n".join(["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 2000)])


def test_yaml_is_read_plainly(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("names: [a, &b b, *b]\nbase: &base {x: 1}\nmine: {<<: *base, y: 2001-02-03}\n")
    found = read_yaml(tmp_path / "a.yaml", what="list", expected="names")
    assert found["names"] == ["a", "b", "b"]
    assert found["mine"]["x"] == 1
    (tmp_path / "a.json").write_text('{"a": [1, 2.5], "b": null, "c": true}')
    assert read_yaml(tmp_path / "a.json", what="list", expected="names") == {"a": [1, 2.5], "b": None, "c": True}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"list .*a\.yaml cannot be read \(No such file or directory\); expected a YAML file; check the path"),
        (b"names: [a", r"list .*a\.yaml is not YAML \(while parsing .*\); expected names; correct it"),
        (b"\xff\xfe\x00\x01", r"list .*a\.yaml is not YAML \('utf-8' codec .*\); expected names; correct it"),
        (b"!!python/object/apply:os.system [ls]", r"list .*a\.yaml is not YAML \(could not determine a constructor"),
    ],
)
def test_what_is_no_yaml_is_refused_in_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(DatasetError, match=message) as caught:
        read_yaml(tmp_path / "a.yaml", what="list", expected="names", error=DatasetError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bomb(), "holds more than 20000 values, those that its aliases stand for included"),
        (MERGED, "holds more than 20000 values"),
        (CHAIN, "is nested more than 32 levels deep"),
        ("a: &a [1, *a]", "holds an alias of the value that it stands in"),
        ("[" * 5000, "is nested more than 32 levels deep"),
        ("{a: " * 5000, "is nested more than 32 levels deep"),
        ("- " * 5000 + "a", "is nested more than 32 levels deep"),
        ("a: " + "9" * 5000, "holds a number of 5000 characters in line 1"),
        ("\na: 0x" + "f" * 5000, "holds a number of 5002 characters in line 2"),
        ("a: 1" + ":59" * 5000 + ".5", "holds a number of 15003 characters in line 1"),
        ("a: 2001-99-99", "holds '2001-99-99' in line 1, which is no timestamp"),
        ("a: !!timestamp soon", "holds 'soon' in line 1, which is no timestamp"),
        ("a: !!int x", "holds 'x' in line 1, which is no int"),
        ("a: !!bool x", "holds 'x' in line 1, which is no bool"),
        ("a: !!int ''", "holds '' in line 1, which is no int"),
        ("- a\n" * 30_000, "holds more than 20000 values"),
        ("# " + "x" * 1_000_000, "is larger than 1 MB"),
    ],
    ids=lambda value: value[:24],
)
def test_what_goes_beyond_a_bound_is_refused_at_once(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(DatasetError, match=rf"list .*a\.yaml {message}.*; expected names; correct it") as caught:
        read_yaml(path, what="list", expected="names", error=DatasetError)
    assert time.perf_counter() - began < 20
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200 * (1024 if sys.platform != "darwin" else 1024**2)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without an end")
def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(DatasetError, match="list /dev/zero is larger than 1 MB"):
        read_yaml("/dev/zero", what="list", expected="names", error=DatasetError)
