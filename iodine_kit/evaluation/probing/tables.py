"""The tables of a probe's summary, made of its facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iodine_kit.tables import Cell, Interval, Table

Facts = Mapping[str, Any]
_SCORES = {"r2": "R²", "accuracy": "accuracy"}
_SHORT = {"r2": "R²", "accuracy": "acc."}


def headline(facts: Facts) -> str:
    """What was probed, and how, in one line."""
    matched = f"{facts['objects']:,} objects, slots matched by {facts['matching']}"
    return f"{facts['dataset']} {facts['split']}, {facts['scenes']:,} scenes, {matched}, {facts['folds']} folds"


def factor_table(facts: Facts) -> Table:
    """How well each factor is predicted from its object's latents, beside what needs none."""
    heads = ("factor", "score", "n", "baseline", "linear", "linear interval", "MLP", "MLP interval", "forest")
    rows: list[tuple[Cell, ...]] = []
    for name, told in facts["factors"].items():
        probes = [cell for probe in ("linear", "mlp") for cell in (told[probe]["score"], _interval(told[probe]))]
        forest = facts["dci"]["informativeness"][name]
        rows.append((name, _SCORES[told["score"]], told["n"], told["baseline"], *probes, forest))
    notes = [f"{name}: {sentence}" for name, sentence in facts["conventions"].items()]
    notes += [f"{name} is left out: {reason}" for name, reason in facts["left_out"].items()]
    return Table(heads, rows, headline(facts), notes)


def brief_table(facts: Facts) -> Table:
    """The same in fewer columns and letters, for terminals."""
    rows = [
        (
            name,
            _SHORT[told["score"]],
            _brief({"score": told["baseline"], "interval": None}),
            _brief(told["linear"]),
            _brief(told["mlp"]),
        )
        for name, told in facts["factors"].items()
    ]
    return Table(("factor", "score", "baseline", "linear", "MLP"), rows, headline(facts))


def dci_line(facts: Facts) -> str:
    """Disentanglement and completeness, in one line."""
    figures = (facts["dci"]["disentanglement"], facts["dci"]["completeness"])
    words = ["undefined" if figure is None else f"{figure:.4f}" for figure in figures]
    return f"DCI: disentanglement {words[0]}, completeness {words[1]}"


def importance_table(facts: Facts) -> Table:
    """DCI, and how much every latent dimension counts for every factor."""
    told = facts["dci"]
    rows = [(str(z), *row) for z, row in enumerate(told["importance"])]
    caption = f"{dci_line(facts)}; importances of latent dimensions for factors"
    return Table(("dimension", *told["factors"]), rows, caption)


def slot_table(facts: Facts) -> Table:
    """Slots sorted within each scene, and how many are in use."""
    told = facts["slots"]
    rows = [
        (str(place), kl, share)
        for place, (kl, share) in enumerate(zip(told["kl_per_slot"], told["owned_share"], strict=True), 1)
    ]
    caption = f"Slots: {told['active_mean']:.2f} own a pixel, {told['telling_mean']:.2f} tell more than 1 nat (means)"
    return Table(("slot, sorted", "KL (nats)", "share of pixels"), rows, caption)


def use_table(facts: Facts) -> Table:
    """Scenes by the number of slots in use."""
    told = facts["slots"]
    active, telling = told["active_counts"], told["telling_counts"]
    numbers = sorted({*active, *telling}, key=int)
    rows = [(number, active.get(number, 0), telling.get(number, 0)) for number in numbers]
    return Table(("slots in use", "scenes, by pixels", "scenes, by KL"), rows, "Scenes by slots in use")


def _interval(told: Facts) -> Interval | None:
    return None if told["interval"] is None else (told["interval"][0], told["interval"][1])


def _brief(told: Facts) -> str:
    """A figure and its interval, ``"0.935 [0.927, 0.940]"``; two decimals are enough where they go below 0."""
    ends = told["interval"] or []
    decimals = 2 if min([told["score"], *ends]) < 0 else 3
    score, *words = (
        f"{round(figure, decimals) + 0.0:.{decimals}f}".replace("-", "−") for figure in (told["score"], *ends)
    )
    return f"{score} [{', '.join(words)}]" if words else score
