"""A network in Hugging Face's form: `config.json`, weights, and what its image processor does.

| `config.json` | network |
| --- | --- |
| `...ForSemanticSegmentation` | SegFormer, UperNet, DPT, BEiT, MobileViT, ... |
| `MaskFormer`, `Mask2Former`, `OneFormer`, `Eomt` | class and mask queries, merged to scores inside the graph (`adapters.queries`) |
| `CLIPSeg` | a class for each word that it is given (`adapters.text`), and the background, where none of them fits |

Loaded by `transformers` once, from safetensors, or from a `.bin` that holds tensors alone; no code of the folder's is
run. The exported graph with its record is kept in the cache, and needs none of these libraries any more.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segtween.adapters import need, of_transformers
from segtween.adapters.cache import FORMAT, KIND, cached_key
from segtween.adapters.hub import EXTRA, MERGES, folder_of, is_folder
from segtween.adapters.labels import labels_for, labels_of_words, names_in, of_names, without_labels
from segtween.errors import ModelError, one_line
from segtween.labels import LabelSet
from segtween.labels import label_set as find_label_set
from segtween.models.records import RECORD_FILE, InputRecord, ModelRecord, load_record, resampling_of
from segtween.models.weights import cache_folder, sha256_of
from segtween.segmenters import HUGGING_FACE, Preprocessing
from segtween.segmenters.network import CONTENT, NetworkSegmenter, choose_labels, open_network
from segtween.types import IGNORE, SizeHW
from segtween.validation import shown, validate

if TYPE_CHECKING:
    from segtween.adapters.modules import TorchNetwork

SEMANTIC = "ForSemanticSegmentation"
ONEFORMER, CLIPSEG = "OneFormerForUniversalSegmentation", "CLIPSegForImageSegmentation"
OTHERS = (
    "MaskFormerForInstanceSegmentation",
    "Mask2FormerForUniversalSegmentation",
    ONEFORMER,
    "EomtForUniversalSegmentation",
    CLIPSEG,
)
USUAL_ASPECT = 16 / 9
SIDE_MULTIPLE = 32
PROCESSOR = "preprocessor_config.json"


@dataclass(frozen=True)
class Folder:
    """A network's folder and its configuration."""

    name: str
    path: Path
    config: Mapping[str, Any]

    @property
    def architecture(self) -> str:
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else "without `architectures` in its config.json"

    @property
    def takes_words(self) -> bool:
        """Whether its classes are the words that it is given."""
        return self.architecture == CLIPSEG

    @property
    def weights(self) -> list[Path]:
        """Safetensors; files that torch pickled only where there is no other."""
        found = sorted(self.path.glob("*.safetensors"))
        return found or sorted(self.path.glob("pytorch_model*.bin"))

    def digest(self, size_hw: SizeHW | None, words: LabelSet | None = None) -> str:
        """24 digits that change with any file, and with the size and words asked for."""
        files = [*sorted(self.path.glob("*.json")), *sorted(self.path.glob(MERGES)), *self.weights]
        asked = [str(size_hw), *([] if words is None else [json.dumps(words.names)])]
        parts = [FORMAT, *asked, *(f"{path.name} {sha256_of(path)}" for path in files)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def open_hugging_face(
    model: str, *, label_set: Any = None, preprocessing: Preprocessing | None = None, **options: Any
) -> NetworkSegmenter:
    """`hf:NAME` or `hf:FOLDER` as an exported network; `options` are those of `open_network`.

    Raises ModelError (no such folder or name, hub unreachable, hash, configuration, another kind of network, a pickle
    that runs code), LabelError (classes without names), MissingExtraError.
    """
    record = exported_record(model, label_set=label_set, preprocessing=preprocessing or Preprocessing())
    return open_network(record, **options)


def exported_record(model: str, *, label_set: Any = None, preprocessing: Preprocessing | None = None) -> ModelRecord:
    """The record of the exported network, written where it is not in the cache yet."""
    asked = preprocessing or Preprocessing()
    folder = read_folder(model)
    words = labels_of_words(label_set, name=model) if folder.takes_words else None
    digest = folder.digest(asked.size_hw, words)
    key = cached_key(digest)
    if key is not None:
        record = load_record(cache_folder() / KIND / key / RECORD_FILE)
    else:
        _need_torch(folder)
        from segtween.adapters.export import exported

        # What is kept is the folder's own; what is asked for instead holds for this time.
        own = Preprocessing(size_hw=asked.size_hw)
        record = exported(network_of(folder, label_set=label_set, asked=own, words=words))
    if words is not None:
        record = replace(record, labels=words)
    elif label_set is not None:
        record = replace(record, labels=choose_labels(record, find_label_set(label_set)))
    elif names_in(folder.config.get("id2label")) is None:
        raise without_labels(record.name, len(record.labels))
    changed = _fields(asked)
    return replace(
        record,
        input=_overridden(record.input, asked),
        guessed=tuple(name for name in record.guessed if name not in changed),
        provenance={**record.provenance, CONTENT: digest},
    )


def torch_network(model: str, *, label_set: Any, preprocessing: Preprocessing) -> TorchNetwork:
    """The network in torch; raises as `open_hugging_face`."""
    folder = read_folder(model)
    _need_torch(folder)
    words = labels_of_words(label_set, name=model) if folder.takes_words else None
    found = network_of(folder, label_set=label_set, asked=preprocessing, words=words)
    if label_set is None or words is not None:
        return found
    return replace(found, record=replace(found.record, labels=choose_labels(found.record, find_label_set(label_set))))


def read_folder(model: str) -> Folder:
    """The folder of `hf:...` with a configuration of a network that this is for; raises as `open_hugging_face`."""
    name = model.removeprefix(HUGGING_FACE)
    path = folder_of(name)
    folder = Folder(name, path, _json(path / "config.json"))
    kind = folder.architecture
    if not kind.endswith(SEMANTIC) and kind not in OTHERS:
        raise ModelError(
            f"{model} is {kind}",
            expected=f"...{SEMANTIC}, {', '.join(OTHERS)}",
            do="give a semantic segmentation network",
        )
    if not folder.weights:
        raise ModelError(f"{model} holds no weights", expected="model.safetensors", do="save the network again")
    return folder


def network_of(folder: Folder, *, label_set: Any, asked: Preprocessing, words: LabelSet | None) -> TorchNetwork:
    """The network with its weights, as `transformers` builds it; `words` are the classes of one that takes words."""
    from segtween.adapters.modules import module_network
    from segtween.adapters.text import THRESHOLD

    processor = _processor(folder)
    pixels, guessed = _input(processor, folder)
    changed = _fields(asked)
    names = names_in(folder.config.get("id2label"))
    reduced = bool(getattr(processor, "do_reduce_labels", None))
    own = words
    if words is None and names is not None:
        own = of_names(names, first_id=int(reduced), ignore_id=0 if reduced else _ignore_id(folder.config, len(names)))
    return module_network(
        _with_text(_module(folder), folder, words),
        _overridden(pixels, asked),
        guessed=[name for name in guessed if name not in changed],
        content=folder.digest(asked.size_hw, words),
        name=folder.path.resolve().name if is_folder(folder.name) else folder.name,
        labels=partial(labels_for, given=label_set if own is None else own, named=None),
        threshold=None if words is None else THRESHOLD,
    )


def _ignore_id(config: Mapping[str, Any], classes: int) -> int:
    """The id of pixels of no class in label files; the usual one where it is none, such as torch's -100."""
    own = config.get("semantic_loss_ignore_index")
    return own if type(own) is int and classes <= own <= IGNORE else IGNORE


def _with_text(module: Any, folder: Folder, words: LabelSet | None) -> Any:
    """The network with the text that it is given beside images."""
    from segtween.adapters.text import prompted, with_task

    if words is not None:
        return prompted(module, folder.path, words.names[1:])
    return with_task(module, folder.path) if folder.architecture == ONEFORMER else module


def _need_torch(folder: Folder) -> None:
    need(("torch", "transformers", "onnx"), f"exporting hf:{folder.name}", extra=EXTRA)


def _fields(asked: Preprocessing) -> list[str]:
    """The fields of a record that are asked for."""
    return [f"input.{name.removesuffix('_hw')}" for name in asked.given]


def _overridden(pixels: InputRecord, asked: Preprocessing) -> InputRecord:
    changes = {name: getattr(asked, name) for name in asked.given}
    if {"mean", "std"} & changes.keys():
        changes["scale"] = 1.0
    return replace(pixels, **changes)


# ── What stands in the folder ─────────────────────────────────────────────────────────────────


def _json(path: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"folder {path.parent} holds no {path.name}",
            expected="a network in Hugging Face's form",
            do="check the path",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from None
    if not isinstance(values, Mapping):
        raise ModelError(f"{path} holds {shown(values)}", expected="a JSON object", do="save the network again")
    return values


def _unreadable(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"{path} cannot be read ({one_line(error)})", expected="a configuration", do="save the network again"
    )


def _processor(folder: Folder) -> Any:
    """The image processor of the folder, None where it has none."""
    if not any((folder.path / name).is_file() for name in (PROCESSOR, "processor_config.json")):
        return None
    processors = of_transformers("AutoImageProcessor")
    # OneFormer's would fetch a list of classes from the hub, which only panoptic maps need.
    options: dict[str, Any] = {"class_info_file": None} if folder.architecture == ONEFORMER else {}
    try:
        with _quietly():
            return processors.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:  # whatever transformers raises
        raise _unreadable(folder.path / PROCESSOR, error) from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings, reports and progress bars of transformers, which are as they were afterwards."""
    from transformers.utils import logging

    shows_progress, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if shows_progress:
            logging.enable_progress_bar()


def _module(folder: Folder) -> Any:
    """The network with its weights. Nothing is unpickled but tensors."""
    import pickle

    import transformers

    kind = of_transformers(folder.architecture)
    if kind is None:
        raise ModelError(
            f"hf:{folder.name} is {folder.architecture}",
            expected=f"a network that transformers {transformers.__version__} knows",
            do="install another release of transformers",
        )
    try:
        with _quietly():
            module, report = kind.from_pretrained(
                folder.path,
                local_files_only=True,
                use_safetensors=folder.weights[0].suffix == ".safetensors",
                weights_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report
            )
    except pickle.UnpicklingError:
        raise ModelError(
            f"{folder.weights[0]} holds more than tensors: loading it would run its code",
            expected="model.safetensors, or a .bin with tensors alone",
            do="get the network as safetensors",
        ) from None
    except Exception as error:  # whatever transformers raises
        raise ModelError(
            f"hf:{folder.name} cannot be loaded ({type(error).__name__}: {one_line(error, 300)})",
            expected="weights that fit config.json",
            do="save the network again",
        ) from None
    if report["mismatched_keys"]:
        name, stored, built = min(report["mismatched_keys"])
        raise ModelError(
            f"hf:{folder.name} has weights {name} of shape {tuple(stored)}",
            expected=f"{tuple(built)}, as config.json says",
            do="correct config.json (`id2label` has a name for each class), or save the network again",
        )
    if report["missing_keys"]:
        raise ModelError(
            f"hf:{folder.name} has no weights for {sorted(report['missing_keys'])[0]} and "
            f"{len(report['missing_keys']) - 1} others",
            expected="all weights of the network",
            do="give a network that was trained for segmentation, not its backbone",
        )
    return module


# ── What the network sees ─────────────────────────────────────────────────────────────────────


def _input(processor: Any, folder: Folder) -> tuple[InputRecord, list[str]]:
    """The input that the image processor makes, and what of it is a guess. ModelError for values of another form."""
    path = folder.path / ("config.json" if processor is None else PROCESSOR)
    try:
        record, guessed = _processed(processor, folder)
        values = record.to_dict()
    except (TypeError, ValueError, OverflowError) as error:
        raise _unreadable(path, error) from None
    source = f"what {path} says of the input"
    return validate(InputRecord, values, source=source, do="correct the file", error=ModelError), guessed


def _processed(processor: Any, folder: Folder) -> tuple[InputRecord, list[str]]:
    from segtween.adapters.modules import IMAGE, input_record

    if processor is None:
        size = folder.config.get("image_size")
        side = (size, size) if isinstance(size, int) else None
        return input_record(Preprocessing(size_hw=side), Preprocessing())
    of = partial(getattr, processor)
    scale = 255 * float(of("rescale_factor", 1 / 255)) if of("do_rescale", True) else 255.0
    normalises = bool(of("do_normalize", True)) and of("image_mean", None) is not None
    size, is_guess = _size(processor, folder.config)
    resizes, how = bool(of("do_resize", True)), resampling_of(of("resample", None))
    record = InputRecord(
        IMAGE,
        channels="BGR" if of("do_flip_channel_order", False) else "RGB",
        scale=1.0 if abs(scale - 1) < 1e-6 else scale,
        mean=_each_channel(of("image_mean")) if normalises else (0.0, 0.0, 0.0),
        std=_each_channel(of("image_std")) if normalises else (1.0, 1.0, 1.0),
        multiple_of=SIDE_MULTIPLE if size is None else 1,
        size_hw=size,
        resampling=how if resizes else None,
    )
    guessed = ["input.size" if size else "input.multiple_of"] if is_guess else []
    return record, guessed + ["input.resampling"] * (resizes and how is None)


def _each_channel(values: Any) -> Any:
    """One number stands for all three channels, as in transformers."""
    return (values,) * 3 if isinstance(values, (int, float)) else tuple(values)


def _size(processor: Any, config: Mapping[str, Any]) -> tuple[SizeHW | None, bool]:
    """What frames are resized to, and whether that is a guess: a size that depends on the frame's shape is that of
    frames of 16:9; parts and patches are not cut out, the network sees the whole frame."""
    whole = config.get("image_size")
    if str(config.get("model_type", "")).startswith("eomt") and isinstance(whole, int):
        return (whole, whole), True
    if not getattr(processor, "do_resize", True):
        return None, True
    size = {key: value for key, value in dict(processor.size or {}).items() if value is not None}
    cropped = bool(getattr(processor, "do_center_crop", False)) or bool(getattr(processor, "keep_aspect_ratio", False))
    if "height" in size and "width" in size:
        return (int(size["height"]), int(size["width"])), cropped
    short = int(size.get("shortest_edge", 0))
    if not short:
        return None, True
    step = int(getattr(processor, "size_divisor", None) or SIDE_MULTIPLE)
    long = min(short * USUAL_ASPECT, float(size.get("longest_edge", short * USUAL_ASPECT)))
    height, width = (max(step, round(side / step) * step) for side in (long / USUAL_ASPECT, long))
    return (height, width), True
