"""Errors that many parts raise in the same words."""

from __future__ import annotations

from segtween.errors import ModelError, SettingError, unknown


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
