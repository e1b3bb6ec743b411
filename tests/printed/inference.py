"""Closed forms of the page on inference statistics, as they are printed.

Expectations are taken by listing all batches of a small population, or by quadrature;
running statistics are those that PyTorch's batch normalisation keeps.
"""

import functools
import itertools
import math

import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from tests.as_printed import Draw, Form, data, integer, positive, real, unit

VALUES = [0.0, 1.0, 5.0, -2.0, 0.5]
CLASSES = [0.0, 1.0, 5.0], [4.0, 10.0, 4.5]
ALL = torch.tensor(VALUES, dtype=torch.float64)
ROWS = torch.tensor(CLASSES, dtype=torch.float64)


def rows(batches):
    return torch.tensor(list(batches), dtype=torch.float64)


def biased(batches):
    """Mean of the biased variance over equally likely batches."""
    return batches.var(1, correction=0).mean()


def independent(v):
    """All batches of independent draws from a population with the given mean."""
    shift = v[r"\operatorname{E}[x]"] - ALL.mean()
    return rows(itertools.product(VALUES, repeat=v["m"])) + shift


def without_replacement(v):
    population = [3.0 + 0.7 * k**2 for k in range(v["N"])]
    return rows(itertools.combinations(population, v["m"])), rows([population])[0]


def sorted_batches(v):
    return torch.cat([rows(itertools.product(c, repeat=v["m"])) for c in CLASSES])


def coins(n):
    return rows(itertools.product([-1.0, 1.0], repeat=n))


def correlated(v):
    """Batches of m coins, each two with the same correlation."""
    m, rho = v["m"], v[r"\bar\rho"]
    patterns = coins(m + 1)
    return 1.3 * (rho.sqrt() * patterns[:, :1] + (1 - rho).sqrt() * patterns[:, 1:])


def image_correlation(v):
    """Mean correlation over the pairs of different values of a batch of images."""
    positions = v["p"] * v["q"]
    one = torch.full((positions, positions), float(v[r"\rho"]), dtype=torch.float64)
    whole = torch.block_diag(*[one] * v["m"])
    whole.fill_diagonal_(0)
    n = len(whole)
    return whole.sum() / (n * (n - 1))


def of_batches(v):
    """All values of batches of two, with the given means and variances."""
    mean, deviation = v[r"\mu_j"], v[r"\sigma_j"]
    return torch.stack([mean - deviation, mean + deviation])


def one(value):
    return torch.as_tensor(value, dtype=torch.float64).reshape(1)


def layer(x, v):
    """The layer with fixed statistics, by torch."""
    moments = one(v[r"\operatorname{E}[x]"]), one(v[r"\operatorname{Var}[x]"])
    scale, shift = one(v[r"\gamma"]), one(v[r"\beta"]) if r"\beta" in v else None
    y = F.batch_norm(one(x)[None], *moments, scale, shift, eps=float(v[r"\epsilon"]))
    return y[0, 0]


def slope(v):
    return layer(1.0, v) - layer(0.0, v)


def gradient(v):
    x = one(0.4)[None].requires_grad_()
    moments = one(0.7), one(v[r"\operatorname{Var}[x]"])
    eps = float(v[r"\epsilon"])
    y = F.batch_norm(x, *moments, one(v[r"\gamma"]), eps=eps)
    return torch.autograd.grad(y[0, 0], x, one(v[r"\delta_i"])[0])[0][0, 0]


def batch_of(mean, deviation, m=2):
    """m values with this mean and this biased deviation."""
    x = torch.arange(m, dtype=torch.float64)
    x = (x - x.mean()) / x.std(correction=0)
    return (mean + deviation * x)[:, None]


def running(means, start, a):
    mean, var = one(start).clone(), one(1.0)
    for value in means:
        F.batch_norm(batch_of(value, 1.0), mean, var, training=True, momentum=float(a))
    return mean[0]


