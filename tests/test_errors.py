"""Errors that many parts raise in the same words."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtween.errors import DatasetError, ModelError, SettingError, unknown
from segtween.yamlfile import read_yaml


def test_an_unknown_name_lists_the_names_and_asks_for_the_nearest() -> None:
    error = unknown("flow 'did'", "did", ("dis", "zero"))
    assert isinstance(error, SettingError)
    assert str(error) == "flow 'did'; expected one of dis, zero; did you mean dis?"


def test_an_unknown_name_that_is_like_none_says_what_to_do() -> None:
    error = unknown(
        "x 'qqq'", "qqq", ["b", "a"], among="some of", also="or a file", otherwise="see docs", error=ModelError
    )
    assert isinstance(error, ModelError)
    assert str(error) == "x 'qqq'; expected some of b, a, or a file; see docs"


def test_yaml_is_read_plainly(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("names: [a, b]\n")
    assert read_yaml(tmp_path / "a.yaml", what="list", expected="names") == {"names": ["a", "b"]}


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
