"""Time lib against torch: the same work, in one process, call after call.

python benchmarks/speed.py [rounds] [name ...]

Each figure is the least time of one call forward and backward. The table goes to
benchmarks/speed.md, which the book includes, unless single names are asked for. Ends
with 1 where lib is slower, or takes more memory, than it promises to be.
"""

import functools
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Normal
from tqdm import trange

import lib

TABLE = Path(__file__).with_suffix(".md")
MEMORY_GATE = 1.2  # of torch's peak, for conv2d
MEAN_GATE = 1.1  # geometric mean over all functions that have a gate


class Case(NamedTuple):
    """One row of the table."""

    work: str
    ours: Callable
    theirs: Callable
    sizes: list[tuple[int, ...]]  # of the arguments that are differentiated
    gate: float | None = None
    dtype: torch.dtype = torch.float32


def same(name: str, *options, sizes, work: str, gate: float | None = None) -> Case:
    """A function that has the same name here and there."""
    pair = (functools.partial(call, getattr(m, name), options) for m in (lib, F))
    return Case(f"`{name}` {work}", *pair, sizes, gate)


def call(function: Callable, options: tuple, *tensors: Tensor) -> Tensor:
    return function(*tensors, *options)


def batch_norm(module, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    running = x.new_zeros(len(weight)), x.new_ones(len(weight))
    return module.batch_norm(x, *running, weight, bias, True)


def norm(name: str, option, module, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return getattr(module, name)(x, option, weight, bias)


def instance_norm(module, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return module.instance_norm(x, weight=weight, bias=bias)


def both(function: Callable, *options) -> list[Callable]:
    return [functools.partial(function, *options, module) for module in (lib, F)]


def normal(name: str, theirs: Callable) -> Case:
    work = f"`normal_{name}` 10⁶, float64, against `torch.distributions`"
    ours = getattr(lib, f"normal_{name}")
    return Case(work, ours, theirs, [(10**6,), (), ()], dtype=torch.float64)


def cross_entropy(module, x: Tensor) -> Tensor:
    return module.cross_entropy(x, torch.arange(len(x)) % x.shape[1])


MAPS, ROWS, IMAGES = (64, 64, 28, 28), (256, 512), (32, 16, 28, 28)
CONV = [IMAGES, (32, 16, 3, 3), (32,)]
PLANE = (256, 4096)
CASES = {
    "batch_norm maps": Case(
        "`batch_norm` 64×64×28×28", *both(batch_norm), [MAPS, (64,), (64,)], 1.3
    ),
    "batch_norm rows": Case(
        "`batch_norm` 256×512", *both(batch_norm), [ROWS, (512,), (512,)], 1.7
    ),
    "layer_norm maps": Case(
        "`layer_norm` 64×64×28×28",
        *both(norm, "layer_norm", MAPS[1:]),
        [MAPS, MAPS[1:], MAPS[1:]],
        3,
    ),
    "layer_norm rows": Case(
        "`layer_norm` 256×512",
        *both(norm, "layer_norm", ROWS[1:]),
        [ROWS, ROWS[1:], ROWS[1:]],
        2.3,
    ),
    "group_norm maps": Case(
        "`group_norm` 64×64×28×28, 8 groups",
        *both(norm, "group_norm", 8),
        [MAPS, (64,), (64,)],
        3,
    ),
    "group_norm rows": Case(
        "`group_norm` 256×512, 8 groups",
        *both(norm, "group_norm", 8),
        [ROWS, (512,), (512,)],
        0.6,
    ),
    "instance_norm": Case(
        "`instance_norm` 64×64×28×28", *both(instance_norm), [MAPS, (64,), (64,)], 1.5
    ),
    "conv2d": same(
        "conv2d", 1, 1, sizes=CONV, work="32×16×28×28, 32 filters 3×3", gate=2.5
    ),
    "max_pool2d": same(
        "max_pool2d", 2, sizes=[IMAGES], work="32×16×28×28, 2×2", gate=0.7
    ),
    "avg_pool2d": same(
        "avg_pool2d", 2, sizes=[IMAGES], work="32×16×28×28, 2×2", gate=0.6
    ),
    "dropout": same("dropout", 0.5, sizes=[PLANE], work="256×4096", gate=0.35),
    "rms_norm": Case(
        "`rms_norm` 256×512",
        *(
            functools.partial(lambda m, x, w: m.rms_norm(x, (512,), w), m)
            for m in (lib, F)
        ),
        [ROWS, (512,)],
    ),
    "linear": same("linear", sizes=[ROWS, (512, 512), (512,)], work="256×512 to 512"),
    "sigmoid": same("sigmoid", sizes=[PLANE], work="256×4096"),
    "tanh": same("tanh", sizes=[PLANE], work="256×4096"),
    "softsign": same("softsign", sizes=[PLANE], work="256×4096"),
    "relu": same("relu", sizes=[PLANE], work="256×4096"),
    "leaky_relu": same("leaky_relu", sizes=[PLANE], work="256×4096"),
    "prelu": same("prelu", sizes=[PLANE, (1,)], work="256×4096"),
    "cross_entropy": Case(
        "`cross_entropy` 1024×100", *both(cross_entropy), [(1024, 100)]
    ),
    "normal_pdf": normal("pdf", lambda x, m, s: Normal(m, s).log_prob(x).exp()),
    "normal_log_pdf": normal("log_pdf", lambda x, m, s: Normal(m, s).log_prob(x)),
    "normal_cdf": normal("cdf", lambda x, m, s: Normal(m, s).cdf(x)),
    "normal_quantile": normal("quantile", lambda x, m, s: Normal(m, s).icdf(x)),
}


def seconds(function: Callable, tensors: list[Tensor], grad: Tensor) -> float:
    start = time.perf_counter()
    torch.autograd.grad(function(*tensors), tensors, grad)
    return time.perf_counter() - start


def measure(case: Case, rounds: int) -> list[float]:
    """Least seconds of ours and of theirs."""
    generator = torch.Generator().manual_seed(0)
    like = {"generator": generator, "dtype": case.dtype}
    tensors = [torch.rand(size, **like).requires_grad_() for size in case.sizes]
    grad = torch.rand(case.theirs(*tensors).shape, **like)
    best = [math.inf, math.inf]
    repeats = max(1, round(0.01 / seconds(case.theirs, tensors, grad)))
    for _ in range(rounds):
        for which, function in enumerate((case.ours, case.theirs)):
            for _ in range(repeats):
                elapsed = seconds(function, tensors, grad)
                best[which] = min(best[which], elapsed)
    return best


def peak_memory(which: str) -> float:
    """MiB by which conv2d forward and backward makes a fresh process grow."""
    code = f"import speed; speed.grow({which!r})"
    options = {"capture_output": True, "text": True, "check": True}
    run = subprocess.run([sys.executable, "-c", code], cwd=TABLE.parent, **options)
    return float(run.stdout)


def grow(which: str) -> None:
    torch.set_num_threads(1)
    case = CASES["conv2d"]
    small = [(1, 16, 6, 6), *case.sizes[1:]]  # for what is set up once
    before = 0.0
    for sizes in (small, case.sizes):
        before = high_water()
        tensors = [torch.ones(size, requires_grad=True) for size in sizes]
        output = getattr(case, which)(*tensors)
        torch.autograd.grad(output, tensors, torch.ones_like(output))
    print(high_water() - before)


def high_water() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(x for x in status.splitlines() if x.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main(rounds: int, names: list[str]) -> int:
    times: dict[int, dict[str, list[float]]] = {1: {}, 2: {}}
    bar = trange(len(names) * len(times), leave=False)
    for threads, table in times.items():
        torch.set_num_threads(threads)
        for name in names:
            table[name] = measure(CASES[name], rounds)
            bar.update()
    bar.close()
    lines = [
        "| work, forward and backward | torch | lib | ratio | at most | two threads |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    failed = []
    for name in names:
        case, (ours, theirs) = CASES[name], times[1][name]
        ratio, ratio2 = ours / theirs, times[2][name][0] / times[2][name][1]
        gate = "" if case.gate is None else f"{case.gate:g}"
        if case.gate is not None and ratio > case.gate:
            failed.append(f"{name}: {ratio:.2f}, at most {gate}")
        lines.append(
            f"| {case.work} | {1e3 * theirs:.2f}\N{NO-BREAK SPACE}ms "
            f"| {1e3 * ours:.2f}\N{NO-BREAK SPACE}ms "
            f"| {ratio:.2f} | {gate} | {ratio2:.2f} |"
        )
    gated = [n for n in names if CASES[n].gate is not None]
    if gated:
        logs = [math.log(times[1][n][0] / times[1][n][1]) for n in gated]
        mean = math.exp(sum(logs) / len(logs))
        lines.append(
            f"| geometric mean of the {len(gated)} with a limit | | | {mean:.2f} "
            f"| {MEAN_GATE} | |"
        )
        if mean > MEAN_GATE and len(names) == len(CASES):
            failed.append(f"geometric mean: {mean:.2f}, at most {MEAN_GATE}")
    if "conv2d" in names:
        ours, theirs = (peak_memory(which) for which in ("ours", "theirs"))
        lines.append(
            f"| `conv2d` as above: peak memory | {theirs:.1f}\N{NO-BREAK SPACE}MiB "
            f"| {ours:.1f}\N{NO-BREAK SPACE}MiB "
            f"| {ours / theirs:.2f} | {MEMORY_GATE} | |"
        )
        if ours > MEMORY_GATE * theirs:
            failed.append(f"conv2d's memory: {ours / theirs:.2f}")
    text = "\n".join(lines) + "\n"
    print(text)
    if len(names) == len(CASES):
        TABLE.write_text(text, "utf-8")
    for line in failed:
        print(f"too slow: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    sys.exit(main(count, sys.argv[2:] or list(CASES)))
