"""Closed forms of the page on the gradients of a network, evaluated as printed.

What a side with a derivative is compared with comes from torch's autograd, through
torch's own layers, as everywhere on that page.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import brentq
from scipy.signal import convolve2d

from tests.as_printed import Draw, Form, data, integer, positive
from tests.printed.backpropagation import (
    DX_PIXEL,
    KERNELS,
    MAPS,
    OUTPUT,
    SLOPE,
    free,
    gradient,
)

BLOCKS_BACK = r"\left(\beta_c g'(z_c) \odot \operatorname{up}(\delta_c)\right)_{u,v}"


def copied(v):
    return torch.kron(v[r"\delta_{u,v}"], torch.ones(v["k"], v["k"]))[v["u"], v["v"]]


def enlarged(array, k):
    return array.repeat_interleave(k, -2).repeat_interleave(k, -1)


def repeated(v):
    return enlarged(v[r"\delta_{u,v}"], v["k"])[v["u"], v["v"]]


def block_sums(x, k):
    return F.avg_pool2d(x[None], k, divisor_override=1)[0]


def one_block(v):
    return block_sums(v["x_{u,v}"], v["k"])[v["u"], v["v"]]


def scaled(v):
    """Of images that have the drawn block sums."""
    images = torch.zeros(3, 3, 4, 6, dtype=torch.float64)
    images[..., ::2, 1::2] = v["S_{n,c,u,v}"]
    weight = v[r"\beta_c"].view(3, 1, 1, 1).expand(3, 1, 2, 2)
    y = F.conv2d(images, weight, v["b_c"], stride=2, groups=3)
    return y[v["n"], v["c"], v["u"], v["v"]]


def mean_blocks(v):
    delta, k = v[r"\delta_{u,v}"], v["k"]
    x = free(1, 4 * k, 4 * k).requires_grad_()
    return gradient((delta * F.avg_pool2d(x, k)).sum(), x)[0, v["u"], v["v"]]


def subsampled(leaf):
    """Gradient of images, of the weights or of the biases of a sub-sampling layer."""

    def value(v):
        delta, k = v[r"\delta_{n,c,u,v}"], v.get("k", 2)
        x = free(len(delta), 3, *(k * n for n in delta.shape[2:]))
        if "S_{n,c,u,v}" in v:
            x = enlarged(v["S_{n,c,u,v}"], k) / k**2
        beta = v[r"\beta_c"].clone() if r"\beta_c" in v else free(3)
        leaves = {"x": x, "β": beta, "b": free(3)}
        for number in leaves.values():
            number.requires_grad_()
        y = torch.stack([block_sums(image, k) for image in leaves["x"]])
        y = leaves["β"][:, None, None] * y + leaves["b"][:, None, None]
        place = [v[name] for name in {"x": "ncuv"}.get(leaf, "c")]
        return gradient((delta * y).sum(), leaves[leaf])[tuple(place)]

    return value


def down_then(v):
    return (block_sums(v["x_{u,v}"], v["k"]) * v[r"\delta_{u,v}"]).sum()


def up_then(v):
    ones = torch.ones(v["k"], v["k"], dtype=torch.float64)
    return (torch.kron(v[r"\delta_{u,v}"], ones) * v["x_{u,v}"]).sum()


def upsampled(v):
    x = free(1, 3, 4).requires_grad_()
    large = F.interpolate(x[None], scale_factor=v["k"])[0, 0]
    return gradient((large * v[r"\delta_{u,v}"]).sum(), x)[0, v["u"], v["v"]]


def summed_once(v):
    return block_sums(v[r"\delta_{u,v}"], v["k"])[v["u"], v["v"]]


def meeting(v):
    """As much of the drawn z as the drawn δ is computed from."""
    _, height, width = v[r"\delta_{o,u,v}"].shape
    return v["z_{c,u,v}"][:, : height + v["K_h"] - 1, : width + v["K_w"] - 1]


def through_filters(v):
    z = meeting(v).clone().requires_grad_()
    y = F.conv2d(z.tanh()[None], v["W_{o,c,i,j}"])[0]
    loss = (v[r"\delta_{o,u,v}"] * y).sum()
    return gradient(loss, z)[v["c"], v["u"], v["v"]]


def through_filters_by_scipy(v):
    pairs = zip(v[r"\delta_{o,u,v}"], v["W_{o,c,i,j}"][:, v["c"]], strict=True)
    back = sum(convolve2d(delta, kernel, "full") for delta, kernel in pairs)
    return (back / np.cosh(meeting(v)[v["c"]].numpy()) ** 2)[v["u"], v["v"]]


def through_blocks(v):
    z = v["z_{c,u,v}"].clone().requires_grad_()
    y = v[r"\beta_c"][:, None, None] * block_sums(z.tanh(), v["k"])
    loss = (v[r"\delta_{c,u,v}"] * y).sum()
    return gradient(loss, z)[v["c"], v["u"], v["v"]]


def through_blocks_by_kronecker(v):
    c, k = v["c"], v["k"]
    up = torch.kron(v[r"\delta_{c,u,v}"][c], torch.ones(k, k))
    slope = 1 / v["z_{c,u,v}"][c].cosh() ** 2
    return (v[r"\beta_c"][c] * slope * up)[v["u"], v["v"]]


def lost_sum(kept):
    """E of the squared length, exactly: the sum of squares of the map from weights."""

    def value(v):
        delta = free(1, v["m"], 4, 4).sin()
        delta = delta / delta.flatten(2).norm(dim=2)[..., None, None]
        delta[:, : 0 if kept else 1] = 0

        def spread(weight):
            return F.conv_transpose2d(delta, weight)

        jacobian = torch.autograd.functional.jacobian(spread, free(v["m"], 1, 3, 2))
        return 0.7 * jacobian.square().sum()

    return value


def lowest(truncation, rounding):
    """Where a bound is lowest: where what autograd says of its slope is 0."""

    def at(v):
        def bound(h):
            return truncation(v, h) + rounding * float(v[r"\eta"]) / h

        def slope(log_h):
            log_h = torch.tensor(log_h, dtype=torch.float64, requires_grad=True)
            return float(gradient(bound(log_h.exp()), log_h))

        step = math.exp(brentq(slope, -30, 30, xtol=1e-14))
        return step, float(bound(step))

    return at


CENTRAL = lowest(lambda v, h: h**2 / 6 * float(v["M_3"]), 1)
FORWARD = lowest(lambda v, h: h / 2 * float(v["M_2"]), 2)
BOUNDS = {r"\eta": positive, "M_2": positive, "M_3": positive}
ROWS = {"k": integer(2, 3), "u": integer(0, 7), "v": integer(0, 7)}
ROWS |= {r"\delta_{u,v}": data(4, 4, first=0)}
MAPS |= {r"W_{\mathrm{out}}": integer(2, 5)}
KERNELS |= {"K_w": integer(1, 3), "c": integer(0, 2), "n": integer(0, 1)}
KERNELS |= {"W_{o,c,i,j}": data(r"C_{\mathrm{out}}", 3, "K_h", "K_w", first=0)}
SMOOTH = dict.fromkeys(["f", "f'", "f''", "f'''"], lambda x: math.exp(float(x)))
STEP = {"x": positive, "h": Draw(0.001, 0.005)}

FORMS = {
    "eq-kronecker-upsampling": Form(
        given=ROWS,
        stated={
            r"\operatorname{up}(\delta)_{u,v}": repeated,
            r"(\delta \otimes \mathbf{1}_{k \times k})_{u,v}": copied,
        },
    ),
    "eq-avg-pool-blocks": Form(
        given=ROWS,
        stated={r"\frac{\partial L}{\partial x_{u,v}}": mean_blocks},
    ),
    "eq-subsampling": Form(
        given={
            "k": integer(2, 3),
            "n": integer(0, 2),
            "c": integer(0, 2),
            "u": integer(0, 1),
            "v": integer(0, 2),
            "x_{u,v}": data(7, 9, first=0),
            r"\beta_c": data(3, first=0),
            "S_{n,c,u,v}": data(3, 3, 2, 3, first=0),
            "b_c": data(3, first=0),
        },
        stated={
            r"\operatorname{down}(x)_{u,v}": one_block,
            "y_{n,c,u,v}": scaled,
        },
        points=7,
    ),
    "eq-down-up-adjoint": Form(
        given={
            "k": integer(2, 2),
            "H": integer(6, 6),
            "W": integer(8, 8),
            "x_{u,v}": data("H", "W", first=0),
            r"\delta_{u,v}": data(3, 4, first=0),
        },
        stated={
            r"\sum_{u,v} \operatorname{down}(x)_{u,v} \, \delta_{u,v}": down_then,
            r"\sum_{u,v} x_{u,v} \operatorname{up}(\delta)_{u,v}": up_then,
        },
    ),
    "eq-kronecker-upsampling-backward": Form(
        given={
            "k": integer(3, 3),
            "u": integer(0, 2),
            "v": integer(0, 3),
            r"\delta_{u,v}": data(9, 12, first=0),
        },
        stated={
            r"\frac{\partial L}{\partial x_{u,v}}": upsampled,
            r"\operatorname{down}(\delta)_{u,v}": summed_once,
        },
    ),
    "eq-subsampling-backward-input": Form(
        given={
            "k": integer(2, 3),
            "n": integer(0, 1),
            "c": integer(0, 2),
            "u": integer(0, 7),
            "v": integer(0, 5),
            r"\beta_c": data(3, first=0),
            r"\delta_{n,c,u,v}": data(2, 3, 4, 3, first=0),
        },
        stated={DX_PIXEL: subsampled("x")},
        points=8,
    ),
    "eq-subsampling-backward-weight": Form(
        given=MAPS
        | {
            "c": integer(0, 2),
            r"\delta_{n,c,u,v}": data(*OUTPUT, first=0),
            "S_{n,c,u,v}": data(*OUTPUT, first=0),
        },
        stated={r"\frac{\partial L}{\partial \beta_c}": subsampled("β")},
    ),
    "eq-subsampling-backward-bias": Form(
        given=MAPS | {"c": integer(0, 2), r"\delta_{n,c,u,v}": data(*OUTPUT, first=0)},
        stated={r"\frac{\partial L}{\partial b_c}": subsampled("b")},
    ),
    "eq-recursion-conv": Form(
        given={name: how for name, how in KERNELS.items() if name != "n"}
        | {
            "u": integer(2, 4),
            "v": integer(2, 5),
            "z_{c,u,v}": data(3, 10, 11, first=0),
            r"\delta_{o,u,v}": data(r"C_{\mathrm{out}}", 8, 9, first=0),
        },
        stated={
            r"\frac{\partial L}{\partial z_{c,u,v}}": through_filters,
            r"\left(g'(z_c) \odot \sum_o \delta_o * W_{o,c}\right)_{u,v}": (
                through_filters_by_scipy
            ),
        },
        functions=SLOPE,
        points=8,
    ),
    "eq-recursion-subsampling": Form(
        given={
            "k": integer(2, 2),
            "c": integer(0, 2),
            "u": integer(0, 5),
            "v": integer(0, 7),
            r"\beta_c": data(3, first=0),
            "z_{c,u,v}": data(3, 6, 8, first=0),
            r"\delta_{c,u,v}": data(3, 3, 4, first=0),
        },
        stated={
            r"\frac{\partial L}{\partial z_{c,u,v}}": through_blocks,
            BLOCKS_BACK: through_blocks_by_kronecker,
        },
        functions=SLOPE,
        points=8,
    ),
    "eq-central-truncation": Form(
        given=STEP,
        functions={name: SMOOTH[name] for name in ("f", "f'", "f'''")},
        approx=1e-4,
    ),
    "eq-forward-truncation": Form(
        given=STEP,
        functions={name: SMOOTH[name] for name in ("f", "f'", "f''")},
        approx=1e-2,
    ),
    "eq-difference-steps": Form(
        given=BOUNDS,
        stated={
            r"h_{\mathrm{c}}": lambda v: CENTRAL(v)[0],
            r"h_{\mathrm{f}}": lambda v: FORWARD(v)[0],
        },
    ),
    "eq-difference-errors": Form(
        given=BOUNDS,
        stated={
            r"E_{\mathrm{c}}(h_{\mathrm{c}})": lambda v: CENTRAL(v)[1],
            r"E_{\mathrm{f}}(h_{\mathrm{f}})": lambda v: FORWARD(v)[1],
        },
    ),
    "eq-lost-sum": Form(
        given={"m": integer(2, 6)},
        stated={
            r"\operatorname{E}[\|\mathbf{e}\|^2]": lost_sum(kept=False),
            r"\operatorname{E}[\|\mathbf{g}\|^2]": lost_sum(kept=True),
        },
    ),
}
