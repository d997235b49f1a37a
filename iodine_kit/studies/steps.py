"""steps: vary the number of refinement steps at test time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts
from iodine_kit.studies._experiment import Evaluated, Experiment
from iodine_kit.studies._findings import Cell, Findings, Table, estimates_in, line_plot, line_series
from iodine_kit.studies._scores import (
    ARI_TEXT,
    INTERVALS,
    estimate,
    fg_ari,
    final,
    format_estimate,
    mse,
    verdict,
)

VERSION = 1
SUMMARY = "other numbers of refinement steps T at test time: FG-ARI and ELBO by T"
QUESTION = (
    "Do the results keep improving, stay the same or get worse if inference refines for more steps than training?"
)
TAKES_RUN = True
BASE = {"infer": {"restarts": 1}}


class Config(configuration.Config):
    """What the study varies.

    Attributes:
        steps: numbers of refinement steps T. Defaults to 0 … three times the T of training.
    """

    steps: tuple[Annotated[int, Field(ge=0)], ...] = ()


def conduct(experiment: Experiment) -> Callable[[], Findings]:
    """Infer and evaluate once for each T."""
    run, dataset = experiment.trained()
    trained = int(run.config["model"]["steps"])
    steps = sorted(set(experiment.config.steps)) or list(range(3 * trained + 1))
    results = {t: experiment.evaluate(run, dataset, f"T = {t}", {"infer": {"steps": t}}) for t in steps}
    return lambda: analyse(results, trained)


def analyse(results: dict[int, Evaluated], trained: int) -> Findings:
    """A table, two plots and sentences."""
    rows: list[dict[str, Cell]] = [_row(t, evaluated) for t, evaluated in results.items()]
    steps, mark = list(results), (float(trained), f"training, T = {trained}")
    scores, elbos = estimates_in(rows, "fg_ari"), estimates_in(rows, "elbo")
    best = max(range(len(rows)), key=lambda i: scores[i].mean)
    edge = ", the largest T of this study" if best == len(steps) - 1 else ""
    observations = [f"FG-ARI is highest at T = {steps[best]}{edge}: {format_estimate(scores[best])}."]
    if trained in results:
        here, end = steps.index(trained), len(steps) - 1
        observations.append(
            f"At T = {trained}, as in training, FG-ARI is {format_estimate(scores[here])} and the ELBO is "
            f"{format_estimate(elbos[here])}; at T = {steps[end]} they are {format_estimate(scores[end])} and "
            f"{format_estimate(elbos[end])}."
        )
        change = estimate(fg_ari(results[steps[end]]) - fg_ari(results[trained]))
        observations.append(
            f"From T = {trained} to T = {steps[end]}, FG-ARI changes by {format_estimate(change)} on the same scenes: "
            f"{verdict(change)}."
        )
    falls = [steps[i] for i in range(1, len(steps)) if elbos[i].mean < elbos[i - 1].mean]
    observations.append(
        f"The mean ELBO is lower than at the previous T for T = {', '.join(map(str, falls))}."
        if falls
        else "The mean ELBO rises with every T of this study."
    )
    restarts = PredictionsFacts.of(next(iter(results.values())).predictions).restarts
    inferences = (
        "one inference per scene"
        if restarts == 1
        else f"{restarts} inferences per scene, of which the one with the lowest loss is kept"
    )
    return Findings(
        observations=observations,
        method=[
            "T refinement steps make T + 1 decodes; T = 0 is the first decode, from the initial posterior. Each T is a "
            f"separate inference ({inferences}) that starts with the same noise.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                f"Trained with T = {trained}.",
                {"steps": "T", "fg_ari": "FG-ARI", "elbo": "ELBO", "nll": "NLL", "kl": "KL", "mse": "MSE"},
                rows,
            )
        ],
        plots=[
            line_plot("FG-ARI", "mean over scenes", "refinement steps T", [line_series("", steps, scores)], mark),
            line_plot("ELBO", "nats per image", "refinement steps T", [line_series("", steps, elbos)], mark),
        ],
        facts={"trained_steps": trained, "best_steps": steps[best]},
    )


def _row(steps: int, evaluated: Evaluated) -> dict[str, Cell]:
    return {
        "steps": steps,
        "fg_ari": estimate(fg_ari(evaluated)),
        "elbo": estimate(final(evaluated)),
        "nll": float(final(evaluated, "nll").mean()),
        "kl": float(final(evaluated, "kl").mean()),
        "mse": float(mse(evaluated).mean()),
    }
