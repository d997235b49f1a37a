"""Every choice that IODINE leaves open, as a named field; and published sets of choices, as presets.

README.md in this folder lists what each implementation chose, and where that is known from.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from iodine_kit.config import Config, NoneAsText, merge
from iodine_kit.errors import ConfigError, did_you_mean

LikelihoodName = Literal["mixture-logistic", "mixture-gaussian", "weighted-mean-gaussian"]
ScaleName = Literal["sqrt-softplus", "softplus", "log-variance"]
PriorName = Literal["standard-normal", "zero-parameters"]
CoordinateName = Literal["linear", "cosine"]
StepWeightsName = Literal["linear", "linear-from-one", "last", "uniform"]
Slots = Annotated[int, Field(ge=1, le=255)]  # masks are stored as uint8
Width = Annotated[int, Field(ge=1, le=4096)]
InputName = Literal[
    "capacity", "components", "coordinates", "counterfactual", "dcomponents", "dmask", "image", "log_prob", "mask",
    "posterior", "pred_mask", "dzp", "flat_capacity", "zp",
]  # fmt: skip
SPATIAL_INPUTS: tuple[InputName, ...] = (
    "capacity", "components", "coordinates", "counterfactual", "dcomponents", "dmask", "image", "log_prob", "mask",
    "posterior", "pred_mask",
)  # fmt: skip
FLAT_INPUTS: tuple[InputName, ...] = ("dzp", "flat_capacity", "zp")
GRADIENT_INPUTS: tuple[InputName, ...] = ("dcomponents", "dmask", "dzp")
NORMALISED: tuple[InputName, ...] = ("counterfactual", "dcomponents", "dmask", "log_prob", "dzp")


class DecoderConfig(Config):
    """The spatial broadcast decoder.

    Attributes:
        kernel: side of every convolution, in pixels; odd.
        channels: channels of the hidden convolutions, without the last one, which has 4 channels per pixel.
        patch: side p of the patch of pixels that each position of the decoder's grid draws. 1 is the published decoder,
            which convolves at the image's resolution. A larger patch costs about 1/p² as much.
        constant: number appended to every latent (release: 5.0, which its checkpoints need), or none.
        coordinates: coordinates of the pixels: ``linear`` (2 channels) or ``cosine`` (8).
        rgb: function that is applied to the RGB means; ``linear`` (release) applies none.
    """

    kernel: Annotated[int, Field(ge=1, le=31)] = 3
    channels: tuple[Width, ...] = (64, 64, 64, 64)
    patch: Annotated[int, Field(ge=1, le=16)] = 1
    constant: Annotated[float | None, NoneAsText] = 5.0
    coordinates: CoordinateName = "linear"
    rgb: Literal["linear", "sigmoid"] = "linear"

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("the side of the kernel must be odd")
        return kernel


class RefinementConfig(Config):
    """The refinement network: convolutions, mean over pixels, MLP, LSTM or none, linear head.

    Attributes:
        kernel: side of every convolution, in pixels.
        channels: channels of the convolutions; each is followed by an ELU.
        stride: stride of every convolution.
        patch: kernel and stride of the first convolution, which then sees patches of pixels side by side; ``kernel``
            and ``stride`` are those of the other ones. None is the published network, whose convolutions are alike.
        mlp: widths of the layers after the pooling, with ELU between them; the last layer is linear.
        lstm: width of the recurrent state, or none.
        coordinates: coordinates of the pixels: ``linear`` (2 channels) or ``cosine`` (8).
    """

    kernel: Annotated[int, Field(ge=1, le=31)] = 3
    channels: Annotated[tuple[Width, ...], Field(min_length=1)] = (64, 64, 64, 64)
    stride: Annotated[int, Field(ge=1, le=4)] = 2
    patch: Annotated[Annotated[int, Field(ge=1, le=16)] | None, NoneAsText] = None
    mlp: Annotated[tuple[Width, ...], Field(min_length=1)] = (256, 256)
    lstm: Annotated[Width | None, NoneAsText] = 256
    coordinates: CoordinateName = "linear"


class IodineConfig(Config):
    """IODINE. The defaults are the release's for CLEVR6; ``preset`` selects another published set of choices.

    Attributes:
        slots: K, number of slots; inference may use another one.
        steps: T, number of refinement steps; inference may use another one.
        latent: Z, latent dimensions per slot.
        likelihood: likelihood of a pixel.
        likelihood_scale: its fixed scale s or σ, in units of the [0, 1] image.
        posterior_scale: function from the raw parameter to the posterior's standard deviation.
        prior: N(0, I), or the distribution that the all-zero λ represents.
        initial_posterior: initial value of λ0, one vector for all slots and images.
        learn_initial: whether λ0 is learned.
        step_weights: weights of the decodes' losses: ``linear`` t/T (the first weight is 0), ``linear-from-one``
            (t+1)/(T+1), ``last`` or ``uniform``. Their sum is not normalised.
        beta: KL weight in the loss, and in the gradients that are inputs. ``train.kl_schedule`` can start from another
            value.
        inputs: inputs of the refinement network (section 2.3; table in README.md).
        normalised: inputs that are layer-normalised.
        stopped: inputs through which no gradient flows back in time. If a gradient input is not among them, training
            is of second order.
        truncate: whether the gradient of λ_t + Δ flows to Δ only, not to λ_t. If all inputs are stopped, too, gradients
            flow from step to step only through the LSTM's state.
        gradient_reduction: the loss whose gradients are inputs: ``batch-mean`` (release), which makes inference depend
            on the batch size through the layer norm's ε, or ``per-image``, which does not.
        decoder: table of the decoder.
        refinement: table of the refinement network.
    """

    slots: Slots = 7
    steps: Annotated[int, Field(ge=0)] = 5
    latent: Width = 64
    likelihood: LikelihoodName = "mixture-logistic"
    likelihood_scale: Annotated[float, Field(gt=0)] = 0.03
    posterior_scale: ScaleName = "sqrt-softplus"
    prior: PriorName = "zero-parameters"
    initial_posterior: Literal["glorot-uniform", "zeros", "prior"] = "glorot-uniform"
    learn_initial: bool = True
    step_weights: StepWeightsName = "linear"
    beta: Annotated[float, Field(ge=0)] = 1.0
    inputs: tuple[InputName, ...] = SPATIAL_INPUTS + FLAT_INPUTS
    normalised: tuple[InputName, ...] = NORMALISED
    stopped: tuple[InputName, ...] = NORMALISED
    truncate: bool = False
    gradient_reduction: Literal["batch-mean", "per-image"] = "batch-mean"
    decoder: DecoderConfig = DecoderConfig()
    refinement: RefinementConfig = RefinementConfig()

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, values: Any) -> Any:
        """Replace ``preset`` by its fields; fields that are given beside it take precedence."""
        if not isinstance(values, dict) or "preset" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "preset"}
        return merge(preset(str(values["preset"])), rest)

    @field_validator("inputs", "normalised", "stopped")
    @classmethod
    def _each_once(cls, names: tuple[InputName, ...]) -> tuple[InputName, ...]:
        """Use one order, the release's, so that the same choice is the same configuration."""
        return tuple(name for name in SPATIAL_INPUTS + FLAT_INPUTS if name in names)

    @model_validator(mode="after")
    def _check_inputs(self) -> IodineConfig:
        if not set(self.inputs) & set(SPATIAL_INPUTS):
            raise ValueError(f"inputs needs at least one of {', '.join(SPATIAL_INPUTS)}")
        check_slots(self, self.slots)
        return self


