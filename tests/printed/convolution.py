"""Closed forms of the page on convolution, as they are printed.

They are compared with PyTorch's own convolution and SciPy's.
"""

import torch
import torch.nn.functional as F
from scipy.signal import convolve2d

from tests.as_printed import Form, data, integer, real


def array(*sizes):
    """An array whose indices count from 0."""
    return data(*sizes, first=0)


def conv(image, kernel, **options):
    return F.conv2d(image[None, None], kernel[None, None], **options)[0, 0]


def unit_image(row, column):
    image = torch.zeros(12, 12, dtype=torch.float64)
    image[row, column] = 1
    return image


KERNEL = torch.tensor(
    [[0.7, -1.3, 0.4], [1.9, 0.2, -0.8], [-0.6, 1.1, 0.5]], dtype=torch.float64
)
FIRST_IMAGE = torch.tensor(
    [
        [1, 1, 1, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 1, 1, 1],
        [0, 0, 1, 1, 0],
        [0, 1, 1, 0, 0],
    ]
).double()
FIRST_KERNEL = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]]).double()
WINDOW = torch.tensor(
    [
        [[0, 0, 0], [0, 0, 1], [1, 1, 2]],
        [[0, 0, 0], [0, 2, 0], [1, 0, 1]],
        [[0, 0, 0], [1, 1, 0], [0, 0, 0]],
    ]
).double()
FILTER = torch.tensor(
    [
        [[-1, 0, 1], [1, 0, -1], [0, -1, 0]],
        [[1, -1, 0], [0, 1, 1], [-1, 0, 1]],
        [[-1, 0, 0], [-1, -1, 1], [1, 1, -1]],
    ]
).double()


def channel(c):
    return lambda v: conv(WINDOW[c], FILTER[c])


def turned(v):
    k = v["k"]
    return convolve2d(v["x_{a,b}"], v["W_{i,j}"])[v["h"] + k - 1, v["w"] + k - 1]


def image_with_output(output, stride):
    """An image whose convolution with KERNEL is the given output."""
    size = stride * (len(output) - 1) + 3
    places = torch.eye(size**2, dtype=torch.float64).reshape(-1, 1, size, size)
    matrix = F.conv2d(places, KERNEL[None, None], stride=stride).flatten(1).T
    return (torch.linalg.pinv(matrix) @ output.flatten()).reshape(size, size)


def strided(v):
    image = image_with_output(v["y_{a,b}"], 1)
    return conv(image, KERNEL, stride=v["s"])[v["h"], v["w"]]


def patches(v):
    s, d, x = v["s"], v["d"], v["x_{a,b,u,v}"]
    columns = F.unfold(x, (3, 4), stride=s, dilation=d)  # (N, C · 12, places)
    rows = (x.shape[2] - 2 * d - 1) // s + 1
    X = columns.reshape(len(x), x.shape[1], 3, 4, rows, -1)
    return X[v["n"], v["c"], v["i"], v["j"], v["h"], v["w"]]


def from_patches(v):
    """Output of the image in which the given patches stand side by side."""
    x = v["X_{a,b,i,j,u,v}"].permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)
    y = F.conv2d(x, v["W_{a,b,i,j}"], v["b_a"], stride=v["k"])
    return y[v["n"], v["o"], v["h"], v["w"]]


def one_channel(v):
    """Where there is one channel in and out, the matrices are numbers."""
    options = {"stride": v["s"], "dilation": v["d"]}
    y = conv(v[r"\mathbf{x}_{a,b}"], v[r"\mathbf{W}_{a,b}"], **options)
    return y[v["h"], v["w"]] + v[r"\mathbf{b}"]


def composed(v):
    """Weight of two convolutions in a row between output (0, 0) and a pixel."""
    image = unit_image(v["u"], v["v"])
    return conv(conv(image, v["V_{i,j}"]), v["W_{i,j}"])[0, 0]


