"""Closed forms of the page on the normal distribution, evaluated as printed."""

import cmath
import itertools
import math

import torch
from scipy import optimize, special, stats
from scipy.integrate import dblquad, quad

from lib import normal_cdf, normal_log_pdf, normal_pdf, normal_quantile
from tests.as_printed import Draw, Form, data, integer, positive, real, unit

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


def partial(function, of, location=0.7):
    """Partial derivative at x = μ + σz, of a composition that is not the library's."""

    def at(v):
        mean, std = torch.tensor(location, dtype=torch.float64), v[SIGMA]
        inputs = {"x": mean + std * v["z"], "mean": mean, "std": std}
        inputs = {k: t.clone().requires_grad_() for k, t in inputs.items()}
        (slope,) = torch.autograd.grad(function(*inputs.values()), inputs[of])
        return slope

    return at


def log_prob(x, mean, std):
    return torch.distributions.Normal(mean, std).log_prob(x)


def prob(x, mean, std):
    return log_prob(x, mean, std).exp()


def ndtr(x, mean, std):
    return torch.special.ndtr((x - mean) / std)


def slope_of_ndtr(v):
    """The density as the slope of the distribution function."""
    return derivative(lambda x: ndtr(x, v[MU], v[SIGMA]))(v["x"])


def ndtri_partial(of):
    def at(v):
        p = torch.special.ndtr(v["z"])
        inputs = {"p": p, "mean": torch.zeros_like(p), "std": v[SIGMA]}
        inputs = {k: t.clone().requires_grad_() for k, t in inputs.items()}
        z = math.sqrt(2) * torch.special.erfinv(2 * inputs["p"] - 1)
        value = inputs["mean"] + inputs["std"] * z
        return torch.autograd.grad(value, inputs[of])[0]

    return at


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


def sample_with(v):
    """Data of n numbers with the given mean and (biased) variance."""
    x = torch.arange(1, v["n"] + 1, dtype=torch.float64) ** 1.5
    x = (x - x.mean()) / x.std(correction=0)
    return v[r"\bar{x}"] + v[r"\hat{\sigma}^2"].sqrt() * x


def maximiser(v):
    """The mean and the variance under which the data have the largest density."""
    x = v["x_i"]

    def loss(parameters):
        return -log_prob(x, parameters[0], parameters[1].exp()).sum()

    def gradient(parameters):
        return torch.autograd.functional.jacobian(loss, torch.as_tensor(parameters))

    start = [x[0].item(), 0.0]
    about = optimize.minimize(
        lambda p: loss(torch.as_tensor(p)).item(),
        start,
        jac=lambda p: gradient(p).numpy(),
        method="BFGS",
    )
    best = torch.as_tensor(about.x)
    for _ in range(4):  # to all digits
        hessian = torch.autograd.functional.hessian(loss, best)
        best = best - torch.linalg.solve(hessian, gradient(best))
    return best[0], torch.exp(2 * best[1])


def over_all_samples(statistic):
    """Expectation of a statistic of n tosses that are σ or -σ, over all outcomes."""

    def at(v):
        outcomes = list(itertools.product([-1.0, 1.0], repeat=v["n"]))
        samples = v[SIGMA] * torch.tensor(outcomes, dtype=torch.float64)
        return statistic(samples).mean()

    return at


def biased_variance(samples):
    return samples.var(1, correction=0)


def product(v):
    """Integral of the product of two normal densities of mean 0."""
    t, s1, s2 = v["t"].item(), v[r"\sigma_1"].item(), v[r"\sigma_2"].item()
    return integral(lambda x: stats.norm.pdf(x, 0, s1) * stats.norm.pdf(t - x, 0, s2))


def expectation(law, g):
    lower, upper = max(law.support()[0], -40), min(law.support()[1], 40)

    def weighted(x):
        return law.pdf(x) * g(x)

    return integral(weighted, lower, 0) + integral(weighted, 0, upper)


def entropy(law):
    return expectation(law, lambda x: -law.logpdf(x))


def entropy_and_divergence(v):
    """Of a logistic law with the given standard deviation."""
    std = v[SIGMA].item()
    law = stats.logistic(scale=std * math.sqrt(3) / math.pi)
    normal = stats.norm(0, std)
    return entropy(law) + expectation(law, lambda x: law.logpdf(x) - normal.logpdf(x))


