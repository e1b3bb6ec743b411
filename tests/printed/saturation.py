"""Closed forms of the page on saturation, evaluated as they are printed.

Derivatives come from torch's own functions. Expectations over the weights are taken
over all signs of weights that are plus or minus their standard deviation.
"""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import integrate, optimize

from lib import normal_pdf
from lib.activation import activation_moments
from tests.as_printed import Draw, Form, data, integer, positive, real, unit

above = Draw(0.0, 4.0)


def slope(function, z):
    z = torch.as_tensor(z, dtype=torch.float64).clone().requires_grad_()
    return torch.autograd.grad(function(z), z)[0]


def uniform_variance(v):
    bound = 1 / math.sqrt(v["n"])
    return integrate.quad(lambda w: w**2 / (2 * bound), -bound, bound)[0]


def cost_slope(cost):
    """Derivative with respect to the logit of a probability that was drawn."""

    def value(v):
        z = torch.logit(v["p"])
        return slope(lambda z: cost(torch.sigmoid(z), v["t"]), z)

    return value


def cross_entropy(p, t):
    return F.binary_cross_entropy(p, t)


def steepest(v):
    found = optimize.minimize_scalar(
        lambda z: -slope(lambda z: torch.sigmoid(z) ** 2, z).item(),
        bounds=(-5, 5),
        method="bounded",
    )
    return -found.fun


def largest_factor(_):
    return slope(torch.sigmoid, 0.0) ** 2 / 3


def random(*sizes):
    return torch.randn(
        sizes, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def over_signs(vector):
    """E[(w · vector)²] for weights with mean 0 and variance 1/(3n)."""
    n = len(vector)
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=n)))
    return ((signs.double() @ vector / math.sqrt(3 * n)) ** 2).mean()


def with_mean_square(square):
    vector = random(5)
    return vector * (square / (vector**2).mean()).sqrt()


