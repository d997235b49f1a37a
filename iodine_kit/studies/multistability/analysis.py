"""Results of many inferences: by number of modes, by refinement step, by threshold, and as sentences."""

from __future__ import annotations

from typing import Any

import numpy as np

from iodine_kit.formatting import number, percent
from iodine_kit.reporting.charts import Plot, Series, series_plot
from iodine_kit.studies._findings import Cell, estimates_in, line_series
from iodine_kit.studies._scores import Floats64, estimate, format_estimate
from iodine_kit.studies.multistability.inferences import RepeatedInferences

_MOST_MODES = 5
_MIN_EXPECTED = 5
"""Objects per slot below which a chi-square test is not valid (Cochran's rule)."""
_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_SIGNIFICANT = 0.05
_TOLERANCE = 1e-9

Observation = tuple[list[str], dict[str, Any]]
"""Sentences, and the values in them by the name of ``study.json``."""


def mode_rows(repeated: RepeatedInferences) -> list[dict[str, Cell]]:
    """A row for every number of modes up to four, and one for five or more."""
    largest = (repeated.modes_RS == 0).mean(0)
    elbo_range = repeated.elbo_RS.max(0) - repeated.elbo_RS.min(0)
    rows: list[dict[str, Cell]] = []
    groups = np.minimum(repeated.mode_counts_S, _MOST_MODES)
    for count in np.unique(groups):
        selected = groups == count
        rows.append(
            {
                "modes": f"{count} or more" if count == _MOST_MODES else str(count),
                "scenes": int(selected.sum()),
                "largest": float(largest[selected].mean()),
                "fg_ari": float(np.nanmean(repeated.ari_RS[:, selected])),
                "fg_ari_best_elbo": float(np.nanmean(repeated.ari_of_best_elbo_S[selected])),
                "fg_ari_best": float(np.nanmean(repeated.ari_RS[:, selected].max(0))),
                "elbo_range": float(elbo_range[selected].mean()),
            }
        )
    return rows


def threshold_rows(repeated: RepeatedInferences) -> list[dict[str, Cell]]:
    """A row for every threshold, because the ARI at which segmentations count as the same is a choice."""
    thresholds = sorted({*_THRESHOLDS, repeated.threshold})
    counts = {threshold: repeated.modes_at(threshold).max(0) + 1 for threshold in thresholds}
    return [
        {"threshold": threshold, "several": estimate((modes_S > 1).astype(np.float64)), "modes": float(modes_S.mean())}
        for threshold, modes_S in counts.items()
    ]


def coupling_rows(repeated: RepeatedInferences) -> list[dict[str, Cell]]:
    """A row for every decode; intervals are over scenes."""
    return [
        {
            "steps": step,
            "coupled": estimate(repeated.coupled_RSD[:, :, step].mean(0)),
            "fg_ari": float(repeated.ari_D[step]),
            "nll": float(repeated.nll_RSD[:, :, step].mean()),
        }
        for step in range(repeated.decodes)
    ]


def plots(repeated: RepeatedInferences) -> list[Plot | None]:
    """How often two objects share a slot by step, and how many scenes have several modes by threshold."""
    coupled = [estimate(repeated.coupled_RSD[:, :, step].mean(0)) for step in range(repeated.decodes)]
    steps = [float(step) for step in range(repeated.decodes)]
    rows = threshold_rows(repeated)
    return [
        series_plot(
            [line_series("two objects in one slot", steps, coupled), Series("FG-ARI", steps, list(repeated.ari_D))],
            title="Coupling through a slot", x_label="refinement step", unit="share of inferences", zero=True,
        ),
        series_plot(
            [line_series("", [float(str(row["threshold"])) for row in rows], estimates_in(rows, "several"))],
            title="Scenes with several segmentations", x_label="ARI that counts as the same",
            unit="share of scenes", at=(repeated.threshold, "as in the table"), zero=True,
        ),
    ]  # fmt: skip


def observations(repeated: RepeatedInferences) -> Observation:
    """All sentences, and the values in them."""
    several = float((repeated.mode_counts_S > 1).mean())
    modes = (
        f"{percent(several)} of the scenes have more than one segmentation (ARI below {repeated.threshold:g}). In "
        f"{repeated.noises} inferences, a scene has {repeated.mode_counts_S.mean():.2f} modes on average and "
        f"{repeated.mode_counts_S.max()} at most."
    )
    elbo, elbo_facts = _elbo(repeated)
    symmetry, symmetry_facts = _symmetry(repeated)
    coupling, coupling_facts = _coupling(repeated)
    facts = {"share_of_scenes_with_several_modes": several, **elbo_facts, **symmetry_facts, **coupling_facts}
    return [modes, *elbo, *coupling, *symmetry], facts


