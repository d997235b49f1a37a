"""slots: another number of slots at test time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.evaluation.probing.slots import owned_shares
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.studies._experiment import Bench, Scored
from iodine_kit.studies._findings import Cell, Findings, Table, estimates, line, over
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, Floats64, ari, estimate, last, mse, told

VERSION = 1
SUMMARY = "other numbers of slots K at test time: FG-ARI, ELBO and slots in use over K"
QUESTION = "Are slots that a scene does not need left empty, and what is lost with fewer than there are objects?"
TAKES_RUN = True
BASE = {"infer": {"restarts": 1}}


class Config(configuration.Config):
    """What to try.

    Attributes:
        slots: numbers of slots; empty is 2 to twice the training's and one.
        active_share: of the image's pixels that a slot must own to count as in use.
    """

    slots: tuple[Annotated[int, Field(ge=1, le=255)], ...] = ()
    active_share: Annotated[float, Field(gt=0, lt=1)] = 0.01


def conduct(bench: Bench) -> Callable[[], Findings]:
    """One inference and evaluation for every K."""
    run, dataset = bench.trained()
    trained, share = int(run.config["model"]["slots"]), bench.config.active_share
    slots = sorted(set(bench.config.slots)) or list(range(2, 2 * trained + 2))
    found = {k: bench.score(run, dataset, f"K = {k}", {"infer": {"slots": k}}) for k in slots}
    return lambda: look(found, trained, share)


def active_slots(scored: Scored, share: float) -> Floats64:
    """Slots of every scene that own at least ``share`` of the pixels."""
    masks = np.asarray(PredictionReader(scored.predictions.path / PREDICTIONS).column("mask"))
    owned = owned_shares(masks, int(scored.predictions.facts["slots"]))
    result: Floats64 = (owned >= share).sum(1).astype(np.float64)
    return result


def look(found: dict[int, Scored], trained: int, share: float) -> Findings:
    """Table, three plots and what they show."""
    rows: list[dict[str, Cell]] = [
        {
            "slots": k,
            "fg_ari": estimate(ari(scored)),
            "elbo": estimate(last(scored)),
            "active": estimate(active_slots(scored, share)),
            "mse": float(mse(scored).mean()),
        }
        for k, scored in found.items()
    ]
    slots, mark = list(found), (float(trained), f"training, K = {trained}")
    scores, elbos, active = (estimates(rows, name) for name in ("fg_ari", "elbo", "active"))
    plots = [
        over(title, unit, "slots K", [line("", slots, values)], mark)
        for title, unit, values in (
            ("FG-ARI", "mean over scenes", scores),
            ("ELBO", "nats per image", elbos),
            ("Slots in use", "mean over scenes", active),
        )
    ]
    best = max(range(len(rows)), key=lambda i: scores[i].mean)
    highest = max(range(len(rows)), key=lambda i: elbos[i].mean)
    seen = [
        f"The highest FG-ARI, {told(scores[best])}, is reached with K = {slots[best]}; "
        f"the highest ELBO, {told(elbos[highest])}, with K = {slots[highest]}."
    ]
    if trained in found:
        here, end = slots.index(trained), len(slots) - 1
        change = estimate(ari(found[slots[end]]) - ari(found[trained]))
        seen.append(
            f"From the training's K = {trained} to K = {slots[end]} FG-ARI changes by {told(change)} within the same "
            f"scenes, and the slots in use go from {told(active[here])} to {told(active[end])}."
        )
    return Findings(
        seen=seen,
        method=[
            f"A slot is in use if its mask is the largest in {share:.1%} of the pixels or more, background included.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                f"Trained with K = {trained}.",
                {"slots": "K", "fg_ari": "FG-ARI", "elbo": "ELBO", "active": "Slots in use", "mse": "MSE"},
                rows,
            )
        ],
        plots=plots,
        facts={"trained_slots": trained, "best_slots": slots[best], "highest_elbo_slots": slots[highest]},
    )
