"""Closed forms of the page on the normal distribution, evaluated as printed."""

import cmath
import math

import torch
from scipy import special, stats
from scipy.integrate import dblquad, quad

from lib import normal_cdf, normal_pdf, normal_quantile
from tests.as_printed import Draw, Form, integer, positive, real, unit

HALF = Draw(0.01, 0.49)
MU, SIGMA = r"\mu", r"\sigma"


def integral(f, lower=-math.inf, upper=math.inf):
    return quad(f, lower, upper, epsabs=1e-13, epsrel=1e-12)[0]


def bell(x):
    return math.exp(-(x**2) / 2)


def pdf(x, mean=0.0, std=1.0):
    return normal_pdf(torch.as_tensor(x, dtype=torch.float64), mean, std).item()


def derivative(function, order=1):
    """Derivative of a function of one tensor, by automatic differentiation."""

    def at(x):
        x = x.clone().requires_grad_()
        y = function(x)
        for _ in range(order):
            (y,) = torch.autograd.grad(y, x, create_graph=True)
        return y.detach()

    return at


def ndtr(x, mean, std):
    return torch.special.ndtr((x - mean) / std)


def slope_of_ndtr(v):
    """The density as the slope of the distribution function."""
    return derivative(lambda x: ndtr(x, v[MU], v[SIGMA]))(v["x"])


def polar_determinant(v):
    def to_plane(polar):
        return polar[0] * torch.stack([torch.cos(polar[1]), torch.sin(polar[1])])

    point = torch.stack([v["r"], v[r"\theta"]])
    return torch.det(torch.autograd.functional.jacobian(to_plane, point))


def box_muller(v):
    """Both numbers as one complex number; U is the chance of a larger radius."""
    radius = math.sqrt(stats.chi2(2).isf(v["U"].item()))
    return cmath.rect(radius, math.tau * v["V"].item())


def decaying(s, z):
    return stats.norm.pdf(s) * math.exp(-z.item() * s)


def even_moment(k):
    return integral(lambda z: z ** (2 * k) * pdf(z))


def newton_step(v):
    z = v["z"].clone().requires_grad_()
    log_cdf = torch.special.log_ndtr(z)
    (slope,) = torch.autograd.grad(log_cdf, z)
    return (z + (v["p"].log() - log_cdf) / slope).detach()


NEXT_MOMENT = r"\operatorname{E}[Z^{2k-2}]"

