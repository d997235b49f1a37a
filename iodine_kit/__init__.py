"""iodine-kit: data, training and evaluation pipelines for unsupervised object-centric learning with IODINE.

The Python interface is usually imported as ``ik``. A name is imported from :mod:`iodine_kit.api` when it is first used.

>>> import iodine_kit as ik
>>> batch = ik.generate("tetrominoes", 4)
>>> model = ik.load_model("pretrained:tetrominoes")
>>> segmentation = model.segment(batch.image)
>>> ik.score(batch.mask, segmentation.mask)["ari"].round(1)
array([1., 1., 1., 1.])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iodine_kit.api.dataset import Dataset, load_dataset
    from iodine_kit.api.figure import segmentation_figure
    from iodine_kit.api.model import Segmentation, SegmentationModel, load_model
    from iodine_kit.api.scenes import SceneBatch, generate
    from iodine_kit.api.scoring import Evaluation, evaluate, score
    from iodine_kit.api.stages import infer, prepare, run, train
    from iodine_kit.errors import IodineKitError

__version__ = "0.1.0"
__all__ = [
    "Dataset", "Evaluation", "IodineKitError", "SceneBatch", "Segmentation", "SegmentationModel", "evaluate",
    "generate", "infer", "load_dataset", "load_model", "prepare", "run", "score", "segmentation_figure", "train",
]  # fmt: skip

_MODULES = {
    "iodine_kit.api.dataset": ("Dataset", "load_dataset"),
    "iodine_kit.api.figure": ("segmentation_figure",),
    "iodine_kit.api.model": ("Segmentation", "SegmentationModel", "load_model"),
    "iodine_kit.api.scenes": ("SceneBatch", "generate"),
    "iodine_kit.api.scoring": ("Evaluation", "evaluate", "score"),
    "iodine_kit.api.stages": ("infer", "prepare", "run", "train"),
    "iodine_kit.errors": ("IodineKitError",),
}

if not TYPE_CHECKING:  # for a type checker, every other name is an error

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used, so that ``import iodine_kit`` is fast."""
        from importlib import import_module

        for module, names in _MODULES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
