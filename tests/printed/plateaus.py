"""Closed forms of the page on stalled networks, evaluated as they are printed.

Steps and gradients come from torch's autograd and its SGD. Expectations over
mini-batches are taken over all of them, or added up update by update.
"""

import itertools

import torch
import torch.nn.functional as F

from tests.as_printed import Draw, Form, data, integer, unit
from tests.printed.saturation import above, random, slope

low = Draw(0.1, 0.4)
SHARES = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)  # of three classes


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
