"""Object-Centric Learning Framework: a random split; its CLEVR6 has at most five objects."""

from __future__ import annotations

from iodine_kit.protocols import Rule
from iodine_kit.split_rules import Shuffled

VERSION = 1
SUMMARY = "amazon-science OCLF: random 70/15/15; CLEVR6 has at most 5 objects, from a centre crop"
SOURCE = (
    "github.com/amazon-science/object-centric-learning-framework, configs/dataset/clevr6.yaml (visibility.sum() < 7, "
    "which counts the background) and the conversion script (seed 837452923)"
)
_SEED = 837452923
_SHARES = (("train", 0.7), ("val", 0.85), ("test", 1.0))
RULES = {
    "clevr": Rule(
        "at most 5 objects by the factors; 100,000 records split at random 70/15/15; the centre 192×192, resized to "
        "128×128",
        Shuffled(100_000, _SEED, _SHARES),
        {"crop": "centre:192", "size": 128, "max_objects": 5},
        {"train": 26_240, "val": 5_553, "test": 5_600},
    ),
}
