"""The variables in checkpoints of the released code, and the parameters of this model that correspond to them.

The names are those of TensorFlow 1 and Sonnet 1 in google-deepmind/deepmind-research ``iodine``. Convolutions are
stored as height, width, in, out; matrices as in, out. The rows of the LSTM's matrix (input, then state), its columns
(gates i, j, f, o) and the order of the refinement inputs are the same as here. So every variable is a parameter,
possibly transposed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Final

import numpy as np

from iodine_kit.errors import CorruptDataError, SchemaError
from iodine_kit.models.iodine.config import IodineConfig
from iodine_kit.records import Array

if TYPE_CHECKING:
    from torch import Tensor

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

PRESETS: Final = ("release-clevr6", "release-multi-dsprites", "release-tetrominoes")
"""The presets of the released networks; no two networks have the same shapes."""
STEP: Final = "global_step"
"""The variable that counts the training steps."""
_SCOPES: Final = ("encoder_net/", "recurrent_net/", "refinement_head/", "pixel_decoder/", "model/iodine/")
_LETTER: Final = {"weight": "w", "bias": "b"}
_NORM: Final = {"gain": "gamma", "offset": "beta"}


@dataclass(frozen=True)
class Counterpart:
    """The parameter that corresponds to a variable of a checkpoint.

    Attributes:
        parameter: name in the model's ``state_dict``.
        shape: shape of the variable.
        axes: axes of the variable in the parameter's order.
    """

    parameter: str
    shape: Shape
    axes: tuple[int, ...]


def counterparts(config: IodineConfig) -> dict[str, Counterpart]:
    """The variables in a checkpoint of this network, by name."""
    from iodine_kit.models.iodine import build

    result = {}
    for parameter, value in build(config, seed=0).state_dict().items():
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(value.dim(), (0,))
        shape = tuple(value.shape[axes.index(axis)] for axis in range(value.dim()))
        result[variable_of(parameter)] = Counterpart(parameter, shape, axes)
    return result


def variable_of(parameter: str) -> str:
    """The name of a parameter in the released code."""
    *module, kind = parameter.split(".")
    letter, place = _LETTER.get(kind, ""), ".".join(module)
    if parameter == "initial":
        return "model/iodine/initial_sample_distribution"
    if place.startswith("inputs.norms."):
        return f"model/iodine/preprocess/layer_norm_{module[-1]}/{_NORM[kind]}"
    if place == "refinement.lstm.gates":
        return f"recurrent_net/lstm/lstm/{letter}_gates"
    if place == "refinement.head":
        return f"refinement_head/residual_head/linear/{letter}"
    if match := re.fullmatch(r"refinement\.(convs|mlp)\.(\d+)", place):
        layer = f"mlp/linear_{int(match[2]) // 2}" if match[1] == "mlp" else f"conv_net_2d/conv_2d_{match[2]}"
        return f"encoder_net/cnn/{layer}/{letter}"  # every other module of the MLP is an ELU
    number = 0 if place == "decoder.first" else 1 + int(module[-1])
    return f"pixel_decoder/broadcast_conv/conv_net_2d/conv_2d_{number}/{letter}"


def misfit(expected: Mapping[str, Counterpart], shapes: Shapes) -> str:
    """Describe the first variable that is missing, unexpected, or has another shape; "" if all fit.

    Variables outside the network are ignored (those of the factor regressor, Adam's moments, counters).
    """
    for name, counterpart in expected.items():
        if name not in shapes:
            return f"'{name}' is missing in the checkpoint"
        if shapes[name] != counterpart.shape:
            return f"'{name}' is {list(shapes[name])} in the checkpoint and {list(counterpart.shape)} in the network"
    more = [name for name in shapes if name.startswith(_SCOPES) and not _belongs(name, expected)]
    return f"'{more[0]}' is in the checkpoint, but not in the network" if more else ""


def fitting_preset(shapes: Shapes, place: str) -> str:
    """The preset of the released network to which a checkpoint's variables belong.

    Raises:
        SchemaError: if there is none; the message names the network that fits best, and the first variable that does
            not fit it.
    """
    nets = {preset: counterparts(IodineConfig.model_validate({"preset": preset})) for preset in PRESETS}
    fitting = [preset for preset, net in nets.items() if not misfit(net, shapes)]
    if fitting:
        return fitting[0]
    nearest = max(nets, key=lambda preset: _agreeing(nets[preset], shapes))
    if not _agreeing(nets[nearest], shapes):
        raise SchemaError(f"{place}: contains no variable of the released IODINE; use a checkpoint of that code")
    raise SchemaError(
        f"{place}: fits none of the released networks; the nearest is {nearest}, but {misfit(nets[nearest], shapes)}; "
        "for another network, name the nearest with --preset and set the differences with --set model.KEY=VALUE"
    )


def weights(
    expected: Mapping[str, Counterpart], read: Callable[[str], Array], names: Iterable[str], place: str
) -> dict[str, Tensor]:
    """The model's ``state_dict``, ``float32``, from variables in which :func:`misfit` finds no difference.

    Args:
        expected: variables of the network.
        read: returns the values of a variable.
        names: the variables in the order in which to read them.
        place: names the checkpoint in messages.

    Raises:
        CorruptDataError: if a weight is not finite.
    """
    import torch

    state = {}
    for name in names:
        counterpart, values = expected[name], read(name).astype(np.float32)
        if not np.isfinite(values).all():
            raise CorruptDataError(
                f"{place}: '{name}' contains values that are not finite; import an earlier checkpoint"
            )
        state[counterpart.parameter] = torch.from_numpy(np.ascontiguousarray(values.transpose(counterpart.axes)))
    return state


def _agreeing(expected: Mapping[str, Counterpart], shapes: Shapes) -> int:
    """Number of values in the variables that fit a network."""
    return sum(prod(one.shape) for name, one in expected.items() if shapes.get(name) == one.shape)


def _belongs(name: str, expected: Mapping[str, Counterpart]) -> bool:
    """Whether a variable belongs to the network, or is an optimiser's slot ``VARIABLE/Adam`` of one that does."""
    return name in expected or name.rpartition("/")[0] in expected
