r"""Closed forms of the page on standardising and whitening, as they are printed.

Expectations are averages over fixed tables of numbers, or sums over laws with finitely
many values.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from scipy import integrate, linalg, optimize, stats
from scipy.spatial import distance

from tests.as_printed import Draw, Form, data, integer, positive, real, unit

SCORE = r"\hat{x}_{i,k}"
ALL = {"d": integer(2, 4), r"\lambda_k": data("d", of=positive)}
PLACES = {"i": integer(1, 3), "j": integer(1, 2)}
MOVED = r"\operatorname{E}[\|\mathbf{z} - \tilde{\mathbf{x}}\|^2]"
TRACE = r"\operatorname{tr}(\mathbf{Q} \boldsymbol\Sigma^{1/2})"
BEST = r"\min_{\eta} \max_{k} |1 - \eta \lambda_k|"

X = np.array([0.3, -1.4, 2.2, 0.9, -0.1, 5.0])
Y = np.array([1.0, 0.2, -0.7, 2.5, 0.4, 1.9])


def blobs():
    """Both coordinates of the two blobs, as values with probabilities."""
    z, weight = np.polynomial.hermite_e.hermegauss(6)
    pairs = np.array(list(itertools.product(z, z)))
    chance = np.array([a * b for a, b in itertools.product(weight, weight)])
    values = np.concatenate([2 + 2 * pairs, 8 + 2 * pairs])
    return np.cov(values.T, aweights=np.tile(chance, 2), ddof=0)


def score(v):
    """PyTorch's layer with fixed statistics."""
    mean, square = v[r"\mu_k"], v[r"\sigma_k"] ** 2
    table = F.batch_norm(v["x_{i,k}"], mean, square, training=False, eps=1e-30)
    return table[v["i"] - 1, v["k"] - 1]


def left_of(v):
    """P(x̂ ≤ z) for a logistic variable, from the density of its standardised values."""
    mu, sigma = float(v[r"\mu"]), float(v[r"\sigma"])
    density = stats.logistic(-mu / sigma, 1 / sigma).pdf
    return integrate.quad(density, -np.inf, float(v["z"]), epsabs=1e-13)[0]


def moment(values):
    return lambda v: stats.moment(values, v["k"])


def between(v):
    rows, spread = v["x_{i,k}"].numpy(), v[r"\sigma_k"].numpy()
    return distance.seuclidean(rows[v["i"] - 1], rows[v["j"] - 1], spread**2) ** 2


def component(steps):
    """Of w - w* after steps of torch's SGD on a quadratic loss with turned axes."""

    def value(v):
        axes, _ = np.linalg.qr(np.cos(np.arange(9.0)).reshape(3, 3))
        axes, best = torch.from_numpy(axes), torch.tensor([0.3, -1.0, 2.0]).double()
        matrix = axes @ torch.diag(v[r"\lambda_k"]) @ axes.T
        w = torch.tensor([1.5, 0.4, -0.6]).double().requires_grad_()
        optimiser = torch.optim.SGD([w], lr=float(v[r"\eta"]))
        for _ in range(v["t"] if steps else 0):
            optimiser.zero_grad()
            ((w - best) @ matrix @ (w - best) / 2).backward()
            optimiser.step()
        return ((w - best) @ axes)[v["k"] - 1].detach()

    return value


def best_factor(v):
    values = np.array([float(v[r"\lambda_{\max}"]), 1.0, float(v[r"\lambda_{\min}"])])
    found = optimize.minimize_scalar(
        lambda eta: abs(1 - eta * values).max(),
        bounds=(0, 2 / values.max()),
        options={"xatol": 1e-13},
    )
    return found.fun


def inverse_root(v, back):
    axes = v["u_{i,k}" if back else "u_{j,i}"].numpy()
    values = v[r"\lambda_k" if back else r"\lambda_i"].numpy()
    matrix = linalg.fractional_matrix_power(np.diag(values), -0.5) @ axes.T
    return (axes @ matrix if back else matrix)[v["i"] - 1, v["j"] - 1]


def turned(v):
    """Axes, covariance matrix, its root, and some rotation."""
    d, values = v["d"], v[r"\lambda_k"].numpy()
    axes, _ = np.linalg.qr(np.cos(np.arange(d * d) ** 1.3).reshape(d, d))
    skew = np.sin(np.arange(d * d)).reshape(d, d)
    root = linalg.sqrtm(axes @ np.diag(values) @ axes.T).real
    return axes, root, linalg.expm(skew - skew.T)


def moved(v):
    """Average over ±√(d λ) along each axis, a law with this covariance matrix."""
    axes, root, rotation = turned(v)
    ends = axes * np.sqrt(v["d"] * v[r"\lambda_k"].numpy())
    away = rotation @ np.linalg.inv(root) @ ends - ends
    return (away**2).sum(0).mean()


def trace(v):
    _, root, rotation = turned(v)
    return np.trace(rotation @ root)


def three_values(kurtosis):
    """A law on -a, 0, a with variance 1 and this excess kurtosis, at least -2."""
    a = np.sqrt(3 + kurtosis)
    chance = 1 / (2 * a**2)
    return np.array([-a, 0.0, a]), np.array([chance, 1 - 2 * chance, chance])


