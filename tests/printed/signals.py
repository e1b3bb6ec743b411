"""Closed forms of the page on variance through a layer, as they are printed.

As on the page on the algebra of variance, expectations are sums over all values of
laws that have finitely many.
"""

import math

import numpy as np
from scipy import integrate, interpolate, stats

from tests.as_printed import Draw, Form, data, integer, positive, real
from tests.printed.variance import coins, covariance, mean, normal, product, variance


def preactivation(v):
    """Coins as weights; all inputs the same number, 0 or not."""
    weights, chances = coins([math.sqrt(v[r"\operatorname{Var}[w]"])] * v["n"])
    size = math.sqrt(4 * float(v[r"\operatorname{E}[x^2]"]))  # with probability 1/4
    z = weights.sum(1)
    values = np.concatenate([size * z, 0 * z])
    return variance(values, np.concatenate([chances / 4, 3 * chances / 4]))


def offset_weights(v):
    """Coins around the drawn mean, one row for each pattern, and their chances."""
    size = math.sqrt(v[r"\operatorname{Var}[w]"])
    weights, chances = coins([size] * v["n"])
    return weights + float(v.get(r"\mu_{w}", 0.0)), chances


def inputs(v):
    """Three possible inputs: dependent entries, drawn second moments, means not 0."""
    root = v["q_i"].sqrt().numpy()
    signs = np.where(np.arange(len(root)) % 2, -1.0, 1.0)
    values = np.array([2 * root, -root * signs, 0 * root])
    return values, np.array([0.15, 0.4, 0.45])


def of_inputs(v):
    weights, chances = offset_weights(v)
    values, shares = inputs(v)
    return variance(weights @ values.T, chances[:, None] * shares)


def sum_of_inputs(v):
    values, shares = inputs(v)
    return variance(values.sum(1), shares)


def batch_variance(v):
    """Mean over the weights of the variance over two possible inputs."""
    weights, chances = offset_weights(v)
    spread = v[r"\sigma_i"].numpy()
    values = 0.7 + np.array([2 * spread, -0.5 * spread])  # deviations, mean 0
    z, shares = weights @ values.T, np.array([0.2, 0.8])
    centre = (z * shares).sum(1, keepdims=True)
    return mean((((z - centre) ** 2) * shares).sum(1), chances)


def preactivation_given(v):
    weights, chances = coins([math.sqrt(v[r"\operatorname{Var}[w]"])] * v["n"])
    return variance(weights @ v["x_i"].numpy(), chances)


INPUTS = np.array([[1.0, 2.0, -0.5], [0.3, -1.0, 0.2], [1.5, 0.0, 0.7]])
CHANCES = np.array([0.2, 0.5, 0.3])
LENGTHS = (INPUTS**2).sum(1)


def units(function):
    """Two units with coins as weights, over weights and three possible inputs."""

    def value(v):
        size = math.sqrt(v.get(r"\operatorname{Var}[w]", 1.0))
        weights, chances = coins([size] * 6)
        z_j, z_k = weights[:, :3] @ INPUTS.T, weights[:, 3:] @ INPUTS.T
        return function(z_j, z_k, chances[:, None] * CHANCES)

    return value


def normal_unit(power):
    """A moment of a unit with three standard normal weights."""
    values, chances = product(*[normal(6)] * 3)
    return mean((values @ INPUTS.T) ** power, chances[:, None] * CHANCES)


def sum_moment(power, sizes, third, fourth):
    """Moment of a sum of independent terms, built up one term at a time."""
    moments = [1.0, 0.0, 0.0, 0.0, 0.0]
    for size in sizes:
        term = [1.0, 0.0, size**2, third * size**3, fourth * size**4]
        moments = [
            sum(math.comb(k, j) * moments[j] * term[k - j] for j in range(k + 1))
            for k in range(5)
        ]
    return moments[power]


def scaled_sum(power):
    def value(v):
        sizes = [v["n"] ** -0.5] * v["n"]
        return sum_moment(power, sizes, float(v["m_3"]), float(v["m_4"]))

    return value


def weighted_sum(power):
    return lambda v: sum_moment(power, v["x_i"].tolist(), 0.7, float(v["m_4"]))


def uniform_sum(v):
    density = interpolate.BSpline.basis_element(range(v["n"] + 1), extrapolate=False)
    cdf = density.antiderivative()
    return float(cdf(float(v["x"])) - cdf(0.0))


def normal_mean(g, v=None, *, kink=0.0):
    """E[g(X)] for a normal X and g with a kink, by adaptive quadrature."""
    v = v or {}
    mu, sigma = (float(v.get(k, d)) for k, d in ((r"\mu", 0), (r"\sigma", 1)))
    law = stats.norm(mu, sigma)
    pieces = ((mu - 14 * sigma, kink), (kink, mu + 14 * sigma))
    options = {"epsabs": 0, "epsrel": 1e-12, "limit": 200}
    return sum(
        integrate.quad(lambda x: g(x) * law.pdf(x), *piece, **options)[0]
        for piece in pieces
        if piece[0] < piece[1]
    )


