"""recipe: which choices of a training recipe decide how fast objects are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from iodine_kit import config as configuration
from iodine_kit.config import flatten, merge
from iodine_kit.errors import ConfigError, did_you_mean
from iodine_kit.formatting import number
from iodine_kit.reporting.charts.series import rows_plot
from iodine_kit.stages import train
from iodine_kit.store import Artifact
from iodine_kit.studies._experiment import Bench, Scored
from iodine_kit.studies._findings import Cell, Estimate, Findings, Table, estimates, points
from iodine_kit.studies._scores import ARI_TEXT, INTERVALS, ari, estimate, last, mse, told

VERSION = 1
SUMMARY = "a training recipe with one choice changed at a time: FG-ARI, error, KL and speed of short runs"
QUESTION = (
    "Which choices decide how fast IODINE learns to take scenes apart: the weight of the KL term, patches, the "
    "refinement network's capacity, the batch, or the number of refinement steps?"
)
TAKES_RUN = False
BASE = {
    "train": {"steps": 1000, "kl_schedule": "constant", "validate_every": 0},
    "model": {"beta": 1.0},
    "infer": {"restarts": 1, "steps": 6},
}
AS_IT_IS = "the recipe"
_Tables = dict[str, dict[str, Any]]


class Config(configuration.Config):
    """What to try.

    Attributes:
        images: that every run is trained on, whatever its batch.
        only: names of the variants to try; empty is all of them.
    """

    images: Annotated[int, Field(ge=1)] = 16_000
    only: tuple[str, ...] = ()


def variants(tables: Mapping[str, Any]) -> dict[str, _Tables]:
    """Changes to the recipe by name, as tables to lay over the pipeline's."""
    batch = int(tables.get("train", {}).get("batch_size", 32))
    steps = int(tables.get("model", {}).get("steps", 5))
    return {
        AS_IT_IS: {},
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


def conduct(bench: Bench) -> Callable[[], Findings]:
    """A short run, inference and evaluation for every variant."""
    chosen = _chosen(bench)
    dataset = bench.dataset()
    runs: dict[str, Artifact] = {}
    found: dict[str, Scored] = {}
    for name, over in chosen.items():
        runs[name] = bench.train(dataset, f"run, {name}", over)
        found[name] = bench.score(runs[name], dataset, name)
    return lambda: look(found, runs, bench.config.images)


def _chosen(bench: Bench) -> dict[str, _Tables]:
    """The variants to try, each with as many steps as its batch needs, all checked before the first one runs."""
    known = variants(bench.tables)
    for name in bench.config.only:
        if name not in known:
            raise ConfigError(f"study.only: no variant is called '{name}'{did_you_mean(name, known)}")
    wanted = {AS_IT_IS, *bench.config.only} if bench.config.only else set(known)
    chosen = {name: _whole(bench.tables, over, bench.config.images) for name, over in known.items() if name in wanted}
    for over in chosen.values():
        train.configure({**bench.tables, **over})
    return chosen


def _whole(tables: Mapping[str, Any], over: _Tables, images: int) -> _Tables:
    """Whole tables of training and model, with inner tables such as the decoder's merged and not replaced."""
    result: _Tables = {}
    for table in ("train", "model"):
        result[table] = merge(merge({}, tables.get(table, {})), over.get(table, {}))
    settings = result["train"]
    settings["steps"] = max(images // int(settings.get("batch_size", 32)), 1)
    settings["warmup_steps"] = min(int(settings.get("warmup_steps", 0)), settings["steps"] // 2)
    return result


def look(found: Mapping[str, Scored], runs: Mapping[str, Artifact], images: int) -> Findings:
    """Table, two plots and what they show."""
    base = found[AS_IT_IS]
    rows: list[dict[str, Cell]] = [_row(name, scored, runs[name], base) for name, scored in found.items()]
    names = list(found)
    plots = [
        rows_plot(names, [points(estimates(rows, column))], title=title, x_label=unit, at=(here, AS_IT_IS))
        for column, title, unit, here in (
            ("fg_ari", "FG-ARI", "mean over scenes", estimates(rows, "fg_ari")[0].mean),
            ("mse", "Reconstruction error", "mean squared error", estimates(rows, "mse")[0].mean),
        )
    ]
    return Findings(
        seen=_sentences(rows),
        method=[
            f"Each variant changes one choice of the pipeline and is trained on {images:,} images with one seed, the "
            "weight of the KL term constant: short runs, whose order need not be that of runs to the end.",
            "The difference is that to the recipe within the same scenes. Its interval knows of scenes, not of seeds. "
            "Images per second are those of the whole run, of one machine, and of whatever else ran on it.",
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
        facts={"images": images, "changes": {name: _changes(runs[AS_IT_IS], run) for name, run in runs.items()}},
    )  # fmt: skip


def _row(name: str, scored: Scored, run: Artifact, base: Scored) -> dict[str, Cell]:
    seconds, batch = run.facts.get("seconds_per_step"), run.config["train"]["batch_size"]
    return {
        "variant": name,
        "fg_ari": estimate(ari(scored)),
        "difference": "" if name == AS_IT_IS else estimate(ari(scored) - ari(base)),
        "mse": estimate(mse(scored)),
        "kl": float(last(scored, "kl").mean()),
        "parameters": run.facts["parameters"],
        "images_per_second": round(batch / seconds) if seconds else "",
    }


def _changes(base: Artifact, run: Artifact) -> dict[str, Any]:
    """What a run's configuration has that the recipe's has not."""
    before, after = flatten(base.config), flatten(run.config)
    return {name: value for name, value in after.items() if before.get(name) != value}


def _sentences(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    changes = {str(row["variant"]): row["difference"] for row in rows if isinstance(row["difference"], Estimate)}
    seen = [f"The recipe reaches an FG-ARI of {told(estimates(list(map(dict, rows)), 'fg_ari')[0])}."]
    if not changes:
        return seen
    order = sorted(changes, key=lambda name: changes[name].mean)
    worst, best = order[0], order[-1]
    seen.append(f"FG-ARI falls most with '{worst}', by {told(_negative(changes[worst]))}.")
    if changes[best].low > 0:
        seen.append(f"It rises most with '{best}', by {told(changes[best])}.")
    else:
        seen.append("No variant is better by more than chance over scenes explains.")
    errors = {str(row["variant"]): row["mse"] for row in rows if isinstance(row["mse"], Estimate)}
    sharpest = min(errors, key=lambda name: errors[name].mean)
    seen.append(f"The lowest reconstruction error is that of '{sharpest}', {number(errors[sharpest].mean)}.")
    return seen


def _negative(value: Estimate) -> Estimate:
    return Estimate(-value.mean, -value.high, -value.low, value.n)
