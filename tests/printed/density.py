"""Closed forms of the page on probability density, evaluated as they are printed."""

import torch
from scipy.integrate import quad

from lib import normal_cdf, normal_pdf
from tests.as_printed import Draw, Form, integer, positive, real, unit


def integral(f, low, high):
    """Integral of a function of a tensor."""
    value = quad(
        lambda x: float(f(torch.tensor(x, dtype=torch.float64))),
        low,
        high,
        epsabs=1e-12,
        epsrel=1e-11,
        limit=200,
    )
    return value[0]


def slope(f, x):
    """Derivative of a function, by automatic differentiation."""
    x = torch.as_tensor(x, dtype=torch.float64).detach().requires_grad_()
    return torch.autograd.grad(f(x), x)[0]


def patterns(n):
    """All sequences of n zeros and ones."""
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * n)


def chances(n, theta):
    """Probabilities of these sequences."""
    return torch.where(patterns(n) == 1, theta, 1 - theta).prod(1)


def moments_of_mean(v):
    """Of the mean of n draws of μ - σ or μ + σ, over all outcomes."""
    signs = 2 * patterns(v["n"]) - 1
    means = (v[r"\mu"] + v[r"\sigma"] * signs).mean(1)
    return means.mean(), means.var(correction=0)


def moments_of_frequency(v):
    share = patterns(v["n"]).mean(1)
    chance = chances(v["n"], v[r"\theta"])
    mean = (chance * share).sum()
    return mean, (chance * (share - mean) ** 2).sum()


def two_points(v):
    """Two equally likely values with mean μ and standard deviation σ."""
    signs = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    return v[r"\mu"] + v[r"\sigma"] * signs


def uniform_share(v):
    """Area between u and v under the constant that has area 1 between a and b."""
    height = 1 / integral(torch.ones_like, v["a"], v["b"])
    return integral(lambda x: height * torch.ones_like(x), v["u"], v["v"])


def up_to(v, y):
    """P(aX + b ≤ y) for a standard normal X."""
    z = (y - v["b"]) / v["a"]
    return torch.special.ndtr(z if v["a"] > 0 else -z)


FORMS = {
    "eq-binomial-pmf": Form(
        given={"n": integer(2, 6), "k": integer(0, 2), r"\theta": unit},
        stated={
            "p(k)": lambda v: chances(v["n"], v[r"\theta"])[
                patterns(v["n"]).sum(1) == v["k"]
            ].sum()
        },
    ),
    "eq-uniform-interval": Form(
        given={"u": real, "v": real, "a": Draw(-2.0, -0.5), "b": Draw(0.5, 2.0)},
        stated={r"\int_u^v f(x)\,dx": uniform_share},
    ),
    "eq-interval-probability": Form(
        given={"a": real, "b": real},
        stated={r"\int_a^b f(x)\,dx": lambda v: integral(normal_pdf, v["a"], v["b"])},
        functions={"F": normal_cdf},
    ),
    "eq-density-slope": Form(
        given={"x": real},
        functions={"F'": lambda x: slope(torch.special.ndtr, x), "f": normal_pdf},
    ),
    "eq-logistic-pdf": Form(
        given={"x": real},
        stated={
            "F(x)": lambda v: torch.sigmoid(v["x"]),
            "f(x)": lambda v: slope(torch.sigmoid, v["x"]),
        },
    ),
    "eq-logistic-quantile": Form(
        given={"u": unit}, stated={"F^{-1}(u)": lambda v: torch.logit(v["u"])}
    ),
    "eq-affine-expectation": Form(
        given={"a": real, "b": real, r"\mu": real},
        stated={
            r"\operatorname{E}[aX + b]": lambda v: (
                v["a"] * two_points(v | {r"\sigma": 1.3}) + v["b"]
            ).mean(),
            r"\int_{-\infty}^{\infty} (a x + b) f(x)\,dx": lambda v: integral(
                lambda x: (v["a"] * x + v["b"]) * normal_pdf(x, v[r"\mu"]),
                -15.0,
                15.0,
            ),
        },
    ),
    "eq-affine-variance": Form(
        given={"a": real, "b": real, r"\mu": real, r"\sigma": positive},
        stated={
            r"\operatorname{Var}[aX + b]": lambda v: (
                v["a"] * two_points(v) + v["b"]
            ).var(correction=0),
            r"\operatorname{E}[(aX + b - a\mu - b)^2]": lambda v: integral(
                lambda x: (
                    (v["a"] * x + v["b"] - v["a"] * v[r"\mu"] - v["b"]) ** 2
                    * normal_pdf(x, v[r"\mu"], v[r"\sigma"])
                ),
                v[r"\mu"] - 12 * v[r"\sigma"],
                v[r"\mu"] + 12 * v[r"\sigma"],
            ),
        },
    ),
    "eq-second-moment-parts": Form(
        given={r"\mu": real, r"\sigma": positive},
        stated={r"\operatorname{E}[X^2]": lambda v: (two_points(v) ** 2).mean()},
    ),
    "eq-sample-mean-moments": Form(
        given={r"\mu": real, r"\sigma": positive, "n": integer(2, 6)},
        stated={
            r"\operatorname{E}[\bar{X}]": lambda v: moments_of_mean(v)[0],
            r"\operatorname{Var}[\bar{X}]": lambda v: moments_of_mean(v)[1],
        },
    ),
    "eq-frequency-moments": Form(
        given={r"\theta": unit, "n": integer(2, 6)},
        stated={
            r"\operatorname{E}[\frac{K}{n}]": lambda v: moments_of_frequency(v)[0],
            r"\operatorname{Var}[\frac{K}{n}]": lambda v: moments_of_frequency(v)[1],
        },
    ),
    "eq-change-of-variables": Form(
        given={"x": real},
        stated={
            "f_Y(y)": lambda v: slope(
                lambda y: torch.special.ndtr(torch.atanh(y)), torch.tanh(v["x"])
            )
        },
        functions={"f_X": normal_pdf, "g'": lambda x: slope(torch.tanh, x)},
    ),
    "eq-affine-density": Form(
        given={"a": real, "b": real, "y": real},
        stated={"f_Y(y)": lambda v: slope(lambda y: up_to(v, y), v["y"])},
        functions={"f_X": normal_pdf},
    ),
    "eq-density-standardised": Form(
        given={r"\mu": real, r"\sigma": positive, "z": real},
        stated={
            "f_Z(z)": lambda v: slope(
                lambda z: torch.special.ndtr(v[r"\mu"] + v[r"\sigma"] * z), v["z"]
            )
        },
        functions={"f_X": normal_pdf},
    ),
}
