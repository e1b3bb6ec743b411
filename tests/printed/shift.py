r"""Closed forms of the page on covariate shift, as they are printed.

Expectations of normal variables come from scipy's adaptive quadrature, conditional
probabilities from masses of narrow intervals, and steps of gradient descent from
torch's autograd.
"""

import functools
import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import integrate, stats

from tests.as_printed import Draw, Form, data, integer, positive, real, unit

MU_TARGET, SD_TARGET = 0.5, 0.8
ROUTES = (
    r"\frac{\partial \, \mathrm{Norm}(x_i, \mathcal{X})}{\partial x_i}"
    r" + \sum_{j=1}^{m} \frac{\partial \, \mathrm{Norm}(x_i, \mathcal{X})}"
    r"{\partial \mathcal{X}_j}"
)


def tensor(value, grad=False):
    return torch.tensor(float(value), dtype=torch.float64, requires_grad=grad)


def relu(x):
    return max(x, 0.0)


def mean(f, mu=0.0, sigma=1.0):
    """E[f(X)] of a normal X; split at 0."""
    law, ends = stats.norm(mu, sigma), (mu - 12 * sigma, mu + 12 * sigma)
    total, at = 0.0, sorted({ends[0], min(max(0.0, ends[0]), ends[1]), ends[1]})
    for low, high in itertools.pairwise(at):
        for k in range(24):
            a, b = (low + (high - low) * j / 24 for j in (k, k + 1))
            total += integrate.quad(
                lambda x: f(x) * law.pdf(x), a, b, epsabs=1e-14, epsrel=1e-12
            )[0]
    return total


def risk(x):
    return (relu(x) - 0.2 - 0.6 * x) ** 2 + 0.05


def ratio(x):
    return stats.norm.pdf(x, MU_TARGET, SD_TARGET) / stats.norm.pdf(x)


def risk_of_target(_):
    return mean(risk, MU_TARGET, SD_TARGET)


def covariance(_):
    m = mean(risk)
    return mean(lambda x: (ratio(x) - 1) * (risk(x) - m))


def minimize_slope(g, mu, sigma):
    """Of the best line, by least squares over the nodes of a quadrature."""
    z, weight = np.polynomial.hermite_e.hermegauss(160)
    root = np.sqrt(weight)
    x = mu + sigma * z
    columns = np.stack([x, np.ones_like(x)], 1) * root[:, None]
    return np.linalg.lstsq(columns, np.vectorize(g)(x) * root, rcond=None)[0][0]


@functools.cache
def lines(sigma):
    """For tanh and an input with mean 0.4."""
    mu, g = 0.4, math.tanh
    m = mean(g, mu, sigma)
    cov = mean(lambda x: (g(x) - m) * (x - mu), mu, sigma)
    var = mean(lambda x: (g(x) - m) ** 2, mu, sigma)
    return {
        "a": minimize_slope(g, mu, sigma),
        "cov": cov,
        "slope": mean(lambda x: 1 / math.cosh(x) ** 2, mu, sigma),
        "R²": cov**2 / (sigma**2 * var),
        "var": var,
    }


def line(which):
    return lambda v: lines(float(v[r"\sigma"]))[which]


def between_quantiles(v):
    """The quantile functions are constant between the multiples of 1/n."""
    p = (np.arange(v["n"]) + 0.5) / v["n"]
    a, b = (np.quantile(v[k], p, method="inverted_cdf") for k in ("a_i", "b_i"))
    return np.abs(a - b).mean()


def conditional(v):
    """Of Y = 1, for h = w X in a narrow interval around the drawn h."""
    c, h, w = (float(v[name]) for name in "chw")

    def joint(x):
        return stats.norm.pdf(x) / (1 + math.exp(-c * x))

    ends = sorted([(h - 1e-3) / w, (h + 1e-3) / w])
    mass = stats.norm.cdf(ends[1]) - stats.norm.cdf(ends[0])
    return integrate.quad(joint, *ends, epsabs=0)[0] / mass


def normalised(which):
    def value(v):
        x = torch.tensor([[0.3], [-1.4], [2.2], [0.9]], dtype=torch.float64)
        gamma, beta = (v[name].reshape(1) for name in (r"\gamma", r"\beta"))
        y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-30)
        return which(y)

    return value


def routes(v):
    m = v["m"]
    x = torch.arange(m, dtype=torch.float64) ** 2
    b = tensor(0.3, grad=True)
    return float(torch.autograd.grad(((x + b) - (x + b).mean())[0], b)[0])


def routes_apart(v):
    m = v["m"]
    x = (torch.arange(m, dtype=torch.float64) ** 2).requires_grad_()
    members = x.detach().clone().requires_grad_()
    out = x[0] - members.mean()
    direct, by_set = torch.autograd.grad(out, (x, members))
    return float(direct[0] + by_set.sum())


