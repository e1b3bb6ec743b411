"""Closed forms of the page on why batch normalisation helps, as they are printed."""

import math

import torch
from scipy import integrate, stats

from lib.norm import batch_norm
from tests.as_printed import Draw, Form, integer, positive, real, unit
from tests.printed.signals import CURVES, normal_mean


def loss(w, gamma, eps):
    """Loss of one normalised unit; its batch variance."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    t = torch.randn(9, generator=generator, dtype=torch.float64)
    z = x @ w
    y = batch_norm(z[:, None], None, None, gamma[None], training=True, eps=eps)
    return (torch.tanh(y[:, 0]) * t).sum(), z.var(correction=0)


def weights():
    generator = torch.Generator().manual_seed(2)
    return torch.randn(4, generator=generator, dtype=torch.float64)


def slopes(w, gamma, eps):
    w = w.clone().requires_grad_()
    gamma = torch.tensor(float(gamma), dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(loss(w, gamma, eps)[0], (w, gamma))


def radial(v):
    w = weights()
    return w @ slopes(w, v[r"\gamma"], float(v[r"\epsilon"]))[0]


def along(w):
    """The gradient at w, where ε is negligible, in a fixed direction."""
    probe = torch.linspace(-1, 1, len(w), dtype=torch.float64)
    return probe @ slopes(w, 1.3, 1e-30)[0], probe @ w


def stepped(v):
    return weights() - v[r"\eta"] * slopes(weights(), 1.3, 1e-30)[0]


def layer_rate(v):
    """Two wide normalised layers of tanh, and autograd between them."""
    generator = torch.Generator().manual_seed(5)
    n, m = 500, 2000

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def activate(z):
        return torch.tanh(batch_norm(z, None, None, training=True, eps=1e-30))

    below = activate(draw(m, n)).requires_grad_()
    above = activate(below @ draw(n, n))
    delta = draw(m, n)
    (found,) = torch.autograd.grad(above, below, delta)
    return (found**2).mean() / (delta**2).mean()


def tanh_variance(v):
    return normal_mean(lambda z: math.tanh(z) ** 2)


def tanh_slope_square(v):
    return normal_mean(lambda z: math.cosh(z) ** -4)


def product_of_steps(v):
    """The rate for v = w / α, where decay multiplies α by 1 - ηλ at each step."""
    alpha, shrink = 1.0, 1 - float(v[r"\eta"] * v[r"\lambda"])
    for _ in range(v["t"]):
        alpha *= shrink
    return float(v[r"\eta"]) / (alpha * (alpha * shrink))


def balance(v):
    """Iterate the norm under decay and a gradient of constant length on the sphere."""
    eta, decay, kappa, square = float(v[r"\eta"]), float(v[r"\lambda"]), 1.7, 1.0
    for _ in range(20_000):
        square = (1 - eta * decay) ** 2 * square + (eta * kappa) ** 2 / square
    return eta * kappa / square


def rectifier_rate(b):
    """E[g'²] / Var[g] for g(z) = ReLU(z + b)."""

    def g(z):
        return max(z + b, 0.0)

    centre = normal_mean(g, kink=-b)
    spread = normal_mean(lambda z: (g(z) - centre) ** 2, kink=-b)
    return normal_mean(lambda z: float(z + b > 0), kink=-b) / spread


def slope_square():
    """E[ReLU'(Z)²]."""
    return normal_mean(lambda z: float(z > 0))


def branches(v):
    """Variance after l branches are added to what layer 0 starts with."""
    centre = normal_mean(lambda z: max(z, 0.0))
    one = normal_mean(lambda z: (max(z, 0.0) - centre) ** 2)
    total = v["s"] * v["n"] * v["v"] * one
    for _ in range(v["l"]):
        total = total + v["n"] * v["v"] * one
    return total


def correlation(v):
    m = v["m"]
    centring = torch.eye(m, dtype=torch.float64) - 1 / m
    return centring[0, 1] / centring[0, 0]


def pair_mean(v, given):
    """Given one of the two, the other is normal."""
    rho = float(correlation(v))
    spread = math.sqrt(1 - rho**2)
    options = {"epsabs": 0, "epsrel": 1e-12}
    return integrate.quad(
        lambda z: given(z, rho * z / spread, spread) * stats.norm.pdf(z),
        0, 12, **options,
    )[0]  # fmt: skip


def both_positive(v):
    return pair_mean(v, lambda z, t, s: stats.norm.cdf(t))


def both_product(v):
    return pair_mean(
        v, lambda z, t, s: z * s * (stats.norm.pdf(t) + t * stats.norm.cdf(t))
    )


def small_batch(v):
    """Of the definition: a ReLU, then the projection, averaged over many units."""
    m = v["m"]
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(400_000, m, generator=generator, dtype=torch.float64)
    z = z - z.mean(1, keepdim=True)
    x = z / (z**2).mean(1, keepdim=True).sqrt()
    h = x.clamp(min=0)
    spread = ((h - h.mean(1, keepdim=True)) ** 2).sum(1).mean() / (m - 1)
    delta = torch.randn(z.shape, generator=generator, dtype=torch.float64)
    delta = (delta - delta.mean(1, keepdim=True)) * (x > 0)
    delta = delta - delta.mean(1, keepdim=True)
    delta = delta - x * (delta * x).mean(1, keepdim=True)
    inverse = stats.chi2(m - 1).expect(lambda s: 1 / s, lb=0, ub=math.inf)
    return m * inverse * (delta**2).sum(1).mean() / ((m - 1) * spread)


small = Draw(0.05, 0.3)
RATE = r"\frac{\operatorname{E}[\delta_{l-1}^2]}{\operatorname{E}[\delta_l^2]}"

FORMS = {
    "eq-scale-gradient": Form(
        given={"a": positive},
        stated={
            r"\nabla L(a \mathbf{w})": lambda v: along(v["a"] * weights())[0],
            r"\nabla L(\mathbf{w})": lambda v: along(weights())[0],
        },
    ),
    "eq-scale-growth": Form(
        given={r"\eta": positive},
        stated={
            r"\|\mathbf{w}_{t+1}\|": lambda v: stepped(v).norm(),
            r"\|\mathbf{w}_t\|": lambda v: weights().norm(),
            r"\|\nabla L(\mathbf{w}_t)\|": lambda v: slopes(weights(), 1.3, 1e-30)[
                0
            ].norm(),
        },
    ),
    "eq-effective-rate": Form(
        given={r"\eta": positive},
        stated={
            "r": lambda v: weights().norm(),
            r"\mathbf{w}": lambda v: along(weights())[1],
            r"\mathbf{u}": lambda v: along(weights() / weights().norm())[1],
            r"\nabla L(\mathbf{w})": lambda v: along(weights())[0],
            r"\nabla L(\mathbf{u})": lambda v: along(weights() / weights().norm())[0],
        },
    ),
    "eq-explosion-activation": Form(
        stated={
            RATE: layer_rate,
            r"\operatorname{E}[g'(Z)^2]": tanh_slope_square,
            r"\operatorname{Var}[g(Z)]": tanh_variance,
        },
        rtol=0.02,
        points=1,
    ),
    "eq-scale-radial": Form(
        given={r"\epsilon": positive, r"\gamma": real},
        stated={
            r"\langle \mathbf{w}, \nabla L(\mathbf{w}) \rangle": radial,
            r"\sigma_{\mathcal{B}}": lambda v: loss(
                weights(), torch.ones((), dtype=torch.float64), 1.0
            )[1].sqrt(),
            r"\frac{\partial L}{\partial \gamma}": lambda v: slopes(
                weights(), v[r"\gamma"], float(v[r"\epsilon"])
            )[1],
        },
    ),
    "eq-decay-rate": Form(
        given={r"\eta": unit, r"\lambda": unit, "t": integer(0, 20)},
        stated={r"\eta_t": product_of_steps},
    ),
    "eq-decay-balance": Form(
        given={r"\eta": small, r"\lambda": small},
        stated={
            r"\frac{\eta \|\nabla L(\mathbf{w})\|}{\|\mathbf{w}\|}": balance,
        },
        approx=0.03,
    ),
    "eq-explosion-rate": Form(
        stated={RATE: lambda v: rectifier_rate(0.0)},
        approx=1e-4,
    ),
    "eq-explosion-pair": Form(
        given={"m": integer(4, 40)},
        stated={r"\rho": correlation, "q": both_positive, "c": both_product},
    ),
    "eq-explosion-batch": Form(
        given={"m": integer(4, 12)},
        stated={RATE: small_batch, "q": both_positive, "c": both_product},
        rtol=0.01,
        points=3,
    ),
    "eq-residual-factor": Form(
        given={"n": integer(3, 9), "v": positive, "l": integer(1, 9), "s": positive},
        stated={
            r"\frac{\operatorname{E}[\delta_{l}^2]}"
            r"{\operatorname{E}[\delta_{l+1}^2]}": (
                lambda v: 1 + v["n"] * v["v"] * slope_square() / branches(v)
            ),
            "V_l": branches,
        },
    ),
    "eq-explosion-shift": Form(
        given={"b": real},
        stated={
            r"\frac{\operatorname{E}[g'(Z)^2]}{\operatorname{Var}[g(Z)]}": (
                lambda v: rectifier_rate(float(v["b"]))
            ),
        },
        functions=CURVES,
    ),
}
