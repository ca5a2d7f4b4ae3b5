"""Ridge on narrow bands beside a wide one: exact, from statistics of the narrow bands.

Let K be the kernel of the wide band and l its penalty, Z the narrow bands, t the training rows and v validation rows.
With ``K_tt = U diag(s) U'`` and ``D = diag(l / (s + l))``, the wide band alone predicts ``A = R U'Y_t`` for
``R = K_vt U D / l``, and eliminating it leaves ridge regression on the narrow bands with

    Z~ = U'Z_t,  Y~ = U'Y_t,  B = Z_v - R Z~                            (what the wide band does not explain of Z_v)
    S_t = Z~'D Z~,  C_t = Z~'D Y~,  S_v = B'B,  C_v = B'(Y_v - A),  |Y_v - A|^2

in place of Z_t'Z_t, Z_t'Y_t, Z_v'Z_v, Z_v'Y_v, and |Y_v|^2. Predictions are ``A + B beta``. Rows are centred, and
features scaled, on the training rows. Without the wide band (l infinite) D is the identity and R is zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .designs import Scaled


@dataclass(frozen=True, eq=False, slots=True)
class WideBasis:
    """A training set in the eigenvectors of its wide kernel."""

    values: np.ndarray  # (n_train,) Eigenvalues ``s``, not negative
    vectors: np.ndarray  # (n_train, n_train) Eigenvectors ``U``
    narrow: np.ndarray  # (n_train, n_features) ``Z~``
    across: tuple[np.ndarray, ...]  # (n_validation, n_train) ``K_vt U`` of every validation set
    held: tuple[np.ndarray, ...]  # (n_validation, n_features) ``Z_v`` of every validation set


@dataclass(frozen=True, eq=False, slots=True)
class WideStep:
    """A training set at one penalty of the wide band."""

    # (sum of n_validation + n_features, n_train) ``R`` of every validation set, then ``Z~'D``: what rotated
    # training responses are multiplied by
    project: Any
    rest: tuple[Any, ...]  # (n_features, n_validation) ``B' / n_validation`` of every validation set
    scaled: Scaled  # ``S_t`` and ``S_v / n_validation``, as the search of narrow bands wants them


def make_basis(
    kernel: np.ndarray, across: Sequence[np.ndarray], narrow: np.ndarray, held: Sequence[np.ndarray]
) -> WideBasis:
    """Decompose the wide kernel of a training set; `across` are the kernels K_vt, `held` the narrow features Z_v."""
    values, vectors = np.linalg.eigh(kernel)
    return WideBasis(
        np.maximum(values, 0.0),
        vectors,
        vectors.T @ narrow,
        tuple(part @ vectors for part in across),
        tuple(held),
    )


def shrink(values: np.ndarray, penalty: float) -> np.ndarray:
    """Compute the diagonal of D for one penalty, which may be infinite."""
    return 1.0 / (values / penalty + 1.0)


def make_step(basis: WideBasis, penalty: float, varies: np.ndarray, dtype: Any = np.float64) -> WideStep:
    """Eliminate the wide band at one penalty, in float64; `varies` marks the features that vary in training.

    What rotated responses are multiplied by is rounded to `dtype`.
    """
    D = shrink(basis.values, penalty)
    weighted = basis.narrow * D[:, None]
    ratio = D / penalty
    eliminated = basis.narrow * ratio[:, None]
    rests = [Z - part @ eliminated for Z, part in zip(basis.held, basis.across, strict=True)]
    scaled = Scaled(
        np.zeros(len(varies)),
        varies.astype(np.float64),
        basis.narrow.T @ weighted,
        tuple(rest.T @ rest / len(rest) for rest in rests),
    )
    project = np.empty((sum(map(len, rests)) + len(varies), len(D)), dtype=dtype)
    first = 0
    for part in basis.across:
        np.multiply(part, ratio, out=project[first : first + len(part)], casting="same_kind")
        first += len(part)
    project[first:] = weighted.T
    return WideStep(project, tuple(rest.T / max(len(rest), 1) for rest in rests), scaled)


def eliminate(xp: Any, step: WideStep, rotated: Any, held: Sequence[Any]) -> tuple[Any, list[Any], list[Any]]:
    """Remove the wide band's part from the responses of some targets.

    From rotated training responses (n_train, n_targets) and centred validation responses compute ``C_t``, and for every
    validation set ``C_v / n_validation`` and ``(|Y_v - A|^2 - |Y_v|^2) / n_validation``.
    """
    product = xp.matmul(step.project, rotated)
    cross, gains, first = [], [], 0
    for Y, rest in zip(held, step.rest, strict=True):
        A = product[first : first + len(Y)]
        first += len(Y)
        left = Y - A
        # |Y - A|^2 - |Y|^2, without the difference of large sums.
        gains.append(-(A * (left + Y)).sum(0) / len(Y))
        cross.append(xp.matmul(rest, left))
    return product[first:], cross, gains
