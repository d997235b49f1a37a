"""Every choice that IODINE leaves open, as a named field. What each implementation chose stands in README.md here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from iodine_kit.config import Config, NoneAsText, merge
from iodine_kit.models.iodine.presets import preset

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
        kernel: odd side of every convolution, pixels.
        channels: of the hidden convolutions; the last one, to 4 channels a pixel, is not listed.
        patch: side p of the patch of pixels that every place of the decoder's grid draws. 1 is the published decoder,
            which convolves at the image's resolution. A larger one costs about 1/p² as much.
        constant: number appended to every latent (release: 5.0, needed by its checkpoints), or none.
        coordinates: ``linear`` (2 channels) or ``cosine`` (8).
        rgb: what the RGB means pass through; the release leaves them linear.
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
            raise ValueError("the kernel's side must be odd")
        return kernel


class RefinementConfig(Config):
    """The refinement network: convolutions, mean over pixels, MLP, LSTM or none, linear head.

    Attributes:
        kernel: side of every convolution, pixels.
        channels: of the convolutions, with an ELU after every one.
        stride: of every convolution.
        patch: side of the patches of pixels that the first convolution sees, its kernel and its stride; ``kernel`` and
            ``stride`` are then those of the others. None is the published network, in which all are alike.
        mlp: layer widths after the pooling; ELU between, the last layer linear.
        lstm: width of the recurrent state, or none.
        coordinates: ``linear`` (2 channels) or ``cosine`` (8).
    """

    kernel: Annotated[int, Field(ge=1, le=31)] = 3
    channels: Annotated[tuple[Width, ...], Field(min_length=1)] = (64, 64, 64, 64)
    stride: Annotated[int, Field(ge=1, le=4)] = 2
    patch: Annotated[Annotated[int, Field(ge=1, le=16)] | None, NoneAsText] = None
    mlp: Annotated[tuple[Width, ...], Field(min_length=1)] = (256, 256)
    lstm: Annotated[Width | None, NoneAsText] = 256
    coordinates: CoordinateName = "linear"


class IodineConfig(Config):
    """IODINE. The defaults are the release's for CLEVR6; ``preset`` fills in another published set of choices.

    Attributes:
        slots: K. Can be changed at test time.
        steps: T, the number of refinements. Can be changed at test time.
        latent: Z, latent dimensions per slot.
        likelihood: of a pixel; ``likelihood_scale`` is its fixed s or σ, in units of the [0, 1] image.
        posterior_scale: from raw parameter to standard deviation.
        prior: N(0, I), or what the all-zero λ stands for.
        initial_posterior: how the learned λ0 starts; one vector for all slots and images. ``learn_initial`` learns it.
        step_weights: of the decodes' losses: ``linear`` t/T (the first weighs 0), ``linear-from-one`` (t+1)/(T+1),
            ``last`` or ``uniform``. Not renormalised.
        beta: weight of the KL term in the loss, and in the gradients that are inputs. ``train.kl_schedule`` can reach
            it from another value.
        inputs: which a_k the refinement network sees (section 2.3, table of README.md).
        normalised: which of them are layer-normalised.
        stopped: which of them carry no gradient back in time. Leaving a gradient input out makes training second-order.
        truncate: whether λ_t + Δ passes gradient to Δ only, not to λ_t; with every input stopped too, no gradient
            crosses a step but through the LSTM's state.
        gradient_reduction: the loss whose gradients are inputs is the ``batch-mean`` (release; depends on batch size
            through the layer norm's ε) or ``per-image`` (independent of the batch).
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
        """Replace ``preset`` by the fields it stands for; fields given beside it win."""
        if not isinstance(values, dict) or "preset" not in values:
            return values
        rest = {key: value for key, value in values.items() if key != "preset"}
        return merge(preset(str(values["preset"])), rest)

    @field_validator("inputs", "normalised", "stopped")
    @classmethod
    def _each_once(cls, names: tuple[InputName, ...]) -> tuple[InputName, ...]:
        """Keep one order, the release's, so that the same choice is the same configuration."""
        return tuple(name for name in SPATIAL_INPUTS + FLAT_INPUTS if name in names)

    @model_validator(mode="after")
    def _inputs_make_sense(self) -> IodineConfig:
        if not set(self.inputs) & set(SPATIAL_INPUTS):
            raise ValueError(f"inputs needs at least one of {', '.join(SPATIAL_INPUTS)}")
        check_slots(self, self.slots)
        return self


def check_slots(config: IodineConfig, slots: int) -> None:
    """Refuse a number of slots that the inputs make no sense for; raises ``ValueError``."""
    if slots < 1:
        raise ValueError(f"a scene needs at least one slot, not {slots}")
    if slots == 1 and "counterfactual" in config.inputs:
        raise ValueError("with one slot nothing is left without it: leave 'counterfactual' out of inputs")
