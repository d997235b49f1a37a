"""Published sets of choices by name: the released code's three nets, and the paper's as far as it is known.

``release-*`` follow google-deepmind/deepmind-research ``iodine`` (configurations.py and modules). ``paper-*`` follow
what other papers and ports report of Greff et al. 2019; README.md here says from where.
"""

from __future__ import annotations

from typing import Any

from iodine_kit.errors import ConfigError, did_you_mean

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
# T decodes and T-1 refinements, weighted t/T from 1/T on; hence one refinement fewer than the release's.
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


def preset(name: str) -> dict[str, Any]:
    """Return a copy of the preset called ``name``; raises :class:`ConfigError` with the nearest known name."""
    if name not in PRESETS:
        raise ConfigError(f"model.preset: no preset is called '{name}'{did_you_mean(name, PRESETS)}")
    return {key: dict(value) if isinstance(value, dict) else value for key, value in PRESETS[name].items()}
