"""The PyTorch port of IODINE by zhixuan-lin (MIT licence), out of a checkout of it, with nets of our shapes.

Only ``lib/modeling/iodine.py`` and ``lib/utils/vis_logger.py`` are needed. Its code is run as it is: it assembles its
pictures for the log and hands them and its scalars to its logger at every decode, as it does in every training. Only
torchvision's ``make_grid``, which would tile those pictures, does nothing here, and no yacs is needed.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from _shapes import Shape
from torch import nn

_ENCODING = [
    "posterior", "grad_post", "image", "means", "mask", "mask_logits", "mask_posterior", "grad_means", "grad_mask",
    "likelihood", "leave_one_out_likelihood", "coordinate",
]  # fmt: skip


def build(directory: Path, shape: Shape) -> nn.Module:
    """Its net of a shape, with the settings of its own final CLEVR6 configuration otherwise."""
    decoder, refinement = shape.config.decoder, shape.config.refinement
    architecture = SimpleNamespace(
        ITERS=shape.config.steps, SLOTS=shape.config.slots, SIGMA=0.10, DIM_LATENT=shape.config.latent,
        IMG_SIZE=shape.size, IMG_CHANNELS=3, LAYERNORM=True, STOP_GRADIENT=False, ENCODING=_ENCODING,
        REF=SimpleNamespace(
            CONV_CHAN=refinement.channels[0], CONV_LAYERS=len(refinement.channels), MLP_UNITS=refinement.mlp[0],
            KERNEL_SIZE=refinement.kernel, STRIDE=refinement.stride,
        ),
        DEC=SimpleNamespace(
            CONV_CHAN=decoder.channels[0], CONV_LAYERS=len(decoder.channels), KERNEL_SIZE=decoder.kernel
        ),
    )  # fmt: skip
    return _module(directory).IODINE(architecture)  # type: ignore[no-any-return]


def _module(directory: Path) -> Any:
    if not (directory / "lib/modeling/iodine.py").is_file():
        raise SystemExit(f"{directory}: no checkout of zhixuan-lin/IODINE, which has lib/modeling/iodine.py")
    if "lib" not in sys.modules:
        for name in ("lib", "lib.modeling", "lib.utils"):  # its own packages import all of its models and data sets
            package = sys.modules[name] = ModuleType(name)
            package.__path__ = [str(directory / name.replace(".", "/"))]
        sys.modules["torchvision"] = ModuleType("torchvision")
        utils = sys.modules["torchvision.utils"] = ModuleType("torchvision.utils")
        utils.make_grid = lambda *arguments, **options: None  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", message="torch.meshgrid")
    return importlib.import_module("lib.modeling.iodine")
