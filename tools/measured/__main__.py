"""`python tools/measured ...`: the folder is run as a program, and is a package all the same."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # the folder itself stood there

from measured.cli import main  # noqa: E402

sys.exit(main())
