"""Closed forms of the page on saturation, evaluated as they are printed.

Derivatives come from torch's own functions. Expectations over the weights are taken
over all signs of weights that are plus or minus their standard deviation.
"""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import integrate, optimize

from lib import normal_pdf
from lib.activation import activation_moments
from tests.as_printed import Draw, Form, data, integer, positive, real, unit

above = Draw(0.0, 4.0)
low = Draw(0.1, 0.4)
SHARES = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)  # of three classes


def slope(function, z):
    z = torch.as_tensor(z, dtype=torch.float64).clone().requires_grad_()
    return torch.autograd.grad(function(z), z)[0]


def uniform_variance(v):
    bound = 1 / math.sqrt(v["n"])
    return integrate.quad(lambda w: w**2 / (2 * bound), -bound, bound)[0]


def cost_slope(cost):
    """Derivative with respect to the logit of a probability that was drawn."""

    def value(v):
        z = torch.logit(v["p"])
        return slope(lambda z: cost(torch.sigmoid(z), v["t"]), z)

    return value


def cross_entropy(p, t):
    return F.binary_cross_entropy(p, t)


def steepest(v):
    found = optimize.minimize_scalar(
        lambda z: -slope(lambda z: torch.sigmoid(z) ** 2, z).item(),
        bounds=(-5, 5),
        method="bounded",
    )
    return -found.fun


def largest_factor(_):
    return slope(torch.sigmoid, 0.0) ** 2 / 3


def random(*sizes):
    return torch.randn(
        sizes, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def over_signs(vector):
    """E[(w · vector)²] for weights with mean 0 and variance 1/(3n)."""
    n = len(vector)
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=n)))
    return ((signs.double() @ vector / math.sqrt(3 * n)) ** 2).mean()


def with_mean_square(square):
    vector = random(5)
    return vector * (square / (vector**2).mean()).sqrt()


def difference_factor(v):
    """Of a small difference: E over both normal sums of its squared derivative."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    nodes = torch.tensor(nodes)
    weights = torch.tensor(weights / weights.sum())
    z, u = torch.meshgrid(v[r"\sigma"] * nodes, nodes / math.sqrt(3), indexing="ij")
    z = z.clone().requires_grad_()
    (change,) = torch.autograd.grad(torch.tanh(z), z, u)
    return weights @ change**2 @ weights


def slope_square(sigma):
    """E[tanh'(σZ)²] by adaptive quadrature."""

    def integrand(z):
        return math.cosh(sigma * z) ** -4 * math.exp(-z * z / 2)

    value, _ = integrate.quad(integrand, -12, 12, epsabs=1e-13)
    return value / math.sqrt(2 * math.pi)


def backward(v):
    """Mean square gradient below a layer of tanh units with σ = 0.7."""
    return slope_square(0.7) * over_signs(with_mean_square(v["Q'"]))


def activation_push(v):
    """Of a loss whose gradient with respect to the output weights was drawn."""
    w, gradient, m = v["w_{k,j}"], v[r"\frac{\partial L}{\partial w_{k,j}}"], v["m"]
    h = random(m, 2).requires_grad_()
    e = torch.linalg.pinv(h.detach().T) @ gradient.T
    (of_h,) = torch.autograd.grad((e * (h @ w.T)).sum(), h)
    return (h * of_h).sum(0)[v["j"] - 1]


def head(v):
    """N, P, Γ and N' of one unit below three logits, the step by torch's SGD."""
    numbers = random(2, 8)
    h = numbers[0].clone().requires_grad_()
    w = numbers[1, :3].clone().requires_grad_()
    logits = torch.outer(h, w) + random(8, 3)
    loss = F.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1, 2, 0, 0]))
    of_h, w.grad = torch.autograd.grad(loss, (h, w))
    before, squares = (w**2).sum().item(), (w.grad**2).sum()
    torch.optim.SGD([w], lr=v[r"\eta"].item()).step()
    return before, (h * of_h).sum(), squares, (w**2).sum()


def last_square(v):
    """|w|² after steps along gradients with the drawn pushes and squares."""
    w = torch.tensor([v["N_0"].sqrt(), 0.0])
    for push, square in zip(v["P_t"], v[r"\Gamma_t"], strict=True):
        across = torch.stack([-w[1], w[0]])
        aside = (square * (w @ w) - push**2).sqrt()
        w = w - v[r"\eta"] * (push * w + aside * across) / (w @ w)
    return w @ w


def share_noise(v):
    """Expectation over all mini-batches of m images."""
    total = 0.0
    for batch in itertools.product(range(3), repeat=v["m"]):
        found = torch.bincount(torch.tensor(batch), minlength=3).double() / v["m"]
        total += SHARES[list(batch)].prod() * ((found - SHARES) ** 2).sum()
    return total


