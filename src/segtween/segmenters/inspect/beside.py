"""What stands in a network's file beside its graph, and in files that lie beside it."""

from __future__ import annotations

from pathlib import Path

from segtween.segmenters.inspect.draft import Facts


def facts_beside(path: Path) -> Facts:
    """Everything that is known of the file's record without its graph."""
    del path
    return {}