def check_slots(config: IodineConfig, slots: int) -> None:
    """Raise ``ValueError`` if the inputs are not defined for this number of slots."""
    if slots < 1:
        raise ValueError(f"a scene needs at least one slot, not {slots}")
    if slots == 1 and "counterfactual" in config.inputs:
        raise ValueError("the input 'counterfactual' needs at least two slots: omit it from inputs, or use more slots")


_CLEVR: dict[str, Any] = {
    "slots": 7,
    "steps": 5,
    "latent": 64,
    "decoder": {"kernel": 3, "channels": [64, 64, 64, 64]},
    "refinement": {"kernel": 3, "channels": [64, 64, 64, 64], "mlp": [256, 256], "lstm": 256},
}
_SPRITES: dict[str, Any] = {
    "slots": 6,
    "steps": 5,
    "latent": 16,
    "decoder": {"kernel": 5, "channels": [32, 32, 32, 32]},
    "refinement": {"kernel": 5, "channels": [32, 32, 32], "mlp": [128], "lstm": 128, "coordinates": "cosine"},
}
_TETROMINOES: dict[str, Any] = {
    "slots": 4,
    "steps": 5,
    "latent": 32,
    "decoder": {"kernel": 5, "channels": [32, 32, 32, 32]},
    "refinement": {
        "kernel": 5,
        "channels": [32, 32, 32],
        "mlp": [128],
        "lstm": None,
        "coordinates": "cosine",
    },
}
_RELEASE: dict[str, Any] = {
    "likelihood": "mixture-logistic",
    "likelihood_scale": 0.03,
    "posterior_scale": "sqrt-softplus",
    "prior": "zero-parameters",
    "initial_posterior": "glorot-uniform",
    "step_weights": "linear",
}
# T decodes with weights t/T from 1/T on, and T-1 refinement steps: one fewer than the release has.
_PAPER: dict[str, Any] = {
    "likelihood": "mixture-gaussian",
    "likelihood_scale": 0.1,
    "posterior_scale": "softplus",
    "prior": "standard-normal",
    "initial_posterior": "zeros",
    "step_weights": "linear-from-one",
    "steps": 4,
}
_PAPER_CLEVR_INPUTS = [
    "components", "coordinates", "counterfactual", "dcomponents", "dmask", "image", "log_prob", "mask", "posterior",
    "pred_mask", "dzp", "zp",
]  # fmt: skip


