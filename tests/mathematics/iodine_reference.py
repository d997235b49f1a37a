"""A second IODINE, written out from the description of the released model and sharing no code with the package.

Channels last, as in the release; convolutions are sums over kernel taps; the derivatives that are inputs are explicit
formulas; leave-one-out deletes the slot. Only the release's choices exist here. Arrays are float64 torch tensors, so
that gradients of whole training losses can be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from iodine_kit.models.iodine.config import IodineConfig
from iodine_kit.models.iodine.model import Iodine

STOPPED = ("counterfactual", "dcomponents", "dmask", "log_prob", "dzp")
PRIOR_VARIANCE = math.log(2)
TINY_RELEASE = {
    "slots": 3,
    "steps": 2,
    "latent": 2,
    "decoder": {"kernel": 3, "channels": [4, 3]},
    "refinement": {"kernel": 3, "channels": [4, 3], "mlp": [5, 4], "lstm": 4},
}
TINY_CLEVR = {**TINY_RELEASE, "likelihood_scale": 0.03}
TINY_SPRITES = {
    **TINY_RELEASE,
    "likelihood_scale": 0.3,
    "decoder": {"kernel": 5, "channels": [3]},
    "refinement": {"kernel": 5, "channels": [4, 3], "mlp": [4], "lstm": 3, "coordinates": "cosine"},
}
TINY_PATCHES = {
    **TINY_RELEASE,
    "likelihood_scale": 0.3,
    "decoder": {"kernel": 3, "channels": [4, 3], "patch": 2},
    "refinement": {"kernel": 3, "channels": [4, 3], "mlp": [5, 4], "lstm": 4, "patch": 3, "stride": 1},
}
TINY_TETROMINOES = {**TINY_SPRITES, "refinement": {**TINY_SPRITES["refinement"], "lstm": None}}  # type: ignore[dict-item]


def tiny_model(values: dict[str, object] | None = None, seed: int = 0, **changes: object) -> Iodine:
    """A model in float64 with every parameter random, also those that start at a constant."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Iodine(IodineConfig.model_validate({**(values or TINY_SPRITES), **changes})).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.3 * torch.randn_like(parameter)
    return model


