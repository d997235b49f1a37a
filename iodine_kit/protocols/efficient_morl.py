"""EfficientMORL: the splits of the published files; the first 320 scenes of test are for evaluation."""

from __future__ import annotations

from iodine_kit.protocols import Rule
from iodine_kit.split_rules import Own

VERSION = 1
SUMMARY = "Emami et al. 2021: the splits of the published HDF5 files; the first 320 of test"
SOURCE = (
    "Emami et al., Efficient Iterative Amortized Inference for Learning Symmetric and Disentangled Multi-Object "
    "Representations, ICML 2021; files at zenodo.org/records/4895643"
)
_RULE = Rule(
    "the splits of the file, and of test the first 320 scenes", Own(("train", "test"), (("test", 320),)), {},
    {"test": 320},
)  # fmt: skip
RULES = {
    "clevr": Rule(_RULE.summary, _RULE.splits, {"crop": "none", "size": None}, {"test": 320}),
    "multi-dsprites": _RULE,
    "tetrominoes": _RULE,
}
