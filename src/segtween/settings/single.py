"""Single settings by name, as the command line and `segtween.load` take them; which contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segtween.errors import SettingError, check_known
from segtween.settings.method import (
    Adaptive,
    Bidirectional,
    Causal,
    Composed,
    Delayed,
    Fixed,
    Flow,
    Guided,
    Mode,
    Propagation,
    Published,
    Resampled,
    Settings,
)

_ADAPTIVE = ("budget", "target_ms", "least_distance", "most_distance")
_OWN = ("history_weight", "cuts", "key_tta")
CHOICES: dict[str, tuple[str, ...]] = {
    "mode": ("causal", "bidirectional"),
    "schedule": ("fixed", "adaptive"),
    "propagation": ("composed", "resampled", "published"),
    "refine": ("guided", "none"),
    "kind": ("logits", "probabilities"),
    "match": ("none", "fast", "fine"),
    "key_tta": ("none", "mirror", "scales"),
}
"""Single settings that take one of a few words."""
_OPEN = {"match": (None,)}
"""What they take besides."""


def change(settings: Settings, **changes: Any) -> Settings:
    """The settings with single ones changed.

    mode            causal or bidirectional
    async_keys      frames that scores come late, or auto; None or 0: frames wait for them
    interval        frames between key frames
    schedule        fixed or adaptive; budget, target_ms, least_distance, most_distance: see `Adaptive`
    propagation     composed, resampled or published; kind, most_cells, tolerance, match: see `Composed`
    refine          guided or none; edge: see `Guided`
    flow            a `Flow`'s name; flow_quality, flow_stride
    weights         of refinement and flow network
    history_weight, cuts
    key_tta         none, mirror (two network runs at key frames) or scales (six)

    Raises SettingError for unknown names and values, and for settings that contradict each other.
    """
    values = single_values(settings)
    for name, value in changes.items():
        check_known(f"setting {name!r}", name, values)
        if name in CHOICES and value not in (*CHOICES[name], *_OPEN.get(name, ())):
            raise SettingError(f"{name} {value!r}", expected=" or ".join(CHOICES[name]), do="choose one of these")
    values |= changes
    own = {name: values[name] for name in _OWN}
    return Settings(mode=_mode(values), flow=_flow(values), **own)


def single_values(settings: Settings) -> dict[str, Any]:
    """All single settings, as plain JSON values; `change(Settings(), **values)` are the same settings again."""
    schedule, propagation, flow = settings.mode.schedule, settings.propagation, settings.flow
    refine = propagation.refine if isinstance(propagation, Published) else None
    adaptive = schedule if isinstance(schedule, Adaptive) else Adaptive()
    return {
        "mode": "bidirectional" if settings.is_bidirectional else "causal",
        "async_keys": settings.delay,
        "interval": settings.interval,
        "schedule": "adaptive" if settings.is_adaptive else "fixed",
        **{name: getattr(adaptive, name) for name in _ADAPTIVE},
        "propagation": type(propagation).__name__.lower(),
        "kind": propagation.kind,
        "most_cells": 40_000 if isinstance(propagation, Published) else propagation.most_cells,
        "tolerance": propagation.tolerance,
        "match": propagation.match if isinstance(propagation, Composed) else None,
        "refine": "none" if refine is None else "guided",
        "edge": True if refine is None else refine.edge,
        "weights": flow.weights if refine is None else refine.weights,
        "flow": flow.name,
        "flow_quality": flow.quality,
        "flow_stride": flow.stride,
        **{name: getattr(settings, name) for name in _OWN},
    }


def _mode(values: Mapping[str, Any]) -> Mode:
    schedule, delay = _schedule(values), values["async_keys"]
    if values["mode"] == "bidirectional":
        return _bidirectional(values, schedule)
    propagation = _propagation(values)
    if delay in (None, 0):
        return Causal(schedule, propagation)
    if isinstance(schedule, Adaptive):
        raise _contradiction(
            f"async_keys={delay} with schedule='adaptive'", "frames that come one by one, and a fixed interval"
        )
    return Delayed(delay, schedule, propagation)


def _bidirectional(values: Mapping[str, Any], schedule: Fixed | Adaptive) -> Bidirectional:
    if isinstance(schedule, Adaptive):
        raise _contradiction("mode='bidirectional' with schedule='adaptive'", "a fixed interval")
    if values["propagation"] == "published":
        raise SettingError(
            "mode='bidirectional' with propagation='published'",
            expected="propagation='composed'",
            do="give preset='composed', or mode='causal'",
        )
    _propagation(values)
    return Bidirectional(
        schedule, values["most_cells"], values["tolerance"], values["match"], values["async_keys"] or None
    )


def _schedule(values: Mapping[str, Any]) -> Fixed | Adaptive:
    given = {name: values[name] for name in _ADAPTIVE}
    if values["schedule"] == "adaptive":
        return Adaptive(interval=values["interval"], **given)
    set_ = [name for name in _ADAPTIVE if values[name] != getattr(Adaptive, name)]
    if set_:
        raise SettingError(
            f"{' and '.join(f'{name}={values[name]}' for name in set_)} with schedule='fixed'",
            expected="schedule='adaptive', which keeps to it",
            do="choose it, or leave them out",
        )
    return Fixed(values["interval"])


def _propagation(values: Mapping[str, Any]) -> Propagation:
    name, refine = values["propagation"], values["refine"]
    given = {key: values[key] for key in ("kind", "tolerance")}
    if not values["edge"] and refine != "guided":
        raise SettingError(
            "edge=False without refinement",
            expected="refine='guided', which may see one",
            do="leave it out",
        )
    if refine == "guided" and name != "published":
        raise SettingError(
            f"refine='guided' with propagation={name!r}",
            expected="propagation='published': the grid and arithmetic that it was trained with",
            do="give preset='swnet-seq'",
        )
    if name != "composed" and values["match"] is not None:
        raise SettingError(
            f"match={values['match']!r} with propagation={name!r}, which resamples scores in each frame",
            expected="propagation='composed', whose flow is matched by appearance",
            do="leave it out, or give preset='composed'",
        )
    if name == "published":
        return Published(**given, refine=Guided(values["weights"], values["edge"]) if refine == "guided" else None)
    if name == "resampled":
        return Resampled(**given, most_cells=values["most_cells"])
    return Composed(**given, most_cells=values["most_cells"], match=values["match"])


def _flow(values: Mapping[str, Any]) -> Flow:
    from segtween.models.component_search import FLOW_NETWORKS

    weights = values["weights"]
    if weights is not None and values["refine"] == "none" and values["flow"] not in FLOW_NETWORKS:
        raise SettingError(
            f"weights={weights!r} with refine='none' and flow={values['flow']!r}",
            expected="a refinement or flow network that takes them",
            do="give preset='swnet-seq' or flow='light', or leave weights= out",
        )
    own = weights if values["flow"] in FLOW_NETWORKS else None
    return Flow(values["flow"], values["flow_quality"], values["flow_stride"], own)


def _contradiction(what: str, expected: str) -> SettingError:
    return SettingError(what, expected=expected, do="leave one of them out")
