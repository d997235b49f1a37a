"""Our training step in float64, with the same weights, images and noise as the released code."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from golden.recipe import Numbers, Variables
from torch import Tensor

from iodine_kit.models.iodine import build, released
from iodine_kit.models.iodine.config import IodineConfig
from iodine_kit.models.iodine.decode_step import Decode
from iodine_kit.models.iodine.model import Iodine
from iodine_kit.models.iodine.refinement import STATIC_INPUTS, input_channels


def loaded(preset: str, variables: Variables) -> Iodine:
    """Our model with the variables of a checkpoint, in float64."""
    config = IodineConfig.model_validate({"preset": preset})
    model = build(config, seed=0)
    model.load_state_dict(released.weights(released.counterparts(config), variables.__getitem__, variables, "recipe"))
    return model.double()


def step(model: Iodine, theirs: Numbers) -> dict[str, np.ndarray]:
    """All values of a step that the files contain; the test itself takes sums and first elements."""
    image_BCHW = torch.from_numpy(theirs["image"]).double().permute(0, 3, 1, 2).contiguous()
    noise_TNZ = torch.from_numpy(theirs["noise"]).double().flatten(1, 2)
    batch, slots = len(image_BCHW), model.config.slots
    decodes = _recorded(model)
    terms = model(image_BCHW, noise_TNZ, batch)
    terms.loss.backward()
    found: dict[str, Tensor] = {}
    for t, decode in enumerate(decodes):
        found[f"zp/{t}"] = decode.zp_NL.unflatten(0, (batch, slots))
        found[f"nll/{t}"], found[f"kl/{t}"] = decode.nll_B, decode.kl_BK
        found[f"slot/{t}"] = decode.logit_BKHW.argmax(1)
        if t in (0, model.config.steps - 1):
            found |= {f"in/{t}/{name}": value for name, value in inputs(model, image_BCHW, decode.inputs()).items()}
    found |= {"loss": terms.loss, "recons": terms.nll, "kl_sum": terms.kl_TK.sum()}
    found |= {f"grad/{name}": value for name, value in gradients(model).items()}
    return {name: value.detach().numpy() for name, value in found.items()}


def _recorded(model: Iodine) -> list[Decode]:
    """A list to which the next step adds its decodes."""
    seen: list[Decode] = []
    iterate = model.iterate

    def watched(*arguments: object, **options: object) -> Iterator[Decode]:
        for decode in iterate(*arguments, **options):
            seen.append(decode)
            yield decode

    model.iterate = watched
    return seen


def inputs(model: Iodine, image_BCHW: Tensor, values: dict) -> dict[str, Tensor]:
    """The inputs a_k of the refinement network, ``[B, K, H, W, C]`` or ``[B, K, F]``."""
    channels, (batch, slots) = input_channels(model.config), (len(image_BCHW), model.config.slots)
    rows, module = batch * slots, model.inputs
    own = [name for name in module.spatial if name not in STATIC_INPUTS]
    static = [name for name in module.spatial if name in STATIC_INPUTS]
    maps = {
        **dict(zip(static, module.static_maps(image_BCHW).split([channels[name] for name in static], 1), strict=True)),
        **dict(zip(own, module.per_slot_maps(values, rows).split([channels[name] for name in own], 1), strict=True)),
    }
    flat = module.flat_features(values, rows, values["zp"]).split([channels[name] for name in module.flat], 1)
    return {
        **{name: value.unflatten(0, (batch, -1)).permute(0, 1, 3, 4, 2) for name, value in maps.items()},
        **{name: value.unflatten(0, (batch, slots)) for name, value in zip(module.flat, flat, strict=True)},
    }


def gradients(model: Iodine) -> dict[str, Tensor]:
    """The gradient of the loss in the released memory layouts, by name of the variable."""
    net = released.counterparts(model.config)
    ours = dict(model.named_parameters())
    return {
        name: ours[one.parameter].grad.permute(*np.argsort(one.axes).tolist()).contiguous() for name, one in net.items()
    }