def bias_walk(v):
    u = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    targets = torch.tensor([1.0, -3.0, 2.0], dtype=torch.float64) + v[r"\bar{t}"]
    b = tensor(v["b_0"], grad=True)
    for _ in range(v["T"]):
        x = u + b
        loss = ((x - x.mean().detach() - targets) ** 2).mean() / 2
        (slope,) = torch.autograd.grad(loss, b)
        b = (b - v[r"\eta"] * slope).detach().requires_grad_()
    return b.item()


def weight_walk(v):
    u = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    targets = v[r"\rho"] * u + torch.tensor([2.0, 2.0, -1.0, -1.0])
    w = tensor(v["w_{T}"], grad=True)
    x = w * u
    x_hat = x / x.std(correction=0).detach()
    (slope,) = torch.autograd.grad(((x_hat - targets) ** 2).mean() / 2, w)
    return (w - v[r"\eta"] * slope).item() ** 2


def variance_of_relu(r):
    m = mean(relu, float(r))
    return mean(lambda x: (relu(x) - m) ** 2, float(r))


def explained_of_relu(v):
    r, scale = float(v["r"]), 1.7  # any γ
    m = mean(relu, scale * r, scale)
    var = mean(lambda x: (relu(x) - m) ** 2, scale * r, scale)
    cov = mean(lambda x: (relu(x) - m) * (x - scale * r), scale * r, scale)
    return cov**2 / (scale**2 * var)


def mean_step(normalise):
    """Inputs with two features, whose products with their mean are the drawn q."""

    def value(v):
        delta, eta = v[r"\delta_i"], v[r"\eta"]
        if normalise:
            x = torch.arange(len(delta), dtype=torch.float64)[:, None] ** 2
            gamma = torch.ones(1, dtype=torch.float64)
            beta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
            options = {"training": True, "eps": 1e-30}
            y = F.batch_norm(x, None, None, gamma, beta, **options)
            (step,) = torch.autograd.grad(y[:, 0] @ delta, beta)
            moved = F.batch_norm(x, None, None, gamma, beta - eta * step, **options)
            return (moved - y).mean().item()
        q = v["q_i"]
        h = torch.stack([q / q.mean().sqrt(), q - q.mean()], 1)
        w = torch.tensor([0.3, -0.8], dtype=torch.float64, requires_grad=True)
        b = tensor(0.1, grad=True)
        by_w, by_b = torch.autograd.grad((h @ w + b) @ delta, (w, b))
        return (h @ (-eta * by_w) - eta * by_b).mean().item()

    return value


def source_odds(x):
    low, high = float(x) - 1e-4, float(x) + 1e-4
    one, zero = (stats.norm(m).cdf(high) - stats.norm(m).cdf(low) for m in (1, -1))
    return one / zero


def target_odds(v):
    """Masses of a narrow interval under the mixture, class by class."""
    x, p = float(v["x"]), float(v["p"])
    classes = {1: (1.0, p), 0: (-1.0, 1 - p)}
    mass = {
        k: share * (stats.norm(m).cdf(x + 1e-4) - stats.norm(m).cdf(x - 1e-4))
        for k, (m, share) in classes.items()
    }
    posterior = mass[1] / (mass[0] + mass[1])
    return posterior / (1 - posterior)


def second_moment_of_weights(v):
    sigma = float(v[r"\sigma"])

    def f(x):
        return stats.norm.pdf(x, 0, sigma) ** 2 / stats.norm.pdf(x)

    return 2 * integrate.quad(f, 0, 30, points=[0.5, 2, 6], epsabs=0, epsrel=1e-12)[0]


def left_by_sigmoid(v):
    gamma = float(v[r"\gamma"])

    def g(z):
        return math.tanh(gamma * z / 2) / 2

    slope = mean(lambda z: z * g(z))
    return mean(lambda z: (g(z) - slope * z) ** 2) / mean(lambda z: g(z) ** 2)


def follow(which):
    def value(v):
        u = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
        b, beta = tensor(0.2, grad=True), tensor(v[r"\beta_0"], grad=True)
        for _ in range(7):
            x = u + b
            y = v[r"\gamma"] * (x - x.mean().detach()) + beta
            by_b, by_beta = torch.autograd.grad((y - u**2).exp().mean(), (b, beta))
            b = (b - 0.01 * by_b).detach().requires_grad_()
            beta = (beta - 0.01 * by_beta).detach().requires_grad_()
        return b.item() - 0.2 if which == "b" else beta.item()

    return value


PHI = {
    r"\Phi": lambda r: stats.norm.cdf(float(r)),
    r"\varphi": lambda r: stats.norm.pdf(float(r)),
}

