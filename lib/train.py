"""Gradient descent, evaluation, and what the layers see meanwhile."""

import functools
import math
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class History:
    """What :func:`fit` records.

    Attributes:
        loss: Loss of each minibatch, before its update.
        epoch_loss: Mean of these over the examples of each epoch.
    """

    loss: list[float] = field(default_factory=list)
    epoch_loss: list[float] = field(default_factory=list)


class Evaluation(NamedTuple):
    """What :func:`evaluate` measures."""

    accuracy: float
    loss: float


def fit(
    model: torch.nn.Module,
    data: tuple[Tensor, Tensor],
    *,
    epochs: int,
    lr: float,
    batch_size: int,
    generator: torch.Generator,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    loss: Loss = cross_entropy,
    progress: bool | None = None,
) -> History:
    r"""Train a model, in place, by stochastic gradient descent.

    .. math::

        v \leftarrow \mu v + \nabla_w L + \lambda w, \qquad
        w \leftarrow w - \eta v

    Every epoch goes through the examples once, in a new random order; its last
    minibatch may be smaller. The model is left in training mode.

    Args:
        model: What to train; its parameters decide device and dtype of ``data``.
        data: Inputs and targets.
        epochs: How often to go through the data.
        lr: Learning rate η.
        batch_size: Examples of a minibatch.
        generator: Source of the order.
        momentum: Part μ of the last step that is kept, in [0, 1).
        weight_decay: Factor λ of the weights in the gradient.
        loss: Function of outputs and targets that gives the mean loss.
        progress: Whether to show a bar on standard error; ``None`` shows one in a
            terminal, and nothing in a notebook, a file, or continuous integration.

    Shape:
        - data: ``(N, ...)`` and ``(N, ...)``.

    Returns:
        The losses on the way.

    Raises:
        ValueError: The inputs and the targets are not equally many, or none;
            ``epochs`` is negative; ``batch_size`` is below 1; ``lr`` or
            ``weight_decay`` is negative; ``momentum`` is not in [0, 1).

    References:
        Robbins and Monro (1951); Polyak (1964) for the momentum.
    """
    x, y = data
    _check_fit(x, y, epochs, batch_size, lr, momentum, weight_decay)
    sgd = torch.optim.SGD(
        model.parameters(), lr, momentum=momentum, weight_decay=weight_decay
    )
    history = History()
    model.train()
    for _ in _bar(range(epochs), progress):
        order = torch.randperm(len(x), generator=generator, device=generator.device)
        total = 0.0
        for batch in order.to(x.device).split(batch_size):
            sgd.zero_grad()
            value = loss(model(x[batch]), y[batch])
            value.backward()
            sgd.step()  # eq-sgd
            history.loss.append(value.item())
            total += history.loss[-1] * len(batch)
        history.epoch_loss.append(total / len(x))
    return history


def evaluate(
    model: torch.nn.Module, x: Tensor, y: Tensor, *, loss: Loss = cross_entropy
) -> Evaluation:
    """Accuracy and mean loss of a classifier, in evaluation mode, without gradients.

    Every module is left in the mode it was in.

    Args:
        model: The classifier; its largest output is its answer.
        x: Inputs.
        y: Labels.
        loss: Function of outputs and targets that gives the mean loss.

    Shape:
        - x: ``(N, ...)``; the model makes ``(N, classes)`` of it.
        - y: ``(N,)``.

    Returns:
        Accuracy and loss, as numbers.

    Raises:
        ValueError: Inputs and labels are not equally many, or there are none.
    """
    _check_pairs(x, y)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            output = model(x)
            right = output.argmax(1) == y
            return Evaluation(right.double().mean().item(), loss(output, y).item())
    finally:
        for module, mode in modes:
            module.training = mode


@dataclass
class Statistics:
    """Of one layer's output, one number for each time that the layer was applied.

    Attributes:
        mean: Mean over all elements.
        second_moment: Mean of the squares.
        std: Standard deviation over all elements (divided by their number).
        grad_second_moment: Mean square of the loss's gradient with respect to the
            output; NaN until the gradient has been taken.
    """

    mean: list[float] = field(default_factory=list)
    second_moment: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    grad_second_moment: list[float] = field(default_factory=list)

    def _record(self, output: Tensor) -> None:
        values = output.detach().to(torch.float64)
        mean = values.mean()
        self.mean.append(mean.item())
        self.second_moment.append((values**2).mean().item())
        self.std.append(((values - mean) ** 2).mean().sqrt().item())
        self.grad_second_moment.append(math.nan)
        if output.requires_grad:
            at = len(self.grad_second_moment) - 1
            output.register_hook(functools.partial(self._record_gradient, at))

    def _record_gradient(self, at: int, grad: Tensor) -> None:
        square = grad.detach().to(torch.float64) ** 2
        self.grad_second_moment[at] = square.mean().item()


class LayerStatistics:
    """Record how large the outputs of the layers and their gradients are.

    >>> with LayerStatistics(model) as layers:  # doctest: +SKIP
    ...     loss(model(x), y).backward()
    >>> layers["0"].mean, layers["0"].grad_second_moment  # doctest: +SKIP

    The gradient belongs to the ``loss`` that is differentiated: that of a mean over N
    examples is N times smaller than the gradient of one example's loss.

    Args:
        model: The model to watch while the context is open.
        kinds: Types of the layers to watch; ``None`` watches every module that has no
            other module inside.

    Raises:
        ValueError: The model has no such layer.
    """

    def __init__(
        self, model: torch.nn.Module, kinds: type | tuple[type, ...] | None = None
    ) -> None:
        self._modules = {
            name: module
            for name, module in model.named_modules()
            if (
                next(module.children(), None) is None
                if kinds is None
                else isinstance(module, kinds)
            )
        }
        if not self._modules:
            raise ValueError(f"kinds must be those of layers of the model, got {kinds}")
        self._layers = {name: Statistics() for name in self._modules}
        self._handles: list = []

    def __enter__(self) -> "LayerStatistics":
        for name, module in self._modules.items():
            hook = functools.partial(_record_output, self._layers[name])
            self._handles.append(module.register_forward_hook(hook))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def __getitem__(self, name: str) -> Statistics:
        return self._layers[name]

    def __iter__(self) -> Iterable[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def items(self) -> Iterable[tuple[str, Statistics]]:
        """Names of the layers, as ``named_modules`` has them, with their statistics."""
        return self._layers.items()


def _record_output(
    statistics: Statistics, module: torch.nn.Module, inputs: tuple, output: object
) -> None:
    if torch.is_tensor(output) and output.is_floating_point():
        statistics._record(output)


def _bar(epochs: range, progress: bool | None) -> Iterable[int]:
    if not (_in_terminal() if progress is None else progress):
        return epochs
    from tqdm import tqdm  # where a bar is shown: it starts a thread

    return tqdm(epochs, unit="epoch")


def _in_terminal() -> bool:
    if os.environ.get("CI") or "ipykernel" in sys.modules:
        return False
    return sys.stderr is not None and sys.stderr.isatty()


def _check_pairs(x: Tensor, y: Tensor) -> None:
    if len(x) != len(y) or not len(x):
        shapes = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x and y must be equally many and some, got {shapes}")


def _check_fit(
    x: Tensor,
    y: Tensor,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    weight_decay: float,
) -> None:
    _check_pairs(x, y)
    if epochs < 0:
        raise ValueError(f"epochs must not be negative, got {epochs}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if not lr >= 0:
        raise ValueError(f"lr must not be negative, got {lr}")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must lie in [0, 1), got {momentum}")
    if not weight_decay >= 0:
        raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
