"""lib.normal against torch.distributions: the same work in one process, interleaved.

python benchmarks/normal.py [rounds]

Prints the least time of each, forward with backward, on one thread, and their ratio.
"""

import sys
import time
from collections.abc import Callable

import torch
from torch.distributions import Normal
from tqdm import trange

import lib

SIZE = 1_000_000
PAIRS = {
    "normal_pdf": (lib.normal_pdf, lambda x, m, s: Normal(m, s).log_prob(x).exp()),
    "normal_log_pdf": (lib.normal_log_pdf, lambda x, m, s: Normal(m, s).log_prob(x)),
    "normal_cdf": (lib.normal_cdf, lambda x, m, s: Normal(m, s).cdf(x)),
    "normal_quantile": (lib.normal_quantile, lambda x, m, s: Normal(m, s).icdf(x)),
}


def seconds(function: Callable, inputs: list[torch.Tensor]) -> float:
    start = time.perf_counter()
    function(*inputs).sum().backward()
    elapsed = time.perf_counter() - start
    for t in inputs:
        t.grad = None
    return elapsed


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(SIZE, generator=generator, dtype=torch.float64)
    mean, std = torch.tensor([0.2, 1.5], dtype=torch.float64)
    inputs = [t.clone().requires_grad_() for t in (x, mean, std)]
    times: dict[tuple[str, int], float] = {}
    for _ in trange(rounds, unit="round", leave=False):
        for name, pair in PAIRS.items():
            for which, function in enumerate(pair):
                best = times.get((name, which), float("inf"))
                times[name, which] = min(best, seconds(function, inputs))
    print(
        f"{SIZE:,} float64 values, forward and backward, one thread, best of {rounds}"
    )
    print(f"{'function':<16} {'lib':>9} {'torch':>9} {'lib/torch':>10}")
    for name in PAIRS:
        ours, theirs = (1e3 * times[name, which] for which in (0, 1))
        print(f"{name:<16} {ours:>6.1f} ms {theirs:>6.1f} ms {ours / theirs:>10.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