def relu(x):
    return max(x, 0.0)


def relu_variance():
    centre = normal_mean(relu)
    return normal_mean(lambda x: (relu(x) - centre) ** 2)


def relu_skewness(_):
    centre = normal_mean(relu)
    return normal_mean(lambda x: (relu(x) - centre) ** 3) / relu_variance() ** 1.5


def sigmoid_variance(_):
    return normal_mean(lambda x: (1 / (1 + math.exp(-x)) - 0.5) ** 2)


def rectified():
    """ReLU(Z)² for a standard normal Z: exact for its first three moments."""
    z, chance = normal(4)
    values, shares = z[z > 0] ** 2, chance[z > 0]
    return np.append(values, 0.0), np.append(shares, 0.5)


def layers(v):
    """Q_d and its probability: all values of all units in networks of d layers."""
    n, d, spread = v["n"], v["d"], 2 * float(v[r"\lambda"])  # of z where Q = 1
    values, chances = product(*[rectified()] * (n * d))
    means = values.reshape(-1, d, n).mean(2)
    return float(v["Q_0"]) * (spread * means).prod(1), chances


def backward(v):
    """The gradient of the first of two inputs: coins as weights, two possible δ."""
    n = v[r"n_{\mathrm{out}}"]
    weights, chances = coins([math.sqrt(v[r"\operatorname{Var}[w]"])] * (2 * n))
    size = math.sqrt(v[r"\operatorname{E}[\delta^2]"])
    deltas = size * np.array([[2.0] * n, [0.0] * n])
    gradient = weights.reshape(-1, n, 2).transpose(0, 2, 1) @ deltas.T
    return variance(gradient[:, 0], chances[:, None] * np.array([0.25, 0.75]))


SPREAD_OF_LENGTH = r"\operatorname{Var}[\|\mathbf{x}\|^2]"
CURVES = {
    r"\Phi": lambda z: stats.norm.cdf(float(z)),
    r"\varphi": lambda z: stats.norm.pdf(float(z)),
}


