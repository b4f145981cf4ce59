"""Words of a command line that cannot be used: one line that says what was got, what is expected and what to do."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from segtween.cli import app

RUN = ("run", "x.mp4", "-o", "out")


def refused(*words: str) -> str:
    """The line of a command that is refused; it is all that is printed."""
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("segtween: error: ")
    return line.removeprefix("segtween: error: ")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((*RUN, "--every", "x"), "--every is 'x'; expected a whole number; give --every 5"),
        ((*RUN, "--interval", "1.5"), "--interval is '1.5'; expected a whole number; give --interval 5"),
        ((*RUN, "-i", "1.5"), "--interval is '1.5'; expected a whole number; give --interval 5"),
        ((*RUN, "--threads", "many"), "--threads is 'many'; expected a whole number; give --threads 0"),
        ((*RUN, "--start", "half"), "--start is 'half'; expected a number; give --start 0"),
        ((*RUN, "--scale", "half"), "--scale is 'half'; expected auto, or a number above 0; give --scale auto"),
        ((*RUN, "--duration", "1m"), "--duration is '1m'; expected a number; give --duration 10"),
        ((*RUN, "--ids", "trian"), "--ids is 'trian'; expected one of train, dataset; did you mean train?"),
        ((*RUN, "--refine", "x"), "--refine is 'x'; expected one of guided, none; choose one of these"),
        ((*RUN, "--every"), "--every without a value; expected a whole number; give --every 5"),
        ((*RUN, "--preset"), "--preset without a value; expected NAME; give --preset NAME"),
        ((*RUN, "--live=yes"), "--live with a value; expected --live alone; leave the value out"),
        ((*RUN, "--evry", "5"), "option --evry; expected an option of segtween run; did you mean --every?"),
        (
            (*RUN, "--labels", "camvid11"),
            "option --labels; expected an option of segtween run; did you mean --label-set?",
        ),
        ((*RUN, "--zzz"), "option --zzz; expected an option of segtween run; see segtween run --help"),
        (("run", "x.mp4"), "--out is missing; expected --out FOLDER (where the outputs go); add it"),
        (("bench", "roofline", "a"), "unexpected extra argument 'a'; expected options alone; leave it out, or see"),
        (("demo", "a", "b"), "unexpected extra argument 'a'; expected options alone; leave it out, or see"),
        (("train", "a", "b"), "unexpected extra argument 'b'; expected only RECIPE.yaml and options; leave it out, or"),
        (("--versoin",), "option --versoin; expected an option of segtween; did you mean --version?"),
        (("runn", "x.mp4"), "command 'runn'; expected one of run, propagate, "),
        (("table", "intervls"), "command 'intervls'; expected one of intervals, scales, "),
        (("table", "zzz"), "see segtween table --help"),
        (
            ("figure", "clip", "--street", "x", "-o", "a.png"),
            "--street is 'x'; expected a whole number; give --street 5",
        ),
        (("run",), "INPUT is missing; expected INPUT (files, folders, globs, "),
        ((*RUN, "--online", "--offline"), "--online and --offline; expected one of them; leave one out"),
    ],
)
def test_what_was_typed_wrongly_is_said_in_one_line(words: tuple[str, ...], line: str) -> None:
    assert line in refused(*words)


@pytest.mark.parametrize("words", [(), ("table",), ("weights",)])
def test_a_group_without_a_command_shows_its_help(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "Usage: " in done.output
    assert "error" not in done.output


@pytest.mark.parametrize("flag", ["--beside", "--together", "--late", "--flow-effort"])
def test_names_that_were_never_released_are_unknown(flag: str) -> None:
    assert f"option {flag}; expected an option of segtween run" in refused(*RUN, flag, "x")