def divergence(v):
    f = stats.norm(v[r"\mu_1"].item(), v[r"\sigma_1"].item())
    q = stats.norm(v[r"\mu_2"].item(), v[r"\sigma_2"].item())
    return integral(lambda x: f.pdf(x) * (f.logpdf(x) - q.logpdf(x)), -25, 25)


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
    "eq-normal-log-pdf": Form(
        given={"x": real, MU: real, SIGMA: positive},
        stated={r"\ln f(x)": lambda v: slope_of_ndtr(v).log()},
    ),
    "eq-normal-log-pdf-gradient": Form(
        given={"z": real, SIGMA: positive},
        stated={
            r"\frac{\partial \ln f}{\partial x}": partial(log_prob, "x"),
            r"\frac{\partial \ln f}{\partial \mu}": partial(log_prob, "mean"),
            r"\frac{\partial \ln f}{\partial \sigma}": partial(log_prob, "std"),
        },
    ),
    "eq-normal-pdf-gradient": Form(
        given={"z": real, SIGMA: positive},
        stated={
            r"\frac{\partial f}{\partial x}": partial(prob, "x"),
            r"\frac{\partial f}{\partial \mu}": partial(prob, "mean"),
            r"\frac{\partial f}{\partial \sigma}": partial(prob, "std"),
        },
        functions={r"\varphi": lambda z: stats.norm.pdf(z.item())},
    ),
    "eq-normal-cdf-gradient": Form(
        given={"z": real, SIGMA: positive},
        stated={
            r"\frac{\partial F}{\partial x}": partial(ndtr, "x"),
            r"\frac{\partial F}{\partial \mu}": partial(ndtr, "mean"),
            r"\frac{\partial F}{\partial \sigma}": partial(ndtr, "std"),
        },
        functions={r"\varphi": lambda z: stats.norm.pdf(z.item())},
    ),
    "eq-normal-quantile-gradient": Form(
        given={"z": real, SIGMA: positive},
        stated={
            r"\frac{\partial F^{-1}}{\partial p}": ndtri_partial("p"),
            r"\frac{\partial F^{-1}}{\partial \mu}": ndtri_partial("mean"),
            r"\frac{\partial F^{-1}}{\partial \sigma}": ndtri_partial("std"),
        },
        functions={r"\varphi": lambda z: stats.norm.pdf(z.item())},
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
    "eq-normal-mle": Form(
        given={"n": integer(2, 6), "x_i": data("n")},
        stated={
            r"\bar{x}": lambda v: maximiser(v)[0],
            r"\hat{\sigma}^2": lambda v: maximiser(v)[1],
        },
    ),
    "eq-normal-log-likelihood": Form(
        given={
            "n": integer(2, 6),
            r"\bar{x}": real,
            r"\hat{\sigma}^2": positive,
            MU: real,
            SIGMA: positive,
        },
        stated={
            r"\sum_{i=1}^{n} \ln f(x_i)": lambda v: normal_log_pdf(
                sample_with(v), v[MU], v[SIGMA]
            ).sum()
        },
    ),
    "eq-variance-split": Form(
        given={"n": integer(2, 6), SIGMA: positive},
        stated={
            r"\operatorname{E}[\hat{\sigma}^2]": over_all_samples(biased_variance),
            r"\operatorname{E}[(\bar{x} - \mu)^2]": over_all_samples(
                lambda samples: samples.mean(1) ** 2
            ),
        },
    ),
    "eq-mle-variance-bias": Form(
        given={"n": integer(2, 6), SIGMA: positive},
        stated={
            r"\operatorname{E}[\hat{\sigma}^2]": over_all_samples(biased_variance),
        },
    ),
    "eq-variance-of-s2": Form(
        given={"n": integer(2, 6), SIGMA: positive},
        stated={
            r"\operatorname{Var}[s^2]": lambda v: (
                stats.chi2(v["n"] - 1).var() * (v[SIGMA] ** 2 / (v["n"] - 1)) ** 2
            )
        },
    ),
    "eq-standard-error-of-s": Form(
        given={"n": integer(100, 200), SIGMA: positive},
        stated={
            r"\sqrt{\operatorname{Var}[s]}": lambda v: (
                stats.chi(v["n"] - 1).std() * v[SIGMA] / math.sqrt(v["n"] - 1)
            )
        },
        approx=0.0014,
    ),
    "eq-complete-square": Form(
        given={"x": real, "t": real, r"\sigma_1": positive, r"\sigma_2": positive},
    ),
    "eq-normal-sum": Form(
        given={"t": real, r"\sigma_1": positive, r"\sigma_2": positive},
        stated={r"\int_{-\infty}^{\infty} f_X(x) \, f_Y(t-x) \, dx": product},
    ),
    "eq-normal-entropy": Form(
        given={SIGMA: positive},
        stated={"H[f]": lambda v: entropy(stats.norm(0, v[SIGMA].item()))},
    ),
    "eq-entropy-deficit": Form(
        given={SIGMA: positive},
        stated={r"H[f] + D(f \,\|\, q)": entropy_and_divergence},
    ),
    "eq-entropies": Form(
        stated={
            r"H_{\mathrm{logistic}}": lambda v: entropy(
                stats.logistic(scale=1 / stats.logistic.std())
            ),
            r"H_{\mathrm{Laplace}}": lambda v: entropy(
                stats.laplace(scale=1 / stats.laplace.std())
            ),
            r"H_{\mathrm{uniform}}": lambda v: entropy(
                stats.uniform(-0.5 / stats.uniform.std(), 1 / stats.uniform.std())
            ),
        },
    ),
    "eq-normal-kl": Form(
        given={
            r"\mu_1": real,
            r"\mu_2": real,
            r"\sigma_1": positive,
            r"\sigma_2": positive,
        },
        stated={r"D(f \,\|\, q)": divergence},
    ),
}
