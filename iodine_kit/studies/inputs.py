"""inputs: what each input of the refinement network is worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.config import build
from iodine_kit.errors import ConfigError, did_you_mean
from iodine_kit.formatting import number
from iodine_kit.models.iodine.config import GRADIENT_INPUTS, InputName, IodineConfig
from iodine_kit.reporting.charts.series import Series, rows_plot
from iodine_kit.stages import train
from iodine_kit.studies._experiment import Bench, Scored
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table, estimates, points
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, Floats64, ari, estimate, last, listed, mean_over, told

VERSION = 1
SUMMARY = "the refinement network without each of its inputs: short runs, FG-ARI and ELBO"
QUESTION = "Which of the inputs a_k does the refinement network need, and which could be left out?"
TAKES_RUN = False
BASE = {
    "train": {"steps": 600, "kl_schedule": "constant"},
    "model": {"beta": 1.0},
    "infer": {"restarts": 1},
}
ALL = "all"
GROUPS = NO_GRADIENTS, GRADIENTS = "without all gradients", "gradients alone"


class Config(configuration.Config):
    """What to try.

    Attributes:
        leave_out: inputs to leave out, each in runs of its own; empty is every one that the base has.
        groups: whether to try it without all gradients, and with gradients alone, as well.
        seeds: of the training; with several, a scene's score is the mean over them.
    """

    leave_out: tuple[str, ...] = ()
    groups: bool = True
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=1)] = (0, 1, 2)


def conduct(bench: Bench) -> Callable[[], Findings]:
    """Runs with all inputs, without each, and with groups of them."""
    choices = _choices(bench)
    dataset = bench.dataset()
    found: dict[str, list[Scored]] = {}
    steps = 0
    for seed in dict.fromkeys(bench.config.seeds):
        for name, inputs in choices.items():
            over = {"train": {"seed": seed}, "model": {"inputs": inputs}}
            run = bench.train(dataset, f"run, {name}, seed {seed}", over)
            steps = int(run.facts["steps"])
            found.setdefault(name, []).append(bench.score(run, dataset, f"{name}, seed {seed}"))
    return lambda: look(found, steps)


def _choices(bench: Bench) -> dict[str, list[InputName]]:
    """Names of the variants and their inputs."""
    values: dict[str, Any] = dict(bench.tables.get("model", {}))
    if values.pop("name", "iodine") != "iodine":
        raise ConfigError("study inputs is about IODINE's refinement network: set model.name=iodine")
    every = list(build(IodineConfig, values, "model").inputs)
    for name in bench.config.leave_out:
        if name not in every:
            raise ConfigError(f"study.leave_out: '{name}' is not an input of this model{did_you_mean(name, every)}")
    choices = {ALL: every}
    if bench.config.groups:
        choices[NO_GRADIENTS] = [name for name in every if name not in GRADIENT_INPUTS]
        choices[GRADIENTS] = [name for name in every if name in GRADIENT_INPUTS]
    for out in bench.config.leave_out or every:
        choices[f"without {out}"] = [name for name in every if name != out]
    for inputs in choices.values():
        train.configure({**bench.tables, "model": {**bench.tables.get("model", {}), "inputs": inputs}})
    return choices


def look(found: dict[str, list[Scored]], steps: int) -> Findings:
    """Table, two plots and what they show."""
    scores = {name: mean_over([ari(one) for one in runs]) for name, runs in found.items()}
    elbos = {name: mean_over([last(one) for one in runs]) for name, runs in found.items()}
    rows: list[dict[str, Cell]] = [_row(name, scores, elbos) for name in found]
    seeds = len(found[ALL])
    names = list(found)
    plots = [
        rows_plot(
            names,
            [
                points(estimates(rows, column), "mean of the seeds" if seeds > 1 else ""),
                *_each_seed(found, column, seeds),
            ],
            title=title,
            x_label=unit,
            at=(estimates(rows, column)[0].mean, "all inputs"),
        )
        for column, title, unit in (("fg_ari", "FG-ARI", "mean over scenes"), ("elbo", "ELBO", "nats per image"))
    ]
    spreads = {
        f"sd_between_seeds, {column}": seed_spread(found, column) for column in ("difference", "elbo_difference")
    }
    return Findings(
        seen=_sentences(rows, found),
        method=[
            f"Each variant was trained anew for {steps:,} steps with {seeds} {'seed' if seeds == 1 else 'seeds'}: "
            "short runs, whose order need not be that of runs to the end.",
            "A scene's score is the mean over the seeds, small marks are single seeds. The difference is that to all "
            "inputs within the same scenes; its interval knows of scenes and not of seeds.",
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


def _sentences(rows: Sequence[dict[str, Cell]], found: dict[str, list[Scored]]) -> list[str]:
    changes = {str(row["inputs"]): row["difference"] for row in rows if isinstance(row["difference"], Estimate)}
    singles = [name for name in changes if name not in GROUPS]
    seen = [f"With all inputs FG-ARI is {told(estimates(rows, 'fg_ari')[0])}."]
    seen += [f"{name.capitalize()}, it changes by {told(changes[name])}." for name in GROUPS if name in changes]
    order = sorted(singles, key=lambda name: changes[name].mean)
    if order:
        worst = [f"{_input(name)} ({number(changes[name].mean)})" for name in order[:3]]
        seen.append(f"Of single inputs, leaving out {listed(worst)} lowers FG-ARI most.")
        for column, title in (("difference", "FG-ARI"), ("elbo_difference", "the ELBO")):
            seen += _beyond_seeds(rows, found, column, title)
    return seen


def _beyond_seeds(
    rows: Sequence[dict[str, Cell]], found: dict[str, list[Scored]], column: str, title: str
) -> list[str]:
    """Which single inputs matter by more than seeds and scenes explain; nothing to say of one seed."""
    spread, seeds = seed_spread(found, column), len(found[ALL])
    if not np.isfinite(spread):
        return []
    error = spread * (2 / seeds) ** 0.5
    singles = {str(row["inputs"]): row[column] for row in rows if row["inputs"] not in (ALL, *GROUPS)}
    known = {name: cell for name, cell in singles.items() if isinstance(cell, Estimate) and cell.excludes_zero}
    sure = [f"{_input(name)} ({number(cell.mean)})" for name, cell in known.items() if abs(cell.mean) > 2 * error]
    return [
        f"Seeds of a variant differ in {title} with a standard deviation of {number(spread)} (pooled over single "
        f"inputs and all), so that a difference of means over {seeds} has a standard error of {number(error)}. Beyond "
        f"two of these, and beyond the interval over scenes, {title} changes without: {listed(sure) or 'no input'}."
    ]


def seed_spread(found: dict[str, list[Scored]], column: str) -> float:
    """Standard deviation between seeds of a variant's mean, pooled over all variants but groups; NaN for one seed."""
    read = ari if column == "difference" else last
    runs = [[np.nanmean(read(one)) for one in runs] for name, runs in found.items() if name not in GROUPS]
    return float(np.sqrt(np.var(runs, axis=1, ddof=1).mean())) if len(runs[0]) > 1 else float("nan")


def _input(name: str) -> str:
    return name.removeprefix("without ")


def _each_seed(found: dict[str, list[Scored]], column: str, seeds: int) -> list[Series]:
    if seeds == 1:
        return []
    read = ari if column == "fg_ari" else last
    each = [(float(row), float(np.nanmean(read(one)))) for row, runs in enumerate(found.values()) for one in runs]
    return [Series("single seeds", [row for row, _ in each], [value for _, value in each], line=False, faint=True)]
