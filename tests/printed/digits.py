"""Closed forms of the page on a network that reads digits, as they are printed."""

import torch
from scipy import stats

from tests.as_printed import Draw, Form, data, integer, positive, real, unit


def parameters(*layers):
    """Counted in torch's layers: (inputs, outputs, kernel), kernel 0 for linear."""
    made = [
        torch.nn.Conv2d(n, m, k, device="meta") if k else torch.nn.Linear(n, m)
        for n, m, k in layers
    ]
    return sum(p.numel() for layer in made for p in layer.parameters())


def products(*layers):
    """Multiplications: as many as terms in sums of ones, over all outputs."""
    total = 0
    for n_in, n_out, kernel, side in layers:
        if kernel:
            # without border: every term of the sums is there
            x = torch.ones(1, n_in, side + kernel - 1, side + kernel - 1)
            w = torch.ones(n_out, n_in, kernel, kernel)
            total += int(torch.nn.functional.conv2d(x, w).sum())
        else:
            total += int((torch.ones(n_out, n_in) @ torch.ones(n_in)).sum())
    return total


def sgd(v, what):
    """One step of torch's optimiser from a velocity and a gradient."""
    w = v[r"\mathbf{w}_{t-1}"].clone().requires_grad_()
    lr, mu = float(v[r"\eta"]), float(v[r"\mu"])
    optimiser = torch.optim.SGD([w], lr, momentum=mu)
    optimiser.state[w]["momentum_buffer"] = v[r"\mathbf{v}_{t-1}"].clone()
    w.grad = v[r"\mathbf{g}_t"].clone()
    optimiser.step()
    return what(w.detach(), optimiser.state[w]["momentum_buffer"])


def velocity(gradients, mu):
    """What torch's optimiser has added up after these gradients."""
    w = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([w], 0.1, momentum=float(mu))
    for gradient in gradients:
        w.grad = gradient.clone()
        optimiser.step()
    return optimiser.state[w]["momentum_buffer"]


def moved(v):
    """Pool an image with the given output twice, shifted by four columns."""
    image = v["y_{i,j}"].repeat_interleave(4, 0).repeat_interleave(4, 1)
    pool = torch.nn.MaxPool2d(2)
    return pool(pool(image.roll(4, 1)[None]))[0, v["h"], v["w"]]


def dropped_mean(v):
    """Mean over the values of an activation, listed with their probabilities."""
    p, h = float(v["p"]), float(v["h"])
    law = stats.rv_discrete(values=([0, 1], [p, 1 - p]))
    return law.expect(lambda kept: kept * h / (1 - p))


def damped(v):
    """Derivative of -ln(p_c + ε) with respect to a logit, by autograd."""
    p_c = float(v["p_c"])
    if v["t_k"]:
        p, k = [p_c, 1 - p_c], 0
    else:
        p_k = other(v)
        p, k = [p_c, p_k, 1 - p_c - p_k], 1
    z = torch.tensor(p, dtype=torch.float64).log().requires_grad_()
    loss = -(torch.softmax(z, 0)[0] + v[r"\epsilon"]).log()
    return torch.autograd.grad(loss, z)[0][k]


def other(v):
    """The probability p_k: that of the right class, or a third of what is left."""
    p_c = float(v["p_c"])
    return p_c if v["t_k"] else (1 - p_c) / 3


FORMS = {
    "eq-digits-listing-parameters": Form(
        stated={
            "3{,}274{,}634": lambda v: parameters(
                (1, 32, 5), (32, 64, 5), (7 * 7 * 64, 1024, 0), (1024, 10, 0)
            )
        }
    ),
    "eq-digits-parameters": Form(
        stated={
            "22{,}602": lambda v: parameters(
                (1, 16, 3), (16, 32, 3), (128, 128, 0), (128, 10, 0)
            )
        }
    ),
    "eq-digits-products": Form(
        stated={
            "100{,}608": lambda v: products(
                (1, 16, 3, 8), (16, 32, 3, 4), (128, 128, 0, 1), (128, 10, 0, 1)
            )
        }
    ),
    "eq-digits-dropout-mean": Form(
        given={"p": unit, "h": real},
        stated={r"\operatorname{E}[h']": dropped_mean},
    ),
    "eq-digits-first-loss": Form(approx=1e-5),
    "eq-sgd": Form(
        given={
            r"\mathbf{v}_{t-1}": real,
            r"\mathbf{g}_t": real,
            r"\mathbf{w}_{t-1}": real,
            r"\mu": unit,
            r"\eta": positive,
        },
        stated={
            r"\mathbf{v}_t": lambda v: sgd(v, lambda w, velocity: velocity),
            r"\mathbf{w}_t": lambda v: sgd(v, lambda w, velocity: w),
        },
    ),
    "eq-digits-accuracy-deviation": Form(
        given={"q": unit, "n": integer(5, 40)},
        stated={
            r"\sqrt{\operatorname{Var}[a]}": lambda v: (
                stats.binom(v["n"], float(v["q"])).std() / v["n"]
            )
        },
    ),
    "eq-momentum-unrolled": Form(
        given={"T": integer(2, 6), r"\mu": unit, r"\mathbf{g}_k": data("T")},
        stated={r"\mathbf{v}_T": lambda v: velocity(v[r"\mathbf{g}_k"], v[r"\mu"])},
    ),
    "eq-momentum-constant": Form(
        given={"T": integer(2, 6), "g": real, r"\mu": unit},
    ),
    "eq-digits-equivariance": Form(
        given={
            "h": integer(0, 3),
            "w": integer(1, 5),
            "y_{i,j}": data(4, 6, first=0),
        },
        stated={"y'_{h,w}": moved},
    ),
    "eq-digits-underflow": Form(approx=1e-5),
    "eq-digits-damped-gradient": Form(
        given={"p_c": Draw(0.05, 0.95), r"\epsilon": positive, "t_k": integer(0, 1)},
        stated={r"\frac{\partial L_{\epsilon}}{\partial z_k}": damped, "p_k": other},
    ),
}
