"""Closed forms of the page on the algebra of variance, as they are printed.

Expectations are computed from laws with finitely many values: all of them are listed
with their probabilities, so that a moment is a sum. Normal laws become such lists by
Gauss-Hermite quadrature, which is exact for the polynomials among them.
"""

import itertools
import math

import numpy as np
import torch

from tests.as_printed import Form, data, integer, positive, real, unit


def normal(nodes=20):
    z, weight = np.polynomial.hermite_e.hermegauss(nodes)
    return z, weight / weight.sum()


def product(*laws):
    """All combinations of values of independent laws, and their probabilities."""
    values = itertools.product(*(law[0] for law in laws))
    chances = itertools.product(*(law[1] for law in laws))
    return np.array(list(values)), np.array([math.prod(c) for c in chances])


def coins(sizes):
    """Independent values ±size, each sign with probability 1/2."""
    return product(*(([-float(s), float(s)], [0.5, 0.5]) for s in sizes))


def mean(values, chances):
    return float((values * chances).sum())


def variance(values, chances):
    return mean((values - mean(values, chances)) ** 2, chances)


def covariance(x, y, chances):
    centred = (x - mean(x, chances)) * (y - mean(y, chances))
    return mean(centred, chances)


def slope(x, y, chances):
    return covariance(x, y, chances) / variance(y, chances)


def pair(v, correlation=0.6):
    """Two dependent normal variables with the drawn means and spreads."""
    values, chances = product(normal(), normal())
    a, b = values.T
    b = correlation * a + math.sqrt(1 - correlation**2) * b
    x = float(v.get(r"\mu_{X}", 0.0)) + float(v.get(r"\sigma_{X}", 1.0)) * a
    y = float(v.get(r"\mu_{Y}", 0.0)) + float(v.get(r"\sigma_{Y}", 1.0)) * b
    return x, y, chances


def apart(v, centred=False):
    """Two independent variables, neither normal, with the drawn means and spreads."""
    skew = [-math.sqrt(3), 1 / math.sqrt(3)], [0.25, 0.75]  # mean 0, variance 1
    flat = [-math.sqrt(1.5), 0.0, math.sqrt(1.5)], [1 / 3] * 3
    values, chances = product(skew, flat)
    names = ("W", "X") if centred else ("X", "Y")
    first, second = (
        float(v.get(rf"\mu_{{{name}}}", 0.0)) + float(v[rf"\sigma_{{{name}}}"]) * column
        for name, column in zip(names, values.T, strict=True)
    )
    return first, second, chances


def of_pair(function, correlation=None):
    def value(v):
        rho = 0.6 if correlation is None else float(v[correlation])
        return function(v, *pair(v, rho))

    return value


APART = {r"\mu_{X}": 0.7, r"\mu_{Y}": -0.4, r"\sigma_{X}": 1.3, r"\sigma_{Y}": 0.6}


def of_powers(function):
    """Of two independent variables, one raised to the third power, one an exponent."""

    def value(v):
        x, y, chances = apart(APART)
        return mean(function(x**3, np.exp(y)), chances)

    return value


def of_apart(function, centred=False):
    return lambda v: function(*apart(v, centred))


def masked(v):
    """Values of M X and their probabilities, for a normal X."""
    p, (z, chance) = float(v["p"]), normal()
    x = float(v[r"\mu_{X}"]) + float(v[r"\sigma_{X}"]) * z
    values = np.concatenate([0 * x, x / (1 - p)])
    return values, np.concatenate([p * chance, (1 - p) * chance])


def coin_sum(v):
    values, chances = coins(v[r"\sigma_i"])
    return variance(values @ v["a_i"].numpy(), chances)


def of_covariances(v):
    """Mixed coins with the given covariances, but for variances larger by `extra`."""
    covariances, extra = (v["c_{i,j}"] + v["c_{i,j}"].T) / 2, 20.0
    n, factors = v["n"], v["a_i"].numpy()
    mix = torch.linalg.cholesky(covariances + extra * torch.eye(n)).numpy()
    values, chances = coins([1.0] * n)
    return variance(values @ mix.T @ factors, chances) - extra * (factors**2).sum()


