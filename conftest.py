"""Before anything is tested: every notebook can be read."""

import pytest

from stamp import damaged


def pytest_sessionstart(session: pytest.Session) -> None:
    """End with the names of damaged notebooks, not with a hundred tracebacks."""
    if not hasattr(session.config, "workerinput") and (problems := damaged()):
        raise pytest.UsageError("\n".join(problems))
