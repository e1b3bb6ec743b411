"""Closed forms of the page on depth, evaluated as they are printed."""

import functools
import math

import torch
from scipy import integrate, optimize, stats
from scipy.special import digamma

from lib.activation import activation_moments, leaky_relu
from tests.as_printed import Form, data, integer, positive, unit


def factor(v):
    """Second moment of the activation, n v times that of the input."""
    std = math.sqrt(v["n"] * float(v["v"]))
    _, second, _ = activation_moments(lambda z: leaky_relu(z, float(v["a"])), std=std)
    return second


def root(condition):
    """Where the condition, which rises with ρ, holds; searched for on a log scale."""
    return math.exp(optimize.brentq(lambda t: condition(math.exp(t)), -20, 20))


def slow(v):
    speed = v["T"] * v[r"\eta_{\mu}"] * v["d"] * v["q"]
    return root(lambda r: math.log(float(speed) * r ** (v["d"] - 1)))


def fast(v):
    """The step and the matrix it corrects have the same squared norm."""
    step = 2 * float(v[r"\eta_{\mu}"] ** 2 * v["q"])
    return root(lambda r: math.log(step * r ** (v["d"] - 1)) - math.log(2 * r * v["n"]))


def logit(ws):
    """One output of a network of max-pooled pairs; its first layer is a matrix."""
    h = torch.tensor([0.7, -1.1, 0.4], dtype=torch.float64)
    for w in ws[:-1]:
        h = leaky_relu((w @ h).view(3, 2).max(1)[0], 0.2)
    return (ws[-1] @ h)[0]


def network(d):
    generator = torch.Generator().manual_seed(d)
    sizes = [(6, 3)] * (d - 1) + [(1, 3)]
    return [
        torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()
        for size in sizes
    ]


def scaled(v):
    ws = network(v["d"])
    return [
        (c * w).detach().requires_grad_() for c, w in zip(v["c_k"], ws, strict=True)
    ]


def slope(ws, layer):
    """The derivative with respect to one weight that the logit depends on."""
    gradient = torch.autograd.grad(logit(ws), ws[layer - 1])[0].flatten()
    return gradient[gradient.abs().argmax()]


@functools.cache
def gradient_sizes(d, rho, x):
    """E of the squared gradients of a logit by layer, over finitely many networks.

    A row of the weights is one of four vectors with equal probability: plus or minus
    a vector, and plus or minus the one perpendicular to it. So its entries are centred
    and uncorrelated, and no unit has a tie.
    """
    n, size = 2, math.sqrt(2 * rho)  # of each vector; n v = 2 ρ
    rows = []
    for k in range(2 * d - 1):
        angles = 0.3 + 0.71 * k + math.pi / 2 * torch.arange(4.0, dtype=torch.float64)
        rows.append(size * torch.stack([angles.cos(), angles.sin()], 1))
    every = torch.cartesian_prod(*[torch.arange(4)] * (2 * d - 1))
    ws = [
        torch.stack([rows[i][every[:, i]] for i in layer], 1).requires_grad_()
        for layer in [(n * k, n * k + 1) for k in range(d - 1)] + [(2 * d - 2,)]
    ]
    h = torch.tensor(x, dtype=torch.float64)[:, None].expand(len(every), n, 1)
    for w in ws[:-1]:
        h = (w @ h).relu()
    gradients = torch.autograd.grad((ws[-1] @ h).sum(), ws)
    return torch.stack([(g**2).sum((1, 2)).mean() for g in gradients])


def sizes_of(v):
    return gradient_sizes(v["d"], v[r"\rho"].item(), tuple(v["x_i"].tolist()))


def open_product(angle):
    """E[ReLU(U) ReLU(V)] for standard normal U, V; given U, V is normal."""
    c, s = math.cos(angle), math.sin(angle)

    def given(u):
        m = c * u / s
        kept = s * (stats.norm.pdf(m) + m * stats.norm.cdf(m))  # E[ReLU(V)] given U
        return u * kept * stats.norm.pdf(u)

    return integrate.quad(given, 0, 12, epsabs=1e-13, epsrel=1e-12, limit=200)[0]


