"""Closed forms of the page on estimating a density, evaluated as they are printed."""

import math

import torch
from scipy.optimize import minimize_scalar
from scipy.stats import binom
from scipy.stats import gaussian_kde as scipy_kde

from lib import gaussian_kde, normal_pdf
from tests.as_printed import Form, data, integer, positive, real, unit
from tests.printed.density import integral, patterns


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
