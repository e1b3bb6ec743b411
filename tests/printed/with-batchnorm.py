"""Closed forms of the page on dropout and batch normalisation, as they are printed.

Variances are taken by listing all values and masks, or by quadrature.
"""

import math

import numpy as np
import torch
from scipy import integrate, optimize, stats

from lib.norm import batch_norm
from tests.as_printed import Draw, Form, data, integer, positive, real, unit

SIDES = r"\frac{\operatorname{Var}[h]}{\operatorname{Var}[h']}"


def product(*laws):
    """All combinations of independent discrete laws, a row each, and their chances."""
    values = np.stack([v.ravel() for v in np.meshgrid(*(a for a, _ in laws))], -1)
    chances = [v.ravel() for v in np.meshgrid(*(np.asarray(p) for _, p in laws))]
    return values, np.prod(chances, 0)


def mean(x, p):
    return (p * x).sum()


def variance(x, p):
    return mean((x - mean(x, p)) ** 2, p)


def mask(v):
    p = float(v["p"])
    return [0.0, 1 / (1 - p)], [p, 1 - p]


COIN = [-1.0, 1.0], [0.5, 0.5]


def unit_with_mask(v):
    """Values of h, of h', and their chances: a coin with the given moments."""
    values, chances = product(COIN, mask(v))
    h = float(v[r"\mu"]) + float(v[r"\sigma"]) * values[:, 0]
    return h, values[:, 1] * h, chances


def ratio(v):
    h, dropped, chances = unit_with_mask(v)
    return variance(h, chances) / variance(dropped, chances)


def relu_moment(k):
    law = stats.norm()
    return integrate.quad(lambda x: x**k * law.pdf(x), 0, 14, epsabs=1e-13)[0]


def relu_ratio(v):
    """The normal law of Z by quadrature, the mask by its two values."""
    p, (first, second) = float(v["p"]), (relu_moment(1), relu_moment(2))
    dropped = (1 - p) * second / (1 - p) ** 2 - first**2
    return (second - first**2) / dropped


def output(moment):
    """Of batch normalisation in evaluation mode that has recorded h'."""

    def value(v):
        h, dropped, chances = unit_with_mask(v)
        recorded = [mean(dropped, chances), variance(dropped, chances)]
        given = [*recorded, float(v[r"\gamma"]), float(v[r"\beta"])]
        own = [torch.tensor([number], dtype=torch.float64) for number in given]
        y = batch_norm(torch.tensor(h)[:, None], *own, eps=1e-300)
        return moment(y[:, 0].numpy(), chances)

    return value


def preactivation(masked):
    """Of units in which every second one is driven by one common coin."""

    def value(v):
        n, w = v["n"], v["w_i"].numpy()
        laws = [COIN] * (n + 1) + [mask(v)] * n
        values, chances = product(*laws)
        coins = values[:, : n + 1]
        h = np.stack([coins[:, 0 if i % 2 else i + 1] for i in range(n)], 1)
        h = h * np.sqrt(v["q_i"].numpy())
        return variance((values[:, n + 1 :] ** masked * h) @ w, chances)

    return value


def correlated(v):
    n, rho = v["n"], float(v[r"\rho"])
    values, chances = product(*[COIN] * (n + 1), *[mask(v)] * n)
    h = math.sqrt(rho) * values[:, :1] + math.sqrt(1 - rho) * values[:, 1 : n + 1]
    h = float(v[r"\mu"]) + float(v[r"\sigma"]) * h
    dropped = values[:, n + 1 :] * h
    return variance(h.sum(1), chances) / variance(dropped.sum(1), chances)


def noise(v):
    """Exact, for a normal batch: a normal mean and a chi-square sum of squares."""
    m, x = v["m"], float(v["x"])
    points, weights = np.polynomial.legendre.leggauss(120)
    a = 8 * points / math.sqrt(m - 1)  # mean of the others
    u = m - 2 + 8 * points * math.sqrt(2 * (m - 2))  # their sum of squares
    of_mean = weights * stats.norm(0, 1 / math.sqrt(m - 1)).pdf(a)
    chances = np.outer(of_mean, weights * stats.chi2(m - 2).pdf(u))
    gap = (x - a)[:, None]
    size = np.sqrt(u / m + (m - 1) / m**2 * gap**2)
    value = (m - 1) / m * gap / size
    return variance(value, chances / chances.sum())


def strength(v):
    """Where the two mean noises are equal, over the normal values of a unit."""
    m, law = v["m"], stats.norm()

    def excess(p):
        return law.expect(lambda x: p / (1 - p) * x**2 - (1 + x**2 / 2) / m)

    return optimize.brentq(excess, 1e-9, 0.9, xtol=1e-14)


UNIT = {"p": unit, r"\mu": real, r"\sigma": positive}

FORMS = {
    "eq-together-ratio": Form(given=UNIT, stated={SIDES: ratio}),
    "eq-together-relu": Form(given={"p": unit}, stated={SIDES: relu_ratio}),
    "eq-together-output": Form(
        given={**UNIT, r"\gamma": positive, r"\beta": real},
        stated={
            r"\operatorname{E}[y]": output(mean),
            r"\operatorname{Var}[y]": output(variance),
            "r": ratio,
        },
    ),
    "eq-together-preactivation": Form(
        given={
            "n": integer(2, 5),
            "p": unit,
            "w_i": data("n"),
            "q_i": data("n", of=positive),
        },
        stated={
            r"\operatorname{Var}[z']": preactivation(1),
            r"\operatorname{Var}[z]": preactivation(0),
        },
    ),
    "eq-together-correlated": Form(
        given={"n": integer(2, 5), r"\rho": unit, **UNIT},
        stated={r"\frac{\operatorname{Var}[z]}{\operatorname{Var}[z']}": correlated},
    ),
    "eq-together-noise": Form(
        given={"m": integer(2000, 5000), "x": Draw(-2.0, 2.0)},
        stated={r"\operatorname{Var}[\hat{x}]": noise},
        approx=5e-3,
    ),
    "eq-together-strength": Form(
        given={"m": integer(2, 200)}, stated={"p": strength}, rtol=1e-8
    ),
}
