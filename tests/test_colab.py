"""The setup cell: a notebook opened without lib, as in Colab or after a download.

Colab's versions of IPython and ipykernel run it, in an environment that sees all of
this one but our package. The book's address leads to a server of these tests, and git
takes the repository's address from a folder, so nothing need be published. The page is
run with the library's own wheel; the drills, with small packages in its place.
"""

import json
import os
import shutil
import site
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import nbformat
import pytest
from nbclient import NotebookClient

import build
import stamp

ROOT = Path(__file__).parents[1]
VERSIONS = ["ipython==7.34.0", "ipykernel==6.17.1", "setuptools"]  # of Colab, 2026
PAGE = ROOT / "chapters" / "normal" / "density.ipynb"
DIST = "deep_learning_derived-{}.dist-info".format(stamp.wheel().split("-")[1])
OURS = {"lib", DIST}
NOWHERE = "http://127.0.0.1:9/"  # the port that discards; nothing answers
SHELL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell(colors="NoColor")
sys.exit(not shell.run_cell(sys.stdin.read()).success)
"""
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def preinstalled() -> list[str]:
    """Where Colab's kernel and all else lies; the kernel is installed once."""
    home = ROOT / ".cache" / "colab-{}.{}".format(*sys.version_info)
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *VERSIONS], check=True)
        (home / "complete").touch()
    return [str(packages(home)), *site.getsitepackages()]


class Colab:
    """A fresh environment and folder, and what its setup cell can reach."""

    def __init__(self, home: Path, preinstalled: list[str]):
        self.environment, self.folder = home / "env", home / "content"
        self.folder.mkdir()
        venv = [sys.executable, "-m", "venv", "--without-pip", self.environment]
        subprocess.run(venv, check=True)
        self.packages = packages(self.environment)
        # Its lines are put on the path; the .pth files that lie there are not read.
        (self.packages / "base.pth").write_text("\n".join(preinstalled))
        self.book, self.repository = NOWHERE, home / "nowhere"
        self.variables = os.environ | {
            "COLAB_RELEASE_TAG": "release-colab",
            "IPYTHONDIR": str(home),
            "PYTHONPATH": "",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # means yes: hatchling is taken from here
            "PIP_NO_CACHE_DIR": "1",
            "PIP_NO_INDEX": "1",
            "PIP_RETRIES": "0",
        }

    def env(self) -> dict[str, str]:
        return self.variables | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.repository.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": stamp.repository(),
        }

    def cell(self) -> str:
        return stamp.setup_cell().replace(stamp.config()["html"]["baseurl"], self.book)

    def run(self, then: str = "print(verify)") -> subprocess.CompletedProcess:
        """Run the setup cell and another line."""
        command = [self.environment / "bin" / "python", "-c", SHELL]
        options = {"text": True, "capture_output": True, "cwd": self.folder}
        cells = f"{self.cell()}\n{then}"
        return subprocess.run(command, input=cells, env=self.env(), **options)

    def installed(self) -> set[str]:
        return {p.name for p in self.packages.iterdir()} - {"base.pth"}


def packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


@pytest.fixture
def colab(tmp_path, preinstalled) -> Colab:
    return Colab(tmp_path, preinstalled)


