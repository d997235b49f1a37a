"""How much IODINE computes and keeps per image, by formula: without PyTorch, so that a check takes no second.

:mod:`iodine_kit.training.estimate` is exact, because it follows every operation of a step, but has to load PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from iodine_kit.models import Arithmetic
from iodine_kit.models.iodine.config import FLAT_INPUTS, GRADIENT_INPUTS, SPATIAL_INPUTS, InputName, IodineConfig

_FLOAT = 4
_LIKELIHOOD_MAPS = 30
"""Values per pixel and slot that the likelihood, its gradients and the inputs of the refinement network take."""
_STATIC: tuple[InputName, ...] = ("capacity", "coordinates", "image")
_DIFFERENT = {"linear": 2, "cosine": 8}


def arithmetic(config: IodineConfig, height: int, width: int) -> Arithmetic:
    """Operations and memory for images of ``height``×``width``, with the config's K and T; see :class:`Arithmetic`.

    FLOPs are within 10 % of PyTorch's count, and bytes within a factor of 2 of a step's.
    """
    decoder, refinement = _decoder(config, height, width), _refinement(config, height, width)
    slots, steps = config.slots, config.steps
    stopped = set(config.inputs) <= set(config.stopped)
    decodes, in_loss = steps + 1, steps if config.step_weights == "linear" and steps else steps + 1
    in_loss = 1 if config.step_weights == "last" else in_loss
    if stopped:  # one backward pass serves the loss and the inputs
        decoding = decodes * (decoder.forward + decoder.backward) + in_loss * decoder.backward
    else:
        decoding = decodes * (decoder.forward + 2 * decoder.backward) + steps * decoder.backward
    if _differentiates_gradients(config):
        decoding += decodes * 2 * decoder.backward
    own, shared = refinement.forward - refinement.first, refinement.static
    first = refinement.first * (2 if stopped else 3)
    training = slots * (decoding + steps * (3 * own + first)) + 2 * shared
    inference = slots * (decodes * decoder.forward + steps * (decoder.backward + refinement.forward)) + shared
    transient = decoder.kept + 2 * decoder.widest + _LIKELIHOOD_MAPS * height * width
    kept = steps * refinement.kept + (0 if stopped else steps * (decoder.kept + _LIKELIHOOD_MAPS * height * width))
    return Arithmetic(
        parameters=decoder.parameters + refinement.parameters + 2 * config.latent * config.learn_initial,
        training_flops=training,
        inference_flops=inference,
        training_bytes=_FLOAT * slots * (kept + transient),
        inference_bytes=_FLOAT * slots * (refinement.kept + transient),
    )


@dataclass(frozen=True)
class _Part:
    """A network, for one slot of one image: FLOPs of its passes, numbers that it keeps, and its parameters.

    ``first`` is the share of the first layer in ``forward``. ``static`` is what slots and steps share.
    """

    forward: float
    backward: float
    kept: float
    widest: float
    parameters: int
    first: float = 0.0
    static: float = 0.0


def _decoder(config: IodineConfig, height: int, width: int) -> _Part:
    own = config.decoder
    k, places = own.kernel, ceil(height / own.patch) * ceil(width / own.patch)
    broadcast, widths = config.latent + (own.constant is not None), [*own.channels, 4 * own.patch**2]
    coordinates = _DIFFERENT[own.coordinates]
    cases = 2 * broadcast * k * k * widths[0]
    spread = 2 * k * k * (places**0.5) * widths[0] + 2 * k * places * widths[0]
    rest = sum(2 * k * k * a * b * places for a, b in pairwise(widths))
    parameters = sum((k * k * a + 1) * b for a, b in pairwise([broadcast + coordinates, *widths]))
    return _Part(
        forward=cases + spread + rest,
        backward=cases + spread + rest,
        kept=places * sum(own.channels),
        widest=places * max(widths),
        parameters=parameters,
    )


def _refinement(config: IodineConfig, height: int, width: int) -> _Part:
    own, channels = config.refinement, dict(_channels(config))
    spatial = {name: channels[name] for name in config.inputs if name in SPATIAL_INPUTS}
    static = sum(count for name, count in spatial.items() if name in _STATIC)
    flat = sum(channels[name] for name in config.inputs if name in FLAT_INPUTS)
    changing = sum(spatial.values()) - static
    normalised = sum(count for name, count in spatial.items() if name in config.normalised)
    inputs, kept, forward, parameters, first = changing, height * width * (changing + normalised), 0.0, 0, 0.0
    shared = 0.0
    for number, outputs in enumerate(own.channels):
        patched = own.patch if number == 0 and own.patch else None
        k, stride = (patched, patched) if patched else (own.kernel, own.stride)
        height, width = ceil(height / stride), ceil(width / stride)
        if number == 0:
            first = 2 * k * k * inputs * outputs * height * width
            shared = 2 * k * k * static * outputs * height * width
            parameters += (k * k * (inputs + static) + 1) * outputs
        else:
            parameters += (k * k * inputs + 1) * outputs
        forward += 2 * k * k * inputs * outputs * height * width
        kept += outputs * height * width
        inputs = outputs
    dense = [(a, b) for a, b in pairwise([inputs, *own.mlp])]
    features = own.mlp[-1] + flat
    dense += [(features + own.lstm, 4 * own.lstm)] if own.lstm else []
    dense += [(own.lstm or features, 2 * config.latent)]
    parameters += sum((a + 1) * b for a, b in dense)
    parameters += sum(2 * channels[name] for name in config.inputs if name in config.normalised)
    return _Part(
        forward=forward + sum(2 * a * b for a, b in dense),
        backward=0.0,
        kept=kept + sum(b for _, b in dense),
        widest=0.0,
        parameters=parameters,
        first=first,
        static=shared,
    )


def _channels(config: IodineConfig) -> Iterator[tuple[InputName, int]]:
    """Number of channels or features of every input, as :func:`.refinement.input_channels` counts them."""
    for name in SPATIAL_INPUTS:
        yield name, 3 if name in ("components", "dcomponents", "image") else 1
    yield "coordinates", _DIFFERENT[config.refinement.coordinates]
    yield "flat_capacity", 1
    yield "dzp", 2 * config.latent
    yield "zp", 2 * config.latent


def _differentiates_gradients(config: IodineConfig) -> bool:
    """Whether training is of second order."""
    return any(name in config.inputs and name not in config.stopped for name in GRADIENT_INPUTS)