def tiny_image(batch: int, height: int = 7, width: int = 6, seed: int = 1) -> Tensor:
    """Images ``[B, 3, H, W]`` in [0, 1], float64."""
    return torch.rand((batch, 3, height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn_noise(seed: int, decodes: int, rows: int, latent: int) -> list[Tensor]:
    """What a generator with this seed gives when one ``[rows, latent]`` normal is drawn per decode."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn((rows, latent), generator=generator, dtype=torch.float64) for _ in range(decodes)]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME: zeros (before, after)."""
    total = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
    return total // 2, total - total // 2


def conv_same(x_NHWI: Tensor, w_OIHW: Tensor, bias: Tensor, stride: int) -> Tensor:
    """Convolution with SAME zeros as a sum over kernel taps, channels last."""
    batch, height, width, channels = x_NHWI.shape
    kernel = w_OIHW.shape[-1]
    (top, bottom), (left, right) = same_padding(height, kernel, stride), same_padding(width, kernel, stride)
    canvas = x_NHWI.new_zeros(batch, top + height + bottom, left + width + right, channels)
    canvas[:, top : top + height, left : left + width] = x_NHWI
    rows, columns = -(-height // stride), -(-width // stride)
    out = bias.expand(batch, rows, columns, -1)
    for a in range(kernel):
        for b in range(kernel):
            tap = canvas[:, a : a + (rows - 1) * stride + 1 : stride, b : b + (columns - 1) * stride + 1 : stride]
            out = out + tap @ w_OIHW[:, :, a, b].T
    return out


def elu(x: Tensor) -> Tensor:
    """x where positive, e^x − 1 elsewhere."""
    return torch.where(x > 0, x, torch.exp(x.clamp(max=0)) - 1)


def line(low: float, high: float, count: int) -> list[float]:
    """``count`` evenly spaced numbers, both ends included."""
    return [low + (high - low) * i / (count - 1) for i in range(count)] if count > 1 else [low]


def refinement_coordinates(kind: str, height: int, width: int) -> Tensor:
    """``[H, W, 2 or 8]``: x then y; or cosines with index f_x·3 + f_y, the constant one dropped."""
    if kind == "linear":
        grid = [[[x, y] for x in line(-1, 1, width)] for y in line(-1, 1, height)]
    else:
        pairs = [(fx, fy) for fx in range(3) for fy in range(3)][1:]
        grid = [
            [[math.cos(fx * math.pi * u) * math.cos(fy * math.pi * v) for fx, fy in pairs] for u in line(0, 1, width)]
            for v in line(0, 1, height)
        ]
    return torch.tensor(grid, dtype=torch.float64)


def decoder_coordinates(height: int, width: int) -> Tensor:
    """``[H, W, 2]``: y then x."""
    return torch.tensor([[[y, x] for x in line(-1, 1, width)] for y in line(-1, 1, height)], dtype=torch.float64)


def drawn_by_patches(out_NhwC: Tensor, patch: int, height: int, width: int) -> Tensor:
    """``[N, H, W, 4]``, pixel by pixel: where a pixel lies in its patch says which channels it takes."""
    pixels = [
        [out_NhwC[:, y // patch, x // patch, (y % patch) * patch + x % patch :: patch**2] for x in range(width)]
        for y in range(height)
    ]
    return torch.stack([torch.stack(row, 1) for row in pixels], 1)


def plain_decoder(
    z_NZ: Tensor,
    convs: list[tuple[Tensor, Tensor]],
    height: int,
    width: int,
    constant: float | None = 5.0,
    patch: int = 1,
) -> tuple[Tensor, Tensor]:
    """Tile [z, constant], append y and x, convolve: ``(mean_NHW3, logit_NHW)``."""
    if patch > 1:
        mean, logit = plain_decoder(z_NZ, convs, math.ceil(height / patch), math.ceil(width / patch), constant)
        pixels = drawn_by_patches(torch.cat([logit[..., None], mean], 3), patch, height, width)
        return pixels[..., 1:], pixels[..., 0]
    count = len(z_NZ)
    channels = z_NZ if constant is None else torch.cat([z_NZ, z_NZ.new_full((count, 1), constant)], 1)
    tiled = channels[:, None, None, :].expand(count, height, width, channels.shape[1])
    grid = decoder_coordinates(height, width).expand(count, height, width, 2)
    hidden = torch.cat([tiled, grid], 3)
    for index, (weight, bias) in enumerate(convs):
        hidden = conv_same(elu(hidden) if index else hidden, weight, bias, stride=1)
    return hidden[..., 1:], hidden[..., 0]


def layer_norm(x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Mean and variance over all axes but the first, gain and offset per channel (the last axis), ε = 1e−5."""
    axes = tuple(range(1, x.dim()))
    centred = x - x.mean(axes, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(axes, keepdim=True) + 1e-5) * gain + offset


@dataclass
class Step:
    """One decode; B scenes, K slots, channels last."""

    zp_NL: Tensor
    loc_NZ: Tensor
    scale_NZ: Tensor
    mean_BKHWC: Tensor
    logit_BKHW: Tensor
    loglik_BHW: Tensor
    nll_B: Tensor
    kl_BK: Tensor
    inputs: dict[str, Tensor] = field(default_factory=dict)


class Reference:
    """The released model on the parameters of a package model; ``frozen`` holds the stopped inputs constant."""

    def __init__(self, model: Iodine, parameters: dict[str, Tensor] | None = None) -> None:
        self.config = model.config
        self.p = parameters if parameters is not None else {k: v.detach().clone() for k, v in model.named_parameters()}

    def convs(self, prefix: str) -> list[tuple[Tensor, Tensor]]:
        found = []
        while f"{prefix}.{len(found)}.weight" in self.p:
            name = f"{prefix}.{len(found)}"
            found.append((self.p[f"{name}.weight"], self.p[f"{name}.bias"]))
        return found

    def run(self, image_BCHW: Tensor, noise: list[Tensor], frozen: list[dict[str, Tensor]] | None = None) -> list[Step]:
        """One decode per noise array, with refinements between them."""
        image_BHWC = image_BCHW.permute(0, 2, 3, 1)
        rows = len(image_BCHW) * self.config.slots
        zp_NL = self.p["initial"].repeat(rows, 1)
        hidden = cell = zp_NL.new_zeros(rows, self.config.refinement.lstm or 0)
        steps = []
        for t, noise_NZ in enumerate(noise):
            step = self.decode(image_BHWC, zp_NL, noise_NZ)
            steps.append(step)
            if t < len(noise) - 1:
                step.inputs = self.raw_inputs(image_BHWC, step, noise_NZ)
                if frozen is not None:
                    step.inputs |= {name: frozen[t][name] for name in STOPPED}
                update_NL, hidden, cell = self.refine(step.inputs, hidden, cell)
                zp_NL = (zp_NL.detach() if self.config.truncate else zp_NL) + update_NL
        return steps

    def loss(self, image_BCHW: Tensor, noise: list[Tensor], frozen: list[dict[str, Tensor]] | None = None) -> Tensor:
        """Σ_t (t/T) (batch-mean NLL + batch-mean Σ_k KL)."""
        steps = self.run(image_BCHW, noise, frozen)
        total = image_BCHW.new_zeros(())
        for t, step in enumerate(steps):
            total = total + t / (len(steps) - 1) * (step.nll_B.mean() + step.kl_BK.sum(1).mean())
        return total

    def decode(self, image_BHWC: Tensor, zp_NL: Tensor, noise_NZ: Tensor) -> Step:
        batch, height, width, _ = image_BHWC.shape
        slots, latent, s = self.config.slots, self.config.latent, self.config.likelihood_scale
        loc_NZ, raw_NZ = zp_NL[:, :latent], zp_NL[:, latent:]
        scale_NZ = torch.sqrt(torch.log1p(torch.exp(raw_NZ)))
        convs = [(self.p["decoder.first.weight"], self.p["decoder.first.bias"]), *self.convs("decoder.rest")]
        mean_NHWC, logit_NHW = plain_decoder(
            loc_NZ + scale_NZ * noise_NZ, convs, height, width, patch=self.config.decoder.patch
        )
        mean_BKHWC = mean_NHWC.reshape(batch, slots, height, width, 3)
        logit_BKHW = logit_NHW.reshape(batch, slots, height, width)
        loglik_BHW = _log_mixture(logit_BKHW, logistic_components(image_BHWC, mean_BKHWC, s))
        variance_NZ = scale_NZ**2
        kl_NZ = 0.5 * (
            torch.log(PRIOR_VARIANCE / variance_NZ) - 1 + variance_NZ / PRIOR_VARIANCE + loc_NZ**2 / PRIOR_VARIANCE
        )
        return Step(
            zp_NL, loc_NZ, scale_NZ, mean_BKHWC, logit_BKHW, loglik_BHW,
            nll_B=-loglik_BHW.sum((1, 2)), kl_BK=kl_NZ.sum(1).reshape(batch, slots),
        )  # fmt: skip

    def raw_inputs(self, image_BHWC: Tensor, step: Step, noise_NZ: Tensor) -> dict[str, Tensor]:
        """Every input before normalisation, per slot as ``[N, H, W, C]`` or ``[N, F]`` (log_prob: ``[B, H, W, 1]``)."""
        batch, height, width, _ = image_BHWC.shape
        slots, s = self.config.slots, self.config.likelihood_scale
        rows = batch * slots
        component_BKHW = logistic_components(image_BHWC, step.mean_BKHWC, s)
        pi_BKHW = torch.exp(step.logit_BKHW) / torch.exp(step.logit_BKHW).sum(1, keepdim=True)
        responsibility_BKHW = torch.exp(torch.log(pi_BKHW) + component_BKHW - step.loglik_BHW[:, None])
        z_BKHWC = (image_BHWC[:, None] - step.mean_BKHWC) / s
        dmean_BKHWC = -responsibility_BKHW[..., None] * torch.tanh(z_BKHWC / 2) / s / batch
        dlogit_BKHW = (pi_BKHW - responsibility_BKHW) / batch
        density_BKHW = torch.exp(component_BKHW)
        without = [
            _log_mixture(_without(step.logit_BKHW, k), _without(component_BKHW, k)) for k in range(slots)
        ]  # fmt: skip
        grid = refinement_coordinates(self.config.refinement.coordinates, height, width)
        spatial = {
            "capacity": image_BHWC.new_full((rows, height, width, 1), 0.5),
            "components": step.mean_BKHWC.flatten(0, 1),
            "coordinates": grid.expand(rows, height, width, -1),
            "counterfactual": (step.loglik_BHW[:, None] - torch.stack(without, 1)).flatten(0, 1)[..., None],
            "dcomponents": dmean_BKHWC.flatten(0, 1),
            "dmask": dlogit_BKHW.flatten(0, 1)[..., None],
            "image": image_BHWC.repeat_interleave(slots, 0),
            "log_prob": step.loglik_BHW[..., None],
            "mask": step.logit_BKHW.flatten(0, 1)[..., None],
            "posterior": (density_BKHW / (density_BKHW.sum(1, keepdim=True) + 1e-6)).flatten(0, 1)[..., None],
            "pred_mask": pi_BKHW.flatten(0, 1)[..., None],
        }
        dzp_NL = self.dzp(step, noise_NZ, dmean_BKHWC, dlogit_BKHW)
        flat = {"dzp": dzp_NL, "flat_capacity": image_BHWC.new_full((rows, 1), 0.5), "zp": step.zp_NL}
        values = {**spatial, **flat}
        stopped = {*STOPPED, *self.config.stopped}
        return {name: value.detach() if name in stopped else value for name, value in values.items()}

    def dzp(self, step: Step, noise_NZ: Tensor, dmean_BKHWC: Tensor, dlogit_BKHW: Tensor) -> Tensor:
        """∂L/∂λ: through the decoder by the chain rule, the rest by formula."""
        batch, _, height, width, _ = dmean_BKHWC.shape
        latent = self.config.latent
        loc, scale, raw = (x.detach() for x in (step.loc_NZ, step.scale_NZ, step.zp_NL[:, latent:]))
        z_NZ = (loc + scale * noise_NZ).requires_grad_()
        convs = [(self.p["decoder.first.weight"], self.p["decoder.first.bias"]), *self.convs("decoder.rest")]
        convs = [(weight.detach(), bias.detach()) for weight, bias in convs]
        with torch.enable_grad():
            outputs = plain_decoder(z_NZ, convs, height, width, patch=self.config.decoder.patch)
            (dz,) = torch.autograd.grad(
                outputs, z_NZ, (dmean_BKHWC.detach().flatten(0, 1), dlogit_BKHW.detach().flatten(0, 1))
            )
        dloc = dz + loc / PRIOR_VARIANCE / batch
        dscale = dz * noise_NZ + (scale / PRIOR_VARIANCE - 1 / scale) / batch
        return torch.cat([dloc, dscale / (2 * scale) / (1 + torch.exp(-raw))], 1)

    def refine(self, inputs: dict[str, Tensor], hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From raw inputs to the update of λ and the next LSTM state."""
        ready = {}
        for name in sorted(inputs):
            value = inputs[name]
            if name in STOPPED:
                norm = f"inputs.norms.{name}"
                value = layer_norm(value, self.p[f"{norm}.gain"], self.p[f"{norm}.offset"])
            ready[name] = value.repeat_interleave(self.config.slots, 0) if name == "log_prob" else value
        h = torch.cat([ready[name] for name in sorted(ready) if ready[name].dim() == 4], 3)
        for layer, (weight, bias) in enumerate(self.convs("refinement.convs")):
            net = self.config.refinement
            h = elu(conv_same(h, weight, bias, stride=net.stride if layer or not net.patch else net.patch))
        h = h.mean((1, 2))
        for layer in range(len(self.config.refinement.mlp)):
            weight, bias = self.p[f"refinement.mlp.{2 * layer}.weight"], self.p[f"refinement.mlp.{2 * layer}.bias"]
            h = (elu(h) if layer else h) @ weight.T + bias
        h = torch.cat([h, *(ready[name] for name in sorted(ready) if ready[name].dim() == 2)], 1)
        if self.config.refinement.lstm:
            hidden, cell = lstm(
                h, hidden, cell, self.p["refinement.lstm.gates.weight"], self.p["refinement.lstm.gates.bias"]
            )
            h = hidden
        return h @ self.p["refinement.head.weight"].T + self.p["refinement.head.bias"], hidden, cell


def lstm(x: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Gates i, j, f, o from [x, h]; 1 is added to f."""
    width = cell.shape[1]
    gates = torch.cat([x, hidden], 1) @ weight.T + bias
    i, j, f, o = (gates[:, n * width : (n + 1) * width] for n in range(4))
    cell = _sigmoid(f + 1) * cell + _sigmoid(i) * torch.tanh(j)
    return torch.tanh(cell) * _sigmoid(o), cell


def logistic_components(image_BHWC: Tensor, mean_BKHWC: Tensor, s: float) -> Tensor:
    """Σ_c log of e^{−z} / (s (1 + e^{−z})²), ``[B, K, H, W]``; symmetric in z, so written with |z|."""
    z = ((image_BHWC[:, None] - mean_BKHWC) / s).abs()
    return (-z - 2 * torch.log1p(torch.exp(-z)) - math.log(s)).sum(-1)


def _log_mixture(logit_BKHW: Tensor, component_BKHW: Tensor) -> Tensor:
    joint = logit_BKHW + component_BKHW
    return _log_sum_exp(joint) - _log_sum_exp(logit_BKHW)


def _log_sum_exp(x_BKHW: Tensor) -> Tensor:
    top = x_BKHW.detach().amax(1, keepdim=True)
    return torch.log(torch.exp(x_BKHW - top).sum(1)) + top[:, 0]


def _without(x_BKHW: Tensor, k: int) -> Tensor:
    return torch.cat([x_BKHW[:, :k], x_BKHW[:, k + 1 :]], 1)


def _sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))
