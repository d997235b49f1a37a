"""Checkpoints of all three nets as the released code writes them, with random weights, and an archive of them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from golden.recipe import numbers, variables
from unit.tensorbundle import writer

FOLDERS = ("clevr6", "multi_dsprites", "tetrominoes")
BESIDE = {
    "beta1_power": np.float32(0),
    "factor_evaluator/repres_content/predict_latents/w": np.ones((3, 2), np.float32),
    "global_step": np.int64(1_000_000),
}
"""What a checkpoint also holds."""


def checkpoint(prefix: Path, net: str, shards: int = 1, **changed: np.ndarray | None) -> Path:
    """A checkpoint of a net, Adam's moments included; variables are changed, added or, where ``None``, left out."""
    weights = dict(variables(numbers(net)))
    moments = {f"{name}/{slot}": np.zeros_like(value) for name, value in weights.items() for slot in ("Adam", "Adam_1")}
    values = {**weights, **moments, **BESIDE, **changed}
    return writer.write(prefix, {name: value for name, value in values.items() if value is not None}, shards)


def archive(path: Path, root: str = "checkpoints") -> Path:
    """The three checkpoints in a zip file, and some paths that lead out of it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"../{root}/../../evil.index", b"evil")
        file.writestr("/evil/model.ckpt.index", b"evil")
        for folder in FOLDERS:
            index = checkpoint(path.parent / "unpacked" / folder / "model.ckpt", folder, shards=2)
            for found in sorted(index.parent.iterdir()):
                file.write(found, f"{root}/{folder}/{found.name}")
            file.writestr(f"{root}/{folder}/checkpoint", 'model_checkpoint_path: "model.ckpt"\n')
    return path
