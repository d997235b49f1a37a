"""Go through the stages of a pipeline before any of them runs: plan each with the artifacts that it will get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from iodine_kit import pipeline as pipelines
from iodine_kit.artifacts.dataset import DatasetFacts
from iodine_kit.config import Values
from iodine_kit.errors import ArtifactCorruptError, CountError, IodineKitError, SchemaError, did_you_mean
from iodine_kit.evaluation.scoring import ALL, stored_as
from iodine_kit.metrics import METRICS
from iodine_kit.pipeline_check.foreseen import Notes, foreseen, model_to_be_trained, stored_fields, unidentified
from iodine_kit.runner import Context, Job, find_interrupted
from iodine_kit.stages import evaluate, infer, prepare, probe, train, traverse
from iodine_kit.store import Artifact
from iodine_kit.store.remedies import refuse_damaged

QUICKLY_READ = 64 << 20
"""Largest source, in bytes, that is read to identify it: a check must not take minutes."""
Tables = Mapping[str, Values]


@dataclass
class Step:
    """A stage of the pipeline.

    Attributes:
        role: what it makes.
        status: ``fresh``, ``interrupted``, ``missing`` or ``damaged``.
        artifact: the finished one, or the one that is foreseen; ``None`` if it cannot be foreseen.
        execution: configuration that changes no result, but time and memory.
    """

    role: str
    status: str = "missing"
    artifact: Artifact | None = None
    execution: Values = field(default_factory=dict)


class Walk:
    """The stages of a pipeline in order, and everything that would stop one of them.

    Attributes:
        steps: one for every stage.
        problems: errors that the pipeline would end with.
        notes: possible mistakes, in sentences.
        trial: what is known of the data before it is prepared; ``None`` if it is prepared.
    """

    def __init__(
        self, tables: Tables, context: Context, same_data: Walk | None = None, again: Mapping[str, str] | None = None
    ) -> None:
        """Walk.

        Args:
            same_data: a walk through a pipeline with the same data set.
            again: by role, the options of ``run`` that make the artifact again.
        """
        self._again = again or {role: f"--force {pipelines.COMMANDS[role]}" for role in pipelines.roles(tables)}
        self.steps: dict[str, Step] = {}
        self.problems: list[IodineKitError] = []
        self.trial: prepare.Trial | None = None
        self._tables, self._notes = tables, Notes()
        self._context = replace(context, reporter=self._notes, download=False)
        valid = {role: self._try(self._configure, role) for role in pipelines.roles(tables)}
        planners: Mapping[str, Callable[[Step], None]] = {
            "dataset": self._dataset, "run": self._run, "predictions": self._predictions,
            "evaluation": self._evaluation, "probe": self._probe, "traversal": self._traversal, "report": self._report,
        }  # fmt: skip
        for role, is_valid in valid.items():
            self.steps[role] = step = Step(role)
            if same_data is not None and role == "dataset":
                self.steps[role], self.trial = same_data.steps[role], same_data.trial
            elif is_valid:
                self._try(planners[role], step)

    @property
    def notes(self) -> list[str]:
        """Sentences about what may be a mistake."""
        return self._notes.texts

    def _try(self, check: Callable[[Any], object], value: object) -> bool:
        """Whether a check passed; an error of a user is a problem."""
        try:
            check(value)
        except IodineKitError as error:
            if str(error) not in map(str, self.problems):
                self.problems.append(error)
            return False
        return True

    def _configure(self, role: str) -> None:
        pipelines.STAGES[role].configure(self._tables)

    def _ready(self, *roles: str) -> list[Artifact] | None:
        """The artifacts of earlier stages; ``None`` if one cannot be foreseen."""
        found = [self.steps[role].artifact for role in roles]
        return None if None in found else [artifact for artifact in found if artifact is not None]

    def _finish(self, step: Step, job: Job, facts: Mapping[str, Any]) -> None:
        """Look for the artifact in the store."""
        again = self._again[step.role]
        try:
            pending = find_interrupted(job, self._context)
            made = self._context.store.find(job.identity, again)
            if made and not pending:
                refuse_damaged(made, again=again)
        except ArtifactCorruptError:
            step.status = "damaged"
            raise
        step.status = "interrupted" if pending else "missing" if made is None else "fresh"
        step.artifact = made or foreseen(job.identity, facts, self._context.store)

    def _dataset(self, step: Step) -> None:
        step.execution = prepare.configure(self._tables).execution.model_dump()
        job = prepare.plan(self._tables, {}, self._context) if self._is_quickly_identified() else None
        if job:
            self._finish(step, job, {})
        if step.status == "fresh":
            return
        step.artifact = None
        self.trial = prepare.try_scenes(self._tables, self._context)
        config = prepare.configure(self._tables).config
        identity = job.identity if job else unidentified("dataset", config.dataset.replace("_", "-"), _named(config))
        facts = self.trial.facts
        if not job and not self.trial.records:
            self._notes.note("note: the source is downloaded first; its time and its size are not in the estimate")
        elif not job:
            self._notes.note("note: the source was not read, so whether the data set is up to date is not known")
        if facts and facts["info"]["height"]:
            step.artifact = foreseen(identity, facts, self._context.store)
        else:
            self._notes.note("note: the size of the images is known only after 'prepare': later stages are not checked")

    def _is_quickly_identified(self) -> bool:
        config = prepare.configure(self._tables).config
        return config.generate is not None or 0 <= prepare.source_bytes(self._tables, self._context) <= QUICKLY_READ

    def _run(self, step: Step) -> None:
        config, execution = train.configure(self._tables)
        step.execution = execution.model_dump()
        ready = self._ready("dataset")
        if ready and self._knows_splits(ready[0]):
            dataset = ready[0]
            splits = {"train.split": config.split}
            if config.validate_every:
                splits["train.validate_split"] = config.validate_split
            _check_splits(splits, dataset)
            job = train.plan(self._tables, {"dataset": dataset}, self._context)
            self._finish(step, job, {"steps": config.steps, "dataset": DatasetFacts.of(dataset).info.dataset})

    def _knows_splits(self, dataset: Artifact) -> bool:
        if not DatasetFacts.of(dataset).splits:
            self._notes.note(
                "note: the number of scenes is known only after 'prepare', unless you set prepare.split: "
                "later stages are not checked"
            )
        return bool(DatasetFacts.of(dataset).splits)

    def _predictions(self, step: Step) -> None:
        config, execution = infer.configure(self._tables)
        step.execution = execution.model_dump()
        if prepared := self._ready("dataset"):
            _check_splits({"infer.split": config.split}, prepared[0])
        ready = self._ready("dataset", "run")
        if ready is None:
            return
        dataset, run = ready
        model = None if self.steps["run"].status == "fresh" else model_to_be_trained(run)
        job = infer.plan(self._tables, {"dataset": dataset, "run": run}, self._context, model)
        resolved = job.identity.config["infer"]
        facts = {name: resolved[name] for name in ("scenes", "split", "slots", "steps", "restarts")}
        self._finish(step, job, facts)

    def _evaluation(self, step: Step) -> None:
        config, execution = evaluate.configure(self._tables)
        step.execution = execution.model_dump()
        ready = self._ready("dataset", "predictions")
        if ready is None:
            return
        if self.steps["predictions"].status == "fresh":
            inputs = {"dataset": ready[0], "predictions": ready[1]}
            self._finish(step, evaluate.plan(self._tables, inputs, self._context), {})
            return
        evaluate.check_masks(self._tables, ready[0], str(ready[1].facts["split"]))
        for name in config.metrics:
            needed = None if name == ALL else METRICS.load(name).NEEDS
            if needed and needed not in self._stored():
                raise SchemaError(
                    f"eval.metrics: '{name}' needs '{stored_as(needed)}', which infer.store omits: add it there, or "
                    "omit the metric"
                )
        step.artifact = self._unmade("evaluation", {"eval": config.model_dump(mode="json")})

    def _probe(self, step: Step) -> None:
        ready = self._ready("dataset", "predictions")
        if ready is None:
            return
        dataset, predictions = ready
        if self.steps["predictions"].status == "fresh":
            inputs = {"dataset": dataset, "predictions": predictions}
            self._finish(step, probe.plan(self._tables, inputs, self._context), {})
            return
        config, facts = probe.configure(self._tables), DatasetFacts.of(dataset)
        probe.check_masks(dataset, str(predictions.facts["split"]))
        self._need_latents("probe")
        if self.trial is None or self.trial.records:
            _check_factors(config.factors, facts)
        if min(int(predictions.facts["scenes"]), config.scenes) < config.folds:
            raise CountError(
                f"probe: {predictions.facts['scenes']} scenes are fewer than the {config.folds} folds of scenes: infer "
                "more, or reduce probe.folds"
            )
        step.artifact = self._unmade("probe", {"probe": config.model_dump(mode="json")})

    def _traversal(self, step: Step) -> None:
        config, execution = traverse.configure(self._tables)
        step.execution = execution.model_dump()
        ready = self._ready("dataset", "predictions", "run")
        if ready is None:
            return
        if self.steps["predictions"].status == "fresh":
            inputs = {"dataset": ready[0], "predictions": ready[1]}
            self._finish(step, traverse.plan(self._tables, inputs, self._context), {})
            return
        self._need_latents("traverse")
        known = {"scenes": int(ready[1].facts["scenes"]), "dimensions": ready[2].config["model"].get("latent")}
        for name, most in known.items():
            if most is not None and getattr(config, name) > most:
                raise CountError(f"traverse.{name}={getattr(config, name)}, but there will be only {most}")
        step.artifact = self._unmade("traversal", {"traverse": config.model_dump(mode="json")})

    def _report(self, step: Step) -> None:
        chain = {role: one.artifact for role, one in self.steps.items() if one is not step}
        config = {"report": pipelines.STAGES["report"].configure(self._tables).model_dump(mode="json")}
        if all(one.status == "fresh" for one in self.steps.values() if one is not step):
            inputs = {role: artifact for role, artifact in chain.items() if artifact is not None}
            self._finish(step, pipelines.STAGES["report"].plan(self._tables, inputs, self._context), {})
        elif None not in chain.values():
            step.artifact = self._unmade("report", config)

    def _unmade(self, kind: str, config: Values) -> Artifact:
        return foreseen(unidentified(kind, kind, config), {}, self._context.store)

    def _stored(self) -> set[str]:
        return stored_fields(infer.configure(self._tables)[0].store)

    def _need_latents(self, table: str) -> None:
        if "latent_loc" not in self._stored():
            raise SchemaError(f"[{table}] needs latents, but infer.store omits them: add 'latents' to infer.store")


def _check_splits(asked: Mapping[str, str], dataset: Artifact) -> None:
    """Raise :class:`CountError` if the data set will lack a split; ``asked``: split by key of the configuration."""
    splits = DatasetFacts.of(dataset).splits
    for key, split in asked.items():
        if splits and split not in splits:
            raise CountError(f"{key}: the data set will have no split '{split}'{did_you_mean(split, splits)}")


def _check_factors(names: tuple[str, ...], facts: DatasetFacts) -> None:
    """Raise :class:`SchemaError` if the scenes lack factors to predict."""
    if not facts.factors:
        raise SchemaError("[probe] predicts factors of objects, but the scenes will have none: omit the table [probe]")
    for name in names:
        if name not in facts.factors:
            nearest = did_you_mean(name, facts.factors)
            raise SchemaError(f"probe.factors: the data set will have no factor '{name}'{nearest}")


def _named(config: prepare.PrepareConfig) -> Values:
    return {"dataset": {"name": config.dataset}, "format": {"name": config.format}, "origin": "published"}
