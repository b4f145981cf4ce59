"""Networks of other libraries, as they are there: modules of torch, folders of Hugging Face.

| module | what it is |
| --- | --- |
| `modules` | a `torch.nn.Module`: its scores, or queries that are merged to them; what it sees, its record |
| `export`, `cache` | written once as ONNX, checked against torch, kept in the cache |
| `text` | networks that are given text, encoded once |
| `labels` | the classes' names |
| `huggingface` | a folder in Hugging Face's form: preprocessing, labels, weights |
| `hub` | such a folder by its name on the hub |

`segmenters.SEGMENTERS` names what opens each. What is here needs torch and the network's own library once; an exported
network runs without them. Heavy libraries are imported when they are needed.
"""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

from segtween.errors import MissingExtraError, ModelError, one_line
from segtween.models.records import ModelRecord


def need(packages: tuple[str, ...], what: str, *, extra: str) -> None:
    """MissingExtraError, which names the install line, unless all packages are here."""
    if any(importlib.util.find_spec(package) is None for package in packages):
        raise MissingExtraError(what, extra=extra)


def of_transformers(name: str) -> Any:
    """A class of transformers, None where it has none of that name. ModelError where torch and torchvision do not fit
    each other, which shows when a class is first asked for."""
    import transformers

    try:
        return getattr(transformers, name, None)
    except (ImportError, RuntimeError) as error:
        reason = one_line(error.__cause__ or error)
        raise ModelError(
            f"{name} of transformers {transformers.__version__} cannot be imported ({reason})",
            expected="releases of torch, torchvision and transformers that fit each other",
            do="pip install 'segtween[huggingface]' into an environment of its own",
        ) from None


def takes_words(model: str) -> bool:
    """Whether a network's classes are words that it is given. Raises what reading its folder raises."""
    from segtween.segmenters import form_of

    if form_of(model) != "huggingface":
        return False
    from segtween.adapters.huggingface import read_folder

    return read_folder(model).takes_words


def exported_model(model: str, *, label_set: Any = None) -> ModelRecord | None:
    """The record of a network in torch whose graph is in the cache, exported where it is not there yet; None for other
    models. Raises what opening it raises.
    """
    from segtween.segmenters import form_of, in_torch
    from segtween.segmenters.network import CONTENT

    if form_of(model) == "huggingface":
        from segtween.adapters.huggingface import exported_record

        record = exported_record(model, label_set=label_set)
    else:
        found = in_torch(model, label_set=label_set, preprocessing=None)
        if found is None:
            return None
        from segtween.adapters.export import exported

        record = exported(found)
    provenance = {key: value for key, value in record.provenance.items() if key != CONTENT}
    return replace(record, provenance=provenance)
