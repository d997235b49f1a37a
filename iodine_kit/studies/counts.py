"""counts: more objects, or fewer, than any scene of the training had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.stages.infer import InferConfig
from iodine_kit.studies._experiment import Bench, Scored
from iodine_kit.studies._findings import Cell, Findings, Table, estimates, line, over
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, ari, estimate, last, mse, told

VERSION = 1
SUMMARY = "scenes with more objects than in training: FG-ARI by their number, K fixed and K raised with it"
QUESTION = "Does a model that was trained on scenes of one number of objects take others apart?"
TAKES_RUN = True
BASE = {"infer": {"restarts": 1}}


class Config(configuration.Config):
    """What to try.

    Attributes:
        objects: numbers of pieces per scene.
        scenes: to generate of each.
        seed: of their generator.
    """

    objects: Annotated[tuple[Annotated[int, Field(ge=1, le=6)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    scenes: Annotated[int, Field(ge=1)] = 320
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


def conduct(bench: Bench) -> Callable[[], Findings]:
    """A data set for every number of objects, and on each two inferences: with K as trained, and with K fitting."""
    run, dataset = bench.trained()
    options = bench.require(dataset, "tetrominoes", "counts")
    trained, slots = int(options["pieces"]), int(run.config["model"]["slots"])
    found: dict[tuple[int, int], Scored] = {}
    fitting: dict[int, int] = {}
    for count in sorted(set(bench.config.objects)):
        scenes = bench.dataset(f"dataset, {_objects(count)}", _scenes(bench, options, count))
        fitting[count] = max(slots + count - trained, 2)
        for k in dict.fromkeys((slots, fitting[count])):
            turned = {"infer": {"slots": k, "split": "test", "scenes": InferConfig().scenes}}
            found[count, k] = bench.score(run, scenes, f"{_objects(count)}, K = {k}", turned)
    return lambda: look(found, fitting, slots, trained)


def _scenes(bench: Bench, options: dict[str, object], count: int) -> dict[str, dict[str, object]]:
    law = {name: value for name, value in options.items() if name != "holdout"}
    config = bench.config
    prepare = {"dataset": "tetrominoes", "generate": config.scenes, "split": {"test": config.scenes},
               "source": (), "layout": "", "protocol": "", "seed": config.seed}  # fmt: skip
    return {"prepare": prepare, "dataset": {**law, "pieces": count}}


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def look(found: dict[tuple[int, int], Scored], fitting: dict[int, int], slots: int, trained: int) -> Findings:
    """Table, two plots and what they show."""
    rows: list[dict[str, Cell]] = [
        {
            "objects": count,
            "slots": k,
            "fg_ari": estimate(ari(scored)),
            "elbo": estimate(last(scored)),
            "mse": float(mse(scored).mean()),
        }
        for (count, k), scored in found.items()
    ]
    by_place = {(int(str(row["objects"])), int(str(row["slots"]))): row for row in rows}
    counts, mark = sorted(fitting), (float(trained), f"training, {trained} objects")
    raised = [by_place[count, fitting[count]] for count in counts]
    fixed = [by_place[count, slots] for count in counts]
    name = f"K raised with the objects ({', '.join(str(fitting[c]) for c in counts)})"
    plots = [
        over(
            title, unit, "objects in the scene",
            [line(name, counts, estimates(raised, column)), line(f"K = {slots}", counts, estimates(fixed, column))],
            mark,
        )
        for title, unit, column in (("FG-ARI", "mean over scenes", "fg_ari"), ("ELBO", "nats per image", "elbo"))
    ]  # fmt: skip
    return Findings(
        seen=_sentences(raised, fixed, counts, trained, slots),
        method=[
            f"The model was trained on scenes of {trained} objects with K = {slots}. K raised with the objects is "
            f"{slots} plus as many as there are more objects than {trained}, less as many as there are fewer, 2 at "
            "least. Every number of objects is a data set of its own from the same generator.",
            "With more objects the image is fuller, so that the ELBO of different numbers does not compare; FG-ARI of "
            "one object is 1 if it stays in one slot.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                f"Trained on {trained} objects.",
                {"objects": "Objects", "slots": "K", "fg_ari": "FG-ARI", "elbo": "ELBO", "mse": "MSE"},
                rows,
            )
        ],
        plots=plots,
        facts={"trained_objects": trained, "trained_slots": slots},
    )


def _sentences(
    raised: list[dict[str, Cell]], fixed: list[dict[str, Cell]], counts: list[int], trained: int, slots: int
) -> list[str]:
    scores, kept = estimates(raised, "fg_ari"), estimates(fixed, "fg_ari")
    seen = []
    if trained in counts:
        seen.append(f"With {trained} objects as in training FG-ARI is {told(scores[counts.index(trained)])}.")
    for place, count in enumerate(counts):
        if count > trained:
            seen.append(
                f"With {count} objects it is {told(scores[place])} if K is {raised[place]['slots']}, and "
                f"{told(kept[place])} if K stays {slots}."
            )
    fewer = [f"{told(kept[place])} with {count}" for place, count in enumerate(counts) if count < trained]
    if fewer:
        seen.append(f"With fewer objects and K = {slots}: {', '.join(fewer)}.")
    return seen
