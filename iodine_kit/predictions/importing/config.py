"""The table [import]: which arrays of a file are which fields, and how to read them."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from iodine_kit.config import Config, NoneAsText
from iodine_kit.untrusted.folders import one_form, printable

Values = Literal["probabilities", "logits", "one-hot"]
Colours = Literal["by-dtype", "unit", "bytes", "signed"]
Name = Annotated[str | None, NoneAsText]
FIELDS = ("mask", "soft_mask", "reconstruction", "component", "latent_loc", "latent_scale", "elbo", "nll", "kl")
MAX_SLOTS = 255
"""Largest number of slots; they are numbered from 0."""
LONGEST_NAME = 255
"""Characters of the name of a model: as many as a file name can have."""


def is_name(name: str) -> bool:
    """Whether a text can be the name of a model in tables."""
    readable = any(unicodedata.category(character)[0] in "LNS" for character in name)
    return readable and len(name) <= LONGEST_NAME and printable(name) == one_form(name)


def _mask_axes(axes: str | None) -> str | None:
    if axes is not None and (sorted(axes.replace("1", "")) not in (list("HNW"), list("HKNW")) or axes[:1] != "N"):
        raise ValueError("Write one letter for each axis, N (scenes) first, such as NHW, NHW1, NKHW, NHWK or NKHW1")
    return axes


def _model_name(name: str) -> str:
    if not is_name(name):
        problem = (
            "Write a name with a letter, digit or symbol of any script, without line breaks and control characters"
        )
        raise ValueError(f"{problem}, of at most {LONGEST_NAME} characters")
    return one_form(name)


def _permutation(axes: str, of: str) -> str:
    if sorted(axes) != sorted(of) or axes[0] != "N":
        raise ValueError(f"Write the letters {of} in the order of the array's axes, N (scenes) first")
    return axes


class ImportConfig(Config):
    """How third-party predictions are read.

    Attributes:
        model: name of the model in results, in any script. Commands default to the name of the file.
        named: whether the name was given. If it is the name of the file, files of the same name count as different
            models.
        split: split of the data set that was segmented.
        scenes: number of scenes in the file, if it has only the first ones of the split.
        mask: name of the array of labels, one integer per pixel; the array of a ``.npy`` file is called "mask".
        soft_mask: name of the array with one plane per slot; ``values`` says what the planes contain.
        key: name of the array with the keys of the scenes.
        reconstruction: name of the array of reconstructions; ``none`` ignores it. An array of the default name is
            optional, one that you name is required.
        component: name of the array of components, one RGB image per slot; ``none`` ignores it. An array of the default
            name is optional, one that you name is required.
        latent_loc: name of the array of posterior means; ``none`` ignores it. An array of the default name is optional,
            one that you name is required.
        latent_scale: name of the array of posterior standard deviations; ``none`` ignores it. An array of the default
            name is optional, one that you name is required.
        elbo: name of the array of ELBOs; ``none`` ignores it. An array of the default name is optional, one that you
            name is required.
        nll: name of the array of negative log-likelihoods; ``none`` ignores it. An array of the default name is
            optional, one that you name is required.
        kl: name of the array of KL terms; ``none`` ignores it. An array of the default name is optional, one that you
            name is required.
        axes: order of the axes of the masks: N scenes, K slots, H rows, W columns, 1 an axis of length 1. With K, they
            are the axes of ``soft_mask``, otherwise those of ``mask``.
        reconstruction_axes: order of the axes of the reconstructions; C is the colour.
        component_axes: order of the axes of the components; C is the colour.
        values: content of ``soft_mask``: ``probabilities``; ``logits``, which a softmax over slots turns into
            probabilities; or ``one-hot``, as 0/1 or 0/255.
        colours: range of RGB arrays: ``by-dtype`` (integers 0 to 255, other numbers 0 to 1), ``unit`` (0 to 1),
            ``bytes`` (0 to 255) or ``signed`` (−1 to 1).
        first_label: label of the first slot, such as 1, or -1 if pixels without an object have -1; it is subtracted
            from every label. Labels more than 254 above it are renumbered, scene by scene, unless the file has planes.
        order: order of the scenes: ``keys`` assigns them by their keys; ``dataset`` expects the order of the split.
        resize: ``nearest`` resizes masks of another size to the size of the data set, by nearest neighbour.
    """

    model: Annotated[str, AfterValidator(_model_name)]
    named: bool = True
    split: str = "test"
    scenes: Annotated[int, Field(ge=1)] | None = None
    mask: Name = "mask"
    soft_mask: Name = "soft_mask"
    key: Name = "key"
    reconstruction: Name = "reconstruction"
    component: Name = "component"
    latent_loc: Name = "latent_loc"
    latent_scale: Name = "latent_scale"
    elbo: Name = "elbo"
    nll: Name = "nll"
    kl: Name = "kl"
    axes: Annotated[str | None, AfterValidator(_mask_axes)] = None
    reconstruction_axes: Annotated[str, AfterValidator(lambda axes: _permutation(axes, "NHWC"))] = "NHWC"
    component_axes: Annotated[str, AfterValidator(lambda axes: _permutation(axes, "NKHWC"))] = "NKHWC"
    values: Values = "probabilities"
    colours: Colours = "by-dtype"
    first_label: Annotated[int, Field(ge=-(1 << 31), le=1 << 31)] = 0
    order: Literal["keys", "dataset"] = "keys"
    resize: Literal["none", "nearest"] = "none"
