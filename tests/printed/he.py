"""Closed forms of the page on He's initialisation, as they are printed.

Small networks are listed completely: a row of weights takes, with equal probability,
the values plus or minus a vector of an orthogonal frame, so that its entries are
uncorrelated with one variance and its law is symmetric, without being normal. Every
row has a frame of its own; a layer has two units, and where an equation asks for n,
the layer's weights are scaled as if n such units were added up.
"""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import integrate, special, stats

from tests.as_printed import Form, data, integer, positive, real

UNITS = 2
INPUT = np.array([[0.8, -1.3]])


def matrices(outputs, seed):
    """All values of a matrix with two columns, entries uncorrelated, variance 1."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(outputs):
        frame = math.sqrt(UNITS) * np.linalg.qr(rng.normal(size=(UNITS, UNITS)))[0]
        rows.append(np.concatenate([frame, -frame]))
    return np.array(list(itertools.product(*rows)))


def layer(h, size, outputs=UNITS, seed=0, biases=(0.0,)):
    """Pre-activations for all h, weights and biases: all equally likely."""
    z = np.einsum("pi,moi->pmo", h, size * matrices(outputs, seed))
    z = z.reshape(-1, outputs)
    shifts = np.array(list(itertools.product(biases, repeat=outputs)))
    return (z[:, None] + shifts).reshape(-1, outputs)


def relu(z):
    return np.maximum(z, 0)


def two_layers(which):
    """Moments of z in layer l - 1, of h there, and of z in layer l."""

    def value(v):
        b = math.sqrt(float(v.get(r"\operatorname{Var}[b]", 0.0)))
        biases = (-b, b) if b else (0.0,)
        before = layer(INPUT, 0.9, seed=1, biases=biases)
        if which == "before":
            return before.var()
        if which == "between":
            return (relu(before) ** 2).mean()
        size = math.sqrt(float(v["n_{l-1}"] * v["v_l"]) / UNITS)
        return layer(relu(before), size, 1, seed=2, biases=biases).var()

    return value


FORWARD = {
    r"\operatorname{Var}[z^{(l)}]": two_layers("after"),
    r"\operatorname{Var}[z^{(l-1)}]": two_layers("before"),
}


def pre_activations(v, sizes):
    """Variance of the first and of the last pre-activation."""
    z = layer(INPUT, float(sizes[0]), seed=1)
    first = z.var()
    for k, size in enumerate(sizes[1:], 2):
        z = layer(relu(z), float(size), UNITS if k < v["d"] else 1, seed=k)
    return first, z.var()


def forward(place):
    def value(v):
        n, variance = v["n_l"], v["v_l"]
        sizes = [variance[0].sqrt(), *(n[:-1] * variance[1:] / UNITS).sqrt()]
        return pre_activations(v, sizes)[place]

    return value


def fan_out_product(v):
    channels, kernel = v["C_l"], v["k_l"]
    fan_in = kernel[1:] ** 2 * channels[:-1]
    fan_out = kernel[1:] ** 2 * channels[1:]
    sizes = [0.9, *((fan_in / UNITS).sqrt() * (2 / fan_out).sqrt())]
    first, last = pre_activations(v, sizes)
    return last / first


def gradient(v, start):
    """Mean square of one entry of the gradient where layer `start` is given."""
    sizes = (v["n_k"] * v["v_k"] / UNITS).sqrt()
    h, u = INPUT * np.array([1.0, -1.0]), np.array([[1.0, 0.0]])  # h > 0
    for k in range(start + 1, v["d"]):
        w = float(sizes[k - 1]) * matrices(UNITS, 10 + k)
        z = np.einsum("pi,moi->pmo", h, w).reshape(-1, UNITS)
        u = np.einsum("pi,moi->pmo", u, w).reshape(-1, UNITS) * (z > 0)
        h = relu(z)
    return (layer(u, 0.7, 1, seed=9) ** 2).mean()


def one_layer_up(which):
    """Gradients around layer l, above which there is the output alone."""

    def value(v):
        w = float(v["v_l"]) ** 0.5 * matrices(UNITS, 3)
        z = np.einsum("pi,moi->pmo", INPUT, w).reshape(-1, UNITS)
        above = layer(np.eye(UNITS), 0.7, 1, seed=4).reshape(UNITS, -1).T
        by_h = above[:, None]  # (last layer, layer l, unit)
        by_z = by_h * (z > 0)
        if which == "h":
            return (by_h**2).mean()
        if which == "z":
            return (by_z**2).mean()
        scale = math.sqrt(float(v["n_l"]) / UNITS)
        return ((scale * np.einsum("pmo,moi->pmi", by_z, w)) ** 2).mean()

    return value


def ratio(function):
    """Of R: values and chances by a quadrature that is exact for its two moments."""

    def value(v):
        z, weight = np.polynomial.hermite_e.hermegauss(4)
        terms = 2 * np.where(z > 0, z, 0) ** 2
        n = v["n_l"]
        values = np.array(list(itertools.product(terms, repeat=n))).mean(1)
        chances = list(itertools.product(weight / weight.sum(), repeat=n))
        return function(values, np.prod(chances, axis=1))

    return value


def mean(values, chances):
    return float((values * chances).sum())


def log_chi2(power, k):
    """Mean of a power of the logarithm of a chi-squared variable, by quadrature."""

    def integrand(y):
        return y**power * math.exp(k * y / 2 - math.exp(y) / 2)

    pieces = ((-80 / k, -10 / k), (-10 / k, 0.0), (0.0, 2.0), (2.0, 6.0))
    options = {"epsabs": 1e-14, "epsrel": 1e-13, "limit": 400}
    total = sum(integrate.quad(integrand, *p, **options)[0] for p in pieces)
    return total / (2 ** (k / 2) * math.gamma(k / 2))


def log_ratio(power, n):
    """Mean of a power of ln R, given that a unit is open."""
    total = 0.0
    for k in range(1, n + 1):
        chance = stats.binom(n, 0.5).pmf(k) / (1 - 0.5**n)
        moments = [1.0, log_chi2(1, k), log_chi2(2, k)]
        shift = math.log(2 / n)
        total += chance * sum(
            math.comb(power, j) * shift ** (power - j) * moments[j]
            for j in range(power + 1)
        )
    return total


def wide(power):
    """Mean or variance of ln R for many units, from the sums over the open ones."""

    def value(v):
        n = v["n"]
        k = np.arange(1, n + 1)
        chance = stats.binom(n, 0.5).pmf(k)
        means = special.digamma(k / 2) + math.log(4 / n)
        if power == 1:
            return mean(means, chance)
        second = mean(means**2 + special.polygamma(1, k / 2), chance)
        return second - mean(means, chance) ** 2

    return value


def of_laplace(function):
    """Expectation for the density exp(-|z|) / 2."""

    def value(v):
        a = float(v.get("a", 0.0))

        def both_halves(z):
            return (function(z, a) + function(-z, a)) * math.exp(-z) / 2

        return integrate.quad(both_halves, 0, math.inf)[0]

    return value


def leaky(z, a):
    return z if z > 0 else a * z


def he_std(v):
    """The size of the weights with which one layer keeps a normal second moment."""
    a, law = float(v["a"]), stats.norm()
    second = sum(
        integrate.quad(lambda z: leaky(z, a) ** 2 * law.pdf(z), *half, epsrel=1e-12)[0]
        for half in ((-12, 0), (0, 12))
    )
    return (v["n"] * second) ** -0.5


def slope_gradient(v):
    a = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    loss = (v[r"\delta_j"] * F.prelu(v["z_j"], a)).sum()
    return torch.autograd.grad(loss, a)[0].item()


def self_reproducing(v):
    value = 0.0
    for _ in range(60):
        value = value / 6 + stats.uniform(-1, 2).var() / v["n"]
    return value


FORMS = {
    "eq-he-forward-steps": Form(
        given={"n_{l-1}": integer(1, 9), "v_l": positive},
        stated={
            **FORWARD,
            r"\operatorname{E}[(h^{(l-1)})^2]": two_layers("between"),
        },
    ),
    "eq-he-forward-step": Form(
        given={"n_{l-1}": integer(1, 9), "v_l": positive}, stated=FORWARD
    ),
    "eq-he-forward-product": Form(
        given={
            "d": integer(2, 4),
            "n_l": data("d", of=positive),
            "v_l": data("d", of=positive),
        },
        stated={
            r"\operatorname{Var}[z^{(1)}]": forward(0),
            r"\operatorname{Var}[z^{(d)}]": forward(1),
        },
    ),
    "eq-he-ratio-moments": Form(
        given={"n_l": integer(1, 5)},
        stated={
            r"\operatorname{E}[R_l]": ratio(mean),
            r"\operatorname{Var}[R_l]": ratio(
                lambda r, p: mean((r - mean(r, p)) ** 2, p)
            ),
        },
    ),
    "eq-he-log-step": Form(
        given={"n": integer(1, 6)},
        stated={
            r"\operatorname{E}[\ln R]": lambda v: log_ratio(1, v["n"]),
            r"\operatorname{Var}[\ln R]": lambda v: (
                log_ratio(2, v["n"]) - log_ratio(1, v["n"]) ** 2
            ),
            "m": lambda v: log_ratio(1, v["n"]) - math.log(4 / v["n"]),
        },
        functions={
            r"\psi": lambda x: special.digamma(float(x)),
            r"\psi'": lambda x: special.polygamma(1, float(x)),
        },
    ),
    "eq-he-log-step-wide": Form(
        given={"n": integer(2000, 2009)},
        stated={
            r"\operatorname{E}[\ln R]": wide(1),
            r"\operatorname{Var}[\ln R]": wide(2),
        },
        approx=5e-3,
    ),
    "eq-he-backward-steps": Form(
        given={"n_l": integer(1, 9), "v_l": positive},
        stated={
            r"\operatorname{E}[(\delta_{z}^{(l)})^2]": one_layer_up("z"),
            r"\operatorname{E}[(\delta_{h}^{(l)})^2]": one_layer_up("h"),
            r"\operatorname{E}[(\delta_{h}^{(l-1)})^2]": one_layer_up("below"),
        },
    ),
    "eq-he-backward-product": Form(
        given={
            "d": integer(2, 4),
            "l": integer(0, 1),
            "n_k": data("d", of=positive),
            "v_k": data("d", of=positive),
        },
        stated={
            r"\operatorname{E}[(\delta_{h}^{(l)})^2]": lambda v: gradient(v, v["l"]),
            r"\operatorname{E}[(\delta_{h}^{(d-1)})^2]": lambda v: gradient(
                v, v["d"] - 1
            ),
        },
    ),
    "eq-he-fan-ratio": Form(
        given={
            "d": integer(2, 4),
            "k_l": data("d", of=positive),
            "C_l": data("d", of=positive),
        },
        stated={
            r"\prod_{l=2}^{d} \frac12 k_l^2 C_{l-1} v_l": fan_out_product,
        },
    ),
    "eq-kaiming-std": Form(
        given={"a": real, "n": integer(1, 600)}, stated={"s": he_std}
    ),
    "eq-he-bias": Form(
        given={
            "n_{l-1}": integer(1, 9),
            "v_l": positive,
            r"\operatorname{Var}[b]": positive,
        },
        stated=FORWARD,
    ),
    "eq-leaky-relu": Form(
        given={"z": real, "a": real},
        stated={"g(z)": lambda v: F.leaky_relu(v["z"], float(v["a"]))},
    ),
    "eq-prelu": Form(
        given={"z": real, "a_c": real},
        stated={"g(z)": lambda v: F.prelu(v["z"].reshape(1), v["a_c"].reshape(1))[0]},
    ),
    "eq-rectifier-moments": Form(
        given={"a": real},
        stated={
            r"\operatorname{E}[g(z)^2]": of_laplace(lambda z, a: leaky(z, a) ** 2),
            r"\operatorname{E}[z^2]": of_laplace(lambda z, a: z**2),
            r"\operatorname{E}[g'(z)^2]": of_laplace(
                lambda z, a: 1.0 if z > 0 else a**2
            ),
        },
    ),
    "eq-rectifier-gain": Form(
        given={"a": real},
        stated={
            r"\mathrm{gain}": lambda v: torch.nn.init.calculate_gain(
                "leaky_relu", float(v["a"])
            )
        },
    ),
    "eq-prelu-backward-weight": Form(
        given={"n_c": integer(2, 6), r"\delta_j": data("n_c"), "z_j": data("n_c")},
        stated={r"\frac{\partial L}{\partial a_c}": slope_gradient},
    ),
    "eq-fan-in-uniform": Form(
        given={r"n_{\mathrm{in}}": integer(1, 500)},
        stated={
            r"\operatorname{Var}[w]": lambda v: stats.uniform(
                -(v[r"n_{\mathrm{in}}"] ** -0.5), 2 * v[r"n_{\mathrm{in}}"] ** -0.5
            ).var()
        },
    ),
    "eq-default-variance": Form(
        given={"n": integer(1, 500)},
        stated={r"\operatorname{Var}[z]": self_reproducing},
    ),
}
