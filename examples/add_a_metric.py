"""Add a metric of your own: this file is the plug-in. Run it from the repository: python examples/add_a_metric.py

The name of the metric is the name of the module with its package, here ``examples.add_a_metric``. The command line
finds it too: ``iodine-kit eval --metric examples.add_a_metric``. CONTRIBUTING.md describes the contract of metrics.
"""

import numpy as np

from iodine_kit.metrics import Comparison, Scores

VERSION = 1  # raise it whenever the same masks would get another score
TITLE = "Slots in use"
CONVENTION = "Number of slots that own at least one pixel of an object. Every scene is defined."
NEEDS = None  # masks are enough; "reconstruction", for example, would ask for reconstructions
UNIT = ""
BETTER = "lower"
BY_STEP = True  # cheap enough to be computed after every refinement step


def score(comparison: Comparison) -> Scores:
    """Score all scenes of a batch at once."""
    pixels_BNK = comparison.table_BNK  # pixels by scene, true entity (row 0 is the background) and slot
    used_BK = pixels_BNK[:, 1:].sum(axis=1) > 0
    return Scores(used_BK.sum(axis=1).astype(np.float64))


if __name__ == "__main__":
    import iodine_kit as ik

    batch = ik.generate("tetrominoes", 8)
    segmentation = ik.load_model("pretrained:tetrominoes").segment(batch.image)
    evaluation = ik.evaluate(batch, segmentation, metrics=("ari", "examples.add_a_metric"))
    print(evaluation)
    print(evaluation.metrics["examples.add_a_metric"].convention)
