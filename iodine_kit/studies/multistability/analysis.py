"""What many inferences of the same scenes say: by number of modes, by refinement step, and in sentences."""

from __future__ import annotations

from typing import Any

import numpy as np

from iodine_kit.formatting import number
from iodine_kit.reporting.charts.plot import Plot
from iodine_kit.reporting.charts.series import Series, series_plot
from iodine_kit.studies._findings import Cell, estimates, line
from iodine_kit.studies._scores import Floats64, estimate, told
from iodine_kit.studies.multistability.inferences import Many

_MOST = 5
_EXPECTED = 5
"""Objects per slot below which a chi-square test says nothing (Cochran's rule)."""
_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def mode_rows(many: Many) -> list[dict[str, Cell]]:
    """A row for every number of modes up to five, and one for all above."""
    largest = (many.modes_RS == 0).mean(0)
    gap = many.elbo_RS.max(0) - many.elbo_RS.min(0)
    rows: list[dict[str, Cell]] = []
    most = np.minimum(many.mode_counts_S, _MOST)
    for count in np.unique(most):
        mine = most == count
        rows.append(
            {
                "modes": f"{count} or more" if count == _MOST else str(count),
                "scenes": int(mine.sum()),
                "largest": float(largest[mine].mean()),
                "fg_ari": float(np.nanmean(many.ari_RS[:, mine])),
                "fg_ari_best_elbo": float(np.nanmean(many.ari_of_best_elbo_S[mine])),
                "fg_ari_best": float(np.nanmean(many.ari_RS[:, mine].max(0))),
                "elbo_range": float(gap[mine].mean()),
            }
        )
    return rows


def threshold_rows(many: Many) -> list[dict[str, Cell]]:
    """A row for every threshold: where decompositions begin to be different is a choice."""
    counts = {threshold: many.modes_at(threshold).max(0) + 1 for threshold in sorted({*_THRESHOLDS, many.threshold})}
    return [
        {"threshold": threshold, "several": estimate((found > 1).astype(np.float64)), "modes": float(found.mean())}
        for threshold, found in counts.items()
    ]


def coupling_rows(many: Many) -> list[dict[str, Cell]]:
    """A row for every decode; intervals are over scenes."""
    return [
        {
            "steps": step,
            "coupled": estimate(many.coupled_RSD[:, :, step].mean(0)),
            "fg_ari": float(many.ari_D[step]),
            "nll": float(many.nll_RSD[:, :, step].mean()),
        }
        for step in range(many.decodes)
    ]


def plots(many: Many) -> list[Plot | None]:
    """How often two objects share a slot, and how many scenes have several modes, by the threshold."""
    coupled = [estimate(many.coupled_RSD[:, :, step].mean(0)) for step in range(many.decodes)]
    steps = [float(step) for step in range(many.decodes)]
    rows = threshold_rows(many)
    return [
        series_plot(
            [
                Series("two objects in one slot", steps, [e.mean for e in coupled], [e.low for e in coupled],
                       [e.high for e in coupled]),
                Series("FG-ARI", steps, list(many.ari_D)),
            ],
            title="Coupling through a slot", x_label="after refinement step", unit="share of inferences", zero=True,
        ),
        series_plot(
            [line("", [float(str(row["threshold"])) for row in rows], estimates(rows, "several"))],
            title="Scenes with several decompositions", x_label="ARI from which on two are the same",
            unit="share of scenes", at=(many.threshold, "of the table"), zero=True,
        ),
    ]  # fmt: skip


def sentences(many: Many) -> tuple[list[str], dict[str, Any]]:
    """What was seen, and its figures."""
    several = float((many.mode_counts_S > 1).mean())
    elbo, facts = _elbo(many)
    permutation, chi = _permutation(many)
    coupling, more = _coupling(many)
    seen = [
        f"{several:.1%} of the scenes end in more than one decomposition (ARI below {many.threshold:g}); "
        f"a scene has {many.mode_counts_S.mean():.2f} "
        f"modes on average, {many.mode_counts_S.max()} at most, in {many.noises} inferences.",
        *elbo,
        *coupling,
        permutation,
    ]
    return seen, {"share_of_scenes_with_several_modes": several, **facts, **chi, **more}


