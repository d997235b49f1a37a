"""seeds: how much of a figure is the seed of the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.formatting import number, spread
from iodine_kit.reporting.charts.series import rows_plot
from iodine_kit.studies._experiment import Bench, Scored
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table, estimates, points
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, ari, estimate, last, mse, told

VERSION = 1
SUMMARY = "the same training with other seeds: is their spread larger than the interval over scenes?"
QUESTION = (
    "Does the interval over the test scenes of one run say how far another run of the same configuration may lie?"
)
TAKES_RUN = False
BASE: dict[str, dict[str, object]] = {}


class Config(configuration.Config):
    """What to try.

    Attributes:
        seeds: of the training.
    """

    seeds: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**63)], ...], Field(min_length=2)] = (0, 1, 2, 3, 4)


def conduct(bench: Bench) -> Callable[[], Findings]:
    """One run, inference and evaluation for every seed."""
    dataset = bench.dataset()
    found: dict[int, Scored] = {}
    for seed in dict.fromkeys(bench.config.seeds):
        run = bench.train(dataset, f"run, seed {seed}", {"train": {"seed": seed}})
        found[seed] = bench.score(run, dataset, f"seed {seed}")
    return lambda: look(found)


def look(found: dict[int, Scored]) -> Findings:
    """Table, two plots and what they show."""
    rows: list[dict[str, Cell]] = [
        {"seed": seed, "fg_ari": estimate(ari(one)), "elbo": estimate(last(one)), "mse": float(mse(one).mean())}
        for seed, one in found.items()
    ]
    scores = estimates(rows, "fg_ari")
    means = np.array([score.mean for score in scores])
    between, half = float(means.std(ddof=1)), float(np.mean([(score.high - score.low) / 2 for score in scores]))
    ends = [int(means.argmin()), int(means.argmax())]
    low, high = (list(found.values())[end] for end in ends)
    gap = estimate(ari(high) - ari(low))
    outside = _outside(scores)
    seen = [
        f"FG-ARI over {len(rows)} seeds is {spread(float(means.mean()), between)} (mean ± standard deviation of the "
        f"runs' means).",
        f"The interval over scenes reaches {number(half)} to either side on average, and two standard deviations "
        f"between seeds are {number(2 * between)}: "
        + ("seeds differ by more than one run's interval tells." if 2 * between > half else
           "seeds differ by no more than one run's interval tells."),
        f"The best and the worst seed, {list(found)[ends[1]]} and {list(found)[ends[0]]}, differ by {told(gap)} on the "
        f"same scenes (of all pairs the one that differs most, so this is no test); of {outside[1]} pairs "
        f"of seeds {outside[0]} have a mean outside the other's interval.",
    ]  # fmt: skip
    names = [f"seed {seed}" for seed in found]
    plots = [
        rows_plot(names, [points(estimates(rows, column))], title=title, x_label=unit, at=(_mean(rows, column), "mean"))
        for column, title, unit in (
            ("fg_ari", "FG-ARI", "mean over scenes"),
            ("elbo", "ELBO", "nats per image"),
        )
    ]
    facts = {"mean": float(means.mean()), "sd_between_seeds": between, "half_interval_over_scenes": half}
    return Findings(
        seen=seen,
        method=[
            "A seed decides the weights that training starts from, the order of scenes and all noise of training; the "
            "data and the noise at test time are the same for all.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[Table("One run each.", {"seed": "Seed", "fg_ari": "FG-ARI", "elbo": "ELBO", "mse": "MSE"}, rows)],
        plots=plots,
        facts=facts,
    )


def _outside(scores: list[Estimate]) -> tuple[int, int]:
    """Ordered pairs of which the second's mean lies outside the first's interval, and all ordered pairs."""
    pairs = [(a, b) for a in scores for b in scores if a is not b]
    return sum(not a.low <= b.mean <= a.high for a, b in pairs), len(pairs)


def _mean(rows: list[dict[str, Cell]], column: str) -> float:
    return float(np.mean([value.mean for value in estimates(rows, column)]))
