"""Errors that many parts raise in the same words."""

from __future__ import annotations

from segtween.errors import ModelError, SettingError, one_line_of_kind, unknown


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


class Mute(BaseException):
    def __str__(self) -> str:
        raise RuntimeError


def test_what_another_library_raised_is_told_in_one_line_even_where_it_says_nothing() -> None:
    assert one_line_of_kind(ValueError("two\nlines")) == "ValueError: two lines"
    assert [one_line_of_kind(error) for error in (MemoryError(), Mute())] == ["MemoryError", "Mute"]
