"""Closed forms of the page on depth, evaluated as they are printed."""

import math

import torch
from scipy import integrate, optimize, stats
from scipy.special import digamma

from lib.activation import activation_moments, leaky_relu
from tests.as_printed import Form, integer, positive, unit


def factor(v):
    """Second moment of the activation, n σ² times that of the input."""
    std = math.sqrt(v["n"]) * float(v[r"\sigma"])
    _, second, _ = activation_moments(lambda z: leaky_relu(z, float(v["a"])), std=std)
    return second


def root(condition):
    """Where the condition, which rises with ρ, holds; searched for on a log scale."""
    return math.exp(optimize.brentq(lambda t: condition(math.exp(t)), -20, 20))


def slow(v):
    speed = v["T"] * v[r"\eta_{\mu}"] * v["d"] * v["q"]
    return root(lambda r: math.log(float(speed) * r ** (v["d"] - 1)))


def fast(v):
    """The step and the matrix it corrects have the same squared norm."""
    step = 2 * float(v[r"\eta_{\mu}"] ** 2 * v["q"])
    return root(lambda r: math.log(step * r ** (v["d"] - 1)) - math.log(2 * r * v["n"]))


def open_product(angle):
    """E[ReLU(U) ReLU(V)] for standard normal U, V; given U, V is normal."""
    c, s = math.cos(angle), math.sin(angle)

    def given(u):
        m = c * u / s
        kept = s * (stats.norm.pdf(m) + m * stats.norm.cdf(m))  # E[ReLU(V)] given U
        return u * kept * stats.norm.pdf(u)

    return integrate.quad(given, 0, 12, epsabs=1e-13, epsrel=1e-12, limit=200)[0]


def log_determinant(v):
    """Mean logarithm of the perpendicular parts, by quadrature of the density."""
    n = v["n"]
    total = 0.0
    for k in range(1, n + 1):
        # s = exp(t) keeps the integrand smooth at 0
        total += integrate.quad(
            lambda t, k=k: t * stats.chi2.pdf(math.exp(t), k) * math.exp(t), -80, 8,
            epsabs=1e-13, epsrel=1e-12, limit=500, points=[0.0],
        )[0]  # fmt: skip
    return (total - n * math.log(n)) / 2


FORMS = {
    "eq-depth-factor": Form(
        given={"a": unit, "n": integer(1, 9), r"\sigma": positive},
        stated={r"\rho": factor},
    ),
    "eq-depth-ratio": Form(approx=0.001),
    "eq-depth-slow": Form(
        given={
            "T": integer(5, 90),
            r"\eta_{\mu}": unit,
            "d": integer(3, 30),
            "q": positive,
        },
        stated={r"\rho_{\mathrm{slow}}": slow},
    ),
    "eq-depth-fast": Form(
        given={
            "n": integer(5, 90),
            r"\eta_{\mu}": unit,
            "d": integer(4, 30),
            "q": positive,
        },
        stated={r"\rho_{\mathrm{fast}}": fast},
    ),
    "eq-depth-product": Form(
        given={r"\alpha": positive},
        stated={
            r"\frac{2}{2 \pi} \int_{\alpha - \frac{\pi}{2}}^{\frac{\pi}{2}}"
            r" \cos \theta \cos(\theta - \alpha) \, d\theta": lambda v: open_product(
                v[r"\alpha"].item()
            )
        },
    ),
    "eq-depth-angle": Form(
        given={r"\alpha": positive},
        stated={
            "c'": lambda v: 2 * open_product(v[r"\alpha"].item()),
            "c": lambda v: torch.cos(v[r"\alpha"]),
        },
    ),
    "eq-depth-determinant": Form(
        given={"n": integer(1, 7)},
        stated={r"\operatorname{E}[\ln |\det \mathbf{W}|]": log_determinant},
        functions={r"\psi": lambda z: torch.as_tensor(digamma(z.item()))},
    ),
    "eq-depth-orthogonal-ratio": Form(
        given={"n": integer(2, 30)},
        stated={
            # the square of a coordinate on the sphere has a beta distribution
            r"\operatorname{E}[R]": lambda v: (
                v["n"] * stats.beta(0.5, (v["n"] - 1) / 2).moment(1)
            ),
            r"\operatorname{Var}[R]": lambda v: (
                v["n"] * stats.beta(0.5, (v["n"] - 1) / 2).moment(2)
            ),
        },
    ),
}
