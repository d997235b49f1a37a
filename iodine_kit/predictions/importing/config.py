"""The table [import]: which arrays of a file are what, and how they are to be read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from iodine_kit.config import Config, NoneAsText

Values = Literal["probabilities", "logits", "one-hot"]
Colours = Literal["by-dtype", "unit", "bytes", "signed"]
Name = Annotated[str | None, NoneAsText]
FIELDS = ("mask", "soft_mask", "reconstruction", "component", "latent_loc", "latent_scale", "elbo", "nll", "kl")


def _mask_axes(axes: str | None) -> str | None:
    if axes is not None and (sorted(axes.replace("1", "")) not in (list("HNW"), list("HKNW")) or axes[:1] != "N"):
        raise ValueError("Write one letter for each axis, N (scenes) first, such as NHW, NHW1, NKHW, NHWK or NKHW1")
    return axes


def _permutation(axes: str, of: str) -> str:
    if sorted(axes) != sorted(of) or axes[0] != "N":
        raise ValueError(f"Write the letters {of} in the order of the array's axes, N (scenes) first")
    return axes


class ImportConfig(Config):
    """How others' predictions are read.

    Attributes:
        model: name of the model, as results will show it.
        named: whether somebody gave that name; if not, it is the file's, and other files of the name are other models.
        split: of the data set that was segmented; ``scenes``: only its first so many were.
        mask: name of the array of labels, a number per pixel; a single array of a ``.npy`` file is called "mask".
        soft_mask: name of the array with one plane per slot, whose ``values`` say what stands in it.
        key: name of the array of the scenes' keys.
        reconstruction, component, latent_loc, latent_scale, elbo, nll, kl: names of other arrays. One that is named
            has to be there; one that is not named is read if it is there; "none" leaves it out.
        axes: of the masks: N scenes, K slots, H rows, W columns, 1 an axis of length 1. With a K they are those of
            the array with one plane per slot, else those of the labels.
        reconstruction_axes, component_axes: the same of RGB arrays, C being the colour.
        values: ``logits`` are turned into probabilities by a softmax over slots; ``one-hot`` may be 0/1 or 0/255.
        colours: by-dtype takes whole numbers for 0…255 and others for 0…1; signed is -1…1.
        first_label: what is subtracted from every label; the first slot is 0.
        order: ``keys`` puts scenes in their place by their keys; ``dataset`` takes them to be in the split's order.
        resize: ``nearest`` brings masks of another size to the data set's, pixel by pixel.
    """

    model: Annotated[str, Field(min_length=1, max_length=100, pattern=r"[A-Za-z0-9]")]
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
    first_label: Annotated[int, Field(ge=0, le=1 << 31)] = 0
    order: Literal["keys", "dataset"] = "keys"
    resize: Literal["none", "nearest"] = "none"
