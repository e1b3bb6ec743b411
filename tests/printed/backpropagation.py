"""Closed forms of the page on backpropagation, evaluated as they are printed.

What a side with a derivative is compared with comes from torch's autograd, through
torch's own layers, as everywhere on that page.
"""

import math

import torch
import torch.nn.functional as F

from tests.as_printed import Form, data, integer

DX_PIXEL = r"\frac{\partial L}{\partial x_{n,c,u,v}}"
DX = r"\frac{\partial L}{\partial x_j}"


def gradient(loss, leaf):
    return torch.autograd.grad(loss, leaf)[0]


def free(*size):
    """Where to differentiate: numbers that the value does not depend on."""
    return torch.linspace(-1, 1, math.prod(size), dtype=torch.float64).view(size)


def chain(v):
    """A layer whose Jacobian at 0 is J, and a loss whose sensitivities there are δ."""
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    y = torch.sin(v["J_{i,j}"] @ x) + (x**2).sum()
    return gradient((v[r"\delta_i"] * y.exp()).sum(), x)[v["j"] - 1]


def activation(v):
    z = v["z_i"].clone().requires_grad_()
    return gradient((v[r"\delta_i"] * z.tanh()).sum(), z)[v["i"] - 1]


def adjoint(v):
    """Of a linear map that takes some x to the drawn y."""
    x = free(4).requires_grad_()
    A = torch.outer(v["y_k"], x.detach()) / x.detach().square().sum()
    return (x * gradient(v[r"\delta_k"] @ (A @ x), x)).sum()


def dense_input(v):
    x = free(3).requires_grad_()
    return gradient(v[r"\delta_i"] @ F.linear(x, v["w_{i,j}"]), x)[v["j"] - 1]


def dense_recursion(v):
    z = v["z_j"].clone().requires_grad_()
    y = F.linear(z.tanh(), v["w_{i,j}"])
    return gradient(v[r"\delta_i"] @ y, z)[v["j"] - 1]


def dense_weight(v):
    w = free(3, 2).requires_grad_()
    y = F.linear(v["x_{k,j}"], w)
    return gradient((v[r"\delta_{k,i}"] * y).sum(), w)[v["i"] - 1, v["j"] - 1]


def dense_bias(v):
    b = free(3).requires_grad_()
    y = F.linear(free(v["N"], 2), free(3, 2), b)
    return gradient((v[r"\delta_{k,i}"] * y).sum(), b)[v["i"] - 1]


def products(v):
    """All pixels and weights 1: each product adds 1. G times the channels on each
    side, so that they divide into groups, and G groups less at the end."""
    G, K_h, K_w = v["G"], v["K_h"], v["K_w"]
    height = v[r"H_{\mathrm{out}}"] + K_h - 1
    width = v[r"W_{\mathrm{out}}"] + K_w - 1
    C_in, C_out = v[r"C_{\mathrm{in}}"], v[r"C_{\mathrm{out}}"]
    images = torch.ones(v["N"], C_in * G, height, width)
    filters = torch.ones(C_out * G, C_in, K_h, K_w)
    return F.conv2d(images, filters, groups=G).double().sum() / G**2


def signal_input(v):
    x = free(6).requires_grad_()
    y = F.conv1d(x[None, None], v["w_a"][None, None])[0, 0]
    return gradient(v[r"\delta_u"] @ y, x)[v["q"]]


def signal_weight(v):
    w = free(3).requires_grad_()
    y = F.conv1d(v["x_u"][None, None], w[None, None])[0, 0]
    return gradient(v[r"\delta_u"] @ y, w)[v["a"]]


def filters(v):
    """Stride 2, one row and column of padding, which the drawn images contain (there
    x is indexed from -1), and two groups, each of two channels and two filters."""
    W, delta = free(4, 2, 3, 2).requires_grad_(), v[r"\delta_{n,o,h,w}"]
    N, _, height, width = delta.shape
    x = v["x_{n,c,h,w}"][1 : N + 1, 1:, : 2 * height + 1, : 2 * width]
    loss = (delta * F.conv2d(x, W, stride=2, groups=2)).sum()
    return gradient(loss, W)[v["o"], v["c"], v["i"], v["j"]]


def map_bias(v):
    b, delta = free(3).requires_grad_(), v[r"\delta_{n,o,h,w}"]
    x = free(len(delta), 1, *delta.shape[2:])
    return gradient((delta * F.conv2d(x, free(3, 1, 1, 1), b)).sum(), b)[v["o"]]


def pixel(delta):
    """Gradient of an image, at a place where every weight meets an output."""

    def value(v):
        W, p, d = v["W_{o,c,i,j}"], v.get("p", 0), v.get("d", 1)
        N, _, height, width = v[delta].shape
        size = height + d * (v["K_h"] - 1) - 2 * p, width + d * (v["K_w"] - 1) - 2 * p
        x = free(N, 3, *size).requires_grad_()
        loss = (v[delta] * F.conv2d(x, W, padding=p, dilation=d)).sum()
        return gradient(loss, x)[v["n"], v["c"], v["u"], v["v"]]

    return value


