"""What the latents reveal about objects: property prediction, disentanglement, and how slots are used."""

from __future__ import annotations

from markupsafe import Markup

from iodine_kit.evaluation.probing.tables import brief_table, slot_table
from iodine_kit.reporting.context import ReportContext
from iodine_kit.reporting.templating import fill
from iodine_kit.tables import shown

ORDER = 46
TITLE = "Representation"


def render(context: ReportContext) -> Markup | str:
    """Tables of a probe, and the importance of every latent dimension for every factor; "" without a probe."""
    probe = context.probe
    if not probe:
        return ""
    return fill(
        "representation.html",
        probe=probe,
        tables=[brief_table(probe), slot_table(probe)],
        heat=probe.dci.importance,
        conventions=list(probe.conventions.values()),
        disentanglement=shown(probe.dci.disentanglement),
        completeness=shown(probe.dci.completeness),
    )