def _paper(net: dict[str, Any], refinement: dict[str, Any]) -> dict[str, Any]:
    decoder = {**net["decoder"], "constant": None}
    return {
        **net, **_PAPER, "decoder": decoder, "refinement": {**net["refinement"], **refinement},
        "inputs": _PAPER_CLEVR_INPUTS,
    }  # fmt: skip


PRESETS: dict[str, dict[str, Any]] = {
    "release-clevr6": {**_CLEVR, **_RELEASE},
    "release-multi-dsprites": {**_SPRITES, **_RELEASE},
    "release-tetrominoes": {**_TETROMINOES, **_RELEASE},
    "paper-clevr6": _paper(_CLEVR, {"mlp": [256]}),
    "paper-multi-dsprites": _paper(_SPRITES, {"stride": 1}),
    "paper-tetrominoes": _paper(_TETROMINOES, {"stride": 1}),
}
"""Published sets of choices by name.

``release-*`` follow google-deepmind/deepmind-research ``iodine`` (configurations.py and modules). ``paper-*`` follow
what other papers and ports report of Greff et al. 2019; README.md says from where.
"""
DEFAULT_PRESETS = {
    "clevr": "release-clevr6",
    "multi-dsprites": "release-multi-dsprites",
    "tetrominoes": "release-tetrominoes",
}
"""Data set name → the preset that was published for it."""


def preset(name: str) -> dict[str, Any]:
    """Return a copy of the preset called ``name``; raises :class:`ConfigError` with the nearest known name."""
    if name not in PRESETS:
        raise ConfigError(f"model.preset: no preset is called '{name}'{did_you_mean(name, PRESETS)}")
    return {key: dict(value) if isinstance(value, dict) else value for key, value in PRESETS[name].items()}