def _elbo(repeated: RepeatedInferences) -> Observation:
    """Whether the highest ELBO identifies the best segmentation."""
    best = repeated.ari_RS.max(0)
    varied = np.isfinite(best) & (best - repeated.ari_RS.min(0) > _TOLERANCE)
    picks_best = repeated.ari_of_best_elbo_S >= best - _TOLERANCE
    mean, chosen, oracle = (estimate(values) for values in (repeated.ari_RS.mean(0), repeated.ari_of_best_elbo_S, best))
    sentences = [
        f"FG-ARI is {format_estimate(mean)} as the mean over noises, {format_estimate(chosen)} for the inference with "
        f"the highest ELBO of each scene, and {format_estimate(oracle)} with an oracle choice."
    ]
    facts: dict[str, Any] = {
        "fg_ari_mean": mean.mean, "fg_ari_of_best_elbo": chosen.mean, "fg_ari_of_best": oracle.mean,
        "scenes_that_vary": int(varied.sum()),
    }  # fmt: skip
    if varied.any():
        share, rank = float(picks_best[varied].mean()), _rank_correlation(repeated, varied)
        facts |= {"best_elbo_is_best": share, "rank_correlation": rank}
        sentences.append(
            f"In {int(varied.sum())} scenes, FG-ARI differs between inferences. In {percent(share)} of these, the "
            "inference with the highest ELBO has the highest FG-ARI; within a scene, the rank correlation of ELBO and "
            f"FG-ARI is {number(rank)} on average."
        )
    return sentences, facts


def _rank_correlation(repeated: RepeatedInferences, scenes: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    from scipy import stats

    values: list[float] = [
        float(stats.spearmanr(repeated.elbo_RS[:, scene], repeated.ari_RS[:, scene]).statistic)
        for scene in np.flatnonzero(scenes)
    ]
    return float(np.nanmean(values))


def _symmetry(repeated: RepeatedInferences) -> Observation:
    """Third difficulty: slots are interchangeable, and only the noise decides which slot takes which object."""
    from scipy import stats

    counts = repeated.first_owner_counts()
    test = stats.chisquare(counts)
    shares = ", ".join(f"{percent(share)}" for share in counts / max(counts.sum(), 1))
    if counts.sum() < _MIN_EXPECTED * len(counts):
        conclusion = "there are too few inferences for a test"
    elif test.pvalue >= _SIGNIFICANT:
        conclusion = "no sign of a preferred slot"
    else:
        conclusion = "the slots are not used uniformly at the 5 % level"
    sentence = (
        f"Permutation symmetry: a given object is in slots 0 to {repeated.slots - 1} in {shares} of {counts.sum():,} "
        f"inferences (chi-square {number(float(test.statistic))}, p = {number(float(test.pvalue))}): {conclusion}. All "
        "slots start from the same distribution and differ only by the noise of their samples."
    )
    return [sentence], {"slot_counts": counts.tolist(), "chi_square": float(test.statistic), "p": float(test.pvalue)}


def _coupling(repeated: RepeatedInferences) -> Observation:
    """First two difficulties: components and mixing depend on each other, and objects are coupled through a slot."""
    coupled = repeated.coupled_RSD
    by_step, chance = coupled.mean((0, 1)), repeated.coupled_by_chance()
    first_nll, last_nll = (float(repeated.nll_RSD[:, :, step].mean()) for step in (0, -1))
    mixing = (
        "Components and mixing are inferred together: at the first decode, before any slot has its own component, "
        f"FG-ARI is {number(float(repeated.ari_D[0]))} and the NLL is {number(first_nll)} nats; after the last step "
        f"they are {number(float(repeated.ari_D[-1]))} and {number(last_nll)} nats."
    )
    coupling = (
        f"Coupling through one slot: two objects or more share a slot in {percent(by_step[0])} of the inferences at "
        f"the first decode ({percent(chance)} if each object chose a slot at random), in "
        f"{percent(by_step[min(1, len(by_step) - 1)])} after one step and in {percent(by_step[-1])} after the last."
    )
    facts: dict[str, Any] = {
        "coupled_by_step": by_step.tolist(),
        "fg_ari_by_step": repeated.ari_D.tolist(),
        "coupled_by_chance": chance,
    }
    if repeated.decodes > 1 and coupled[:, :, 1].any():
        stuck = facts["stuck"] = float(coupled[:, :, -1][coupled[:, :, 1]].mean())
        coupling += f" Of the inferences that are coupled after one step, {percent(stuck)} still are at the end."
    differences = _difference_within_scenes(repeated.nll_RSD[:, :, -1], coupled[:, :, -1])
    if np.isfinite(differences).any():
        gap = estimate(differences)
        facts["nll_where_coupled_minus_apart"] = gap.mean
        mixing += (
            " Within scenes that have both kinds of segmentation, the NLL of a segmentation with two objects in one "
            f"slot differs from that of one without by {format_estimate(gap)} nats"
            + (": one component cannot explain two objects, whatever the masks are." if gap.low > 0 else ".")
        )
    return [mixing, coupling], facts


def _difference_within_scenes(values_RS: Floats64, selected_RS: np.ndarray[Any, np.dtype[np.bool_]]) -> Floats64:
    """Mean over the selected inferences minus mean over the others, ``float64[S]``; NaN where either set is empty."""
    count = selected_RS.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = (values_RS * selected_RS).sum(0) / count
        outside = (values_RS * ~selected_RS).sum(0) / (len(values_RS) - count)
    difference: Floats64 = inside - outside
    return difference
