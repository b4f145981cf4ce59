"""Files and values from outside, checked where they come in.

| module | what it does |
| --- | --- |
| `reading` | a YAML file -> plain values, within bounds of size, depth and repetition |
| `writing` | files and folders that have their name only when they are whole; plain values -> a YAML file |
| `checking` | plain values -> a dataclass by its types, which say what is accepted; one line for what does not fit |
"""

from __future__ import annotations

from segtween.validation.checking import Expected, FileName, Name, Parsed, Positive, Whole, shown, validate
from segtween.validation.reading import read_yaml
from segtween.validation.writing import whole_file, whole_folder, write_whole, write_yaml, yaml_text

__all__ = [
    "Expected", "FileName", "Name", "Parsed", "Positive", "Whole", "read_yaml", "shown", "validate", "whole_file",
    "whole_folder", "write_whole", "write_yaml", "yaml_text",
]  # fmt: skip
