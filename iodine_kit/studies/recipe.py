"""recipe: which choices of a training recipe decide how fast the model learns to segment."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.artifacts.run import RunFacts
from iodine_kit.config import flatten, merge
from iodine_kit.errors import ConfigError, did_you_mean
from iodine_kit.formatting import number
from iodine_kit.reporting.charts import rows_plot
from iodine_kit.stages import train
from iodine_kit.store import Artifact
from iodine_kit.studies._experiment import Evaluated, Experiment
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table, estimates_in, point_series
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, estimate, fg_ari, final, format_estimate, mse

VERSION = 1
SUMMARY = "a training recipe with one choice changed at a time: FG-ARI, error, KL and speed of short runs"
QUESTION = (
    "Which choices decide how fast IODINE learns to segment: the weight of the KL term, patches, the capacity of the "
    "refinement network, the batch size, or the number of refinement steps?"
)
TAKES_RUN = False
BASE = {
    "train": {"steps": 1000, "kl_schedule": "constant", "validate_every": 0},
    "model": {"beta": 1.0},
    "infer": {"restarts": 1, "steps": 6},
}
UNCHANGED = "the recipe"
_Tables = dict[str, dict[str, Any]]


class Config(configuration.Config):
    """What the study varies.

    Attributes:
        images: number of images that every run is trained on, whatever its batch size.
        only: names of the variants to try. Defaults to all of them.
    """

    images: Annotated[int, Field(ge=1)] = 16_000
    only: tuple[str, ...] = ()


def variants(tables: Mapping[str, Any]) -> dict[str, _Tables]:
    """Changes to the recipe by the variant's name, as values that replace those of the pipeline's tables."""
    batch = int(tables.get("train", {}).get("batch_size", 32))
    steps = int(tables.get("model", {}).get("steps", 5))
    return {
        UNCHANGED: {},
        "β = 0.25": {"model": {"beta": 0.25}},
        "β = 4": {"model": {"beta": 4.0}},
        "β = 16": {"model": {"beta": 16.0}},
        "decoder patches of 2×2": {"model": {"decoder": {"patch": 2}}},
        "decoder without patches, 32 channels": {"model": {"decoder": {"patch": 1, "channels": [32, 32, 32]}}},
        "refinement without patches": {"model": {"refinement": {"patch": "none", "stride": 2}}},
        "small refinement network": {"model": {"refinement": {"channels": [32, 32, 32], "mlp": [128], "lstm": "none"}}},
        "wide decoder": {"model": {"decoder": {"channels": [128, 128, 128]}}},
        "batch doubled": {"train": {"batch_size": 2 * batch}},
        "batch halved": {"train": {"batch_size": max(batch // 2, 1)}},
        "one step more in training": {"model": {"steps": steps + 1}},
        "one step fewer in training": {"model": {"steps": max(steps - 1, 1)}},
    }


def conduct(experiment: Experiment) -> Callable[[], Findings]:
    """Train a short run, infer and evaluate for each variant."""
    chosen = _chosen(experiment)
    dataset = experiment.dataset()
    runs: dict[str, Artifact] = {}
    results: dict[str, Evaluated] = {}
    for name, overrides in chosen.items():
        runs[name] = experiment.train(dataset, f"run, {name}", overrides)
        results[name] = experiment.evaluate(runs[name], dataset, name)
    return lambda: analyse(results, runs, experiment.config.images)


def _chosen(experiment: Experiment) -> dict[str, _Tables]:
    """The variants to try, each with as many steps as its batch needs, all checked before the first run starts."""
    known = variants(experiment.tables)
    for name in experiment.config.only:
        if name not in known:
            raise ConfigError(f"study.only: no variant is called '{name}'{did_you_mean(name, known)}")
    names = {UNCHANGED, *experiment.config.only} if experiment.config.only else set(known)
    images = experiment.config.images
    chosen = {name: _complete(experiment.tables, change, images) for name, change in known.items() if name in names}
    for overrides in chosen.values():
        train.configure({**experiment.tables, **overrides})
    return chosen


def _complete(tables: Mapping[str, Any], change: _Tables, images: int) -> _Tables:
    """Complete tables ``train`` and ``model``; inner tables such as the decoder's are merged, not replaced."""
    result: _Tables = {}
    for table in ("train", "model"):
        result[table] = merge(merge({}, tables.get(table, {})), change.get(table, {}))
    settings = result["train"]
    settings["steps"] = max(images // int(settings.get("batch_size", 32)), 1)
    settings["warmup_steps"] = min(int(settings.get("warmup_steps", 0)), settings["steps"] // 2)
    return result


def analyse(results: Mapping[str, Evaluated], runs: Mapping[str, Artifact], images: int) -> Findings:
    """A table, two plots and sentences; all mappings are by variant."""
    base = results[UNCHANGED]
    rows: list[dict[str, Cell]] = [_row(name, evaluated, runs[name], base) for name, evaluated in results.items()]
    plots = [
        rows_plot(
            list(results),
            [point_series(estimates_in(rows, column))],
            title=title,
            x_label=unit,
            at=(estimates_in(rows, column)[0].mean, UNCHANGED),
        )
        for column, title, unit in (
            ("fg_ari", "FG-ARI", "mean over scenes"),
            ("mse", "Reconstruction error", "mean squared error"),
        )
    ]
    return Findings(
        observations=_observations(rows),
        method=[
            f"Each variant changes one choice of the pipeline and is trained on {images:,} images with one seed and a "
            "constant weight of the KL term. These are short runs; the ranking after full training may differ.",
            "The difference is that to the recipe on the same scenes. Its interval reflects variation between scenes "
            "but not between seeds. Images per second are measured over the whole run, on one machine that may have "
            "run other programs too.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                f"{images:,} training images.",
                {"variant": "Variant", "fg_ari": "FG-ARI", "difference": "Difference", "mse": "MSE", "kl": "KL",
                 "parameters": "Parameters", "images_per_second": "Images per second"},
                rows,
            )
        ],
        plots=plots,
        facts={"images": images, "changes": {name: _changes(runs[UNCHANGED], run) for name, run in runs.items()}},
    )  # fmt: skip


def _row(name: str, evaluated: Evaluated, run: Artifact, base: Evaluated) -> dict[str, Cell]:
    seconds, batch = RunFacts.of(run).seconds_per_step, run.config["train"]["batch_size"]
    return {
        "variant": name,
        "fg_ari": estimate(fg_ari(evaluated)),
        "difference": "" if name == UNCHANGED else estimate(fg_ari(evaluated) - fg_ari(base)),
        "mse": estimate(mse(evaluated)),
        "kl": float(final(evaluated, "kl").mean()),
        "parameters": RunFacts.of(run).parameters,
        "images_per_second": round(batch / seconds) if seconds else "",
    }


def _changes(base: Artifact, run: Artifact) -> dict[str, Any]:
    """Values of a run's configuration that differ from the recipe's, by dotted name."""
    before, after = flatten(base.config), flatten(run.config)
    return {name: value for name, value in after.items() if before.get(name) != value}


def _observations(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    changes = {str(row["variant"]): row["difference"] for row in rows if isinstance(row["difference"], Estimate)}
    observations = [f"The recipe reaches an FG-ARI of {format_estimate(estimates_in(rows, 'fg_ari')[0])}."]
    if not changes:
        return observations
    order = sorted(changes, key=lambda name: changes[name].mean)
    gains = [name for name in order if changes[name].low > 0]
    observations.append(
        f"The largest drop of FG-ARI is {format_estimate(_negative(changes[order[0]]))}, for '{order[0]}'."
    )
    observations.append(
        f"The largest gain of FG-ARI is {format_estimate(changes[gains[-1]])}, for '{gains[-1]}'."
        if gains
        else "No variant gains FG-ARI with an interval over scenes that excludes 0."
    )
    errors = {str(row["variant"]): row["mse"] for row in rows if isinstance(row["mse"], Estimate)}
    lowest = min(errors, key=lambda name: errors[name].mean)
    observations.append(f"The lowest reconstruction error is {number(errors[lowest].mean)}, for '{lowest}'.")
    return observations


def _negative(value: Estimate) -> Estimate:
    return Estimate(-value.mean, -value.high, -value.low, value.n)
