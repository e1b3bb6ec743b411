"""Closed forms of the page that measures Xavier initialisation, as they are printed."""

import itertools
import math

import numpy as np
import torch
from scipy import integrate

from tests.as_printed import Form, data, integer, positive


def two_values(v):
    """Mean square of entries that are the mean plus or minus the deviation."""
    mean, std = v[r"\mu_j"], v[r"\sigma_j"]
    return float((torch.cat([mean + std, mean - std]) ** 2).mean())


def frobenius(v):
    """Of diag(g'(Wh)) W with normal rows, by quadrature along h and across it."""
    n, variance, sigma = v["n"], float(v["v"]), float(v[r"\sigma"])
    z, weight = np.polynomial.hermite_e.hermegauss(60)
    weight = weight / weight.sum()
    slopes = (1 - np.tanh(sigma * z) ** 2) ** 2
    along, across = z[:, None] ** 2, (n - 1) * z**2
    rows = slopes[:, None] * variance * (along + across)
    return float((rows * weight[:, None] * weight).sum())


def slope_moment(power):
    def value(v):
        sigma = float(v[r"\sigma"])
        z, weight = np.polynomial.hermite_e.hermegauss(60)
        slopes = (1 - np.tanh(sigma * z) ** 2) ** 2
        return float((slopes * z**power * weight / weight.sum()).sum())

    return value


def quarter(function):
    """Expectation under the quarter circle, by SciPy."""
    return lambda v: integrate.quad(
        lambda s: function(s) * math.sqrt(4 - s**2) / math.pi, 0, 2, epsabs=1e-12
    )[0]


def shapeset_error(v):
    """Of the best constant answer: list the kinds of one object, and of two."""
    chance = {}
    for kind in range(3):
        chance[(kind,)] = 1 / 6
    for pair in itertools.product(range(3), repeat=2):
        key = tuple(sorted(pair))
        chance[key] = chance.get(key, 0) + 1 / 18
    assert math.isclose(sum(chance.values()), 1)
    return 1 - max(chance.values())


FORMS = {
    "eq-xavier-uncentred": Form(
        given={
            "n_0": integer(2, 5),
            r"\sigma_j": data("n_0", of=positive),
            r"\mu_j": data("n_0"),
        },
        stated={"q_0": two_values},
    ),
    "eq-xavier-jacobian": Form(
        given={"n": integer(2, 6), "v": positive, r"\sigma": positive},
        stated={
            r"\operatorname{E}\left[\frac{1}{n} \sum_{i=1}^{n} s_i^2\right]": frobenius,
            r"\operatorname{E}[g'(\sigma Z)^2]": slope_moment(0),
            r"\operatorname{E}[Z^2 g'(\sigma Z)^2]": slope_moment(2),
        },
    ),
    "eq-quarter-circle": Form(
        stated={
            r"\frac{1}{\pi} \int_0^2 s \sqrt{4 - s^2} \, ds": quarter(lambda s: s),
            r"\frac{1}{\pi} \int_0^2 s^2 \sqrt{4 - s^2} \, ds": quarter(lambda s: s**2),
            r"\frac{1}{\pi} \int_0^2 \ln(s) \sqrt{4 - s^2} \, ds": quarter(math.log),
        }
    ),
    "eq-xavier-chance": Form(stated={r"\frac{5}{6}": shapeset_error}),
}
