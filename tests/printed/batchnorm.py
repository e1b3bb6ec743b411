r"""Closed forms of the page on batch normalisation, as they are printed.

Derivatives come from torch's autograd. Where an equation holds only for normalised
values, it is given those of one batch: with \epsilon drawn, it is moved to where its
normalised values are just these.
"""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import integrate, optimize

from tests.as_printed import Draw, Form, data, integer, positive, real

MU, VAR, X_HAT = r"\mu_{\mathcal{B}}", r"\sigma_{\mathcal{B}}^2", r"\hat{x}_i"
BY = {
    name: rf"\frac{{\partial L}}{{\partial {name}}}"
    for name in ("x_i", X_HAT, VAR, MU, r"\gamma", r"\beta")
}
MEAN_OF_Y = r"\frac{1}{m} \sum_{i=1}^{m} y_i"
VAR_OF_Y = r"\frac{1}{m} \sum_{i=1}^{m} (y_i - \beta)^2"
MOVED = r"\hat{x}_i(a \mathbf{x} + b \mathbf{1}, \epsilon)"
SHRUNK = r"\hat{x}_i\left(\mathbf{x}, \frac{\epsilon}{a^2}\right)"
SLOPE = (
    r"\frac{\partial}{\partial \mu}"
    r" \left( \frac{1}{m} \sum_{i=1}^{m} (x_i - \mu)^2 \right)"
)
SUM = r"\sum_{i=1}^{m} \frac{\partial L}{\partial x_i}"
PRODUCT = r"\sum_{i=1}^{m} \hat{x}_i \frac{\partial L}{\partial x_i}"
SQUARES = r"\sum_{i=1}^{m} \left( \frac{\partial L}{\partial x_i} \right)^2"
SHARE = (
    r"\frac{\operatorname{E}[\|\mathbf{P} \boldsymbol\delta\|^2]}"
    r"{\operatorname{E}[\|\boldsymbol\delta\|^2]}"
)
DEVIATION = r"\operatorname{E}\left[\frac{1}{m} \sum_{i=1}^{m} (y_i - x_i)^2\right]"
SPREAD = r"\operatorname{E}[\sigma_{\mathcal{B}}]"

NORMALISED = torch.tensor([0.9, -1.1, 0.2, 1.0, -1.0], dtype=torch.float64)
SHARE_KEPT = float((NORMALISED**2).mean())  # of σ² in σ² + ε; mean 0
BATCH = torch.tensor([0.3, -1.4, 2.2, 0.9, -0.1], dtype=torch.float64)


def kept(x):
    """Statistics of the columns of a batch, as torch's batch norm keeps them."""
    channels, count = x.shape[1], x.numel() // x.shape[1]
    mean, var = (torch.zeros(channels, dtype=torch.float64) for _ in range(2))
    F.batch_norm(x, mean, var, training=True, momentum=1.0)
    return mean, var * (count - 1) / count


def mean(v):
    return kept(v["x_i"][:, None])[0]


def var(v):
    return kept(v["x_i"][:, None])[1]


def layer(x, gamma=None, beta=None, eps=1e-30):
    """Torch's layer on one feature."""
    gamma, beta = (None if t is None else t.view(1) for t in (gamma, beta))
    return F.batch_norm(x[:, None], None, None, gamma, beta, True, eps=float(eps))[:, 0]


def normalised(v):
    return layer(v["x_i"], eps=v[r"\epsilon"])[v["i"] - 1]


def output(v):
    y = layer(v["x_i"], v[r"\gamma"], v[r"\beta"], v[r"\epsilon"])
    return y[v["i"] - 1]


def rescaled(v):
    one, x = torch.ones(1, dtype=torch.float64), v[X_HAT][:, None]
    numbers = 0 * one, one, v[r"\gamma"].view(1), v[r"\beta"].view(1)
    return F.batch_norm(x, *numbers, training=False, eps=1e-30)[v["i"] - 1, 0]


def of_output(function):
    def value(v):
        y = layer(BATCH, v[r"\gamma"], v[r"\beta"], v[r"\epsilon"])
        return function(y)

    return value


