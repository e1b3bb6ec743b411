"""Before anything is tested: every notebook can be read."""

import gc

import pytest

from stamp import damaged


def pytest_sessionstart(session: pytest.Session) -> None:
    """End with the names of damaged notebooks, not with a hundred tracebacks."""
    if not hasattr(session.config, "workerinput") and (problems := damaged()):
        raise pytest.UsageError("\n".join(problems))


def pytest_collection_finish() -> None:
    """What is there now stays: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()
