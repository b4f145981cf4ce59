"""The reference system's command line: `python main.py --evaluate 1 ...` (docs/reference-commands.md)."""

import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "src"
if SOURCE.is_dir():
    sys.path.insert(0, str(SOURCE))

from segtween.compat.swnet_seq import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
