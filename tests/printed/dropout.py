"""Closed forms of the page on dropout, evaluated as they are printed.

Expectations are sums over all masks with their probabilities.
"""

import itertools

import numpy as np
import torch
from scipy import stats

from lib.conv import linear
from lib.dropout import dropout2d, dropout_backward
from lib.loss import softmax
from tests.as_printed import Draw, Form, data, integer, positive, real, unit


def masks(v, n):
    """All masks of n units, a row each, and their probabilities."""
    p = float(v["p"])
    kept = np.array(list(itertools.product([0.0, 1.0], repeat=n)))
    return kept, np.where(kept, 1 - p, p).prod(1)


def unit_of_layer(v):
    return torch.tanh(linear(v["x_j"], v["w_{i,j}"], v["b_i"]))[v["i"] - 1]


def dropped_unit(v):
    """One row of the diagonal matrix of factors, times the activations."""
    factors = np.diag(v[r"\zeta_i"].numpy() * stats.geom(1 - float(v["p"])).mean())
    return (factors @ v["h_i"].numpy())[v["i"] - 1]


def unit_law(v):
    kept = stats.bernoulli(1 - float(v["p"]))
    return kept, float(v["h_i"][v["i"] - 1] / (1 - v["p"]))


def unit_mean(v):
    kept, size = unit_law(v)
    return size * kept.mean()


def unit_variance(v):
    kept, size = unit_law(v)
    return size**2 * kept.var()


def pair(v):
    kept, chance = masks(v, 2)
    z = kept @ np.array([1.0, -1.0]) * float(v["h"] / (1 - v["p"]))
    return chance @ np.maximum(z, 0)


def original(v):
    kept, chance = masks(v, v["n"])
    return chance @ (kept @ (v["w_i"] * v["h_i"]).numpy())


def rate(v):
    """Of W', so that a step on a loss of W' / (1 - p) is 1 - p times that of W."""
    keep = 1 - v["p"]

    def slope(w, of):
        w = w.clone().requires_grad_()
        return torch.autograd.grad(torch.sin(of(w)), w)[0]

    w = torch.tensor(0.4, dtype=torch.float64)
    plain = slope(w, lambda w: w)
    scaled = slope(keep * w, lambda w: w / keep)
    return keep * v[r"\eta"] * plain / scaled


def backward(v):
    delta, mask = v[r"\frac{\partial L}{\partial h_i'}"], v[r"\zeta_i"]
    return dropout_backward(delta, mask, float(v["p"]))[v["i"] - 1]


def window(v):
    k = v["k"]
    kept, chance = masks(v, k * k)
    means = kept.mean(1) * float(v["h"] / (1 - v["p"]))
    return chance @ (means - chance @ means) ** 2