FORMS = {
    "eq-uniform-variance": Form(
        given={"a": positive},
        stated={
            r"\operatorname{Var}[w]": lambda v: stats.uniform(
                -float(v["a"]), 2 * float(v["a"])
            ).var(),
            r"\frac{1}{2 a} \int_{-a}^{a} w^2 \, dw": lambda v: integrate.quad(
                lambda w: w**2 / (2 * float(v["a"])), -float(v["a"]), float(v["a"])
            )[0],
        },
    ),
    "eq-preactivation-variance": Form(
        given={
            "n": integer(2, 8),
            r"\operatorname{Var}[w]": positive,
            "q_i": data("n", of=positive),
        },
        stated={r"\operatorname{Var}[z]": of_inputs},
    ),
    "eq-preactivation-offset": Form(
        given={
            "n": integer(2, 8),
            r"\operatorname{Var}[w]": positive,
            r"\mu_{w}": real,
            "q_i": data("n", of=positive),
        },
        stated={
            r"\operatorname{Var}\left[\sum_{i=1}^{n} w_i x_i\right]": of_inputs,
            r"\operatorname{Var}\left[\sum_{i=1}^{n} x_i\right]": sum_of_inputs,
        },
    ),
    "eq-batch-variance": Form(
        given={
            "n": integer(2, 8),
            r"\operatorname{Var}[w]": positive,
            r"\sigma_i": data("n", of=positive),
        },
        stated={
            r"\operatorname{E}[\operatorname{Var}[z \mid \mathbf{w}]]": batch_variance
        },
    ),
    "eq-preactivation-equal": Form(
        given={
            "n": integer(2, 8),
            r"\operatorname{Var}[w]": positive,
            r"\operatorname{E}[x^2]": positive,
        },
        stated={r"\operatorname{Var}[z]": preactivation},
    ),
    "eq-preactivation-given": Form(
        given={
            "n": integer(2, 8),
            r"\operatorname{Var}[w]": positive,
            "x_i": data("n"),
        },
        stated={r"\operatorname{Var}[z]": preactivation_given},
    ),
    "eq-units-uncorrelated": Form(
        stated={r"\operatorname{Cov}[z_j, z_k]": units(covariance)},
    ),
    "eq-units-squares": Form(
        given={r"\operatorname{Var}[w]": positive},
        stated={
            r"\operatorname{Cov}[z_j^2, z_k^2]": units(
                lambda z_j, z_k, p: covariance(z_j**2, z_k**2, p)
            ),
            SPREAD_OF_LENGTH: lambda v: variance(LENGTHS, CHANCES),
        },
    ),
    "eq-sum-moments": Form(
        given={"n": integer(2, 8), "m_3": real, "m_4": positive},
        stated={
            r"\operatorname{E}[S_n^3]": scaled_sum(3),
            r"\operatorname{E}[S_n^4]": scaled_sum(4),
        },
    ),
    "eq-irwin-hall": Form(
        given={"n": integer(5, 9), "x": Draw(0.0, 5.0)},
        stated={"F_n(x)": uniform_sum, "r": lambda v: math.floor(v["x"])},
    ),
    "eq-preactivation-kurtosis": Form(
        given={"n": integer(2, 8), "m_4": positive, "x_i": data("n")},
        stated={
            r"\operatorname{E}[z^4]": weighted_sum(4),
            r"\operatorname{E}[z^2]": weighted_sum(2),
        },
    ),
    "eq-mixture-kurtosis": Form(
        stated={
            r"\operatorname{E}[z^4]": lambda v: normal_unit(4),
            r"\operatorname{E}[z^2]": lambda v: normal_unit(2),
            SPREAD_OF_LENGTH: lambda v: variance(LENGTHS, CHANCES),
            r"\operatorname{E}[\|\mathbf{x}\|^2]": lambda v: mean(LENGTHS, CHANCES),
        },
    ),
    "eq-relu-mean": Form(
        given={r"\mu": real, r"\sigma": positive},
        stated={
            r"\operatorname{E}[\operatorname{ReLU}(X)]": lambda v: normal_mean(relu, v)
        },
        functions=CURVES,
    ),
    "eq-relu-second-moment": Form(
        given={r"\mu": real, r"\sigma": positive},
        stated={
            r"\operatorname{E}[\operatorname{ReLU}(X)^2]": lambda v: normal_mean(
                lambda x: relu(x) ** 2, v
            )
        },
        functions=CURVES,
    ),
    "eq-relu-standard": Form(
        stated={
            r"\operatorname{E}[\operatorname{ReLU}(Z)]": lambda v: normal_mean(relu),
            r"\operatorname{E}[\operatorname{ReLU}(Z)^2]": lambda v: normal_mean(
                lambda x: relu(x) ** 2
            ),
            r"\operatorname{Var}[\operatorname{ReLU}(Z)]": lambda v: relu_variance(),
        },
    ),
    "eq-relu-skewness": Form(
        stated={
            r"\frac{\operatorname{E}[(\operatorname{ReLU}(Z) - \mu_{R})^3]}"
            r"{\operatorname{Var}[\operatorname{ReLU}(Z)]^{\frac32}}": relu_skewness
        },
    ),
    "eq-relu-symmetric": Form(
        stated={
            r"\operatorname{E}[\operatorname{ReLU}(z)^2]": units(
                lambda z, _, p: mean(np.maximum(z, 0) ** 2, p)
            ),
            r"\operatorname{E}[z^2]": units(lambda z, _, p: mean(z**2, p)),
        },
    ),
    "eq-tanh-variance": Form(
        given={r"\sigma": Draw(0.02, 0.06)},
        stated={
            r"\operatorname{Var}[\tanh(\sigma Z)]": lambda v: normal_mean(
                lambda x: math.tanh(x) ** 2, v
            )
        },
        approx=1e-4,
    ),
    "eq-sigmoid-variance": Form(
        stated={
            r"\operatorname{Var}[\operatorname{sigmoid}(Z)]": sigmoid_variance,
            r"\operatorname{Var}\left[\tanh\left(\frac{Z}{2}\right)\right]": (
                lambda v: normal_mean(lambda x: math.tanh(x / 2) ** 2)
            ),
        },
    ),
    "eq-three-layers": Form(
        given={
            "n": integer(2, 3),
            "d": integer(1, 3),
            r"\lambda": positive,
            "Q_0": positive,
        },
        stated={
            r"\operatorname{E}[Q_d]": lambda v: mean(*layers(v)),
            r"\operatorname{Var}[Q_d]": lambda v: variance(*layers(v)),
        },
    ),
    "eq-backward-variance": Form(
        given={
            r"n_{\mathrm{out}}": integer(1, 5),
            r"\operatorname{Var}[w]": positive,
            r"\operatorname{E}[\delta^2]": positive,
        },
        stated={
            r"\operatorname{Var}\left[\frac{\partial L}{\partial x_i}\right]": backward
        },
    ),
    "eq-relu-slope": Form(
        stated={
            r"\operatorname{E}[\operatorname{ReLU}'(z)^2]": units(
                lambda z, _, p: mean((z > 0) ** 2, p)
            )
        },
    ),
}
