"""inputs: how much each input of the refinement network contributes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.artifacts.run import RunFacts
from iodine_kit.config import build
from iodine_kit.errors import ConfigError, did_you_mean
from iodine_kit.formatting import number
from iodine_kit.models.iodine.config import GRADIENT_INPUTS, InputName, IodineConfig
from iodine_kit.reporting.charts import Series, rows_plot
from iodine_kit.stages import train
from iodine_kit.studies._experiment import Evaluated, Experiment
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table, estimates_in, point_series
from iodine_kit.studies._scores import (
    ARI_TEXT,
    INTERVALS,
    Floats64,
    estimate,
    fg_ari,
    final,
    format_estimate,
    join_words,
    mean_scores,
)

VERSION = 1
SUMMARY = "the refinement network without each of its inputs: short runs, FG-ARI and ELBO"
QUESTION = "Which of its inputs does the refinement network need, and which can be omitted?"
TAKES_RUN = False
BASE = {
    "train": {"steps": 600, "kl_schedule": "constant"},
    "model": {"beta": 1.0},
    "infer": {"restarts": 1},
}
ALL = "all"
NO_GRADIENTS, GRADIENTS = "without all gradients", "gradients alone"
GROUPS = {NO_GRADIENTS: "Without all gradient inputs", GRADIENTS: "With gradient inputs only"}
"""Variants that omit several inputs at once, and how a sentence about them begins."""

Results = dict[str, list[Evaluated]]
"""One evaluation per seed, by variant."""


class Config(configuration.Config):
    """What the study varies.

    Attributes:
        leave_out: inputs to omit, each in runs of its own. Defaults to every input of the base configuration.
        groups: whether to also try the network without all gradient inputs, and with gradient inputs only.
        seeds: training seeds; with several, the score of a scene is the mean over them.
    """

    leave_out: tuple[str, ...] = ()
    groups: bool = True
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1)] = (0, 1, 2)


def conduct(experiment: Experiment) -> Callable[[], Findings]:
    """Train, infer and evaluate with all inputs, without each input, and with groups of inputs."""
    variants = _variants(experiment)
    dataset = experiment.dataset()
    results: Results = {}
    steps = 0
    for seed in dict.fromkeys(experiment.config.seeds):
        for name, inputs in variants.items():
            overrides = {"train": {"seed": seed}, "model": {"inputs": inputs}}
            run = experiment.train(dataset, f"run, {name}, seed {seed}", overrides)
            steps = RunFacts.of(run).steps or 0
            results.setdefault(name, []).append(experiment.evaluate(run, dataset, f"{name}, seed {seed}"))
    return lambda: analyse(results, steps)


def _variants(experiment: Experiment) -> dict[str, list[InputName]]:
    """The inputs of each variant, by its name; all are checked before the first run starts."""
    model: dict[str, Any] = dict(experiment.tables.get("model", {}))
    if model.pop("name", "iodine") != "iodine":
        raise ConfigError("study inputs varies IODINE's refinement network: set model.name=iodine")
    every = list(build(IodineConfig, model, "model").inputs)
    for name in experiment.config.leave_out:
        if name not in every:
            raise ConfigError(f"study.leave_out: '{name}' is not an input of this model{did_you_mean(name, every)}")
    variants = {ALL: every}
    if experiment.config.groups:
        variants[NO_GRADIENTS] = [name for name in every if name not in GRADIENT_INPUTS]
        variants[GRADIENTS] = [name for name in every if name in GRADIENT_INPUTS]
    for omitted in experiment.config.leave_out or every:
        variants[f"without {omitted}"] = [name for name in every if name != omitted]
    for inputs in variants.values():
        train.configure({**experiment.tables, "model": {**experiment.tables.get("model", {}), "inputs": inputs}})
    return variants


def analyse(results: Results, steps: int) -> Findings:
    """A table, two plots and sentences; ``steps`` is the length of the training runs."""
    scores = {name: mean_scores([fg_ari(one) for one in runs]) for name, runs in results.items()}
    elbos = {name: mean_scores([final(one) for one in runs]) for name, runs in results.items()}
    rows: list[dict[str, Cell]] = [_row(name, scores, elbos) for name in results]
    seeds = len(results[ALL])
    plots = [
        rows_plot(
            list(results),
            [
                point_series(estimates_in(rows, column), "mean of the seeds" if seeds > 1 else ""),
                *_each_seed(results, column, seeds),
            ],
            title=title,
            x_label=unit,
            at=(estimates_in(rows, column)[0].mean, "all inputs"),
        )
        for column, title, unit in (("fg_ari", "FG-ARI", "mean over scenes"), ("elbo", "ELBO", "nats per image"))
    ]
    spreads = {
        f"sd_between_seeds, {column}": seed_spread(results, column) for column in ("difference", "elbo_difference")
    }
    return Findings(
        observations=_observations(rows, results),
        method=[
            f"Each variant was trained from scratch for {steps:,} steps with {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}. These are short runs; the ranking after full training may differ.",
            "The score of a scene is the mean over the seeds; small marks show single seeds. The difference is that to "
            "all inputs on the same scenes; its interval reflects variation between scenes but not between seeds.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                f"{steps:,} training steps.",
                {"inputs": "Inputs", "fg_ari": "FG-ARI", "difference": "Difference", "elbo": "ELBO",
                 "elbo_difference": "Difference of ELBO"},
                rows,
            )
        ],
        plots=plots,
        facts={"training_steps": steps, "seeds": seeds, **spreads},
    )  # fmt: skip


def _row(name: str, scores: dict[str, Floats64], elbos: dict[str, Floats64]) -> dict[str, Cell]:
    row: dict[str, Cell] = {"inputs": name, "fg_ari": estimate(scores[name]), "elbo": estimate(elbos[name])}
    row["difference"] = "" if name == ALL else estimate(scores[name] - scores[ALL])
    row["elbo_difference"] = "" if name == ALL else estimate(elbos[name] - elbos[ALL])
    return row


def _observations(rows: Sequence[dict[str, Cell]], results: Results) -> list[str]:
    changes = {str(row["inputs"]): row["difference"] for row in rows if isinstance(row["difference"], Estimate)}
    singles = [name for name in changes if name not in GROUPS]
    observations = [f"With all inputs, FG-ARI is {format_estimate(estimates_in(rows, 'fg_ari')[0])}."]
    observations += [
        f"{words}, FG-ARI changes by {format_estimate(changes[name])}."
        for name, words in GROUPS.items()
        if name in changes
    ]
    order = sorted(singles, key=lambda name: changes[name].mean)
    if order:
        worst = [f"{_input(name)} ({number(changes[name].mean)})" for name in order[:3]]
        observations.append(f"Of single inputs, omitting {join_words(worst)} lowers FG-ARI most.")
        for column, title in (("difference", "FG-ARI"), ("elbo_difference", "the ELBO")):
            observations += _beyond_seeds(rows, results, column, title)
    return observations


def _beyond_seeds(rows: Sequence[dict[str, Cell]], results: Results, column: str, title: str) -> list[str]:
    """Which single inputs matter by more than seeds and scenes explain; no sentence for one seed."""
    spread, seeds = seed_spread(results, column), len(results[ALL])
    if not np.isfinite(spread):
        return []
    error = spread * (2 / seeds) ** 0.5
    singles = {str(row["inputs"]): row[column] for row in rows if row["inputs"] not in (ALL, *GROUPS)}
    clear = {name: cell for name, cell in singles.items() if isinstance(cell, Estimate) and cell.excludes_zero}
    sure = [f"{_input(name)} ({number(cell.mean)})" for name, cell in clear.items() if abs(cell.mean) > 2 * error]
    return [
        f"Between the seeds of a variant, {title} has a standard deviation of {number(spread)} (pooled over all "
        f"variants except groups), so a difference of means over {seeds} seeds has a standard error of "
        f"{number(error)}. Inputs whose omission changes {title} by more than two standard errors, with an interval "
        f"over scenes that excludes 0: {join_words(sure) or 'none'}."
    ]


def seed_spread(results: Results, column: str) -> float:
    """Standard deviation between seeds of a variant's mean, pooled over all variants but groups; NaN for one seed."""
    score = fg_ari if column == "difference" else final
    runs = [[np.nanmean(score(one)) for one in runs] for name, runs in results.items() if name not in GROUPS]
    return float(np.sqrt(np.var(runs, axis=1, ddof=1).mean())) if len(runs[0]) > 1 else float("nan")


def _input(name: str) -> str:
    return name.removeprefix("without ")


def _each_seed(results: Results, column: str, seeds: int) -> list[Series]:
    if seeds == 1:
        return []
    score = fg_ari if column == "fg_ari" else final
    each = [(float(row), float(np.nanmean(score(one)))) for row, runs in enumerate(results.values()) for one in runs]
    return [Series("single seeds", [row for row, _ in each], [value for _, value in each], line=False, faint=True)]