def log_determinant(v):
    """Mean logarithm of the perpendicular parts, by quadrature of the density."""
    n = v["n"]
    total = 0.0
    for k in range(1, n + 1):
        # s = exp(t) keeps the integrand smooth at 0
        total += integrate.quad(
            lambda t, k=k: t * stats.chi2.pdf(math.exp(t), k) * math.exp(t), -80, 8,
            epsabs=1e-13, epsrel=1e-12, limit=500, points=[0.0],
        )[0]  # fmt: skip
    return (total - n * math.log(n)) / 2


FORMS = {
    "eq-depth-factor": Form(
        given={"a": unit, "n": integer(1, 9), "v": positive},
        stated={r"\rho": factor},
    ),
    "eq-depth-output": Form(
        given={"d": integer(2, 6), "c_k": data("d", of=positive)},
        stated={
            r"\tilde{\mathbf{z}}^{(d)}": lambda v: logit(scaled(v)).detach(),
            r"\mathbf{z}^{(d)}": lambda v: logit(network(v["d"])).detach(),
        },
    ),
    "eq-depth-gradient": Form(
        given={
            "d": integer(3, 6),
            "l": integer(1, 3),
            "c_k": data("d", of=positive),
        },
        stated={
            r"\frac{\partial \tilde{z}_j^{(d)}}{\partial \tilde{\mathbf{W}}^{(l)}}": (
                lambda v: slope(scaled(v), v["l"])
            ),
            r"\frac{\partial z_j^{(d)}}{\partial \mathbf{W}^{(l)}}": lambda v: slope(
                network(v["d"]), v["l"]
            ),
        },
    ),
    "eq-depth-ratio": Form(approx=0.001),
    "eq-depth-layer-gradient": Form(
        given={
            "d": integer(2, 4),
            "l": integer(1, 2),
            r"\rho": positive,
            "n": integer(2, 2),
            "x_i": data("n"),
        },
        stated={
            r"\operatorname{E}\left[\left\| \frac{\partial z_j^{(d)}}"
            r"{\partial \mathbf{W}^{(l)}} \right\|^2\right]": lambda v: sizes_of(v)[
                v["l"] - 1
            ],
        },
    ),
    "eq-depth-speed": Form(
        given={
            "d": integer(2, 4),
            r"\rho": positive,
            "n": integer(2, 2),
            "x_i": data("n"),
        },
        stated={
            r"\operatorname{E}\left[\sum_{l=1}^{d} \left\| \frac{\partial z_j^{(d)}}"
            r"{\partial \mathbf{W}^{(l)}} \right\|^2\right]": lambda v: sizes_of(
                v
            ).sum(),
        },
    ),
    "eq-depth-slow": Form(
        given={
            "T": integer(5, 90),
            r"\eta_{\mu}": unit,
            "d": integer(3, 30),
            "q": positive,
        },
        stated={r"\rho_{\mathrm{slow}}": slow},
    ),
    "eq-depth-fast": Form(
        given={
            "n": integer(5, 90),
            r"\eta_{\mu}": unit,
            "d": integer(4, 30),
            "q": positive,
        },
        stated={r"\rho_{\mathrm{fast}}": fast},
    ),
    "eq-depth-product": Form(
        given={r"\alpha": positive},
        stated={
            r"\frac{2}{2 \pi} \int_{\alpha - \frac{\pi}{2}}^{\frac{\pi}{2}}"
            r" \cos \theta \cos(\theta - \alpha) \, d\theta": lambda v: open_product(
                v[r"\alpha"].item()
            )
        },
    ),
    "eq-depth-angle": Form(
        given={r"\alpha": positive},
        stated={
            "c'": lambda v: 2 * open_product(v[r"\alpha"].item()),
            "c": lambda v: torch.cos(v[r"\alpha"]),
        },
    ),
    "eq-depth-determinant": Form(
        given={"n": integer(1, 7)},
        stated={r"\operatorname{E}[\ln |\det \mathbf{W}|]": log_determinant},
        functions={r"\psi": lambda z: torch.as_tensor(digamma(z.item()))},
    ),
    "eq-depth-orthogonal-ratio": Form(
        given={"n": integer(2, 30)},
        stated={
            # the square of a coordinate on the sphere has a beta distribution
            r"\operatorname{E}[R]": lambda v: (
                v["n"] * stats.beta(0.5, (v["n"] - 1) / 2).moment(1)
            ),
            r"\operatorname{Var}[R]": lambda v: (
                v["n"] * stats.beta(0.5, (v["n"] - 1) / 2).moment(2)
            ),
        },
    ),
}
