"""What the latents know of the objects: property prediction, disentanglement, and how slots are used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from iodine_kit.formatting import estimated
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill
from iodine_kit.tables import Table, shown

ORDER = 46
TITLE = "Representation"


def render(context: ReportContext) -> Markup | str:
    """Tables of a probe, and the importance of every latent dimension for every factor; "" without a probe."""
    probe = context.probe
    if not probe:
        return ""
    tables = probe_tables(probe)
    heat = probe["dci"]["importance"] if probe.get("dci") else []
    conventions = probe["conventions"].values() if isinstance(probe["conventions"], Mapping) else probe["conventions"]
    dci = {name: shown((probe.get("dci") or {}).get(name)) for name in ("disentanglement", "completeness")}
    return fill("representation.html", probe=probe, tables=tables, heat=heat, conventions=list(conventions), **dci)


def probe_tables(probe: Mapping[str, Any]) -> list[Table]:
    """Property prediction by factor, and the slots in the order of their KL."""
    heads = ("factor", "score", "objects", "baseline", "linear", "MLP")
    rows = [
        (name, "R²" if one["score"] == "r2" else "accuracy", one["n"], one["baseline"], _told(one["linear"]),
         _told(one["mlp"]))
        for name, one in probe["factors"].items()
    ]  # fmt: skip
    caption = (
        f"Properties of {probe['objects']:,} objects predicted from the slot matched to each by {probe['matching']}, "
        f"on scenes that were not fitted ({probe['folds']} folds)."
    )
    tables = [Table(heads, rows, caption)]
    if probe.get("slots"):
        slots = probe["slots"]
        ranks = [str(rank + 1) for rank in range(len(slots["kl_per_slot"]))]
        values = list(zip(ranks, slots["kl_per_slot"], slots["owned_share"], strict=False))
        told = f"Slots of each scene from the largest KL to the smallest; {slots['active_mean']:.2f} own a pixel."
        tables.append(Table(("rank", "KL, nats", "share of pixels"), values, told))
    return tables


def _told(one: Mapping[str, Any]) -> str:
    return estimated(one["score"], one["interval"])
