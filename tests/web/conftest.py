"""Fixtures of the tests in a browser, beside those of pytest-playwright."""

import re

import pytest
from xdist.scheduler import LoadScopeScheduling

import browser as machine
from tests.web import book


class ByPage(LoadScopeScheduling):
    """What is asked of one page runs in one process, which so loads it once."""

    def _split_scope(self, nodeid: str) -> str:
        found = re.search(r"page=.*?\.html", nodeid)
        return found[0] if found else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return ByPage(config, log)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    program = machine.find()
    assert program, "there is no browser; make web installs one"
    return browser_type_launch_args | {"executable_path": program, "args": machine.ARGS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return browser_context_args | {"viewport": book.WIDE, "reduced_motion": "reduce"}


@pytest.fixture(scope="session")
def site():
    """Address of the book on a server, with a slash at its end."""
    with book.serve() as address:
        yield address


@pytest.fixture(scope="session")
def base_url(site):
    """What pytest-playwright resolves addresses against."""
    return site


@pytest.fixture(params=["http", "file"])
def home(request, site):
    """Address of the book, on a server and as files."""
    return site if request.param == "http" else f"{book.HTML.as_uri()}/"
