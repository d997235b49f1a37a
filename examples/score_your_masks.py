"""Score masks of your own model against true masks.

Replace the two arrays by your own: one integer per pixel. The numbers of your segments need not be those of the true
objects: a metric finds out which belong together.
"""

import numpy as np

import iodine_kit as ik

# True masks of 20 generated scenes: 0 is the background, 1 to 3 are objects. Shape [scenes, height, width].
truth = ik.generate("tetrominoes", 20).mask

# Masks that "your model" predicted. Here: the true ones, with new numbers and one pixel in ten wrong.
draw = np.random.default_rng(0)
numbers = np.array([7, 4, 2, 9])
predicted = np.where(draw.random(truth.shape) < 0.1, 0, numbers[truth])

# One score per scene.
scores = ik.score(truth, predicted, metrics=("ari", "miou"))
print("foreground ARI of the first scenes:", scores["ari"][:3].round(3))

# All metrics of masks, with means, intervals and the definition of each metric.
evaluation = ik.evaluate(truth, predicted, metrics="all")
ari = evaluation.metrics["ari"]
print(f"foreground ARI: {ari.mean:.3f}, 95 % interval {ari.interval[0]:.3f} to {ari.interval[1]:.3f}")
print(ari.convention)
print(evaluation.table())