def channel(v):
    """From dropout2d of ones, which shows its mask; its factor is then replaced."""
    p, ones = float(v["p"]), torch.ones(2, 3, 2, 2, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    seen = dropout2d(ones, p, generator=generator)
    factor = seen.max() if seen.any() else torch.tensor(1 / (1 - p))
    maps = torch.einsum("nc,ncij->ncij", v[r"\zeta_{n,c}"], v["h_{n,c,i,j}"])
    return factor * maps[v["n"] - 1, v["c"] - 1, v["i"] - 1, v["j"] - 1]


def ridge(v):
    kept, chance = masks(v, v["n"])
    factors = kept / (1 - float(v["p"]))
    x, y, w = (v[name].numpy() for name in ("x_{i,j}", "y_i", "w_j"))
    errors = y - (factors[:, None] * x) @ w
    return chance @ (errors**2).sum(1)


def geometric(v):
    """Of a layer of five units whose logits without masks are the z_j."""
    kept, chance = masks(v, 5)
    z = v["z_j"]
    random = np.random.default_rng(0)
    h = random.uniform(0.5, 1.5, 5)
    w = random.normal(size=(len(z), 5))
    bias = z.numpy() - w @ h
    logits = kept / (1 - float(v["p"])) * h @ w.T + bias
    logs = softmax(torch.from_numpy(logits), 1).log().numpy()
    means = np.exp(chance @ logs)
    return means[v["k"] - 1] / means.sum()


LOSS = (
    r"\operatorname{E}\left[\sum_{i=1}^{N} \left(y_i - \sum_{j=1}^{n} w_j"
    r" \frac{\zeta_{i,j}}{1 - p} x_{i,j}\right)^2\right]"
)
GEOMETRIC = (
    r"\frac{\exp(\operatorname{E}[\ln p_k])}"
    r"{\sum_{j=1}^{K} \exp(\operatorname{E}[\ln p_j])}"
)

FORMS = {
    "eq-dropout-network": Form(
        given={
            "i": integer(1, 5),
            "w_{i,j}": data(5, 4),
            "x_j": data(4),
            "b_i": data(5),
        },
        stated={"h_i": unit_of_layer},
        functions={"g": torch.tanh},
    ),
    "eq-dropout": Form(
        given={
            "i": integer(1, 4),
            "p": unit,
            "h_i": data(4),
            r"\zeta_i": data(4),
        },
        stated={
            "h_i'": dropped_unit,
            r"P(\zeta_i = 0)": lambda v: stats.bernoulli(1 - float(v["p"])).pmf(0),
            r"P(\zeta_i = 1)": lambda v: stats.bernoulli(1 - float(v["p"])).pmf(1),
        },
    ),
    "eq-dropout-moments": Form(
        given={"i": integer(1, 4), "p": unit, "h_i": data(4)},
        stated={
            r"\operatorname{E}[h_i']": unit_mean,
            r"\operatorname{Var}[h_i']": unit_variance,
        },
    ),
    "eq-dropout-pair": Form(
        given={"p": unit, "h": positive},
        stated={r"\operatorname{E}[\operatorname{ReLU}(h_1' - h_2')]": pair},
    ),
    "eq-dropout-original": Form(
        given={"n": integer(2, 6), "p": unit, "w_i": data("n"), "h_i": data("n")},
        stated={
            r"\operatorname{E}\left[\sum_{i=1}^{n} w_i \zeta_i h_i\right]": original
        },
    ),
    "eq-dropout-rate": Form(
        given={"p": unit, r"\eta": positive}, stated={r"\eta'": rate}
    ),
    "eq-dropout-backward": Form(
        given={
            "i": integer(1, 4),
            "p": unit,
            r"\zeta_i": data(4),
            r"\frac{\partial L}{\partial h_i'}": data(4),
        },
        stated={r"\frac{\partial L}{\partial h_i}": backward},
    ),
    "eq-dropout-all": Form(
        given={"p": unit, "m": integer(1, 6)},
        stated={
            r"P\left(\sum_{k=1}^{m} \zeta_k = 0\right)": lambda v: stats.binom(
                v["m"], 1 - float(v["p"])
            ).pmf(0)
        },
    ),
    "eq-dropout-window": Form(
        given={"k": integer(1, 3), "p": unit, "h": real},
        stated={r"\operatorname{Var}[\bar{h}']": window},
    ),
    "eq-dropout-channels": Form(
        given={
            "n": integer(1, 2),
            "c": integer(1, 3),
            "i": integer(1, 2),
            "j": integer(1, 2),
            "p": Draw(0.05, 0.6),
            r"\zeta_{n,c}": data(2, 3),
            "h_{n,c,i,j}": data(2, 3, 2, 2),
        },
        stated={"h_{n,c,i,j}'": channel},
    ),
    "eq-dropout-ridge": Form(
        given={
            "N": integer(2, 4),
            "n": integer(2, 5),
            "p": unit,
            "w_j": data("n"),
            "y_i": data("N"),
            "x_{i,j}": data("N", "n"),
        },
        stated={LOSS: ridge},
    ),
    "eq-dropout-geometric": Form(
        given={"K": integer(2, 5), "k": integer(1, 2), "z_j": data("K")},
        stated={GEOMETRIC: lambda v: geometric({**v, "p": 0.3})},
    ),
}