def running_variance(v):
    mean, var = one(0.0), one(v[r"\nu_{k-1}"]).clone()
    batch = batch_of(0.3, v[r"\sigma_k"], v["m"])
    F.batch_norm(batch, mean, var, training=True, momentum=float(v["a"]))
    return var[0]


def expected_variance(v):
    """Mean of the running variance after k batches of two, in all cases."""
    a, spread = float(v["a"]), math.sqrt(2) * float(v[r"\sigma"])
    total = []
    for pattern in coins(v["k"]):  # half of the pairs are equal, the others apart
        mean, var = one(0.0), one(v[r"\nu_0"]).clone()
        for coin in pattern:
            size = spread if coin > 0 else 0.0
            batch = torch.tensor([[-size], [size]], dtype=torch.float64) / math.sqrt(2)
            F.batch_norm(batch, mean, var, training=True, momentum=a)
        total.append(var[0])
    return torch.stack(total).mean()


def running_noise(v):
    size = math.sqrt(v[r"\operatorname{Var}[\mu_{\mathcal{B}}]"])
    ends = [running(size * pattern, 0.0, v["a"]) for pattern in coins(v["k"])]
    return torch.stack(ends).var(correction=0)


def cumulative(means):
    norm = nn.BatchNorm1d(1, momentum=None, dtype=torch.float64)
    for value in means:
        norm(batch_of(value, 1.0))
    return norm.running_mean[0] if len(means) else 0.0


def decaying(v):
    return 5 * float(v["q"]) ** torch.arange(v["n"], dtype=torch.float64)


MOMENTS = {
    r"\operatorname{E}[x]": real,
    r"\operatorname{Var}[x]": positive,
    r"\gamma": real,
    r"\epsilon": unit,
}
MEAN_OF_VARIANCES = r"\operatorname{E}[\sigma_{\mathcal{B}}^2]"
MEAN_OF_DEVIATIONS = r"\operatorname{E}[\sigma_{\mathcal{B}}]"
DEVIATION = stats.chi(4)


@functools.cache
def deviation_moment(k, about=0.0):
    """By quadrature of the density."""
    return DEVIATION.expect(lambda t: (t - about) ** k)


