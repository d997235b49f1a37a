"""How fast this machine is beside the reference machine: from artifacts in the store that it made before."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iodine_kit.artifacts.dataset import DatasetFacts
from iodine_kit.errors import IodineKitError
from iodine_kit.pipeline_check.work import REFERENCE, START, Situation, Work, work_of
from iodine_kit.store import Artifact, Store

RECENT = 8
"""The most recent artifacts of a kind that are compared."""
_MEASURED, _TRIED, _REFERENCE = (0.7, 1.5), (0.8, 2.5), (0.4, 2.5)
"""Ends of the range by what an estimate rests on: other programs slow a machine down, and networks differ."""
_LEAST_MEASURED = 2.0
"""An artifact that took less than this many times the start of its stage says little about the speed."""
_MOST_SCALED = 30.0
"""From an artifact with more or less work than this many times, the start of a stage aside, no time is inferred."""


@dataclass(frozen=True)
class Estimate:
    """What a stage takes.

    Attributes:
        seconds: range of the time; ``None`` if there is no rate for the device.
        disk: largest size of the artifact, in bytes.
        memory: of its largest process, in bytes.
        basis: what the time rests on, in words.
    """

    seconds: tuple[float, float] | None
    disk: float
    memory: float
    basis: str


class History:
    """The most recent artifacts of a store, read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._recent: dict[str, list[Artifact]] = {}

    def recent(self, kind: str) -> list[Artifact]:
        """The most recent artifacts of a kind."""
        if kind not in self._recent:
            self._recent[kind] = self.store.artifacts(kind)[-RECENT:]
        return self._recent[kind]


def estimate(role: str, situation: Situation, history: History, tried: tuple[int, float] = (0, 0.0)) -> Estimate | None:
    """Estimate a stage; ``None`` if its work cannot be foreseen.

    Args:
        history: earlier artifacts, with which the stage is compared.
        tried: number of records that were processed just now, and the seconds that this took.
    """
    work = work_of(role, situation)
    if work is None:
        return None
    factors = _factors(role, situation, work, history)
    if factors:
        low, high = min(factors) * _MEASURED[0], max(factors) * _MEASURED[1]
        basis = f"measured: {len(factors)} earlier artifact{'s' if len(factors) > 1 else ''} of this store"
    elif tried[0] and role == "dataset":
        scenes = sum(situation.data.splits.values())
        seconds = START[role] + scenes * tried[1] / tried[0] + 2 * work.disk / 200e6
        low, high = (end * seconds / work.seconds for end in _TRIED)
        basis = f"measured: {tried[0]} scenes tried now"
    elif uses_gpu(situation.execution):
        return Estimate(None, work.disk, work.memory, "no rate for this GPU: run a few steps, then check again")
    else:
        low, high, basis = *_REFERENCE, f"reference: {REFERENCE}"
    workers = int(situation.execution.get("workers", 1)) if role == "dataset" else 1
    return Estimate((low * work.seconds / workers, high * work.seconds / workers), *_sizes(work), basis)


def uses_gpu(execution: Mapping[str, Any]) -> bool:
    """Whether a stage with this configuration computes on a GPU of NVIDIA."""
    device = str(execution.get("device", "cpu"))
    return device.startswith("cuda") or (device == "auto" and Path("/proc/driver/nvidia/version").exists())


def _sizes(work: Work) -> tuple[float, float]:
    return work.disk, work.memory


def _factors(role: str, situation: Situation, planned: Work, history: History) -> list[float]:
    """How many times as long as foreseen earlier artifacts of this machine took; of comparable work only."""
    factors = []
    for artifact in history.recent(role):
        with suppress(IodineKitError, KeyError, TypeError, ValueError):  # of another version, or inputs are missing
            made = artifact.manifest.made
            if (made["platform"], made["cpus"]) != (platform.platform(terse=True), os.cpu_count()):
                continue
            earlier = _situation_of(artifact, history.store)
            if not _is_comparable(role, situation, earlier, artifact):
                continue
            work, seconds = work_of(role, earlier), _seconds(role, artifact)
            if work is not None and seconds >= _LEAST_MEASURED * START[role] and _is_near(role, work, planned):
                factors.append(seconds / work.seconds)
    return factors


def _is_comparable(role: str, planned: Situation, earlier: Situation, artifact: Artifact) -> bool:
    if role == "dataset":
        return _kind_of_scenes(planned) == _kind_of_scenes(earlier)
    if role == "run":
        same_precision = planned.config["train"]["precision"] == earlier.config["train"]["precision"]
        on_gpu = str(artifact.facts.get("device", "cpu")).startswith("cuda")
        return same_precision and on_gpu == uses_gpu(planned.execution)
    return True


def _is_near(role: str, earlier: Work, planned: Work) -> bool:
    """Whether the work is of the same order: what a small artifact took is above all the start of its stage."""
    one, other = earlier.seconds - START[role], planned.seconds - START[role]
    return one <= _MOST_SCALED * other and other <= _MOST_SCALED * one


def _kind_of_scenes(situation: Situation) -> tuple[Any, ...]:
    config, info = situation.config, situation.data.info
    return config["dataset"]["name"], config["origin"], config["format"]["name"], info.height, info.width


def _seconds(role: str, artifact: Artifact) -> float:
    """Time that an artifact took; that of a run is from its steps, because it may have been interrupted."""
    each, steps = artifact.facts.get("seconds_per_step"), artifact.facts.get("steps")
    return START[role] + each * steps if role == "run" and each else float(artifact.manifest.made["seconds"])


def _situation_of(artifact: Artifact, store: Store) -> Situation:
    """The work of an earlier artifact; raises :class:`IodineKitError` if its inputs are no longer here."""
    tables, dataset = _tables(artifact, store)
    size = sum(file.bytes for file in dataset.manifest.files.values())
    facts = DatasetFacts.of(dataset)
    threads = artifact.facts.get("threads") or 0
    return Situation(tables, facts, size / max(sum(facts.splits.values()), 1), threads)


def _tables(artifact: Artifact, store: Store) -> tuple[dict[str, Any], Artifact]:
    """The resolved tables of an artifact and of its inputs, and its data set."""
    if artifact.reference.kind == "dataset":
        return dict(artifact.config), artifact
    inputs = artifact.manifest.identity.inputs
    tables: dict[str, Any] = {}
    for role in ("run", "predictions"):
        if role in inputs:
            tables |= _tables(store.open(inputs[role].directory), store)[0]
    dataset = store.open(inputs["dataset"].directory, "dataset")
    return {**dataset.config, **tables, **artifact.config}, dataset
