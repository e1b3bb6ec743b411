"""`lib` computes where its tensors lie: nothing it makes is left on the CPU.

Besides the GPUs of this machine a simulated device is tried. It computes on the CPU
but refuses what CUDA and MPS refuse: tensors of two devices in one operation, a
generator of another device, and (as MPS does) float64.
"""

import inspect
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

import lib
import lib.nn as ours
from lib.check import verify
from lib.train import LayerStatistics, evaluate, fit

SIMULATED = "lazy"  # a device that every build of torch knows and none has
AVAILABLE = {
    "cuda": torch.cuda.is_available(),
    "mps": torch.backends.mps.is_available(),
}
DEVICES = [SIMULATED, *(name for name, there in AVAILABLE.items() if there)]
MOVES = torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default


class Elsewhere(torch.Tensor):
    """A tensor that says it lies on the simulated device."""

    @staticmethod
    def __new__(cls, here: torch.Tensor):
        layout = {"strides": here.stride(), "storage_offset": here.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(
            cls, here.shape, dtype=here.dtype, device=SIMULATED, **layout
        )

    def __init__(self, here: torch.Tensor):
        self.here = here

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


class Simulation(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return compute(function, args, kwargs or {})


def moved(make: Callable) -> Callable:
    """torch.tensor and as_tensor, which move numbers to a device out of our sight."""

    def made(data, device=None, **options):
        if isinstance(data, Elsewhere):
            return data.to(device=device or SIMULATED, **options)
        result = make(data, **options)
        return result if device is None else result.to(device)

    return made


def new_tensor(self: torch.Tensor, data) -> torch.Tensor:
    return torch.tensor(data, dtype=self.dtype, device=self.device)


def compute(function, args, kwargs):
    leaves = tree_leaves((args, kwargs))
    there = [t for t in leaves if isinstance(t, Elsewhere)]
    here = [t for t in leaves if torch.is_tensor(t) and not isinstance(t, Elsewhere)]
    if there and function not in MOVES and any(t.ndim for t in here):
        raise RuntimeError(f"{function} has tensors on cpu and {SIMULATED}")
    device = kwargs.get("device")
    is_there = bool(there) if device is None else torch.device(device).type == SIMULATED
    if is_there and kwargs.get("generator") is not None:
        raise RuntimeError(f"{function} has a generator on cpu")
    if device is not None:
        kwargs = kwargs | {"device": "cpu"}
    args, kwargs = tree_map_only(Elsewhere, lambda t: t.here, (args, kwargs))
    result = function(*args, **kwargs)
    tensors = [t for t in tree_leaves(result) if torch.is_tensor(t)]
    if (there or is_there) and any(t.dtype == torch.float64 for t in tensors):
        raise TypeError(f"{function} makes float64, which MPS has not")
    if not is_there:
        return result
    known = {id(t.here): t for t in there}  # what works in place returns its argument

    def wrap(t: torch.Tensor) -> Elsewhere:
        return known[id(t)] if id(t) in known else Elsewhere(t)

    return tree_map_only(torch.Tensor, wrap, result)


def draw(*size: int) -> torch.Tensor:
    return torch.rand(size) + 0.25


def images() -> torch.Tensor:
    return draw(2, 4, 6, 6)


def labels() -> torch.Tensor:
    return torch.tensor([0, 2])


def vector(n: int = 4) -> torch.Tensor:
    return draw(n)


# Arguments of every function; those of <name>_backward follow a gradient.
POOL, UP = (draw(2, 4, 3, 3), images(), 2), (draw(2, 4, 12, 12), 2)
LINEAR, CONV = (draw(3, 5), draw(4, 5)), (images(), draw(8, 2, 3, 3))
CONV_OPTIONS = 2, 1, 1, 2
CHANNELS = vector(), vector(), vector(), vector()
NORMAL = draw(7), 0.5, draw(7)
ROWS = draw(3, 5)
CALLS = {
    "activation_moments": (torch.tanh, vector(), vector()),
    "avg_pool2d": (images(), 2),
    "avg_pool2d_backward": POOL,
    "batch_norm": (images(), *CHANNELS, True),
    "batch_norm_backward": (images(), images(), *CHANNELS, True),
    "conv2d": (*CONV, draw(8), *CONV_OPTIONS),
    "conv2d_backward": (draw(2, 8, 3, 3), *CONV, *CONV_OPTIONS),
    "conv2d_input_backward": (draw(2, 8, 3, 3), (2, 4, 6, 6), CONV[1], *CONV_OPTIONS),
    "conv2d_weight_backward": (draw(2, 8, 3, 3), images(), (8, 2, 3, 3), *CONV_OPTIONS),
    "cosine_linear": LINEAR,
    "cosine_linear_backward": (draw(3, 4), *LINEAR),
    "cross_entropy": (draw(2, 5), labels()),
    "cross_entropy_backward": (torch.tensor(1.0), draw(2, 5), labels()),
    "dropout": (images(),),
    "dropout2d": (images(),),
    "dropout_backward": (ROWS, ROWS.gt(0.5).float(), 0.5),
    "fan_in_uniform_": (draw(4, 5), vector()),
    "fold_batch_norm": (draw(4, 5), vector(), *CHANNELS),
    "gaussian_kde": (vector(), vector(9)),
    "group_norm": (images(), 2, vector(), vector()),
    "group_norm_backward": (images(), images(), 2, vector(), vector()),
    "im2col": (images(), 3, 2, 1),
    "instance_norm": (images(), *CHANNELS),
    "instance_norm_backward": (images(), images(), *CHANNELS),
    "kaiming_normal_": (draw(4, 5),),
    "kaiming_uniform_": (draw(4, 5),),
    "layer_norm": (ROWS, (5,), vector(5), vector(5)),
    "layer_norm_backward": (ROWS, ROWS, (5,), vector(5), vector(5)),
    "leaky_relu": (ROWS,),
    "leaky_relu_backward": (ROWS, ROWS),
    "linear": (*LINEAR, vector()),
    "linear_backward": (draw(3, 4), *LINEAR),
    "log_softmax": (ROWS, 1),
    "log_softmax_backward": (ROWS, ROWS.log_softmax(1), 1),
    "max_pool2d": (images(), 2, 1, 0, 1, False, True),
    "max_pool2d_backward": (
        draw(1, 1, 2, 2),
        torch.tensor([[[[0, 1], [4, 5]]]]),
        (1, 1, 3, 3),
    ),
    "normal_cdf": NORMAL,
    "normal_cdf_backward": (draw(7), *NORMAL),
    "normal_entropy": (vector(),),
    "normal_entropy_backward": (vector(), vector()),
    "normal_log_pdf": NORMAL,
    "normal_log_pdf_backward": (draw(7), *NORMAL),
    "normal_pdf": NORMAL,
    "normal_pdf_backward": (draw(7), *NORMAL),
    "normal_quantile": (torch.linspace(0, 1, 7), *NORMAL[1:]),
    "normal_quantile_backward": (draw(7), torch.linspace(0.1, 0.9, 7), *NORMAL[1:]),
    "orthogonal_": (draw(4, 5),),
    "pca_whitening": (draw(9, 3),),
    "prelu": (images(), vector()),
    "prelu_backward": (images(), images(), vector()),
    "relu": (ROWS,),
    "relu_backward": (ROWS, ROWS),
    "rms_norm": (ROWS, (5,), vector(5)),
    "rms_norm_backward": (ROWS, ROWS, (5,), vector(5)),
    "scott_bandwidth": (vector(9),),
    "sigmoid": (ROWS,),
    "sigmoid_backward": (ROWS, ROWS),
    "softmax": (ROWS, 1),
    "softmax_backward": (ROWS, ROWS.softmax(1), 1),
    "softsign": (ROWS,),
    "softsign_backward": (ROWS, ROWS),
    "subsample2d": (images(), vector(), vector(), 2),
    "subsample2d_backward": (draw(2, 4, 3, 3), images(), vector(), 2),
    "tanh": (ROWS,),
    "tanh_backward": (ROWS, ROWS),
    "upsample_kronecker": (images(), 2),
    "upsample_kronecker_backward": UP,
    "weight_norm": (draw(4, 5), draw(4, 1)),
    "weight_norm_backward": (draw(4, 5), draw(4, 5), draw(4, 1)),
    "xavier_normal_": (draw(4, 5),),
    "xavier_uniform_": (draw(4, 5),),
    "zca_whitening": (draw(9, 3),),
}
NUMBERS_ONLY = {"calculate_fan", "calculate_gain", "conv_output_size"}
GENERATOR = {"normal_sample"}  # lies where its generator does
ON_THE_CPU = {"activation_moments"}  # in float64, a quadrature
RANDOM = {n for n in CALLS if n.endswith("_")} | {"dropout", "dropout2d"}


def test_every_function_is_called():
    functions = {n for n, f in vars(lib).items() if inspect.isfunction(f)}
    assert functions - NUMBERS_ONLY - GENERATOR == set(CALLS)


def results(name: str, device: str) -> list[torch.Tensor]:
    """What a function returns, what it leaves in its arguments, and its gradients."""
    torch.manual_seed(0)
    function, backward = getattr(lib, name), f"{name}_backward" in CALLS
    args = tree_map_only(torch.Tensor, lambda t: t.clone().to(device), CALLS[name])
    if backward:
        args[0].requires_grad_()
    found = [t for t in tree_leaves(function(*args)) if torch.is_tensor(t)]
    assert found
    if backward:
        (found[0] ** 2).sum().backward()
        found.append(args[0].grad)
    assert {t.device.type for t in found} == {"cpu" if name in ON_THE_CPU else device}
    return found + [t for t in tree_leaves(args) if torch.is_tensor(t)]


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    if request.param == SIMULATED:
        for make in torch.tensor, torch.as_tensor:
            monkeypatch.setattr(torch, make.__name__, moved(make))
        monkeypatch.setattr(torch.Tensor, "new_tensor", new_tensor)
        with Simulation():
            yield SIMULATED
    else:
        yield request.param


@pytest.mark.parametrize("name", CALLS)
def test_function(name, device):
    there, here = results(name, device), results(name, "cpu")
    if name in RANDOM and device != SIMULATED:
        return
    for a, b in zip(there, here, strict=True):
        torch.testing.assert_close(a.detach().cpu(), b.detach())


def network() -> nn.Module:
    return nn.Sequential(
        ours.Conv2d(1, 4, 3),
        ours.BatchNorm2d(4),
        ours.LeakyReLU(),
        ours.MaxPool2d(2),
        ours.Conv2d(4, 4, 2, bias=False),
        ours.InstanceNorm2d(4, affine=True),
        ours.PReLU(),
        ours.AvgPool2d(2),
        ours.GroupNorm(2, 4),
        ours.Dropout2d(0.25),
        nn.Flatten(),
        ours.WeightNorm(ours.Linear(4, 6)),
        ours.BatchNorm1d(6),
        ours.ReLU(),
        ours.LayerNorm(6),
        ours.Tanh(),
        ours.Linear(6, 6),
        ours.Softsign(),
        ours.RMSNorm(6),
        ours.Sigmoid(),
        ours.Dropout(0.25),
        ours.CosineLinear(6, 3),
    )


def test_the_network_has_every_module():
    layers = {type(m) for m in network().modules()}
    public = {m for n, m in vars(ours).items() if inspect.isclass(m) and n[0] != "_"}
    assert {m for m in public if m.__module__ == ours.__name__} <= layers


def train(device: str) -> tuple[list[float], float, list[float]]:
    torch.manual_seed(0)
    model = network()
    x, y = draw(12, 1, 10, 10).to(device), torch.arange(12).remainder(3).to(device)
    model.to(device)
    order = torch.Generator().manual_seed(1)
    options = {"lr": 0.1, "momentum": 0.9, "batch_size": 5, "generator": order}
    with LayerStatistics(model, nn.Conv2d) as layers:
        history = fit(model, (x, y), epochs=2, **options)
    assert {p.device.type for p in model.state_dict().values()} == {device}
    return history.loss, evaluate(model, x, y).loss, layers["0"].grad_std


def test_training(device):
    if device == SIMULATED:
        assert train(device) == train("cpu")
    else:  # other masks are dropped there
        assert all(torch.tensor(v).isfinite().all() for v in train(device))


def test_verify(device, capsys):
    values = draw(3).to(device)
    verify("eq-a", values, values.clone() * 1, rtol=1e-6)
    verify("eq-a", [values.sum()], [values.sum().item()], rtol=1e-6)
    assert capsys.readouterr().out.count("✓") == 2


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda t: t + torch.ones(3), "tensors on cpu and lazy"),
        (lambda t: t.double(), "makes float64"),
        (lambda t: t.uniform_(generator=torch.Generator()), "generator on cpu"),
    ],
    ids=["mixed", "float64", "generator"],
)
def test_the_simulated_device_refuses(break_it: Callable, message):
    with Simulation(), pytest.raises((RuntimeError, TypeError), match=message):
        break_it(torch.ones(3).to(SIMULATED))