INDEX = integer(1, 3)
SLOPE = {"g'": lambda z: 1 / math.cosh(float(z)) ** 2}
MAPS = {"N": integer(2, 4), r"H_{\mathrm{out}}": integer(3, 4)}
MAPS |= {r"W_{\mathrm{out}}": integer(2, 5)}
OUTPUT = ("N", 3, r"H_{\mathrm{out}}", r"W_{\mathrm{out}}")
KERNELS = {r"C_{\mathrm{out}}": integer(2, 4), "K_h": integer(2, 3)}
KERNELS |= {"K_w": integer(1, 3), "c": integer(0, 2), "n": integer(0, 1)}
KERNELS |= {"W_{o,c,i,j}": data(r"C_{\mathrm{out}}", 3, "K_h", "K_w", first=0)}

FORMS = {
    "eq-backward-chain": Form(
        given={
            "m": integer(2, 5),
            "J_{i,j}": data("m", 3),
            r"\delta_i": data("m"),
            "j": INDEX,
        },
        stated={DX: chain},
    ),
    "eq-backward-activation": Form(
        given={"z_i": data(3), r"\delta_i": data(3), "i": INDEX},
        stated={r"\frac{\partial L}{\partial z_i}": activation},
        functions=SLOPE,
    ),
    "eq-adjoint": Form(
        given={"m": integer(2, 5), "y_k": data("m"), r"\delta_k": data("m")},
        stated={
            r"\sum_{q=1}^{n} x_q \, \frac{\partial L}{\partial x_q}": adjoint,
        },
    ),
    "eq-linear-backward-input": Form(
        given={
            "m": integer(2, 5),
            "w_{i,j}": data("m", 3),
            r"\delta_i": data("m"),
            "j": INDEX,
        },
        stated={DX: dense_input},
    ),
    "eq-linear-backward-weight": Form(
        given={
            "N": integer(2, 5),
            r"\delta_{k,i}": data("N", 3),
            "x_{k,j}": data("N", 2),
            "i": INDEX,
            "j": integer(1, 2),
        },
        stated={r"\frac{\partial L}{\partial w_{i,j}}": dense_weight},
    ),
    "eq-linear-backward-bias": Form(
        given={"N": integer(2, 5), r"\delta_{k,i}": data("N", 3), "i": INDEX},
        stated={r"\frac{\partial L}{\partial b_i}": dense_bias},
    ),
    "eq-recursion-dense": Form(
        given={
            "m": integer(2, 5),
            "w_{i,j}": data("m", 3),
            r"\delta_i": data("m"),
            "z_j": data(3),
            "j": INDEX,
        },
        stated={r"\frac{\partial L}{\partial z_j}": dense_recursion},
        functions=SLOPE,
    ),
    "eq-backward-signal": Form(
        given={
            "q": integer(2, 3),  # all three weights meet an output
            "a": integer(0, 2),
            "w_a": data(3, first=0),
            r"\delta_u": data(4, first=0),
            "x_u": data(6, first=0),
        },
        stated={
            r"\frac{\partial L}{\partial x_q}": signal_input,
            r"\frac{\partial L}{\partial w_a}": signal_weight,
        },
    ),
    "eq-conv-backward-weight": Form(
        given=MAPS
        | {
            "o": integer(0, 3),
            "c": integer(0, 1),
            "i": integer(0, 2),
            "j": integer(0, 1),
            r"\delta_{n,o,h,w}": data("N", 4, *OUTPUT[2:], first=0),
            "x_{n,c,h,w}": data(5, 5, 9, 10, first=-1),
        },
        stated={r"\frac{\partial L}{\partial W_{o,c,i,j}}": filters},
        functions={
            "e": lambda o, c: 2 * (o // 2) + c,
            "r": lambda h, i: 2 * h + i - 1,
        },
        points=8,
    ),
    "eq-conv-backward-bias": Form(
        given=MAPS | {"o": integer(0, 2), r"\delta_{n,o,h,w}": data(*OUTPUT, first=0)},
        stated={r"\frac{\partial L}{\partial b_o}": map_bias},
    ),
    "eq-conv-backward-full": Form(
        given=KERNELS
        | {
            "p": integer(0, 2),
            "u": integer(2, 4),
            "v": integer(2, 5),
            r"\delta_{n,o,u,v}": data(2, r"C_{\mathrm{out}}", 8, 9, first=0),
        },
        stated={DX_PIXEL: pixel(r"\delta_{n,o,u,v}")},
        points=8,
    ),
    "eq-conv-backward-rot180": Form(
        given=KERNELS
        | {
            "u": integer(2, 4),
            "v": integer(2, 5),
            r"\delta_{n,o,u,v}": data(2, r"C_{\mathrm{out}}", 8, 9, first=0),
        },
        stated={DX_PIXEL: pixel(r"\delta_{n,o,u,v}")},
        points=8,
    ),
    "eq-conv-backward-strided": Form(
        given=KERNELS
        | {
            "p": integer(0, 1),
            "d": integer(1, 2),
            "u": integer(4, 5),
            "v": integer(4, 6),
            r"\tilde{\delta}_{n,o,u,v}": data(2, r"C_{\mathrm{out}}", 8, 9, first=0),
        },
        stated={DX_PIXEL: pixel(r"\tilde{\delta}_{n,o,u,v}")},
        points=8,
    ),
    "eq-conv-products": Form(
        given={
            "N": integer(1, 3),
            r"C_{\mathrm{out}}": integer(1, 4),
            r"C_{\mathrm{in}}": integer(1, 4),
            r"H_{\mathrm{out}}": integer(1, 5),
            r"W_{\mathrm{out}}": integer(1, 5),
            "G": integer(1, 3),
            "K_h": integer(1, 4),
            "K_w": integer(1, 4),
        },
        stated={"M": products},
    ),
}
