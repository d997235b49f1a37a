"""The tables of a probe, built once from its facts: the terminal, files and pages show the same ones."""

from __future__ import annotations

from iodine_kit.evaluation.probing.facts import ProbeFacts, Score
from iodine_kit.evaluation.probing.slots import NATS
from iodine_kit.formatting import estimated
from iodine_kit.tables import Cell, Table

_SCORES = {"r2": "R²", "accuracy": "accuracy"}


def headline(facts: ProbeFacts) -> str:
    """What was probed, and how, in one line."""
    matched = f"{facts.objects:,} objects, slots matched by {facts.matching}"
    return f"{facts.dataset} {facts.split}, {facts.scenes:,} scenes, {matched}, {facts.folds} folds"


def factor_table(facts: ProbeFacts) -> Table:
    """How well each factor is predicted from its object's latents, beside a baseline that uses no latents."""
    heads = ("factor", "score", "n", "baseline", "linear", "linear interval", "MLP", "MLP interval", "forest")
    rows: list[tuple[Cell, ...]] = []
    for name, one in facts.factors.items():
        probes = (one.linear.score, one.linear.interval, one.mlp.score, one.mlp.interval)
        rows.append((name, _SCORES[one.score], one.n, one.baseline, *probes, facts.dci.informativeness[name]))
    notes = [f"{name}: {sentence}" for name, sentence in facts.conventions.items()]
    notes += [f"{name} is omitted: {reason}" for name, reason in facts.left_out.items()]
    return Table(heads, rows, headline(facts), notes)


def brief_table(facts: ProbeFacts) -> Table:
    """The same in fewer columns, for terminals and pages."""
    rows: list[tuple[Cell, ...]] = [
        (name, _SCORES[one.score], one.n, one.baseline, _estimate(one.linear), _estimate(one.mlp))
        for name, one in facts.factors.items()
    ]
    return Table(("factor", "score", "n", "baseline", "linear", "MLP"), rows, headline(facts))


def dci_line(facts: ProbeFacts) -> str:
    """Disentanglement and completeness, in one line."""
    values = (facts.dci.disentanglement, facts.dci.completeness)
    words = ["undefined" if value is None else f"{value:.4f}" for value in values]
    return f"DCI: disentanglement {words[0]}, completeness {words[1]}"


def importance_table(facts: ProbeFacts) -> Table:
    """DCI, and how important every latent dimension is for every factor."""
    rows: list[tuple[Cell, ...]] = [(str(z), *row) for z, row in enumerate(facts.dci.importance)]
    caption = f"{dci_line(facts)}; importances of latent dimensions for factors"
    return Table(("dimension", *facts.dci.factors), rows, caption)


def slot_table(facts: ProbeFacts) -> Table:
    """Slots sorted within each scene, and how many are in use."""
    slots = facts.slots
    values = zip(slots.kl_per_slot, slots.owned_share, strict=True)
    rows = [(str(place), kl, share) for place, (kl, share) in enumerate(values, 1)]
    used = f"{slots.active_mean:.2f} own a pixel, {slots.telling_mean:.2f} have a KL above {NATS:g} nat (means)"
    return Table(("slot, sorted", "KL (nats)", "share of pixels"), rows, f"Slots: {used}")


def use_table(facts: ProbeFacts) -> Table:
    """Scenes by the number of slots in use."""
    active, telling = facts.slots.active_counts, facts.slots.telling_counts
    numbers = sorted({*active, *telling}, key=int)
    rows = [(number, active.get(number, 0), telling.get(number, 0)) for number in numbers]
    return Table(("slots in use", "scenes, by pixels", "scenes, by KL"), rows, "Scenes by slots in use")


def _estimate(one: Score) -> str:
    return estimated(one.score, one.interval)