FORMS = {
    "eq-shift-risk": Form(
        stated={
            "R_{t}": risk_of_target,
            r"\int r(x) \, f_{t}(x) \, dx": lambda _: integrate.quad(
                lambda x: risk(x) * stats.norm.pdf(x, MU_TARGET, SD_TARGET),
                -8,
                9,
                points=[0],
                epsabs=1e-13,
            )[0],
            r"\operatorname{E}_{s}[w(X) \, r(X)]": lambda _: mean(
                lambda x: ratio(x) * risk(x)
            ),
            "R_{s}": lambda _: mean(risk),
            r"\operatorname{Cov}_{s}[w(X), r(X)]": covariance,
        },
        points=1,
    ),
    "eq-shift-line": Form(
        given={r"\sigma": unit},
        stated={
            "a": line("a"),
            r"\operatorname{Cov}[g(X), X]": line("cov"),
            r"\operatorname{E}[g'(X)]": line("slope"),
            "R^2": line("R²"),
            r"\operatorname{Var}[g(X)]": line("var"),
        },
        points=2,
    ),
    # all b_i lie above all a_i: then pairs in any order have the same mean distance
    "eq-shift-distance": Form(
        given={
            "n": integer(2, 6),
            "a_i": data("n", of=Draw(-2.0, 0.0)),
            "b_i": data("n", of=Draw(0.0, 2.0)),
        },
        stated={
            "D": lambda v: stats.wasserstein_distance(v["a_i"], v["b_i"]),
            r"\int_{0}^{1} |Q(p) - Q'(p)| \, dp": between_quantiles,
        },
    ),
    "eq-shift-conditional": Form(
        given={"c": real, "h": real, "w": Draw(-1.5, -0.5)},
        stated={r"P(Y = 1 \mid h)": conditional},
        functions={r"\operatorname{sigmoid}": torch.sigmoid},
        rtol=1e-4,
    ),
    "eq-shift-moments": Form(
        given={r"\gamma": real, r"\beta": real},
        stated={
            r"\operatorname{E}[y]": normalised(lambda y: y.mean().item()),
            r"\operatorname{Var}[y]": normalised(lambda y: y.var(correction=0).item()),
        },
    ),
    "eq-shift-routes": Form(
        given={"m": integer(2, 6)},
        stated={r"\frac{d \hat{x}_i}{d b}": routes, ROUTES: routes_apart},
    ),
    "eq-shift-bias-walk": Form(
        given={"b_0": real, r"\eta": positive, "T": integer(1, 6), r"\bar{t}": real},
        stated={"b_{T}": bias_walk},
    ),
    "eq-shift-weight-walk": Form(
        given={"w_{T}": positive, r"\eta": unit, r"\rho": real},
        stated={"w_{T+1}^2": weight_walk},
    ),
    "eq-shift-relu": Form(
        given={"r": real},
        stated={"R^2": explained_of_relu},
        functions=PHI | {"V": variance_of_relu},
        points=3,
    ),
    "eq-shift-relu-even": Form(
        given={"r": real},
        functions={r"\Phi": PHI[r"\Phi"], "V": variance_of_relu},
        points=3,
    ),
    "eq-shift-relu-scale": Form(
        given={r"\gamma": positive, r"\hat{x}": real, r"\beta": real},
        functions={r"\operatorname{ReLU}": lambda x: F.relu(torch.as_tensor(x))},
    ),
    "eq-shift-open": Form(
        given={r"\gamma": positive, r"\beta": real},
        stated={
            r"P(\gamma \hat{x} + \beta > 0)": lambda v: stats.norm.sf(
                0.0, float(v[r"\beta"]), float(v[r"\gamma"])
            )
        },
        functions={r"\Phi": PHI[r"\Phi"]},
    ),
    "eq-shift-mean-step": Form(
        given={
            "m": integer(2, 6),
            r"\eta": positive,
            r"\delta_i": data("m"),
            "q_i": data("m", of=positive),
        },
        stated={
            r"\Delta_{\mathrm{plain}}": mean_step(False),
            r"\Delta_{\mathrm{norm}}": mean_step(True),
        },
    ),
    "eq-shift-odds": Form(
        given={"x": real, "p": unit},
        stated={"o_{t}(x)": target_odds},
        functions={
            "f_1": lambda x: stats.norm.pdf(float(x), 1),
            "f_0": lambda x: stats.norm.pdf(float(x), -1),
            "o_{s}": source_odds,
        },
        rtol=1e-6,
    ),
    "eq-shift-weights": Form(
        given={r"\sigma": Draw(0.3, 1.3)},
        stated={r"\operatorname{E}_{s}[w(X)^2]": second_moment_of_weights},
    ),
    "eq-shift-small": Form(
        given={r"\gamma": Draw(0.02, 0.06)},
        stated={"1 - R^2": left_by_sigmoid},
        approx=0.01,
        points=3,
    ),
    "eq-shift-follow": Form(
        given={r"\gamma": positive, r"\beta_0": real},
        stated={"b_{T} - b_0": follow("b"), r"\beta_{T}": follow("beta")},
    ),
}
