"""Artifacts as they will be: with their identity and facts, but without files, so that later stages can be planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iodine_kit.artifacts.trained_model import TrainedModel, configured
from iodine_kit.inference import ALL_FIELDS
from iodine_kit.progress import Silent
from iodine_kit.store import Artifact, Identity, Manifest, Store


class Notes(Silent):
    """Collects the notes of planning that name a possible mistake."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str, *, routine: bool = False) -> None:
        if text.startswith("note: ") and text not in self.texts:
            self.texts.append(text)


def foreseen(identity: Identity, facts: Mapping[str, Any], store: Store) -> Artifact:
    """An artifact that does not exist yet."""
    manifest = Manifest(key=identity.key, content="", identity=identity, files={}, facts=dict(facts), facts_sha256="")
    return Artifact(store.root / identity.planned.directory, manifest)


def unidentified(kind: str, name: str, config: Mapping[str, Any]) -> Identity:
    """The identity of an artifact whose source is not known yet; no artifact has it."""
    return Identity(kind=kind, name=name, stage="unknown", version=0, config=dict(config))


def model_to_be_trained(run: Artifact) -> TrainedModel:
    """The model of a run that does not exist yet: it can be planned with, but has no weights."""
    plugin, config = configured(run.config["model"])
    identity = run.manifest.identity
    return TrainedModel(
        identity.name, plugin, config, dict, inputs={"run": run.reference},
        plugins={name: version for name, version in identity.plugins.items() if name.startswith("model/")},
        trained_on=identity.inputs.get("dataset"), dataset="",
    )  # fmt: skip


def stored_fields(store: tuple[str, ...] = ALL_FIELDS) -> set[str]:
    """Fields of the predictions file, for the value of ``infer.store``."""
    fields = {"latents": ("latent_loc", "latent_scale"), "elbo": ("elbo", "nll", "kl")}
    return {"mask", *(field for name in store for field in fields.get(name, (name,)))}