def settled_noise(v):
    """Of one step after another, for a deviation that forgets the share κ in each."""
    deviation = 0.0
    for _ in range(3000):
        kept, added = (1 - v[r"\kappa"]) ** 2 * deviation, v[r"\kappa"] ** 2
        deviation = kept + added * v[r"\rho"] / v["m"]
    return deviation + v[r"\rho"] / v["m"]


NODES, WEIGHTS = np.polynomial.legendre.leggauss(60)


def normal_mean(function, mean, std):
    """E of a function of a normal variable, by adaptive quadrature."""

    def integrand(z):
        value = function(torch.tensor(mean + std * z, dtype=torch.float64)).item()
        return value * math.exp(-z * z / 2)

    value, _ = integrate.quad(integrand, -12, 12, epsabs=1e-13)
    return value / math.sqrt(2 * math.pi)


def tanh_moment(v):
    """E tanh(X) by the library."""
    return activation_moments(torch.tanh, v[r"\mu"], v[r"\sigma"])[0]


def of_sigmoid(function):
    """E of a function of σZ, for σ² = E[(w · h)²] where h has the mean square q."""

    def value(v):
        std = math.sqrt(over_signs(with_mean_square(v["q"])))
        return normal_mean(lambda z: function(torch.sigmoid(z)), 0.0, std)

    return value


def sigmoid_variance(v):
    mean = of_sigmoid(lambda h: h)(v)
    return of_sigmoid(lambda h: (h - mean) ** 2)(v)


def one_update(v):
    """Change of a sigmoid unit by a step along autograd's gradient."""
    below = random(v["n"])
    below *= (v["q"] / (below**2).mean()).sqrt()
    weights, bias = random(2, v["n"])[1], torch.logit(v["a"])
    weights = weights.clone().requires_grad_()
    bias = (bias - weights.detach() @ below).requires_grad_()
    a = torch.sigmoid(weights @ below + bias)
    noise = 2 * v[r"\rho"] / ((2 - v[r"\kappa"]) * v["m"])
    gradient = v[r"\eta"] / 2 * v["a"] * noise  # of the loss, with respect to a
    grads = torch.autograd.grad(gradient * a, (weights, bias))
    weights, bias = (
        p.detach() - v[r"\eta"] * g for p, g in zip((weights, bias), grads, strict=True)
    )
    return torch.sigmoid(weights @ below + bias) - v["a"]


