"""Statistics of a data set, collected scene by scene: exact, in memory that hardly grows with the number of scenes.

``distribution`` counts integers, and ``binned`` counts numbers of an unknown range. ``split_statistics`` collects both
over the scenes and factors of a split; the counts of several splits can be merged. ``duplicates`` finds images that
occur more than once.
"""

from iodine_kit.dataset_statistics.distribution import Distribution, Histogram, as_json
from iodine_kit.dataset_statistics.duplicates import Duplicates, Fingerprints, find_duplicates
from iodine_kit.dataset_statistics.split_statistics import Factor, SplitCounts, SplitStatistics

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