def one_among(v):
    """The first of m values; the others have mean 0 and mean square s²."""
    others = torch.linspace(-1, 1, v["m"] - 1, dtype=torch.float64) ** 3
    others = v["s"] * others / others.square().mean().sqrt()
    return layer(torch.cat([v["d"].view(1), others]), eps=v[r"\epsilon"])[0]


def largest(v):
    """Climbed to, by the derivative."""

    def value(x):
        x = torch.as_tensor(x).requires_grad_()
        down = -layer(x)[0]
        return down.item(), torch.autograd.grad(down, x)[0].numpy()

    start = np.cos(np.arange(v["m"]))  # the first is the largest
    found = optimize.minimize(value, start, jac=True, method="BFGS", tol=1e-10)
    return -found.fun


def node(name):
    """Derivative of a loss with the drawn δ with respect to a quantity on the way."""

    def value(v):
        x = v.get("x_i", BATCH).clone().requires_grad_()
        gamma = v.get(r"\gamma", torch.tensor(0.7, dtype=torch.float64)).clone()
        beta = torch.zeros((), dtype=torch.float64)
        gamma.requires_grad_(), beta.requires_grad_()
        mu = x.mean()
        square = ((x - mu) ** 2).mean()
        x_hat = (x - mu) / (square + v.get(r"\epsilon", 0.2)).sqrt()
        loss = (v[r"\delta_i"] * (gamma * x_hat + beta)).sum()
        every = {"x_i": x, X_HAT: x_hat, VAR: square, MU: mu}
        every |= {r"\gamma": gamma, r"\beta": beta}
        (found,) = torch.autograd.grad(loss, every[name])
        return found[v["i"] - 1] if found.ndim else found

    return value


def through(leaf):
    """The same by torch's layer, for the batch whose normalised values are known."""

    def value(v):
        eps = v.get(r"\epsilon", torch.tensor(0.4, dtype=torch.float64))
        x = (0.8 + NORMALISED * (eps / (1 - SHARE_KEPT)).sqrt()).requires_grad_()
        gamma = v.get(r"\gamma", torch.tensor(0.7, dtype=torch.float64)).clone()
        beta = torch.zeros((), dtype=torch.float64)
        gamma.requires_grad_(), beta.requires_grad_()
        y = layer(x, gamma, beta, eps)
        loss = (v[r"\delta_i"] * y).sum()
        leaves = {"x": x, "γ": gamma, "β": beta}
        if leaf in leaves:
            (found,) = torch.autograd.grad(loss, leaves[leaf])
            return found[v["i"] - 1] if found.ndim else found
        (found,) = torch.autograd.grad(loss, x)
        return leaf(found)

    return value


def hidden_var(v):
    return v[r"\epsilon"] * SHARE_KEPT / (1 - SHARE_KEPT)


def slope(v):
    mu = v[r"\mu"].clone().requires_grad_()
    return torch.autograd.grad(((v["x_i"] - mu) ** 2).mean(), mu)[0]


def share(v):
    """All vectors of signs, equally likely, through the derivative of the layer."""
    x = torch.sin(torch.arange(v["m"], dtype=torch.float64))
    jacobian = torch.func.jacrev(layer)(x) * x.std(correction=0)
    signs = itertools.product((-1.0, 1.0), repeat=v["m"])
    squares = [
        (torch.tensor(s, dtype=torch.float64) @ jacobian).norm() ** 2 for s in signs
    ]
    return torch.stack(squares).mean() / v["m"]


def two(function):
    def value(v):
        x = torch.stack([v["d"] + 0.3, torch.tensor(0.3, dtype=torch.float64)])
        return function(lambda x: layer(x, eps=v[r"\epsilon"]), x)

    return value


def of_channel(k):
    return lambda v: kept(v["x_{n,c,h,w}"])[k][v["c"]]


def bias(by_bias):
    def value(v):
        z = torch.sin(torch.arange(v["m"], dtype=torch.float64)).requires_grad_()
        b = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
        x = z + b
        loss = (layer(x, eps=0.1).exp() * torch.cos(3 * z.detach())).sum()
        found = torch.autograd.grad(loss, b if by_bias else x)[0]
        return found.sum()

    return value