def of_squares(v):
    p, chance_p = three_values(float(v[r"\kappa_{S}"]))
    q, chance_q = three_values(float(v[r"\kappa_{T}"]))
    pairs = np.array([((s + t) ** 2 / 2, (s - t) ** 2 / 2) for s in p for t in q])
    weights = np.outer(chance_p, chance_q).flatten()
    return np.cov(pairs.T, aweights=weights, ddof=0)[0, 1]


def rank(v):
    batch = np.random.default_rng(v["m"]).normal(size=(v["m"], 6))
    return np.linalg.matrix_rank(np.cov(batch.T))


FORMS = {
    "eq-blobs-moments": Form(
        stated={
            r"\operatorname{Var}[x_k]": lambda v: blobs()[0, 0],
            r"\rho": lambda v: blobs()[0, 1] / blobs()[1, 1],
        },
    ),
    "eq-z-score": Form(
        given={
            "i": integer(1, 4),
            "k": integer(1, 3),
            "x_{i,k}": data(4, 3),
            r"\mu_k": data(3),
            r"\sigma_k": data(3, of=positive),
        },
        stated={SCORE: score},
    ),
    "eq-z-score-unbiased": Form(
        given={"n": integer(2, 6), "x_i": data("n")},
        stated={
            r"\bar{x}": lambda v: np.mean(v["x_i"].numpy()),
            "s": lambda v: np.std(v["x_i"].numpy(), ddof=1),
        },
    ),
    "eq-shape-cdf": Form(
        given={"z": real, r"\mu": real, r"\sigma": positive},
        stated={r"F_{\hat{x}}(z)": left_of},
        functions={"F": lambda x: stats.logistic.cdf(float(x))},
    ),
    "eq-shape-moments": Form(
        given={"k": integer(1, 5)},
        stated={
            r"\operatorname{E}[(U - \mu_{U})^k]": moment(1.7 * X - 3.0),
            r"\sigma_{U}": lambda v: np.std(1.7 * X - 3.0),
            r"\operatorname{E}[(X - \mu)^k]": moment(X),
            r"\sigma": lambda v: np.std(X),
            r"\operatorname{E}[\hat{x}^k]": lambda v: np.mean(
                stats.zscore(X) ** v["k"]
            ),
        },
    ),
    "eq-z-score-correlation": Form(
        stated={
            r"\operatorname{Cov}[\hat{x}, \hat{y}]": lambda v: np.mean(
                stats.zscore(X) * stats.zscore(Y)
            ),
            r"\operatorname{Cov}[X, Y]": lambda v: np.cov(X, Y, ddof=0)[0, 1],
            r"\sigma_{X}": lambda v: np.std(X),
            r"\sigma_{Y}": lambda v: np.std(Y),
            r"\rho": lambda v: stats.pearsonr(X, Y).statistic,
        },
    ),
    "eq-z-score-distance": Form(
        given={
            **PLACES,
            "d": integer(2, 5),
            "x_{i,k}": data(3, "d"),
            r"\sigma_k": data("d", of=positive),
        },
        stated={r"\|\hat{\mathbf{x}}_i - \hat{\mathbf{x}}_j\|^2": between},
    ),
    "eq-descent-component": Form(
        given={
            "t": integer(1, 6),
            "k": integer(1, 3),
            r"\eta": unit,
            r"\lambda_k": data(3, of=positive),
        },
        stated={
            "r_k^{(t)}": component(steps=True),
            "r_k^{(0)}": component(steps=False),
        },
    ),
    "eq-descent-rate": Form(
        given={r"\lambda_{\max}": Draw(1.1, 4.0), r"\lambda_{\min}": unit},
        stated={BEST: best_factor},
        rtol=1e-6,
    ),
    "eq-whitening-pca": Form(
        given={
            **PLACES,
            "u_{j,i}": data(3, 3),
            r"\lambda_i": data(3, of=positive),
        },
        stated={
            "w_{i,j}": lambda v: inverse_root(v, back=False),
            r"(\boldsymbol\Lambda^{-1/2} \mathbf{U}^\top)_{i,j}": lambda v: (
                inverse_root(v, back=False)
            ),
        },
    ),
    "eq-whitening-zca": Form(
        given={
            **PLACES,
            "d": integer(3, 3),
            "u_{i,k}": data(3, 3),
            r"\lambda_k": data(3, of=positive),
        },
        stated={
            "w_{i,j}": lambda v: inverse_root(v, back=True),
            r"(\mathbf{U} \boldsymbol\Lambda^{-1/2} \mathbf{U}^\top)_{i,j}": lambda v: (
                inverse_root(v, back=True)
            ),
        },
    ),
    "eq-whitening-nearest": Form(given=ALL, stated={MOVED: moved, TRACE: trace}),
    "eq-whitening-squares": Form(
        given={r"\kappa_{S}": Draw(-1.9, 3.0), r"\kappa_{T}": Draw(-1.9, 3.0)},
        stated={r"\operatorname{Cov}[A^2, B^2]": of_squares},
    ),
    "eq-covariance-rank": Form(
        given={"m": integer(2, 6)},
        stated={r"\operatorname{rank}(\hat{\boldsymbol\Sigma})": rank},
    ),
}
