"""Closed forms of the page on likelihood and entropy, evaluated as printed."""

import itertools
import math

import torch
from scipy import optimize, stats

from lib import normal_log_pdf
from tests.as_printed import Form, data, integer, positive, real
from tests.printed.normal import MU, SIGMA, integral, ndtr


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


def slope_of_ndtr(v):
    """The density as the slope of the distribution function."""
    x = v["x"].clone().requires_grad_()
    return torch.autograd.grad(ndtr(x, v[MU], v[SIGMA]), x)[0]


def ndtri_partial(of):
    def at(v):
        p = torch.special.ndtr(v["z"])
        inputs = {"p": p, "mean": torch.zeros_like(p), "std": v[SIGMA]}
        inputs = {k: t.clone().requires_grad_() for k, t in inputs.items()}
        z = math.sqrt(2) * torch.special.erfinv(2 * inputs["p"] - 1)
        value = inputs["mean"] + inputs["std"] * z
        return torch.autograd.grad(value, inputs[of])[0]

    return at


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


FORMS = {
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
