"""Weight files by the reference's names, and networks opened from them.

    <weights>/<data>-<net>-R18.pt                    the network of key frames
    <weights>/<data>-<net>_model_best.pth.tar        refinement (`state_dict`) and light flow (`state_dict_of`)
    <weights>/flownet.pth.tar                        FlowNet2S

<data> is `cityscapes` or `camvid`, <net> is `swnet` (SwiftNet) or `bisenet`. A segmentation network may also be a
`.safetensors` file of the same stem. What an experiment trained itself lies in its own folder (`places`).
"""

from __future__ import annotations

from pathlib import Path

from segtween.compat.swnet_seq.clips import LAYOUTS
from segtween.compat.swnet_seq.flags import Options
from segtween.compat.swnet_seq.places import BEST, BEST_KEY_NETWORK, Places
from segtween.errors import ModelError
from segtween.interfaces import Segmenter
from segtween.settings import Settings, change, find_preset

NETWORKS = {"swiftnet": ("swnet", "swiftnet-r18"), "bisenet": ("bisenet", "bisenet-r18")}
FLOWNET = "flownet.pth.tar"
PRESET = "swnet-seq"


def segmenter_file(options: Options) -> Path:
    """ModelError, with the place where it is published, if the file is not there."""
    short, network = NETWORKS[options.segnet]
    path = Path(options.weights_folder) / f"{LAYOUTS[options.dataset].prefix}-{short}-R18.pt"
    other = path.with_suffix(".safetensors")
    classes = len(LAYOUTS[options.dataset].labels)
    return other if other.is_file() and not path.is_file() else _there(path, f"{network} with {classes} classes")


def key_network_file(options: Options, places: Places) -> Path:
    """With --resume 1 the network that the experiment trained (--finetune-all 1), where it did; else the stored one."""
    own = places.checkpoints / BEST_KEY_NETWORK
    return own if options.resume and own.is_file() else segmenter_file(options)


def propagation_file(options: Options, places: Places) -> Path:
    """The experiment's own best with --resume 1, where it has one; else the published file. ModelError without it."""
    own = places.checkpoints / BEST
    if options.resume and own.is_file():
        return own
    layout = LAYOUTS[options.dataset]
    published = Path(options.weights_folder) / f"{layout.prefix}-{NETWORKS[options.segnet][0]}_model_best.pth.tar"
    return _there(published, f"the refinement and light flow network for {len(layout.labels)} classes")


def flow_file(options: Options) -> Path:
    """FlowNet2S; ModelError if it is not there."""
    return _there(Path(options.weights_folder) / FLOWNET, "flownets")


def method_settings(options: Options, propagation: Path) -> Settings:
    """The preset with these weights; the flow network is FlowNet2S where that was asked for."""
    flow = "light" if options.optical_flow_network == "light" else "flownets"
    if flow == "flownets" and not _holds_flownet(propagation):
        flow = str(flow_file(options))
    return change(find_preset(PRESET), weights=str(propagation), edge=options.edge, flow=flow, interval=options.longest)


def _holds_flownet(propagation: Path) -> bool:
    """Whether the experiment trained FlowNet2S itself."""
    from segtween.models.components import FLOW, read_component
    from segtween.networks import parts_of_checkpoint

    folder = propagation if propagation.is_dir() else parts_of_checkpoint(propagation)
    return (folder / FLOW).is_file() and read_component(folder / FLOW, kind="flow").network == "flownets"


def open_key_network(options: Options, path: Path) -> tuple[Segmenter, list[str]]:
    """The network of key frames at --eval-scale, and what there is to say about where it runs.

    Its graph is made once per content of the file, in float32, and kept in the cache; only making it needs torch.
    """
    from segtween.segmenters import open_segmenter

    runtime, provider, notes = pick_runtime(options.device)
    segmenter = open_segmenter(
        _model_folder(options, path),
        runtime=runtime,
        provider=provider,
        threads=options.threads,
        scale=options.eval_scale,
    )
    return segmenter, [*notes, *getattr(segmenter, "notes", [])]


def pick_runtime(device: str) -> tuple[str, str | None, list[str]]:
    """Runtime, its provider, and one line where a GPU was asked for and none can be used."""
    if device == "cpu":
        return "openvino", None, []
    try:
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            return "onnxruntime", "CUDAExecutionProvider", []
    except ImportError:
        pass
    from segtween.runtimes.openvino import core

    found = [name for name in core().available_devices if name.startswith("GPU")]
    if found:
        return "openvino", found[0], []
    return "openvino", None, ["--device gpu: no runtime here can use a GPU; the CPU is used (--device cpu says so)"]


def _model_folder(options: Options, path: Path) -> Path:
    from segtween.models.weights import in_cache, sha256_of
    from segtween.networks import export_checkpoint

    labels, network = LAYOUTS[options.dataset].labels, NETWORKS[options.segnet][1]

    def fill(folder: Path) -> None:
        export_checkpoint(path, folder, network=network, label_set=labels, name=path.stem, float16=False)

    return in_cache("networks", f"{network}-{labels.name}-{sha256_of(path)[:24]}", fill)


def _there(path: Path, what: str) -> Path:
    from segtween.models.published import PUBLISHED, where_published

    if path.is_file():
        return path
    advice = where_published(path)
    if path.name not in PUBLISHED:
        advice = "train it (docs/reference-commands.md), or say where your weights lie with --weights-folder"
    raise ModelError(f"{path} is not found", expected=f"the weights of {what}", do=advice)