def coin_mean(v):
    values, chances = coins([v[r"\sigma"]] * v["n"])
    return variance(values.mean(1), chances)


def correlated_mean(v):
    """A common coin beside one for each term."""
    rho, n, sigma = float(v[r"\rho"]), v["n"], float(v[r"\sigma"])
    values, chances = coins([1.0] * (n + 1))
    terms = math.sqrt(rho) * values[:, :1] + math.sqrt(1 - rho) * values[:, 1:]
    return variance(sigma * terms.mean(1), chances)


def conditional(function):
    """Of the conditional means and variances of Y given X, and the law of X."""

    def value(_):
        x, noise = normal(6)[0], np.array([-1.0, 0.0, 2.0])
        chance = np.array([0.3, 0.5, 0.2])  # of the noise, at every x
        y = x[:, None] ** 2 + (1 + 0.5 * x[:, None]) * noise
        share = normal(6)[1]
        centres = (y * chance).sum(1)
        spreads = ((y - centres[:, None]) ** 2 * chance).sum(1)
        return function(centres, spreads, share, y, share[:, None] * chance)

    return value


def batch(function):
    """Of all batches of m correlated coins."""

    def value(v):
        rho, m, sigma = float(v[r"\rho"]), v["m"], float(v[r"\sigma"])
        values, chances = coins([1.0] * (m + 1))
        examples = math.sqrt(rho) * values[:, :1] + math.sqrt(1 - rho) * values[:, 1:]
        return function(3.0 + sigma * examples, chances)

    return value


def dropout(v):
    masks, chances = product(
        *[([0.0, 1 / (1 - float(v["p"]))], [float(v["p"]), 1 - float(v["p"])])] * v["n"]
    )
    return variance(masks @ (v["w_i"] * v["x_i"]).numpy(), chances)


MEANS = {r"\mu_{X}": real, r"\mu_{Y}": real}
SPREADS = {r"\sigma_{X}": positive, r"\sigma_{Y}": positive}
ANGLE = np.arange(64) * 2 * math.pi / 64
SQUARES = np.cos(ANGLE) ** 2, np.sin(ANGLE) ** 2


