"""Gradient descent, evaluation, and what the layers see meanwhile."""

import functools
import math
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from lib._function import check, check_integer
from lib.loss import cross_entropy

Loss = Callable[[Tensor, Tensor], Tensor]
Kinds = type | tuple[type, ...] | None
Record = Callable[[Tensor], object] | None

_NAMES = ("mean", "std", "second_moment", "recorded")


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
    model: Module,
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
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    on_step: Callable[[int], object] | None = None,
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
        optimizer: Makes another optimiser, such as ``torch.optim.Adam``, which takes
            the place of the formula: from the parameters, ``lr``, and ``momentum``
            and ``weight_decay`` where these are not 0.
        on_step: Called after each update with the number of updates so far, from 1
            on. The model is in training mode then, and has to be left in it, as
            :func:`evaluate` does.

    Shape:
        - data: ``(N, ...)`` and ``(N, ...)``.

    Returns:
        The losses on the way.

    Raises:
        ValueError: The inputs and the targets are not equally many, or none;
            ``epochs`` is no integer or negative; ``batch_size`` is no integer or
            below 1; ``lr`` or ``weight_decay`` is negative or not finite;
            ``momentum`` is not in [0, 1).

    References:
        Robbins and Monro (1951); Polyak (1964) for the momentum.
    """
    x, y = data
    _check_pairs(x, y)
    check_integer("epochs", epochs, 0)
    check_integer("batch_size", batch_size, 1)
    for name, value in (("lr", lr), ("weight_decay", weight_decay)):
        check(0 <= value < math.inf, name, "be finite and not negative", value)
    check(0 <= momentum < 1, "momentum", "lie in [0, 1)", momentum)
    options = {"momentum": momentum, "weight_decay": weight_decay}
    options = {name: value for name, value in options.items() if value}
    descent = (optimizer or torch.optim.SGD)(model.parameters(), lr=lr, **options)
    model.train()
    history = History()
    for _ in _bar(range(epochs), progress):
        order = torch.randperm(len(x), generator=generator, device=generator.device)
        total = 0.0
        for batch in order.to(x.device).split(batch_size):
            descent.zero_grad()
            value = loss(model(x[batch]), y[batch])
            value.backward()
            descent.step()  # eq-sgd
            history.loss.append(value.item())
            total += history.loss[-1] * len(batch)
            if on_step is not None:
                on_step(len(history.loss))
        history.epoch_loss.append(total / len(x))
    return history


def evaluate(
    model: Module, x: Tensor, y: Tensor, *, loss: Loss = cross_entropy
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
    try:
        with torch.no_grad():
            output = model.eval()(x)
            right = output.argmax(1) == y
            return Evaluation(right.sum().item() / len(y), loss(output, y).item())
    finally:
        for module, mode in modes:
            module.training = mode


class Statistics(SimpleNamespace):
    """Of one layer's output, one entry for each time that the layer was applied.

    Attributes:
        mean: Mean over all elements.
        std: Standard deviation over all elements (divided by their number).
        second_moment: Mean of the squares.
        recorded: What the function ``record`` returned, ``None`` without one.
        grad_mean: As ``mean``, of the loss's gradient with respect to the output; NaN,
            like the next three, until the gradient has been taken.
        grad_std: Its standard deviation.
        grad_second_moment: Its mean square.
        grad_recorded: What ``record`` returned for it.
    """

    def __init__(self) -> None:
        names = [prefix + name for prefix in ("", "grad_") for name in _NAMES]
        super().__init__(**{name: [] for name in names})

    def _see(self, record: Record, _layer, _inputs, output: object) -> None:
        if torch.is_tensor(output) and output.is_floating_point():
            for entries in vars(self).values():
                entries.append(math.nan)
            put = functools.partial(self._put, record, len(self.mean) - 1)
            put("", output)
            if output.requires_grad:
                output.register_hook(functools.partial(put, "grad_"))

    def _put(self, record: Record, at: int, prefix: str, seen: Tensor) -> None:
        t = seen.detach().cpu().to(torch.float64, copy=True)  # MPS has no float64
        mean, second_moment = t.mean(), (t**2).mean()
        std = ((t - mean) ** 2).mean().sqrt()
        moments = mean.item(), std.item(), second_moment.item()
        for name, entry in zip(_NAMES, (*moments, record and record(t)), strict=True):
            getattr(self, prefix + name)[at] = entry


class LayerStatistics(dict[str, Statistics]):
    """Record how large the outputs of the layers and their gradients are.

    A dictionary from the layers' names, as ``named_modules`` has them, that is filled
    while its context is open.

    >>> with LayerStatistics(model) as layers:  # doctest: +SKIP
    ...     loss(model(x), y).backward()
    >>> layers["0"].mean, layers["0"].grad_second_moment  # doctest: +SKIP

    The gradient belongs to the ``loss`` that is differentiated: that of a mean over N
    examples is N times smaller than the gradient of one example's loss.

    Args:
        model: The model to watch while the context is open.
        kinds: Types of the layers to watch; ``None`` watches every module that has no
            other module inside.
        record: Function of an output, or of its gradient, in float64 on the CPU, whose
            results are kept as well: ``lambda t: t.std(0)`` for the standard deviation
            of each unit over the batch, ``lambda t: t.quantile(p)`` for percentiles.

    Raises:
        ValueError: The model has no such layer.
    """

    def __init__(self, model: Module, kinds: Kinds = None, record: Record = None):
        self._modules = {n: m for n, m in model.named_modules() if _fits(m, kinds)}
        check(self._modules, "kinds", "be those of layers of the model", kinds)
        super().__init__({name: Statistics() for name in self._modules})
        self._record, self._handles = record, []

    def __enter__(self) -> "LayerStatistics":
        for name, module in self._modules.items():
            hook = functools.partial(self[name]._see, self._record)
            self._handles.append(module.register_forward_hook(hook))
        return self

    def __exit__(self, *_: object) -> None:
        while self._handles:
            self._handles.pop().remove()


def _fits(module: Module, kinds: Kinds) -> bool:
    return not [*module.children()] if kinds is None else isinstance(module, kinds)


def _bar(epochs: range, progress: bool | None) -> Iterable[int]:
    if progress is None and sys.stderr is not None:
        unseen = os.environ.get("CI") or "ipykernel" in sys.modules
        progress = not unseen and sys.stderr.isatty()
    if not progress:
        return epochs
    from tqdm import tqdm  # where a bar is shown: it starts a thread

    return tqdm(epochs, unit="epoch")


def _check_pairs(x: Tensor, y: Tensor) -> None:
    got = f"{len(x)} and {len(y)}"
    check(len(x) == len(y) > 0, "x and y", "be equally many, at least one", got)
