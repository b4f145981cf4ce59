"""Help texts: short, in panels, nothing cut off; and what is loaded for them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from segtween.cli import COMMANDS, Listed, app
from segtween.cli.grouping import PANELS

LINES, COLUMNS = 90, 80


def every_command() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for name, place in COMMANDS.items():
        found.append((name,))
        found += [(name, sub) for sub in getattr(Listed(name, *place).load(), "commands", {})]
    return found


def helped(*words: str, flag: str = "--help") -> str:
    done = CliRunner().invoke(app, [*words, flag], env={"COLUMNS": str(COLUMNS)})
    assert done.exit_code == 0, done.output
    return done.output


def panels_of(text: str) -> list[str]:
    return [line.strip("╭╮─ ") for line in text.splitlines() if line.startswith("╭")]


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_a_help_fits_a_terminal(words: tuple[str, ...]) -> None:
    texts = [helped(*words)]
    assert len(texts[0].splitlines()) <= LINES
    if "--help-all" in texts[0]:
        texts.append(helped(*words, flag="--help-all"))
        assert len(texts[1]) > len(texts[0])
    for text in texts:
        assert max(map(len, text.splitlines())) <= COLUMNS
        assert "…" not in text, "names are not cut off"
        assert "<" not in text, "no type of Python is shown"
        named = [name for name in panels_of(text) if name in PANELS]
        assert named == sorted(named, key=PANELS.index)


def test_run_has_about_a_dozen_options_in_panels_and_the_rest_on_request() -> None:
    usual, everything = helped("run"), helped("run", flag="--help-all")
    assert panels_of(everything) == ["Arguments", "Options", *PANELS[:1], *PANELS[3:6], "Live", "Machine"]
    shown = [line.split()[1] for line in usual.splitlines() if line.startswith(("│ --", "│    --"))]
    assert len(set(shown) - {"--help", "--help-all"}) in range(9, 14)
    hidden = ("--start", "--label-set", "--runtime", "--refine", "--schedule", "--async-keys", "--offline", "--multi")
    for name in hidden:
        assert f"│ {name}" in everything.replace("│    --", "│ --")
        assert f"│ {name}" not in usual.replace("│    --", "│ --")
    assert usual.index("--every  ") < usual.index("--interval  ")
    assert "every 5th" in " ".join(usual.split())


def test_the_list_of_commands_says_of_each_what_it_does() -> None:
    text = helped()
    for name, (_, line) in COMMANDS.items():
        assert f" {name} " in text
        assert line.split()[0] in text
        command = Listed(name, *COMMANDS[name]).load()
        assert command.name == name
        assert command.help, f"{name} has a help of its own"


def test_help_loads_no_command() -> None:
    code = (
        "import sys\nfrom segtween.cli import main\nsys.argv = ['segtween', {!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "loaded = [m for m in sys.modules if m.startswith('segtween.cli.') or m in ('numpy', 'numba', 'cv2')]\n"
        "print('LOADED', *sorted(loaded))\n"
    )

    def loaded(word: str) -> set[str]:
        done = subprocess.run([sys.executable, "-c", code.format(word)], capture_output=True, text=True, check=True)
        return set(done.stdout.split("LOADED", 1)[1].split())

    needed = {f"segtween.cli.{name}" for name in ("commands", "flags", "guard", "usage")}
    assert loaded("--help") == needed
    assert loaded("--version") == needed
    assert {"segtween.cli.bench", "segtween.cli.figure", "segtween.cli.table"} & loaded("run") == set()


def test_shell_completion_can_be_installed_and_completes_commands_and_options() -> None:
    assert "--install-completion" in helped()

    def completed(typed: str, at: int | None = None) -> str:
        """What bash is offered for the word at `at`, or for a new one."""
        word = str(len(typed.split()) if at is None else at)
        env = {"_SEGTWEEN_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": word}
        return CliRunner().invoke(app, [], prog_name="segtween", env=env).output.strip()

    assert "evaluate" in completed("segtween ").split()
    assert "intervals" in completed("segtween table ").split()
    assert completed("segtween run --ev", at=2) == "--every"
