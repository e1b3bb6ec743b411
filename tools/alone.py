"""What writes does so alone, replaces files in one step, and ends in one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

CACHE = Path(__file__).parents[1] / ".cache"


@contextmanager
def alone(name: str) -> Iterator[None]:
    """Hold the lock of `make name`; the system frees it however the process ends."""
    try:
        CACHE.mkdir(exist_ok=True)
        with FileLock(CACHE / f"{name}.lock", blocking=False):
            yield
    except Timeout:
        raise SystemExit(
            f"{name}: another make {name} works in this folder; wait until it has ended"
        ) from None
    except OSError as error:
        raise SystemExit(f"{name}: {error}; nothing is half written") from None
    except KeyboardInterrupt:
        print(f"\n{name}: stopped; nothing is half written", flush=True)
        os._exit(130)  # waits for no thread


def replace(path: Path, text: str) -> None:
    """Write beside and move, so that the file is never half written."""
    CACHE.mkdir(exist_ok=True)
    part = CACHE / f"{path.parent.name}-{path.name}"
    try:
        part.write_text(text, "utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