FORMS = {
    "eq-norm-affine": Form(
        given={"x": real, r"\beta": real, **MOMENTS},
        stated={"y": lambda v: layer(v["x"], v)},
    ),
    "eq-population-statistics": Form(
        given={"m": integer(2, 5), r"\operatorname{E}[x]": real},
        stated={
            r"\operatorname{Var}[x]": lambda v: ALL.var(correction=0),
            r"\operatorname{E}[\mu_{\mathcal{B}}]": lambda v: independent(v).mean(),
            MEAN_OF_VARIANCES: lambda v: biased(independent(v)),
        },
    ),
    "eq-correlated-batch": Form(
        given={"m": integer(2, 6), r"\bar\rho": unit},
        stated={
            r"\operatorname{Var}[x]": lambda v: 1.3**2,
            MEAN_OF_VARIANCES: lambda v: biased(correlated(v)),
        },
    ),
    "eq-shuffled-batch": Form(
        given={"m": integer(2, 4), "N": integer(5, 9)},
        stated={
            r"\operatorname{Var}[x]": lambda v: without_replacement(v)[1].var(
                correction=0
            ),
            MEAN_OF_VARIANCES: lambda v: biased(without_replacement(v)[0]),
        },
    ),
    "eq-sorted-batch": Form(
        given={"m": integer(2, 6)},
        stated={
            MEAN_OF_VARIANCES: lambda v: biased(sorted_batches(v)),
            r"\operatorname{Var}[x]": lambda v: ROWS.var(correction=0),
            r"\operatorname{Var}[\operatorname{E}[x \mid c]]": lambda v: ROWS.mean(
                1
            ).var(correction=0),
            r"\operatorname{E}[\operatorname{Var}[x \mid c]]": lambda v: biased(ROWS),
        },
    ),
    "eq-conv-batch": Form(
        given={
            "m": integer(2, 4),
            "p": integer(1, 4),
            "q": integer(2, 4),
            r"\rho": unit,
        },
        stated={r"\bar\rho": image_correlation},
    ),
    "eq-pooled-variance": Form(
        given={
            "n": integer(2, 6),
            r"\mu_j": data("n"),
            r"\sigma_j": data("n", of=positive),
        },
        stated={
            r"\mu": lambda v: of_batches(v).mean(),
            r"\sigma^2": lambda v: of_batches(v).var(correction=0),
        },
    ),
    "eq-jensen-gap": Form(
        stated={
            MEAN_OF_DEVIATIONS: lambda v: deviation_moment(1),
            MEAN_OF_VARIANCES: lambda v: deviation_moment(2),
            r"\operatorname{Var}[\sigma_{\mathcal{B}}]": lambda v: deviation_moment(
                2, about=deviation_moment(1)
            ),
        },
    ),
    "eq-batch-deviation": Form(
        given={"m": integer(2, 40), r"\sigma": positive},
        stated={
            MEAN_OF_DEVIATIONS: lambda v: (
                float(v[r"\sigma"]) * stats.chi(v["m"] - 1).expect() / math.sqrt(v["m"])
            )
        },
        functions={r"\Gamma": lambda z: math.gamma(float(z))},
    ),
    "eq-norm-running": Form(
        given={"a": unit, "r_{k-1}": real, r"\mu_k": real},
        stated={"r_k": lambda v: running([v[r"\mu_k"]], v["r_{k-1}"], v["a"])},
    ),
    "eq-norm-running-variance": Form(
        given={
            "a": unit,
            "m": integer(2, 8),
            r"\nu_{k-1}": positive,
            r"\sigma_k": positive,
        },
        stated={r"\nu_k": running_variance},
    ),
    "eq-norm-running-unrolled": Form(
        given={"a": unit, "k": integer(1, 8), "r_0": real, r"\mu_j": data("k")},
        stated={"r_k": lambda v: running(v[r"\mu_j"], v["r_0"], v["a"])},
    ),
    "eq-norm-running-bias": Form(
        given={
            "a": unit,
            "k": integer(1, 6),
            r"\nu_0": positive,
            r"\sigma": positive,
        },
        stated={r"\operatorname{E}[\nu_k]": expected_variance},
    ),
    "eq-norm-running-noise": Form(
        given={
            "a": unit,
            "k": integer(1, 6),
            r"\operatorname{Var}[\mu_{\mathcal{B}}]": positive,
        },
        stated={r"\operatorname{Var}[r_k]": running_noise},
    ),
    "eq-cumulative-average": Form(
        given={"k": integer(1, 8), r"\mu_j": data("k")},
        stated={
            "r_k": lambda v: cumulative(v[r"\mu_j"]),
            "r_{k-1}": lambda v: cumulative(v[r"\mu_j"][:-1]),
        },
    ),
    "eq-stale-averages": Form(
        given={"n": integer(2, 12), "q": unit, "a": Draw(0.02, 0.98)},
        stated={
            r"\frac{1}{n} \sum_{k=0}^{n-1} 5 q^k": lambda v: cumulative(decaying(v)),
            r"\sum_{k=0}^{n-1} a \cdot (1 - a)^{n - 1 - k} \cdot 5 q^k": lambda v: (
                running(decaying(v), 0.0, v["a"])
            ),
        },
    ),
    "eq-fold-batch-norm": Form(
        given={"W": real, "b": real, r"\beta": real, **MOMENTS},
        stated={
            "W'": lambda v: layer(v["W"] + v["b"], v) - layer(v["b"], v),
            "b'": lambda v: layer(v["b"], v),
            "s": slope,
        },
    ),
    "eq-norm-backward-fixed": Form(
        given={
            r"\operatorname{Var}[x]": positive,
            r"\gamma": real,
            r"\epsilon": unit,
            r"\delta_i": real,
        },
        stated={r"\frac{\partial L}{\partial x_i}": gradient},
    ),
}