def _elbo(many: Many) -> tuple[list[str], dict[str, Any]]:
    """Whether the ELBO knows the best decomposition."""
    best = many.ari_RS.max(0)
    known = np.isfinite(best)
    varied = known & (best - many.ari_RS.min(0) > 1e-9)
    finds = many.ari_of_best_elbo_S >= best - 1e-9
    mean, chosen, oracle = (estimate(values) for values in (many.ari_RS.mean(0), many.ari_of_best_elbo_S, best))
    text = [
        f"FG-ARI is {told(mean)} as a mean over noises, {told(chosen)} if the inference with the highest ELBO is kept, "
        f"and {told(oracle)} if the truth could choose."
    ]
    facts: dict[str, Any] = {
        "fg_ari_mean": mean.mean, "fg_ari_of_best_elbo": chosen.mean, "fg_ari_of_best": oracle.mean,
        "scenes_that_vary": int(varied.sum()),
    }  # fmt: skip
    if varied.any():
        share, rank = float(finds[varied].mean()), _rank_correlation(many, varied)
        facts |= {"best_elbo_is_best": share, "rank_correlation": rank}
        text.append(
            f"Of the {int(varied.sum())} scenes whose inferences differ in FG-ARI, the highest ELBO is that of a best "
            f"decomposition in {share:.1%}; within a scene the rank correlation of ELBO and FG-ARI is {number(rank)} "
            "on average."
        )
    return text, facts


def _rank_correlation(many: Many, scenes: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    from scipy import stats

    values: list[float] = [
        float(stats.spearmanr(many.elbo_RS[:, scene], many.ari_RS[:, scene]).statistic)
        for scene in np.flatnonzero(scenes)
    ]
    return float(np.nanmean(values))


def _permutation(many: Many) -> tuple[str, dict[str, Any]]:
    """Difficulty three: the slots are interchangeable, and noise alone decides."""
    from scipy import stats

    counts = many.first_owner_counts()
    test = stats.chisquare(counts)
    shares = ", ".join(f"{share:.1%}" for share in counts / max(counts.sum(), 1))
    if counts.sum() < _EXPECTED * len(counts):
        verdict = "too few to judge"
    else:
        verdict = "no sign of a preferred slot" if test.pvalue >= 0.05 else "which is not uniform at the 5 % level"
    return (
        f"Permutation symmetry: over noises a given object lies in slots 0 to {many.slots - 1} in {shares} of "
        f"{counts.sum():,} inferences (chi-square {number(float(test.statistic))}, p = {number(float(test.pvalue))}): "
        f"{verdict}. Slots start alike; they differ by the noise of their samples.",
        {"slot_counts": counts.tolist(), "chi_square": float(test.statistic), "p": float(test.pvalue)},
    )


def _coupling(many: Many) -> tuple[list[str], dict[str, Any]]:
    """Difficulties one and two: components and mixing hang together, and objects are coupled through a slot."""
    coupled = many.coupled_RSD
    by_step, chance = coupled.mean((0, 1)), many.coupled_by_chance()
    last = coupled[:, :, -1]
    apart = _within(many.nll_RSD[:, :, -1], last)
    first_nll, last_nll = (float(many.nll_RSD[:, :, step].mean()) for step in (0, -1))
    text = [
        "Components and mixing are inferred together: at the first decode, when no slot has its own component yet, "
        f"FG-ARI is {number(float(many.ari_D[0]))} and the NLL {number(first_nll)} nats; after the last step they are "
        f"{number(float(many.ari_D[-1]))} and {number(last_nll)}.",
        f"Coupling through one slot: two objects or more share a slot in {by_step[0]:.1%} of the inferences at the "
        f"first decode ({chance:.1%} if each object took one at random), "
        f"{by_step[min(1, len(by_step) - 1)]:.1%} after one step and {by_step[-1]:.1%} after the last.",
    ]
    facts: dict[str, Any] = {
        "coupled_by_step": by_step.tolist(),
        "fg_ari_by_step": many.ari_D.tolist(),
        "coupled_by_chance": chance,
    }
    stuck = float(last[coupled[:, :, 1]].mean()) if many.decodes > 1 and coupled[:, :, 1].any() else float("nan")
    if np.isfinite(stuck):
        facts["stuck"] = stuck
        text[1] += f" Of those that are coupled after one step, {stuck:.1%} still are at the end."
    if np.isfinite(apart).any():
        gap = estimate(apart)
        facts["nll_where_coupled_minus_apart"] = gap.mean
        text[0] += (
            f" Within scenes that end both ways, a decomposition with two objects in one slot costs {told(gap)} nats "
            "more NLL than one without: one component cannot explain two objects, wherever the masks are."
            if gap.low > 0
            else f" Within scenes that end both ways, two objects in one slot change the NLL by {told(gap)} nats."
        )
    return text, facts


def _within(values_RS: Floats64, marked_RS: np.ndarray[Any, np.dtype[np.bool_]]) -> Floats64:
    """Mean of the marked less mean of the others, scene by scene; NaN where one of them is missing."""
    count = marked_RS.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        inside = (values_RS * marked_RS).sum(0) / count
        outside = (values_RS * ~marked_RS).sum(0) / (len(values_RS) - count)
    difference: Floats64 = inside - outside
    return difference