def three(function):
    """Expectation over three independent values, each of two possible ones."""

    def value(v):
        total, sigma = 0.0, v[r"\sigma"]
        for sides in itertools.product((0, 1), repeat=3):
            weight, batch = 1.0, []
            for side, p in zip(sides, (0.5, 0.2, 0.3), strict=True):
                odds = math.sqrt((1 - p) / p)
                batch.append((odds, -1 / odds)[side])  # mean 0, variance 1
                weight *= (p, 1 - p)[side]
            x = 0.6 + sigma * torch.tensor(batch, dtype=torch.float64)
            y = layer(x, sigma, torch.tensor(0.6, dtype=torch.float64))
            total += weight * function(x, y)
        return total

    return value


def normal_spread(v):
    """E[σ_B] as a quotient of two integrals over the radius of a batch."""
    m = v["m"]
    top = math.sqrt(m - 2)

    def density(r, power):
        return math.exp((m - 2 + power) * math.log(r / top) - (r * r - top * top) / 2)

    whole, moment = (
        integrate.quad(density, top - 12, top + 12, args=(p,), epsabs=0, epsrel=1e-12)[
            0
        ]
        for p in (0, 1)
    )
    return v[r"\sigma"] / math.sqrt(m) * top * moment / whole


POINT = {"i": integer(1, 5), "x_i": data(5), r"\epsilon": positive}
KNOWN = {"m": integer(5, 5), X_HAT: data("m", of=Draw(NORMALISED, NORMALISED))}
KNOWN |= {r"\delta_i": data("m")}
DRAWN = {"m": integer(2, 6), "x_i": data("m"), r"\delta_i": data("m")}

