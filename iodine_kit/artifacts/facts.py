"""The facts of data sets, runs and predictions: what their manifests say beside configuration and files, typed.

A stage returns its facts as a mapping, which the manifest holds as JSON. Code that reads them uses these classes.
Another version of the program may write more facts or fewer: unknown facts are kept, missing ones have a default.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iodine_kit.errors import SchemaError
from iodine_kit.records import DatasetInfo
from iodine_kit.store import Artifact


class Facts(BaseModel):
    """Base of all facts."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """Read the facts of an artifact.

        Raises:
            SchemaError: if a fact is missing or has another type, as in an artifact of another kind.
        """
        try:
            return cls.model_validate(artifact.facts)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise SchemaError(
                f"{artifact.path}: the manifest of this {artifact.manifest.identity.kind} does not fit: facts.{place}: "
                f"{first['msg'].lower()}; rebuild the artifact"
            ) from None


class RecordCounts(Facts):
    """What became of the records of a source: read, filtered out, beyond the last split, damaged."""

    read: int = 0
    filtered_scenes: int | None = None
    surplus_scenes: int = 0
    bad: int = 0


class Column(Facts):
    """Type and shape of one factor of a scene."""

    dtype: str
    shape: tuple[int, ...]


class DatasetFacts(Facts):
    """Facts of a data set.

    Attributes:
        info: what is true of every scene.
        splits: number of scenes by split.
        format: plug-in that stored the scenes.
        factors: type and shape of the factors of a scene, by name.
        records: what became of the records of the source; ``bad``: which were damaged, and how.
        origin: where the scenes come from: generated, or published in a layout.
        expected: counts that the protocol publishes.
    """

    info: DatasetInfo
    splits: dict[str, int]
    format: str
    factors: dict[str, Column] = {}
    records: RecordCounts = RecordCounts()
    bad: list[dict[str, Any]] = []
    origin: dict[str, Any] = {}
    expected: dict[str, int] = {}


class WeightsFacts(Facts):
    """The step after which a run's weights were taken, and the decay of their moving average, if they are one."""

    step: int | None = None
    ema: float | None = None


class StartFacts(Facts):
    """Where a warm start took its weights from: the place, the file's sha256 and, of a checkpoint, its step."""

    place: str = Field(alias="from")
    sha256: str
    step: int | None = None


class RunFacts(Facts):
    """Facts of a run.

    Attributes:
        steps: of training; ``None`` if imported weights do not say.
        parameters: of the model, counted in numbers.
        device, threads, ranks: where it was trained.
        seconds_per_step: mean over the last process that trained; ``None`` if it made no step.
        skipped_steps: steps whose loss or gradient was not finite.
        weights: which weights were kept.
        best: metrics of the best validation.
        scenes, validation_scenes: of the data set that were used.
        start: of a warm start.
        dataset, preset, checkpoint: of imported weights: the data set they are for, their net, and their file.
    """

    steps: int | None
    parameters: int = 0
    device: str = ""
    threads: int | None = None
    ranks: int | None = None
    seconds_per_step: float | None = None
    skipped_steps: int = 0
    weights: WeightsFacts = WeightsFacts()
    best: dict[str, Any] = {}
    scenes: int = 0
    validation_scenes: int = 0
    start: StartFacts | None = None
    dataset: str = ""
    preset: str = ""
    checkpoint: str = ""


class PredictionsFacts(Facts):
    """Facts of predictions.

    Attributes:
        scenes: number of the split's first scenes that were predicted.
        split: of the data set.
        slots, steps: K and T of inference; ``None`` where an imported file does not say.
        restarts: inferences per scene, of which the one with the lowest loss was kept.
        model: title of a model that no run in the store holds; "" if a run made the predictions.
        named: whether the user named the imported model; if not, it has the name of its file.
        resized: how imported masks came to the size of the data set; "" if they had it.
        imported: mapping, reader and arrays of an imported file.
        weights: where the weights came from, if no run in the store holds them.
    """

    scenes: int
    split: str
    slots: int | None = None
    steps: int | None = None
    restarts: int = 1
    model: str = ""
    named: bool = True
    resized: str = ""
    imported: dict[str, Any] = {}
    weights: dict[str, Any] = {}