FORMS = {
    "eq-polar-jacobian": Form(
        given={"r": positive, r"\theta": real},
        stated={
            r"\frac{\partial x}{\partial r} \frac{\partial y}{\partial \theta}"
            r" - \frac{\partial x}{\partial \theta}"
            r" \frac{\partial y}{\partial r}": polar_determinant
        },
    ),
    "eq-gaussian-square": Form(
        stated={
            "I^2": lambda v: integral(bell) ** 2,
            r"\int_{-\infty}^{\infty} \int_{-\infty}^{\infty}"
            r" e^{-\frac{x^2 + y^2}{2}} \, dx \, dy": lambda v: dblquad(
                lambda y, x: bell(x) * bell(y), -9, 9, -9, 9
            )[0],
            r"\int_{0}^{2\pi} \int_{0}^{\infty} e^{-\frac{r^2}{2}} \, r \, dr \,"
            r" d\theta": lambda v: dblquad(
                lambda r, theta: bell(r) * r, 0, 2 * math.pi, 0, 9
            )[0],
        },
    ),
    "eq-gaussian-integral": Form(
        stated={
            r"\int_{-\infty}^{\infty} e^{-\frac{x^2}{2}} \, dx": lambda _: integral(
                bell
            )
        },
    ),
    "eq-standard-normal": Form(
        given={"z": real},
        functions={r"\varphi": derivative(torch.special.ndtr)},
    ),
    "eq-normal-pdf": Form(
        given={"x": real, MU: real, SIGMA: positive},
        stated={"f(x)": slope_of_ndtr},
        functions={r"\varphi": lambda z: stats.norm.pdf(z.item())},
    ),
    "eq-normal-curvature": Form(
        given={"z": real},
        stated={
            r"\varphi'(z)": lambda v: derivative(normal_pdf)(v["z"]),
            r"\varphi''(z)": lambda v: derivative(normal_pdf, 2)(v["z"]),
        },
        functions={r"\varphi": lambda z: stats.norm.pdf(z.item())},
    ),
    "eq-normal-moment-recursion": Form(
        given={"k": integer(1, 5)},
        stated={
            r"\operatorname{E}[Z^{2k}]": lambda v: even_moment(v["k"]),
            NEXT_MOMENT: lambda v: even_moment(v["k"] - 1),
        },
    ),
    "eq-normal-mean-variance": Form(
        given={MU: real, SIGMA: positive},
        stated={
            r"\operatorname{E}[X]": lambda v: integral(
                lambda x: x * pdf(x, v[MU], v[SIGMA])
            ),
            r"\operatorname{Var}[X]": lambda v: integral(
                lambda x: (x - v[MU].item()) ** 2 * pdf(x, v[MU], v[SIGMA])
            ),
        },
    ),
    "eq-normal-peak": Form(
        given={SIGMA: positive},
        stated={
            r"f(\mu)": lambda v: normal_pdf(
                torch.linspace(-1, 1, 201, dtype=torch.float64), 0.0, v[SIGMA]
            ).max()
        },
    ),
    "eq-standardise": Form(
        given={"X": real, MU: real, SIGMA: Draw(1.0, 3.0)},
        stated={"Z": lambda v: normal_quantile(normal_cdf(v["X"], v[MU], v[SIGMA]))},
    ),
    "eq-normal-cdf": Form(
        given={"x": real, MU: real, SIGMA: positive},
        stated={
            "F(x)": lambda v: integral(
                lambda t: pdf(t, v[MU], v[SIGMA]), -math.inf, v["x"].item()
            )
        },
        functions={
            r"\Phi": lambda z: stats.norm.cdf(z.item()),
            r"\operatorname{erfc}": lambda t: special.erfc(t.item()),
        },
    ),
    "eq-normal-cdf-symmetry": Form(
        given={"z": real},
        functions={r"\Phi": lambda z: integral(pdf, -math.inf, z.item())},
    ),
    "eq-within-k-sigma": Form(
        given={"k": positive, MU: real, SIGMA: positive},
        stated={
            r"F(\mu + k\sigma) - F(\mu - k\sigma)": lambda v: integral(
                lambda x: pdf(x, v[MU], v[SIGMA]),
                (v[MU] - v["k"] * v[SIGMA]).item(),
                (v[MU] + v["k"] * v[SIGMA]).item(),
            )
        },
        functions={
            r"\Phi": lambda z: normal_cdf(z),
            r"\operatorname{erf}": lambda t: special.erf(t.item()),
        },
    ),
    "eq-normal-tail-bound": Form(
        given={"z": Draw(0.0, 8.0)},
        stated={
            r"e^{-\frac{z^2}{2}} \int_{0}^{\infty} \varphi(s) \, e^{-zs}"
            r" \, ds": lambda v: integral(
                lambda s: bell(v["z"]) * decaying(s, v["z"]), 0
            )
        },
        functions={r"\Phi": lambda z: normal_cdf(z)},
        points=20,
    ),
    "eq-normal-quantile-newton": Form(
        given={"z": real, "p": HALF},
        stated={r"z_{\mathrm{new}}": newton_step},
        functions={
            r"\Phi": lambda z: stats.norm.cdf(z.item()),
            r"\varphi": lambda z: stats.norm.pdf(z.item()),
        },
    ),
    "eq-normal-quantile-start": Form(
        given={"p": HALF},
        stated={"z_0": lambda v: -math.sqrt(stats.chi2(2).isf(2 * v["p"].item()))},
        functions={r"\Phi": lambda z: stats.norm.cdf(z.item())},
    ),
    "eq-normal-radius": Form(
        given={"r": positive},
        stated={
            "F_R(r)": lambda v: stats.chi(2).cdf(v["r"].item()),
            r"\int_{0}^{r} s \, e^{-\frac{s^2}{2}} \, ds": lambda v: integral(
                lambda s: s * bell(s), 0, v["r"].item()
            ),
        },
    ),
    "eq-box-muller": Form(
        given={"U": unit, "V": unit},
        stated={
            "Z_1": lambda v: box_muller(v).real,
            "Z_2": lambda v: box_muller(v).imag,
        },
    ),
}
