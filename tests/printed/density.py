"""Closed forms of the page on probability density, evaluated as they are printed."""

import math

import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import binom
from scipy.stats import gaussian_kde as scipy_kde

from lib import gaussian_kde, normal_cdf, normal_pdf
from tests.as_printed import Draw, Form, data, integer, positive, real, unit


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


def bar(v):
    """Distribution of the height of a bar."""
    return binom(v["n"], float(v[r"\theta"])), v["n"] * v[r"\Delta"]


def with_spread(v):
    """A sample of n observations with the unbiased standard deviation s."""
    sample = torch.arange(v["n"], dtype=torch.float64) ** 2
    return v["s"] * sample / sample.std()


def kde_moment(power, x, sample, h):
    low, high = (sample.min() - 12 * h).item(), (sample.max() + 12 * h).item()
    about = x if power == 2 else 0.0
    return integral(
        lambda t: (t - about) ** power * gaussian_kde(t, sample, h), low, high
    )


def estimate(v):
    """SciPy's kernel density estimate with bandwidth h, at x."""
    factor = float(v["h"] / v["x_i"].std())
    return scipy_kde(v["x_i"].numpy(), factor)(v["x"].item())


def bandwidth(v):
    """Scott's bandwidth as SciPy has it: the root of its kernels' variance."""
    return scipy_kde(with_spread(v).numpy(), "scott").covariance[0, 0] ** 0.5


def kde_variance(v):
    sample = with_spread(v)
    h = bandwidth(v)
    return kde_moment(2, kde_moment(1, 0.0, sample, h), sample, h)


def kde_outcomes(v):
    """Estimates at 0.2, and single bumps there, for X = ±1 with equal probability."""
    x = torch.tensor(0.2, dtype=torch.float64)
    samples = 2 * patterns(v["n"]) - 1
    kde = torch.stack([gaussian_kde(x, sample, 0.7) for sample in samples])
    signs = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    bump = torch.stack([gaussian_kde(x, sign, 0.7) for sign in signs])
    return kde, bump


def smoothed(v):
    def integrand(u):
        x, h = v["x"], v["h"]
        return normal_pdf(x - u, 0.0, h) * normal_pdf(u, v[r"\mu"], v[r"\sigma"])

    return integral(integrand, -30.0, 30.0)


def best_bandwidth(v):
    def log_error(t):  # as a function of ln h, in which it has one minimum
        h = math.exp(t)
        return math.log(v["A"] * h**4 + v["C"] / (v["n"] * h))

    found = minimize_scalar(log_error, bounds=(-5, 3), options={"xatol": 1e-9})
    return math.exp(found.x)


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
    "eq-histogram-area": Form(
        given={
            "B": integer(2, 6),
            "k_j": data("B"),
            "n": integer(3, 9),
            r"\Delta": positive,
        },
    ),
    "eq-histogram-expectation": Form(
        given={r"\theta": unit, r"\Delta": positive, "n": integer(2, 9)},
        stated={
            r"\operatorname{E}[\frac{K}{n\Delta}]": lambda v: (
                bar(v)[0].expect() / bar(v)[1]
            )
        },
    ),
    "eq-histogram-error": Form(
        given={r"\theta": unit, r"\Delta": positive, "n": integer(2, 9)},
        stated={
            r"\sqrt{\operatorname{Var}[\frac{K}{n\Delta}]}": lambda v: (
                bar(v)[0].std() / bar(v)[1]
            )
        },
    ),
    "eq-kde": Form(
        given={"n": integer(2, 6), "x_i": data("n"), "x": real, "h": positive},
        stated={r"\hat{f}(x)": estimate},
        functions={r"\varphi": normal_pdf},
    ),
    "eq-scott-bandwidth": Form(
        given={"s": positive, "n": integer(2, 9)},
        stated={"h": bandwidth},
    ),
    "eq-kde-moments": Form(
        given={"n": integer(2, 6), "x_i": data("n"), "h": positive},
        stated={
            r"\operatorname{E}[X^*]": lambda v: kde_moment(1, 0.0, v["x_i"], v["h"]),
            r"\operatorname{E}[(X^*)^2]": lambda v: kde_moment(
                2, 0.0, v["x_i"], v["h"]
            ),
        },
    ),
    "eq-kde-variance": Form(
        given={"s": positive, "n": integer(2, 9)},
        stated={
            r"\operatorname{Var}[X^*]": kde_variance,
            r"\hat{\sigma}": lambda v: with_spread(v).std(correction=0),
            "h": bandwidth,
        },
    ),
    "eq-kde-noise": Form(
        given={"n": integer(2, 6)},
        stated={
            r"\operatorname{Var}[\hat{f}(x)]": lambda v: kde_outcomes(v)[0].var(
                correction=0
            ),
            r"\operatorname{E}[T^2]": lambda v: (kde_outcomes(v)[1] ** 2).mean(),
            r"\operatorname{E}[T]": lambda v: kde_outcomes(v)[1].mean(),
        },
    ),
    "eq-kde-normal-expectation": Form(
        given={"x": real, r"\mu": real, r"\sigma": positive, "h": positive},
        stated={
            r"\int_{-\infty}^{\infty} \frac{1}{h}"
            r" \varphi\Bigl(\frac{x - u}{h}\Bigr) f(u)\,du": smoothed
        },
        functions={r"\varphi": normal_pdf},
    ),
    "eq-bandwidth-optimum": Form(
        given={"A": positive, "C": positive, "n": integer(2, 500)},
        stated={"h": best_bandwidth},
        rtol=1e-6,  # a minimum is flat: its place is found to half the digits
    ),
}
