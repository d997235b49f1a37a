"""What a data set holds, counted scene by scene: exact, and in memory that hardly grows with the number of scenes.

`tally` counts whole numbers and `binned` numbers of an unknown range; both give a `distribution`. `factors` and
`split` gather them over the scenes of a split, and splits can be merged. `duplicates` finds images that occur twice.

Of scores per scene, `bootstrap` says how far their means can be trusted, and `permutation` whether two models differ.
"""

from iodine_kit.dataset_statistics.distribution import Distribution, Histogram, as_json
from iodine_kit.dataset_statistics.duplicates import Duplicates, Fingerprints, find_duplicates
from iodine_kit.dataset_statistics.factors import Factor
from iodine_kit.dataset_statistics.split import SplitCounts, SplitStatistics

__all__ = [
    "Distribution",
    "Duplicates",
    "Factor",
    "Fingerprints",
    "Histogram",
    "SplitCounts",
    "SplitStatistics",
    "as_json",
    "find_duplicates",
]
