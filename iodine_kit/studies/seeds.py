"""seeds: how much of a result is due to the training seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.formatting import number, spread
from iodine_kit.reporting.charts import rows_plot
from iodine_kit.studies._experiment import Evaluated, Experiment
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table, estimates_in, point_series
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, estimate, fg_ari, final, format_estimate, mse

VERSION = 1
SUMMARY = "the same training with other seeds: is their spread larger than the interval over scenes?"
QUESTION = (
    "Does the interval over the test scenes of one run say how much the result of another run with the same "
    "configuration can differ?"
)
TAKES_RUN = False
BASE: dict[str, dict[str, object]] = {}


class Config(configuration.Config):
    """What the study varies.

    Attributes:
        seeds: training seeds, two or more.
    """

    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=2)] = (0, 1, 2, 3, 4)


def conduct(experiment: Experiment) -> Callable[[], Findings]:
    """Train, infer and evaluate once for each seed."""
    dataset = experiment.dataset()
    results: dict[int, Evaluated] = {}
    for seed in dict.fromkeys(experiment.config.seeds):
        run = experiment.train(dataset, f"run, seed {seed}", {"train": {"seed": seed}})
        results[seed] = experiment.evaluate(run, dataset, f"seed {seed}")
    return lambda: analyse(results)


def analyse(results: dict[int, Evaluated]) -> Findings:
    """A table, two plots and sentences."""
    rows: list[dict[str, Cell]] = [
        {"seed": seed, "fg_ari": estimate(fg_ari(one)), "elbo": estimate(final(one)), "mse": float(mse(one).mean())}
        for seed, one in results.items()
    ]
    scores = estimates_in(rows, "fg_ari")
    means = np.array([score.mean for score in scores])
    between, half = float(means.std(ddof=1)), float(np.mean([(score.high - score.low) / 2 for score in scores]))
    plots = [
        rows_plot(
            [f"seed {seed}" for seed in results],
            [point_series(estimates_in(rows, column))],
            title=title,
            x_label=unit,
            at=(_mean(rows, column), "mean"),
        )
        for column, title, unit in (
            ("fg_ari", "FG-ARI", "mean over scenes"),
            ("elbo", "ELBO", "nats per image"),
        )
    ]
    return Findings(
        observations=_observations(results, scores, between, half),
        method=[
            "The seed determines the initial weights, the order of scenes and all noise of the training. The data and "
            "the noise at test time are the same for all seeds.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table("One run for each seed.", {"seed": "Seed", "fg_ari": "FG-ARI", "elbo": "ELBO", "mse": "MSE"}, rows)
        ],
        plots=plots,
        facts={"mean": float(means.mean()), "sd_between_seeds": between, "half_interval_over_scenes": half},
    )


def _observations(results: dict[int, Evaluated], scores: list[Estimate], between: float, half: float) -> list[str]:
    means = np.array([score.mean for score in scores])
    seeds = list(results)
    worst, best = int(means.argmin()), int(means.argmax())
    gap = estimate(fg_ari(results[seeds[best]]) - fg_ari(results[seeds[worst]]))
    outside, pairs = _outside(scores)
    larger = "more" if 2 * between > half else "no more"
    return [
        f"FG-ARI over {len(seeds)} seeds is {spread(float(means.mean()), between)} (mean ± standard deviation of the "
        "runs' means).",
        f"The interval over scenes extends {number(half)} to each side on average; two standard deviations between "
        f"seeds are {number(2 * between)}. Seeds differ by {larger} than the interval of one run suggests.",
        f"The best seed ({seeds[best]}) and the worst seed ({seeds[worst]}) differ by {format_estimate(gap)} on the "
        "same scenes. This is the pair with the largest difference, so the interval is not a significance test. In "
        f"{outside} of {pairs} ordered pairs of seeds, the mean of one lies outside the other's interval.",
    ]


def _outside(scores: list[Estimate]) -> tuple[int, int]:
    """Number of ordered pairs in which the second mean lies outside the first interval, and of all ordered pairs."""
    pairs = [(a, b) for a in scores for b in scores if a is not b]
    return sum(not a.low <= b.mean <= a.high for a, b in pairs), len(pairs)


def _mean(rows: list[dict[str, Cell]], column: str) -> float:
    return float(np.mean([value.mean for value in estimates_in(rows, column)]))
