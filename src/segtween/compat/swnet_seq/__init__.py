"""The reference system's command line, `python main.py`, on segtween (docs/reference-commands.md)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from segtween.cli.guard import BAD_INPUT, INTERRUPTED, say_error
from segtween.errors import SegtweenError


def main(words: Sequence[str] | None = None) -> int:
    """Does what the words ask for; returns the exit code: 0, 2 for what cannot be used, 130 after Ctrl-C."""
    from segtween.compat.swnet_seq.flags import parse

    try:
        options, given = parse(sys.argv[1:] if words is None else words)
        if "WORLD_SIZE" in os.environ:
            # torch.distributed.launch, the older form of torchrun, says the process's number by a flag only.
            os.environ.setdefault("LOCAL_RANK", str(options.local_rank))
        from segtween.compat.swnet_seq.run import run

        run(options, given)
    except SegtweenError as error:
        # Of several processes, which all fail alike, only the first says why.
        if os.environ.get("RANK", "0") == "0":
            say_error(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("segtween: stopped; what was done by then is kept", file=sys.stderr)  # noqa: T201
        return INTERRUPTED
    return 0