FORMS = {
    "eq-norm-mean": Form(
        given={"m": integer(2, 6), "x_i": data("m")}, stated={MU: mean}
    ),
    "eq-norm-variance": Form(
        given={"m": integer(2, 6), "x_i": data("m")}, stated={MU: mean, VAR: var}
    ),
    "eq-norm-standardise": Form(
        given=POINT, stated={MU: mean, VAR: var, X_HAT: normalised}
    ),
    "eq-norm-output": Form(
        given={"i": integer(1, 4), X_HAT: data(4), r"\gamma": real, r"\beta": real},
        stated={"y_i": rescaled},
    ),
    "eq-norm-batch-moments": Form(
        given={r"\gamma": real, r"\beta": real, r"\epsilon": positive},
        stated={
            MEAN_OF_Y: of_output(torch.mean),
            VAR_OF_Y: of_output(lambda y: y.var(correction=0)),
            VAR: lambda v: kept(BATCH[:, None])[1],
        },
    ),
    "eq-norm-slope-offset": Form(
        given=POINT | {r"\gamma": real, r"\beta": real},
        stated={MU: mean, VAR: var, "y_i": output},
    ),
    "eq-norm-affine-input": Form(
        given=POINT | {"a": positive, "b": real},
        stated={
            MU: mean,
            VAR: var,
            MOVED: lambda v: normalised(v | {"x_i": v["a"] * v["x_i"] + v["b"]}),
            SHRUNK: lambda v: normalised(
                v | {r"\epsilon": v[r"\epsilon"] / v["a"] ** 2}
            ),
        },
    ),
    "eq-norm-one-example": Form(
        given={"m": integer(3, 7), "d": real, "s": positive, r"\epsilon": positive},
        stated={r"\hat{x}_1": one_among},
    ),
    "eq-norm-bound": Form(
        given={"m": integer(2, 5)},
        stated={r"\max_{\mathbf{x}} |\hat{x}_i|": largest},
    ),
    "eq-norm-backward-standardised": Form(
        given={"i": integer(1, 5), r"\delta_i": data(5), r"\gamma": real},
        stated={BY[X_HAT]: node(X_HAT)},
    ),
    "eq-norm-backward-weight": Form(given=KNOWN, stated={BY[r"\gamma"]: through("γ")}),
    "eq-norm-backward-bias": Form(
        given={"m": integer(5, 5), r"\delta_i": data("m")},
        stated={BY[r"\beta"]: through("β")},
    ),
    "eq-norm-backward-variance": Form(
        given=DRAWN | {r"\gamma": real, r"\epsilon": positive},
        stated={MU: mean, VAR: var, BY[VAR]: node(VAR)},
    ),
    "eq-norm-variance-slope": Form(
        given={"m": integer(2, 6), "x_i": data("m"), r"\mu": real},
        stated={SLOPE: slope},
    ),
    "eq-norm-backward-mean": Form(
        given={"m": integer(5, 5), r"\delta_i": data("m"), r"\gamma": real}
        | {r"\epsilon": positive},
        stated={VAR: lambda v: kept(BATCH[:, None])[1], BY[MU]: node(MU)},
    ),
    "eq-norm-backward-routes": Form(
        given=DRAWN | {"i": integer(1, 2), r"\gamma": real, r"\epsilon": positive},
        stated={MU: mean, VAR: var} | {BY[k]: node(k) for k in ("x_i", VAR, MU)},
    ),
    "eq-norm-backward-input": Form(
        given=KNOWN | {"i": integer(1, 5), r"\gamma": real, r"\epsilon": positive},
        stated={
            VAR: hidden_var,
            BY["x_i"]: through("x"),
            BY[r"\gamma"]: through("γ"),
            BY[r"\beta"]: through("β"),
        },
    ),
    "eq-norm-orthogonal": Form(
        given=KNOWN | {r"\gamma": real, r"\epsilon": positive},
        stated={
            VAR: hidden_var,
            SUM: through(torch.sum),
            PRODUCT: through(lambda found: (NORMALISED * found).sum()),
        },
    ),
    "eq-norm-gradient-length": Form(
        given={
            "m": integer(5, 5),
            r"\delta_i": data("m"),
            r"\gamma": real,
            r"\epsilon": positive,
        },
        stated={
            VAR: hidden_var,
            r"\rho": lambda v: 2 - NORMALISED.norm() ** 2 / 5,
            SQUARES: through(lambda found: (found**2).sum()),
            BY[r"\gamma"]: through("γ"),
            BY[r"\beta"]: through("β"),
        },
    ),
    "eq-norm-share": Form(given={"m": integer(3, 6)}, stated={SHARE: share}),
    "eq-norm-two": Form(
        given={"d": real, r"\epsilon": positive},
        stated={
            r"\hat{x}_1": two(lambda f, x: f(x)[0]),
            r"\hat{x}_2": two(lambda f, x: f(x)[1]),
            r"\frac{\partial \hat{x}_1}{\partial x_1}": two(
                lambda f, x: torch.func.jacrev(f)(x)[0, 0]
            ),
        },
    ),
    "eq-norm-conv": Form(
        given={
            "N": integer(1, 3),
            "H": integer(2, 4),
            "W": integer(2, 5),
            "c": integer(0, 2),
            "x_{n,c,h,w}": data("N", 3, "H", "W", first=0),
        },
        stated={r"\mu_c": of_channel(0), r"\sigma_c^2": of_channel(1)},
    ),
    "eq-norm-bias-gradient": Form(
        given={"m": integer(3, 7)},
        stated={r"\frac{\partial L}{\partial b}": bias(True), SUM: bias(False)},
    ),
    "eq-norm-identity": Form(
        given={"x": real, r"\mu": real, r"\sigma": positive, r"\epsilon": positive}
    ),
    "eq-norm-deviation": Form(
        given={r"\sigma": positive},
        stated={
            DEVIATION: three(lambda x, y: ((y - x) ** 2).mean()),
            SPREAD: three(lambda x, y: x.std(correction=0)),
        },
    ),
    "eq-norm-deviation-normal": Form(
        given={r"\sigma": positive, "m": integer(200, 209)},
        stated={SPREAD: normal_spread},
        functions={r"\Gamma": lambda x: math.gamma(float(x))},
        approx=1e-5,
    ),
}
