"""IODINE, paper: "CLEVR6" is scenes with up to six objects; 320 scenes that were not trained on are for evaluation."""

from __future__ import annotations

from iodine_kit.protocols import CLEVR6_OF_70K, FIRST_60K

VERSION = 1
SUMMARY = "Greff et al. 2019: CLEVR6 has at most 6 objects; 320 scenes for evaluation"
SOURCE = (
    "Greff et al., Multi-Object Representation Learning with Iterative Variational Inference, ICML 2019; numbers of "
    "training scenes from the authors, issue 5 of multi_object_datasets. Which records were held out was not "
    "published: here the first records after those for training"
)
RULES = {"clevr": CLEVR6_OF_70K, "multi-dsprites": FIRST_60K, "tetrominoes": FIRST_60K}