def difference_factor(v):
    """Of a small difference: E over both normal sums of its squared derivative."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    nodes = torch.tensor(nodes)
    weights = torch.tensor(weights / weights.sum())
    z, u = torch.meshgrid(v[r"\sigma"] * nodes, nodes / math.sqrt(3), indexing="ij")
    z = z.clone().requires_grad_()
    (change,) = torch.autograd.grad(torch.tanh(z), z, u)
    return weights @ change**2 @ weights


def slope_square(sigma):
    """E[tanh'(σZ)²] by adaptive quadrature."""

    def integrand(z):
        return math.cosh(sigma * z) ** -4 * math.exp(-z * z / 2)

    value, _ = integrate.quad(integrand, -12, 12, epsabs=1e-13)
    return value / math.sqrt(2 * math.pi)


def backward(v):
    """Mean square gradient below a layer of tanh units with σ = 0.7."""
    return slope_square(0.7) * over_signs(with_mean_square(v["Q'"]))


NODES, WEIGHTS = np.polynomial.legendre.leggauss(60)


def normal_mean(function, mean, std):
    """E of a function of a normal variable, by adaptive quadrature."""

    def integrand(z):
        value = function(torch.tensor(mean + std * z, dtype=torch.float64)).item()
        return value * math.exp(-z * z / 2)

    value, _ = integrate.quad(integrand, -12, 12, epsabs=1e-13)
    return value / math.sqrt(2 * math.pi)


def tanh_moment(v):
    """E tanh(X) by the library."""
    return activation_moments(torch.tanh, v[r"\mu"], v[r"\sigma"])[0]


def of_sigmoid(function):
    """E of a function of σZ, for σ² = E[(w · h)²] where h has the mean square q."""

    def value(v):
        std = math.sqrt(over_signs(with_mean_square(v["q"])))
        return normal_mean(lambda z: function(torch.sigmoid(z)), 0.0, std)

    return value


def sigmoid_variance(v):
    mean = of_sigmoid(lambda h: h)(v)
    return of_sigmoid(lambda h: (h - mean) ** 2)(v)


FORMS = {
    "eq-sigmoid": Form(
        given={"z": real},
        stated={r"\operatorname{sigmoid}(z)": lambda v: torch.sigmoid(v["z"])},
    ),
    "eq-tanh": Form(
        given={"z": real}, stated={r"\tanh(z)": lambda v: torch.tanh(v["z"])}
    ),
    "eq-softsign": Form(
        given={"z": real}, stated={"g(z)": lambda v: F.softsign(v["z"])}
    ),
    "eq-sigmoid-derivative": Form(
        given={"z": real},
        stated={r"\operatorname{sigmoid}'(z)": lambda v: slope(torch.sigmoid, v["z"])},
    ),
    "eq-tanh-derivative": Form(
        given={"z": real}, stated={r"\tanh'(z)": lambda v: slope(torch.tanh, v["z"])}
    ),
    "eq-softsign-derivative": Form(
        given={"z": real}, stated={"g'(z)": lambda v: slope(F.softsign, v["z"])}
    ),
    "eq-activation-tails": Form(given={"z": above}),
    "eq-saturation-weights": Form(
        given={"n": integer(2, 50)},
        stated={"v": uniform_variance},
    ),
    "eq-activation-moments": Form(
        given={
            r"\mu": unit,
            r"\sigma": unit,
            "r": integer(60, 60),
            "z_i": data("r", of=Draw(9 * torch.tensor(NODES), 9 * torch.tensor(NODES))),
            r"\omega_i": data(
                "r", of=Draw(9 * torch.tensor(WEIGHTS), 9 * torch.tensor(WEIGHTS))
            ),
        },
        functions={r"\psi": torch.tanh, r"\varphi": normal_pdf},
        stated={
            r"\operatorname{E}[\psi(X)]": tanh_moment,
            r"\int_{-\infty}^{\infty} \psi(\mu + \sigma z) \, \varphi(z) \, dz": (
                lambda v: normal_mean(torch.tanh, v[r"\mu"].item(), v[r"\sigma"].item())
            ),
        },
        approx=1e-9,
    ),
    "eq-saturation-forward": Form(
        given={"q": unit},
        stated={
            r"\sigma^2": lambda v: over_signs(with_mean_square(v["q"])),
            "q'": lambda v: activation_moments(torch.sigmoid, 0.0, (v["q"] / 3).sqrt())[
                1
            ],
            r"\operatorname{E}[g(\sigma Z)^2]": of_sigmoid(lambda h: h**2),
            r"\operatorname{Var}[g(\sigma Z)]": sigmoid_variance,
            r"\operatorname{E}[g(\sigma Z)]": of_sigmoid(lambda h: h),
        },
    ),
    "eq-saturation-sigmoid-factor": Form(
        given={"c": Draw(0.25, 0.25)}, stated={r"\frac{1}{48}": largest_factor}
    ),
    "eq-cost-slopes": Form(
        given={"p": unit, "t": unit},
        stated={
            r"\frac{\partial L_{\mathrm{CE}}}{\partial z}": cost_slope(cross_entropy),
            r"\frac{\partial L_{\mathrm{Q}}}{\partial z}": cost_slope(
                lambda p, t: (p - t) ** 2
            ),
        },
    ),
    "eq-quadratic-steepest": Form(stated={r"\frac{8}{27}": steepest}),
    "eq-saturation-contraction": Form(
        given={"c": positive, "D": positive},
        points=20,
        stated={"D'": lambda v: v["c"] ** 2 * over_signs(with_mean_square(v["D"]))},
    ),
    "eq-saturation-factor": Form(
        given={r"\sigma": unit},
        stated={
            r"\chi": difference_factor,
            r"\operatorname{E}[g'(\sigma Z)^2]": lambda v: slope_square(
                v[r"\sigma"].item()
            ),
        },
        rtol=1e-7,
    ),
    "eq-saturation-backward": Form(
        given={"Q'": positive},
        stated={
            "Q": backward,
            r"\chi": lambda _: activation_moments(torch.tanh, 0.0, 0.7)[2] / 3,
        },
    ),
}