FORMS = {
    "eq-linearity": Form(
        given={"a": real, "b": real, **MEANS},
        stated={
            r"\operatorname{E}[a X + b Y]": of_pair(
                lambda v, x, y, p: mean(float(v["a"]) * x + float(v["b"]) * y, p)
            )
        },
    ),
    "eq-expectation-product": Form(
        stated={
            r"\operatorname{E}[g(X) \, h(Y)]": of_powers(lambda g, h: g * h),
            r"\operatorname{E}[g(X)]": of_powers(lambda g, h: g),
            r"\operatorname{E}[h(Y)]": of_powers(lambda g, h: h),
        },
    ),
    "eq-covariance-moments": Form(
        given=MEANS,
        stated={
            r"\operatorname{Cov}[X, Y]": of_pair(
                lambda v, x, y, p: covariance(x, y, p)
            ),
            r"\operatorname{E}[X Y - \mu_{X} Y - \mu_{Y} X + \mu_{X} \mu_{Y}]": of_pair(
                lambda v, x, y, p: mean(
                    (x - float(v[r"\mu_{X}"])) * (y - float(v[r"\mu_{Y}"])), p
                )
            ),
            r"\operatorname{E}[X Y]": of_pair(lambda v, x, y, p: mean(x * y, p)),
        },
    ),
    "eq-variance-difference": Form(
        given={"t": real, r"\rho": unit, **SPREADS},
        stated={
            r"\operatorname{Var}[X - t Y]": of_pair(
                lambda v, x, y, p: variance(x - float(v["t"]) * y, p), r"\rho"
            )
        },
    ),
    "eq-residual-variance": Form(
        given={r"\rho": unit, r"\sigma_{X}": positive, r"\sigma_{Y}": positive},
        stated={
            "t^*": of_pair(lambda v, x, y, p: slope(x, y, p), r"\rho"),
            r"\operatorname{Var}[X - t^* Y]": of_pair(
                lambda v, x, y, p: variance(x - slope(x, y, p) * y, p), r"\rho"
            ),
        },
    ),
    "eq-circle": Form(
        stated={
            r"\operatorname{Cov}[X^2, Y^2]": lambda v: covariance(*SQUARES, 1 / 64),
            r"\operatorname{Var}[X^2]": lambda v: variance(SQUARES[0], 1 / 64),
        },
    ),
    "eq-variance-sum": Form(
        given={"n": integer(2, 6), "a_i": data("n"), "c_{i,j}": data("n", "n")},
        stated={
            r"\operatorname{Var}\left[\sum_{i=1}^{n} a_i X_i\right]": of_covariances
        },
    ),
    "eq-variance-uncorrelated": Form(
        given={"n": integer(2, 6), "a_i": data("n"), r"\sigma_i": data("n")},
        stated={
            r"\operatorname{Var}\left[\sum_{i=1}^{n} a_i X_i\right]": coin_sum,
        },
    ),
    "eq-variance-mean": Form(
        given={"n": integer(2, 6), r"\sigma": positive},
        stated={r"\operatorname{Var}[\bar{X}]": coin_mean},
    ),
    "eq-variance-mean-correlated": Form(
        given={"n": integer(2, 6), r"\sigma": positive, r"\rho": unit},
        stated={r"\operatorname{Var}[\bar{X}]": correlated_mean},
    ),
    "eq-variance-product": Form(
        given={**MEANS, **SPREADS},
        stated={
            r"\operatorname{Var}[X Y]": of_apart(lambda x, y, p: variance(x * y, p)),
            r"\operatorname{E}[X^2]": of_apart(lambda x, y, p: mean(x**2, p)),
            r"\operatorname{E}[Y^2]": of_apart(lambda x, y, p: mean(y**2, p)),
            r"\operatorname{E}[X]": of_apart(lambda x, y, p: mean(x, p)),
            r"\operatorname{E}[Y]": of_apart(lambda x, y, p: mean(y, p)),
        },
    ),
    "eq-variance-centred-product": Form(
        given={r"\sigma_{W}": positive, r"\sigma_{X}": positive, r"\mu_{X}": real},
        stated={
            r"\operatorname{Var}[W X]": of_apart(
                lambda w, x, p: variance(w * x, p), centred=True
            ),
            r"\operatorname{Var}[W]": of_apart(
                lambda w, x, p: variance(w, p), centred=True
            ),
            r"\operatorname{E}[X^2]": of_apart(
                lambda w, x, p: mean(x**2, p), centred=True
            ),
        },
    ),
    "eq-variance-mask": Form(
        given={"p": unit, r"\sigma_{X}": positive, r"\mu_{X}": real},
        stated={r"\operatorname{Var}[M X]": lambda v: variance(*masked(v))},
    ),
    "eq-total-variance": Form(
        stated={
            r"\operatorname{E}[\operatorname{Var}[Y \mid X]]": conditional(
                lambda centres, spreads, share, y, p: mean(spreads, share)
            ),
            r"\operatorname{Var}[\operatorname{E}[Y \mid X]]": conditional(
                lambda centres, spreads, share, y, p: variance(centres, share)
            ),
            r"\operatorname{Var}[Y]": conditional(
                lambda centres, spreads, share, y, p: variance(y, p)
            ),
        },
    ),
    "eq-batch-estimate": Form(
        given={"m": integer(2, 6), r"\sigma": positive, r"\rho": unit},
        stated={
            r"\operatorname{E}[\hat{\sigma}^2]": batch(lambda x, p: mean(x.var(1), p)),
            r"\operatorname{Var}[\bar{x}]": batch(lambda x, p: variance(x.mean(1), p)),
        },
    ),
    "eq-dropout-variance": Form(
        given={
            "n": integer(2, 6),
            "p": unit,
            "w_i": data("n"),
            "x_i": data("n"),
        },
        stated={
            r"\operatorname{Var}\left[\sum_{i=1}^{n} M_i w_i x_i\right]": dropout,
        },
    ),
}