def places(v):
    image = torch.zeros(v["H"], 1)[None, None]
    kernel = torch.zeros(1, 1, v["k"], 1)
    options = {"stride": v["s"], "padding": (v["p"], 0), "dilation": (v["d"], 1)}
    return F.conv2d(image, kernel, **options).shape[2]


PLACE = {"h": integer(0, 3), "w": integer(0, 4)}
OUTPUT = {"n": integer(0, 1), "o": integer(0, 2)} | PLACE

FORMS = {
    "eq-conv-patch": Form(
        given={"n": integer(2, 9), "b": real, "w_i": data("n"), "x_i": data("n")},
        stated={
            "z": lambda v: F.linear(v["x_i"], v["w_i"][None], v["b"].reshape(1)),
            r"b + \mathbf{w}^\top \mathbf{x}": lambda v: (
                v["b"] + torch.dot(v["w_i"], v["x_i"])
            ),
        },
    ),
    "eq-conv-frobenius": Form(
        given={
            "k": integer(2, 5),
            "W_{i,j}": data("k", "k"),
            "P_{i,j}": data("k", "k"),
        },
        stated={
            r"\operatorname{tr}(\mathbf{W}^\top \mathbf{P})": lambda v: torch.trace(
                v["W_{i,j}"].T @ v["P_{i,j}"]
            )
        },
    ),
    "eq-conv-first-window": Form(
        stated={"y_{0,0}": lambda v: conv(FIRST_IMAGE, FIRST_KERNEL)[0, 0]}
    ),
    "eq-conv-turn": Form(
        given={"k": integer(2, 3), "W_{i,j}": array("k", "k"), "x_{a,b}": array(7, 8)}
        | PLACE,
        stated={r"(W * x)_{h+k-1,\,w+k-1}": turned},
    ),
    "eq-conv-output-size": Form(
        given={
            "H": integer(10, 20),
            "k": integer(1, 4),
            "s": integer(1, 4),
            "p": integer(0, 3),
            "d": integer(1, 3),
        },
        stated={r"H_{\mathrm{out}}": places},
        points=12,
    ),
    "eq-conv-stride": Form(
        given={"y_{a,b}": array(6, 6), "s": integer(1, 3)}
        | {"h": integer(0, 1), "w": integer(0, 1)},
        stated={"y^{(s)}_{h,w}": strided},
    ),
    "eq-conv-window": Form(
        stated={
            "t_0": channel(0),
            "t_1": channel(1),
            "t_2": channel(2),
            "y_{0,0,0,1}": lambda v: 1 + F.conv2d(WINDOW[None], FILTER[None]),
        }
    ),
    "eq-conv-im2col": Form(
        given={"x_{a,b,u,v}": array(2, 3, 20, 20), "s": integer(1, 3)}
        | {"d": integer(1, 2), "n": integer(0, 1), "c": integer(0, 2)}
        | {"i": integer(0, 2), "j": integer(0, 3)}
        | PLACE,
        stated={"X_{n,c,i,j,h,w}": patches},
        points=12,
    ),
    "eq-conv-im2col-product": Form(
        given={"C": integer(1, 3), "k": integer(1, 3), "b_a": array(3)}
        | {"W_{a,b,i,j}": array(3, "C", "k", "k")}
        | {"X_{a,b,i,j,u,v}": array(2, "C", "k", "k", 4, 5)}
        | OUTPUT,
        stated={"y_{n,o,h,w}": from_patches},
    ),
    "eq-conv-positions": Form(
        given={"k": integer(1, 3), "s": integer(1, 3), "d": integer(1, 2)}
        | {r"\mathbf{W}_{a,b}": array("k", "k"), r"\mathbf{b}": real}
        | {r"\mathbf{x}_{a,b}": array(16, 17)}
        | PLACE,
        stated={r"\mathbf{y}_{h,w}": one_channel},
    ),
    "eq-conv-compose": Form(
        given={"k_2": integer(2, 3), "W_{i,j}": array("k_2", "k_2")}
        | {"V_{i,j}": array(5, 5), "u": integer(2, 4), "v": integer(2, 4)},
        stated={"(W * V)_{u,v}": composed},
    ),
}