FORMS = {
    "eq-sigmoid": Form(
        given={"z": real},
        stated={r"\operatorname{sigmoid}(z)": lambda v: torch.sigmoid(v["z"])},
    ),
    "eq-tanh": Form(
        given={"z": real}, stated={r"\tanh(z)": lambda v: torch.tanh(v["z"])}
    ),
    "eq-softsign": Form(
        given={"z": real}, stated={"g(z)": lambda v: F.softsign(v["z"])}
    ),
    "eq-sigmoid-derivative": Form(
        given={"z": real},
        stated={r"\operatorname{sigmoid}'(z)": lambda v: slope(torch.sigmoid, v["z"])},
    ),
    "eq-tanh-derivative": Form(
        given={"z": real}, stated={r"\tanh'(z)": lambda v: slope(torch.tanh, v["z"])}
    ),
    "eq-softsign-derivative": Form(
        given={"z": real}, stated={"g'(z)": lambda v: slope(F.softsign, v["z"])}
    ),
    "eq-activation-tails": Form(given={"z": above}),
    "eq-saturation-weights": Form(
        given={"n": integer(2, 50)},
        stated={"v": uniform_variance},
    ),
    "eq-activation-moments": Form(
        given={
            r"\mu": unit,
            r"\sigma": unit,
            "r": integer(60, 60),
            "z_i": data("r", of=Draw(9 * torch.tensor(NODES), 9 * torch.tensor(NODES))),
            r"\omega_i": data(
                "r", of=Draw(9 * torch.tensor(WEIGHTS), 9 * torch.tensor(WEIGHTS))
            ),
        },
        functions={r"\psi": torch.tanh, r"\varphi": normal_pdf},
        stated={
            r"\operatorname{E}[\psi(X)]": tanh_moment,
            r"\int_{-\infty}^{\infty} \psi(\mu + \sigma z) \, \varphi(z) \, dz": (
                lambda v: normal_mean(torch.tanh, v[r"\mu"].item(), v[r"\sigma"].item())
            ),
        },
        approx=1e-9,
    ),
    "eq-saturation-forward": Form(
        given={"q": unit},
        stated={
            r"\sigma^2": lambda v: over_signs(with_mean_square(v["q"])),
            "q'": lambda v: activation_moments(torch.sigmoid, 0.0, (v["q"] / 3).sqrt())[
                1
            ],
            r"\operatorname{E}[g(\sigma Z)^2]": of_sigmoid(lambda h: h**2),
            r"\operatorname{Var}[g(\sigma Z)]": sigmoid_variance,
            r"\operatorname{E}[g(\sigma Z)]": of_sigmoid(lambda h: h),
        },
    ),
    "eq-saturation-sigmoid-factor": Form(
        given={"c": Draw(0.25, 0.25)}, stated={r"\frac{1}{48}": largest_factor}
    ),
    "eq-cost-slopes": Form(
        given={"p": unit, "t": unit},
        stated={
            r"\frac{\partial L_{\mathrm{CE}}}{\partial z}": cost_slope(cross_entropy),
            r"\frac{\partial L_{\mathrm{Q}}}{\partial z}": cost_slope(
                lambda p, t: (p - t) ** 2
            ),
        },
    ),
    "eq-quadratic-steepest": Form(stated={r"\frac{8}{27}": steepest}),
    "eq-saturation-contraction": Form(
        given={"c": positive, "D": positive},
        points=20,
        stated={"D'": lambda v: v["c"] ** 2 * over_signs(with_mean_square(v["D"]))},
    ),
    "eq-saturation-factor": Form(
        given={r"\sigma": unit},
        stated={
            r"\chi": difference_factor,
            r"\operatorname{E}[g'(\sigma Z)^2]": lambda v: slope_square(
                v[r"\sigma"].item()
            ),
        },
        rtol=1e-7,
    ),
    "eq-saturation-backward": Form(
        given={"Q'": positive},
        stated={
            "Q": backward,
            r"\chi": lambda _: activation_moments(torch.tanh, 0.0, 0.7)[2] / 3,
        },
    ),
    "eq-head-balance": Form(
        given={
            "m": integer(3, 6),
            "K": integer(2, 4),
            "j": integer(1, 2),
            "w_{k,j}": data("K", 2),
            r"\frac{\partial L}{\partial w_{k,j}}": data("K", 2),
        },
        stated={
            r"\sum_{i=1}^{m} h_{i,j} \frac{\partial L}{\partial h_{i,j}}": (
                activation_push
            )
        },
    ),
    "eq-head-step": Form(
        given={r"\eta": unit},
        stated={
            "N": lambda v: head(v)[0],
            "P": lambda v: head(v)[1],
            r"\Gamma": lambda v: head(v)[2],
            "N'": lambda v: head(v)[3],
        },
    ),
    "eq-head-push": Form(
        given={
            r"\eta": low,
            "T": integer(1, 4),
            "N_0": Draw(1.0, 2.0),
            "P_t": data("T", of=Draw(-0.5, 0.5)),
            r"\Gamma_t": data("T", of=Draw(2.0, 5.0)),
        },
        stated={"N_T": last_square},
    ),
    "eq-batch-noise": Form(
        given={
            "m": integer(1, 6),
            "K": integer(3, 3),
            r"\pi_k": data(3, of=Draw(SHARES, SHARES)),
        },
        stated={
            r"\operatorname{E}\left[\sum_{k=1}^{K} (\bar{t}_k - \pi_k)^2\right]": (
                share_noise
            )
        },
    ),
    "eq-saturation-noise": Form(
        given={r"\rho": unit, r"\kappa": unit, "m": integer(1, 40)},
        stated={
            r"\operatorname{E}\left[\sum_{k=1}^{K} (p_k - \bar{t}_k)^2\right]": (
                settled_noise
            )
        },
        approx=1e-9,
    ),
    "eq-saturation-drift": Form(
        given={
            r"\eta": low,
            r"\rho": unit,
            r"\kappa": unit,
            "m": integer(2000, 4000),
            "n": integer(2, 9),
            "q": unit,
            "a": unit,
        },
        stated={"a' - a": one_update},
        approx=1e-3,
    ),
    "eq-slope-at-height": Form(
        given={"z": above},
        stated={
            r"\operatorname{sigmoid}'(z)": lambda v: slope(torch.sigmoid, v["z"]),
            r"\tanh'(z)": lambda v: slope(torch.tanh, v["z"]),
            "g'(z)": lambda v: slope(F.softsign, v["z"]),
            r"\varepsilon_1": lambda v: 1 - torch.sigmoid(v["z"]),
            r"\varepsilon_2": lambda v: 1 - torch.tanh(v["z"]),
            r"\varepsilon_3": lambda v: 1 - F.softsign(v["z"]),
        },
    ),
}
