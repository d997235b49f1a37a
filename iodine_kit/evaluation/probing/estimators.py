"""The probes: small models that predict one factor from a slot's latents. All are seeded and standardise inputs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from iodine_kit.evaluation.probing.factors import Factor, Kind
from iodine_kit.records import Floats64

Probe = Literal["linear", "mlp", "forest"]
HIDDEN = 32
ITERATIONS = 200
PENALTY = 1.0
"""Weight of the squared weights beside the sum over objects, as in the linear probes. With far less, a probe memorises
a hundred objects, and its score reflects their small number instead of the latents."""
TREES = 32
LEAF = 4
DEPTH = 10
DRAWN = 1024
"""Largest number of objects for one tree: all trees together see many more, in a fraction of the time."""
_SMALLEST = 1e-12
WORDS = {
    "linear": f"ridge regression for numbers, logistic regression for classes, penalty {PENALTY:g}",
    "mlp": f"one hidden layer of {HIDDEN} ReLU, penalty {PENALTY:g}, at most {ITERATIONS} iterations of L-BFGS",
    "forest": f"random forest of {TREES} trees of depth {DEPTH} at most, all dimensions tried at every split, "
    f"at least {LEAF} objects in a leaf, each tree of at most {DRAWN:,} objects drawn with replacement",
}


@dataclass(frozen=True)
class Fitted:
    """A trained probe of one factor; ``model`` is ``None`` if all training objects are of one class.

    Attributes:
        baseline: prediction without latents: the mean or the most frequent class of the training objects.
        variance: of the factor over the training objects; 1 for a class.
    """

    factor: Factor
    model: Any
    baseline: float
    variance: float

    def predict(self, inputs_RZ: Floats64) -> Floats64:
        """A number or a class for every row, ``float64[R]``."""
        if self.model is None or not len(inputs_RZ):
            return np.full(len(inputs_RZ), self.baseline)
        return np.asarray(self.model.predict(inputs_RZ), np.float64)

    def losses(self, inputs_RZ: Floats64) -> Floats64:
        """``float64[R, V]``: the prediction for a number (V = 1), −log of each class' probability for a class."""
        if self.factor.kind == "number" or self.model is None:
            return self.predict(inputs_RZ)[:, None]
        known: Floats64 = self.model.predict_proba(inputs_RZ)
        shares = np.zeros((len(inputs_RZ), self.factor.classes))
        shares[:, self.model.classes_] = known
        return -np.log(np.maximum(shares, _SMALLEST))


def fit(
    probe: Probe, factor: Factor, inputs_RZ: Floats64, values_R: NDArray[Any], baseline: float, seed: int
) -> Fitted:
    """Train a probe of ``factor`` on R objects with the latents ``inputs_RZ``."""
    variance = float(np.var(values_R)) if factor.kind == "number" and len(values_R) else 1.0
    model = None
    if len(values_R) and np.ptp(values_R) > 0:
        model = make(probe, factor.kind, len(values_R), seed)
        with warnings.catch_warnings():
            _expect_no_convergence()
            model.fit(inputs_RZ, values_R)
    return Fitted(factor, model, baseline, max(variance, _SMALLEST))


def baseline_of(factor: Factor, values_R: NDArray[Any]) -> float:
    """The mean of numbers; the most frequent of classes, in a tie the first."""
    return float(values_R.mean() if factor.kind == "number" else np.bincount(values_R).argmax())


def make(probe: Probe, kind: Kind, rows: int, seed: int) -> Any:
    """An untrained probe for so many rows; it standardises inputs and targets by its training data."""
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), _estimator(probe, kind, rows, seed))
    return model if kind == "class" else TransformedTargetRegressor(model, transformer=StandardScaler())


def importances(fitted: Fitted, dimensions: int) -> Floats64:
    """How important each latent dimension is for a forest, ``float64[Z]``, summing to 1; all 0 if it never splits."""
    if fitted.model is None:
        return np.zeros(dimensions)
    pipeline = fitted.model if fitted.factor.kind == "class" else fitted.model.regressor_
    return np.asarray(pipeline[-1].feature_importances_, np.float64)


def _estimator(probe: Probe, kind: Kind, rows: int, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    number = kind == "number"
    if probe == "linear":
        return Ridge(alpha=PENALTY) if number else LogisticRegression(C=1 / PENALTY, max_iter=1000)
    if probe == "mlp":
        net = MLPRegressor if number else MLPClassifier
        return net(hidden_layer_sizes=(HIDDEN,), solver="lbfgs", alpha=PENALTY, max_iter=ITERATIONS, random_state=seed)
    forest = RandomForestRegressor if number else RandomForestClassifier
    return forest(
        TREES,
        max_features=1.0,
        max_samples=min(rows, DRAWN),
        min_samples_leaf=LEAF,
        max_depth=DEPTH,
        random_state=seed,
    )


def _expect_no_convergence() -> None:
    """The number of iterations is limited on purpose."""
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)