class Server(ThreadingHTTPServer):
    """A folder, served; it remembers what it was asked for."""

    class Handler(SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            self.server.asked.append((self.path.rpartition("/")[2], int(code)))

        def log_message(self, *args):
            pass

    def __init__(self, folder: Path):
        handler = partial(self.Handler, directory=folder)
        super().__init__(("127.0.0.1", 0), handler)
        self.folder, self.asked = folder, []
        self.address = f"http://127.0.0.1:{self.server_port}/"


@pytest.fixture
def served(tmp_path) -> Iterator[Server]:
    """The book, with an empty folder for wheels."""
    (tmp_path / "book" / "wheels").mkdir(parents=True)
    with Server(tmp_path / "book") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def small_wheel(folder: Path) -> None:
    """A lib that says where it is from, and asks for what cannot be had."""
    files = {
        "lib/__init__.py": "",
        "lib/check.py": "verify = 'from the wheel'",
        f"{DIST}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any",
        f"{DIST}/METADATA": "Metadata-Version: 2.1\nName: deep-learning-derived\n"
        f"Version: {stamp.wheel().split('-')[1]}\nRequires-Dist: torch==0.0.1",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{DIST}/RECORD"])
    with ZipFile(folder / stamp.wheel(), "w") as archive:
        for name, text in (files | {f"{DIST}/RECORD": record}).items():
            archive.writestr(name, text)


def small_repository(folder: Path) -> Path:
    """The same, as the last commit of a repository."""
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "__init__.py").touch()
    (folder / "lib" / "check.py").write_text("verify = 'from the repository'")
    (folder / "README.md").touch()
    for name in "pyproject.toml", "LICENSE":
        shutil.copy(ROOT / name, folder)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in ["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "test"]:
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
    return "".join(o.text for o in outputs if o.output_type == "stream").splitlines()


def test_notebook_runs_alone(colab, served, monkeypatch):
    """A whole page, with the wheel that the book serves; nothing else changes."""
    built = build.library(served.folder / "wheels")
    colab.book = served.address
    spec = colab.folder.parent / "jupyter" / "kernels" / "colab" / "kernel.json"
    spec.parent.mkdir(parents=True)
    command = [str(colab.environment / "bin" / "python"), "-m", "ipykernel_launcher"]
    kernel = {"display_name": "colab", "language": "python", "env": colab.env()}
    kernel["argv"] = [*command, "-f", "{connection_file}"]
    spec.write_text(json.dumps(kernel))
    monkeypatch.setenv("JUPYTER_PATH", str(colab.folder.parent / "jupyter"))

    stored = stamp.read(PAGE)
    notebook = stamp.read(PAGE)
    stamp.find(notebook).source = colab.cell()
    notebook.metadata["kernelspec"] = {"name": "colab", "display_name": "colab"}
    resources = {"metadata": {"path": str(colab.folder)}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()

    assert [x for x in printed(notebook) if "✓" in x] == [
        x for x in printed(stored) if "✓" in x
    ]
    assert colab.installed() == OURS
    assert served.asked == [(built.name, 200)]


def test_installs_once_and_nothing_elsewhere(colab, served):
    small_wheel(served.folder / "wheels")
    colab.book = served.address
    first = colab.run()
    assert first.stdout.splitlines()[-1] == "from the wheel", first.stdout
    assert not first.stderr
    assert colab.installed() == OURS
    again = colab.run()
    del colab.variables["COLAB_RELEASE_TAG"]
    elsewhere = colab.run()
    assert again.stdout == elsewhere.stdout == "from the wheel\n"
    assert served.asked == [(stamp.wheel(), 200)]


def test_repository_stands_in(colab, served, tmp_path):
    """The book serves no such wheel; a folder called lib does no harm."""
    colab.book = served.address
    colab.repository = small_repository(tmp_path / "repository")
    (colab.folder / "lib").mkdir()
    assert colab.run().stdout.splitlines()[-1] == "from the repository"
    assert colab.installed() == OURS
    assert served.asked == [(stamp.wheel(), 404)]


def test_no_network(colab):
    done = colab.run()
    assert done.returncode
    cure = f"go online, run %pip install {NOWHERE}wheels/{stamp.wheel()}, then"
    assert f"(No module named 'lib'): {cure} restart the kernel" in done.stdout
    assert not colab.installed()


def test_a_foreign_lib_is_named(colab, served):
    small_wheel(served.folder / "wheels")
    colab.book = served.address
    (colab.folder / "lib").mkdir()
    (colab.folder / "lib" / "__init__.py").touch()
    done = colab.run()
    assert done.returncode
    cure = f"rename <module 'lib' from '{colab.folder / 'lib' / '__init__.py'}'>, which"
    assert f"(No module named 'lib.check'): {cure} is in its way" in done.stdout


def test_elsewhere_says_what_to_do(colab, served):
    """Outside Colab nothing is installed unasked."""
    small_wheel(served.folder / "wheels")
    colab.book = served.address
    del colab.variables["COLAB_RELEASE_TAG"]
    done = colab.run()
    assert done.returncode
    assert f"run %pip install {served.address}wheels/{stamp.wheel()}" in done.stdout
    assert not colab.installed()
    assert not served.asked
