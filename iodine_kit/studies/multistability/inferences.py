# ruff: noqa: N802 - names of arrays, properties included, end in their shape
"""The same scenes inferred many times: masks, ELBOs and slots of all inferences, and what is derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from iodine_kit.artifacts.dataset import dataset_info, open_split
from iodine_kit.artifacts.predictions_and_truth import PredictionsFacts
from iodine_kit.errors import SchemaError
from iodine_kit.metrics import METRICS, Comparison
from iodine_kit.predictions.file import PREDICTIONS, PredictionReader
from iodine_kit.records import PredictionBatch, SceneBatch
from iodine_kit.studies._experiment import Evaluated
from iodine_kit.studies._scores import Floats64, fg_ari
from iodine_kit.studies.multistability.modes import Linkage, modes_of, owners, pairwise_ari, shared, shared_by_chance


class RepeatedInferences:
    """S scenes inferred with R noises; D = T + 1 decodes, E objects.

    Attributes:
        truth: the scenes.
        masks_RSDHW: the slot of every pixel after every decode.
        nll_RSD, elbo_RS: in nats per image.
        threshold: ARI at or above which two segmentations count as the same.
        noises, scenes, slots, entities: R, S, K, and E + 1 with the background.
        background: mask indices of the background; ``ignored`` that of the pixels to ignore, ``None`` without any.
    """

    def __init__(self, results: Sequence[Evaluated], threshold: float, linkage: Linkage, *, all_pixels: bool) -> None:
        """Read the inferences.

        Args:
            results: one inference of the same scenes for each noise.
            all_pixels: whether segmentations are compared on all pixels or on those of the objects only.

        Raises:
            SchemaError: if the predictions lack the masks of every decode, the ELBO or the NLL.
        """
        self._results, self._linkage, self._all_pixels = results, linkage, all_pixels
        self.threshold = threshold
        readers = [PredictionReader(one.predictions.path / PREDICTIONS) for one in results]
        if not {"step_mask", "elbo", "nll"} <= readers[0].fields():
            raise SchemaError("study multistability needs step masks and ELBOs: keep the default of infer.store")
        self.noises, self.scenes = len(readers), len(readers[0])
        facts = PredictionsFacts.of(results[0].predictions)
        self.slots = facts.slots or 0
        self.masks_RSDHW = np.stack([reader.column("step_mask") for reader in readers])
        self.nll_RSD = np.stack([np.asarray(reader.column("nll"), np.float64) for reader in readers])
        self.elbo_RS = np.stack([np.asarray(reader.column("elbo")[:, -1], np.float64) for reader in readers])
        dataset = results[0].dataset
        scenes = open_split(dataset, facts.split)
        self.truth: SceneBatch = scenes.batch(range(self.scenes))
        scenes.close()
        info = dataset_info(dataset)
        self.background, self.ignored = info.background, info.ignored
        self.entities = int(self.truth.mask.max(initial=0, where=self.kept_SHW)) + 1

    @cached_property
    def kept_SHW(self) -> NDArray[np.bool_]:
        """Which pixels count: all that are not ignored."""
        mask = self.truth.mask
        return np.full(mask.shape, True) if self.ignored is None else np.not_equal(mask, self.ignored)

    @property
    def decodes(self) -> int:
        """D = T + 1."""
        return int(self.masks_RSDHW.shape[2])

    @cached_property
    def ari_RS(self) -> Floats64:
        """FG-ARI of every inference after the last decode."""
        return np.stack([fg_ari(one) for one in self._results])

    @cached_property
    def ari_D(self) -> Floats64:
        """Mean FG-ARI after every decode."""
        metric, means = METRICS.load("ari"), []
        for step in range(self.decodes):
            values = [
                Comparison(
                    self.truth, PredictionBatch(self.truth.keys, masks[:, step]), self.background, ignored=self.ignored
                )
                .scores(metric)
                .values
                for masks in self.masks_RSDHW
            ]
            means.append(np.nanmean(values))
        return np.array(means)

    @cached_property
    def modes_RS(self) -> NDArray[np.int64]:
        """The mode of every inference; the most frequent mode of a scene is 0."""
        return self.modes_at(self.threshold)

    def modes_at(self, threshold: float) -> NDArray[np.int64]:
        """The mode of every inference with another threshold, ``int64[R, S]``."""
        return np.stack([modes_of(ari_RR, threshold, self._linkage) for ari_RR in self.pairwise_ari_SRR], 1)

    @cached_property
    def pairwise_ari_SRR(self) -> Floats64:
        """ARI between any two inferences of a scene."""
        parts = []
        for scene in range(self.scenes):
            truth, last = self.truth.mask[scene], self.masks_RSDHW[:, scene, -1]
            inside = np.ones_like(truth, bool) if self._all_pixels else ~np.isin(truth, self.background)
            parts.append(pairwise_ari(last[:, inside & self.kept_SHW[scene]]))
        return np.stack(parts)

    @cached_property
    def mode_counts_S(self) -> NDArray[np.int64]:
        """Number of modes of every scene."""
        result: NDArray[np.int64] = self.modes_RS.max(0) + 1
        return result

    @cached_property
    def owners_RSDE(self) -> NDArray[np.int64]:
        """The slot of every object after every decode; −1 where the object does not exist or is background."""
        shape = self.masks_RSDHW.shape
        result = np.full((*shape[:3], self.entities - 1), -1, np.int64)
        for scene in range(self.scenes):
            flat = self.masks_RSDHW[:, scene].reshape(-1, *shape[3:])
            slots = owners(self.truth.mask[scene], flat, self.entities, self.slots)
            result[:, scene] = slots.reshape(shape[0], shape[2], -1)
        result[..., [index - 1 for index in self.background if 0 < index < self.entities]] = -1
        return result

    @cached_property
    def coupled_RSD(self) -> NDArray[np.bool_]:
        """Whether two objects or more share a slot."""
        flat = self.owners_RSDE.reshape(-1, self.entities - 1)
        return shared(flat).reshape(self.owners_RSDE.shape[:3])

    def coupled_by_chance(self) -> float:
        """Expected share of inferences with two objects in one slot if every object chose a slot at random."""
        counts = (self.owners_RSDE[0, :, -1] >= 0).sum(-1)
        return float(np.mean([shared_by_chance(int(count), self.slots) for count in counts]))

    @cached_property
    def best_elbo_S(self) -> NDArray[np.int64]:
        """Index of the noise with the highest ELBO."""
        result: NDArray[np.int64] = self.elbo_RS.argmax(0)
        return result

    @cached_property
    def ari_of_best_elbo_S(self) -> Floats64:
        """FG-ARI of the inference with the highest ELBO."""
        result: Floats64 = np.take_along_axis(self.ari_RS, self.best_elbo_S[None], 0)[0]
        return result

    def first_owner_counts(self) -> NDArray[np.int64]:
        """How often each slot has the first object of a scene after the last decode, ``int64[K]``."""
        last = self.owners_RSDE[:, :, -1]
        first = np.take_along_axis(last, (last >= 0).argmax(-1)[..., None], -1)[..., 0]
        return np.bincount(first[first >= 0], minlength=self.slots)
