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
    from iodine_kit.api.dataset import Dataset as Dataset
    from iodine_kit.api.dataset import load_dataset as load_dataset
    from iodine_kit.api.figure import segmentation_figure as segmentation_figure
    from iodine_kit.api.model import Segmentation as Segmentation
    from iodine_kit.api.model import SegmentationModel as SegmentationModel
    from iodine_kit.api.model import load_model as load_model
    from iodine_kit.api.scenes import SceneBatch as SceneBatch
    from iodine_kit.api.scenes import generate as generate
    from iodine_kit.api.scoring import Evaluation as Evaluation
    from iodine_kit.api.scoring import evaluate as evaluate
    from iodine_kit.api.scoring import score as score
    from iodine_kit.api.stages import infer as infer
    from iodine_kit.api.stages import prepare as prepare
    from iodine_kit.api.stages import run as run
    from iodine_kit.api.stages import train as train
    from iodine_kit.errors import IodineKitError as IodineKitError
    from iodine_kit.records import DatasetInfo as DatasetInfo
    from iodine_kit.records import Scene as Scene
    from iodine_kit.store import Artifact as Artifact

__version__ = "0.1.0"

_MODULES = {
    "iodine_kit.api.dataset": ("Dataset", "load_dataset"),
    "iodine_kit.api.figure": ("segmentation_figure",),
    "iodine_kit.api.model": ("Segmentation", "SegmentationModel", "load_model"),
    "iodine_kit.api.scenes": ("SceneBatch", "generate"),
    "iodine_kit.api.scoring": ("Evaluation", "evaluate", "score"),
    "iodine_kit.api.stages": ("infer", "prepare", "run", "train"),
    "iodine_kit.errors": ("IodineKitError",),
    "iodine_kit.records": ("DatasetInfo", "Scene"),
    "iodine_kit.store": ("Artifact",),
}

if not TYPE_CHECKING:  # for a type checker, every other name is an error
    __all__ = sorted(name for names in _MODULES.values() for name in names)

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used, so that ``import iodine_kit`` is fast."""
        from importlib import import_module

        for module, names in _MODULES.items():
            if name in names:
                value = globals()[name] = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")

    def __dir__() -> list[str]:
        return [*__all__, "__version__"]
