"""counts: scenes with more or fewer objects than in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.stages.infer import InferConfig
from iodine_kit.studies._experiment import Evaluated, Experiment
from iodine_kit.studies._findings import Cell, Findings, Table, estimates_in, line_plot, line_series
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, estimate, fg_ari, final, format_estimate, mse

VERSION = 1
SUMMARY = "scenes with more or fewer objects than in training: FG-ARI by number, with K fixed and with K adapted"
QUESTION = "Does a model that was trained on scenes with a fixed number of objects segment scenes with other numbers?"
TAKES_RUN = True
BASE = {"infer": {"restarts": 1}}


class Config(configuration.Config):
    """What the study varies.

    Attributes:
        objects: numbers of pieces per scene.
        scenes: number of scenes to generate for each.
        seed: seed of the generator.
    """

    objects: Annotated[tuple[Annotated[int, Field(ge=1, le=6)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    scenes: Annotated[int, Field(ge=1)] = 320
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


def conduct(experiment: Experiment) -> Callable[[], Findings]:
    """Generate a data set for each number of objects; infer on it with the K of training and with an adapted K."""
    run, dataset = experiment.trained()
    options = experiment.generator_options(dataset, "tetrominoes", "counts")
    trained, slots = int(options["pieces"]), int(run.config["model"]["slots"])
    results: dict[tuple[int, int], Evaluated] = {}
    adapted: dict[int, int] = {}
    for count in sorted(set(experiment.config.objects)):
        scenes = experiment.dataset(f"dataset, {_objects(count)}", _dataset_tables(experiment, options, count))
        adapted[count] = max(slots + count - trained, 2)
        for k in dict.fromkeys((slots, adapted[count])):
            overrides = {"infer": {"slots": k, "split": "test", "scenes": InferConfig().scenes}}
            results[count, k] = experiment.evaluate(run, scenes, f"{_objects(count)}, K = {k}", overrides)
    return lambda: analyse(results, adapted, slots, trained)


def _dataset_tables(experiment: Experiment, options: dict[str, object], count: int) -> dict[str, dict[str, object]]:
    generator = {name: value for name, value in options.items() if name != "holdout"}
    config = experiment.config
    prepare = {"dataset": "tetrominoes", "generate": config.scenes, "split": {"test": config.scenes},
               "source": (), "layout": "", "protocol": "", "seed": config.seed}  # fmt: skip
    return {"prepare": prepare, "dataset": {**generator, "pieces": count}}


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def analyse(results: dict[tuple[int, int], Evaluated], adapted: dict[int, int], slots: int, trained: int) -> Findings:
    """A table, two plots and sentences.

    Args:
        results: by number of objects and K.
        adapted: the adapted K of each number of objects.
        slots: K of training.
        trained: number of objects of training.
    """
    by_setting: dict[tuple[int, int], dict[str, Cell]] = {
        (count, k): {
            "objects": count,
            "slots": k,
            "fg_ari": estimate(fg_ari(evaluated)),
            "elbo": estimate(final(evaluated)),
            "mse": float(mse(evaluated).mean()),
        }
        for (count, k), evaluated in results.items()
    }
    counts, mark = sorted(adapted), (float(trained), f"training, {trained} objects")
    varied = [by_setting[count, adapted[count]] for count in counts]
    fixed = [by_setting[count, slots] for count in counts]
    name = f"K adapted ({', '.join(str(adapted[count]) for count in counts)})"
    plots = [
        line_plot(
            title,
            unit,
            "objects in the scene",
            [
                line_series(name, counts, estimates_in(varied, column)),
                line_series(f"K = {slots}", counts, estimates_in(fixed, column)),
            ],
            mark,
        )
        for title, unit, column in (("FG-ARI", "mean over scenes", "fg_ari"), ("ELBO", "nats per image", "elbo"))
    ]
    return Findings(
        observations=_observations(varied, fixed, counts, trained, slots),
        method=[
            f"The model was trained on scenes with {trained} objects and K = {slots}. The adapted K has one slot more "
            f"for each object above {trained} and one slot fewer for each object below, but at least 2. Each number of "
            "objects is a separate data set from the same generator.",
            "More objects fill more of the image, so ELBOs of different numbers of objects are not comparable. FG-ARI "
            "of a scene with one object is 1 if the object is in one slot.",
            f"{ARI_TEXT} {INTERVALS}",
        ],
        tables=[
            Table(
                f"Trained on scenes with {trained} objects.",
                {"objects": "Objects", "slots": "K", "fg_ari": "FG-ARI", "elbo": "ELBO", "mse": "MSE"},
                list(by_setting.values()),
            )
        ],
        plots=plots,
        facts={"trained_objects": trained, "trained_slots": slots},
    )


def _observations(
    varied: list[dict[str, Cell]], fixed: list[dict[str, Cell]], counts: list[int], trained: int, slots: int
) -> list[str]:
    scores, kept = estimates_in(varied, "fg_ari"), estimates_in(fixed, "fg_ari")
    observations = []
    if trained in counts:
        score = format_estimate(scores[counts.index(trained)])
        observations.append(f"With {trained} objects, as in training, FG-ARI is {score}.")
    for place, count in enumerate(counts):
        if count > trained:
            observations.append(
                f"With {count} objects, FG-ARI is {format_estimate(scores[place])} for K = {varied[place]['slots']} "
                f"and {format_estimate(kept[place])} for K = {slots}."
            )
    fewer = [
        f"{format_estimate(kept[place])} with {_objects(count)}"
        for place, count in enumerate(counts)
        if count < trained
    ]
    if fewer:
        observations.append(f"With fewer objects and K = {slots}, FG-ARI is {', '.join(fewer)}.")
    return observations
