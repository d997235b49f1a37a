"""steps: another number of refinement steps at test time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.studies._experiment import Bench, Scored
from iodine_kit.studies._findings import Cell, Findings, Table, estimates, line, over
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, ari, estimate, last, mse, told

VERSION = 1
SUMMARY = "other numbers of refinement steps T at test time: FG-ARI and ELBO over T"
QUESTION = "Does inference go on improving after as many refinement steps as in training, stay as it is, or fall apart?"
TAKES_RUN = True
BASE = {"infer": {"restarts": 1}}


class Config(configuration.Config):
    """What to try.

    Attributes:
        steps: numbers of refinement steps; empty is 0 to three times the training's.
    """

    steps: tuple[Annotated[int, Field(ge=0)], ...] = ()


def conduct(bench: Bench) -> Callable[[], Findings]:
    """One inference and evaluation for every T."""
    run, dataset = bench.trained()
    trained = int(run.config["model"]["steps"])
    steps = sorted(set(bench.config.steps)) or list(range(3 * trained + 1))
    found = {t: bench.score(run, dataset, f"T = {t}", {"infer": {"steps": t}}) for t in steps}
    return lambda: look(found, trained)


def look(found: dict[int, Scored], trained: int) -> Findings:
    """Table, two plots and what they show."""
    rows: list[dict[str, Cell]] = [_row(t, scored) for t, scored in found.items()]
    steps, mark = list(found), (float(trained), f"training, T = {trained}")
    scores, elbos = estimates(rows, "fg_ari"), estimates(rows, "elbo")
    best = max(range(len(rows)), key=lambda i: scores[i].mean)
    edge = ", the largest that was tried" if best == len(steps) - 1 else ""
    seen = [f"The highest FG-ARI, {told(scores[best])}, is reached at T = {steps[best]}{edge}."]
    if trained in found:
        here, end = steps.index(trained), len(steps) - 1
        seen.append(
            f"With T = {trained} as in training FG-ARI is {told(scores[here])} and the ELBO {told(elbos[here])}; "
            f"with T = {steps[end]} they are {told(scores[end])} and {told(elbos[end])}."
        )
        change = estimate(ari(found[steps[end]]) - ari(found[trained]))
        seen.append(
            f"From T = {trained} to T = {steps[end]} FG-ARI changes by {told(change)} within the same scenes: "
            + ("more than chance over scenes explains." if change.excludes_zero else "no more than chance over scenes.")
        )
    falls = [steps[i] for i in range(1, len(steps)) if elbos[i].mean < elbos[i - 1].mean]
    seen.append(
        f"The mean ELBO falls from one T to the next at T = {', '.join(map(str, falls))}."
        if falls
        else "The mean ELBO rises with every T that was tried."
    )
    restarts = next(iter(found.values())).predictions.facts["restarts"]
    chosen = "one inference per scene" if restarts == 1 else f"the lowest loss of {restarts} inferences per scene"
    return Findings(
        seen=seen,
        method=[
            f"T refinement steps are T + 1 decodes; T = 0 is the first decode, from the initial posterior. Each T is "
            f"an inference of its own with the same noise as far as it goes, {chosen}.",
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
            over("FG-ARI", "mean over scenes", "refinement steps T", [line("", steps, scores)], mark),
            over("ELBO", "nats per image", "refinement steps T", [line("", steps, elbos)], mark),
        ],
        facts={"trained_steps": trained, "best_steps": steps[best]},
    )


def _row(steps: int, scored: Scored) -> dict[str, Cell]:
    return {
        "steps": steps,
        "fg_ari": estimate(ari(scored)),
        "elbo": estimate(last(scored)),
        "nll": float(last(scored, "nll").mean()),
        "kl": float(last(scored, "kl").mean()),
        "mse": float(mse(scored).mean()),
    }
