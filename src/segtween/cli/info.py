"""`segtween info`."""

from __future__ import annotations

from typing import Annotated

import typer


def info(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    with_torch: Annotated[
        bool, typer.Option("--torch", help="Ask torch, where it is installed, for its cards too; takes seconds.")
    ] = False,
) -> None:
    """What speed and precision depend on here, to be copied into bug reports.

    Processor and its features, precisions that are really available, threads, versions, cache folder, graphics cards.

    Examples:

        segtween info

        segtween info --json
    """
    from segtween.bench.machine import look_at_machine
    from segtween.cli.screen import show, show_json

    found = look_at_machine(with_torch=with_torch)
    if as_json:
        show_json(found.to_json())
    else:
        show(*found.tables())
