"""A chapter opened alone, as in Colab: another environment, an empty folder, no lib.

Colab's versions of IPython and ipykernel run the notebook. Everything else is the
environment of these tests, visible through a .pth file that leaves out our package.
Git is told to take the book's address from this checkout, so nothing need be published.
"""

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import stamp

ROOT = Path(__file__).parents[1]

VERSIONS = ["ipython==7.34.0", "ipykernel==6.17.1", "setuptools"]  # of Colab, 2026
PAGE = ROOT / "chapters" / "normal" / "density.ipynb"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def python(environment: Path, *args: str, **options) -> str:
    command = [environment / "bin" / "python", *args]
    return subprocess.run(
        command, check=True, text=True, capture_output=True, **options
    ).stdout


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> Path:
    """An environment with Colab's kernel and without our package; made once."""
    home = ROOT / ".cache" / "colab-{}.{}".format(*sys.version_info)
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        python(home, "-m", "pip", "install", "--quiet", *VERSIONS)
        (home / "complete").touch()
    # Copied, so that what the notebook installs is gone afterwards.
    environment = tmp_path_factory.mktemp("colab") / "env"
    shutil.copytree(home, environment, symlinks=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    (packages / "base.pth").write_text(site.getsitepackages()[0])
    return environment


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """The work tree, committed elsewhere: pip installs commits, not files."""
    folder = tmp_path_factory.mktemp("repository") / "book"
    files = ["lib", "pyproject.toml", "README.md", "LICENSE", ".gitignore"]
    ignore = shutil.ignore_patterns("__pycache__")
    folder.mkdir()
    for name in files:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, folder)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in ["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "test"]:
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture
def kernel(colab, repository, tmp_path, monkeypatch):
    """Settings for a kernel that believes it is Colab."""
    spec = tmp_path / "jupyter" / "kernels" / "colab"
    spec.mkdir(parents=True)
    command = [str(colab / "bin" / "python"), "-m", "ipykernel_launcher"]
    spec_file = {
        "argv": [*command, "-f", "{connection_file}"],
        "display_name": "colab",
        "language": "python",
        "env": {
            "COLAB_RELEASE_TAG": "release-colab",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": stamp.repository(),
            "PYTHONPATH": "",
        },
    }
    (spec / "kernel.json").write_text(json.dumps(spec_file))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook with Colab's kernel, in a folder of its own."""
    notebook.metadata["kernelspec"] = {"name": "colab", "display_name": "colab"}
    resources = {"metadata": {"path": str(folder)}}
    return NotebookClient(notebook, timeout=120, resources=resources).execute()


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
    return [o.text for o in outputs if o.output_type == "stream"]


def only_setup(then: str) -> nbformat.NotebookNode:
    new = nbformat.v4.new_code_cell
    return nbformat.v4.new_notebook(cells=[new(stamp.setup_cell()), new(then)])


def freeze(environment: Path) -> set[str]:
    command = ["-m", "pip", "freeze", "--exclude-editable"]
    return set(python(environment, *command, cwd="/").splitlines())


def test_notebook_runs_alone(colab, kernel, tmp_path):
    """The whole page, in an empty folder; nothing preinstalled changes."""
    before = freeze(colab)
    assert not any(line.startswith("deep-learning-derived") for line in before)
    folder = tmp_path / "empty"
    folder.mkdir()
    alone = execute(nbformat.read(PAGE, as_version=4), folder)
    added = freeze(colab) - before
    assert {line.split("==")[0].split(" @")[0] for line in added} == {
        "deep-learning-derived"
    }
    assert before <= freeze(colab)
    lines = "".join(printed(alone)).splitlines()
    stored = "".join(printed(nbformat.read(PAGE, as_version=4))).splitlines()
    assert [x for x in lines if "✓" in x] == [x for x in stored if "✓" in x]


def test_second_run_installs_nothing(kernel, tmp_path):
    """After the first test our lib is there, and the cell recognises it."""
    again = execute(only_setup("import lib; print(lib.__file__)"), tmp_path)
    text = printed(again)[-1]
    assert "site-packages" in text


def test_any_folder_called_lib_does_no_harm(colab, kernel, tmp_path):
    (tmp_path / "lib").mkdir()
    python(colab, "-m", "pip", "uninstall", "--yes", "--quiet", "deep-learning-derived")
    text = printed(execute(only_setup("print(verify.__module__)"), tmp_path))[-1]
    assert text == "lib.check\n"


def test_a_foreign_lib_is_named(kernel, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "__init__.py").touch()
    with pytest.raises(CellExecutionError, match="named lib is in the way in .*rename"):
        execute(only_setup("pass"), tmp_path)


def test_does_nothing_elsewhere(tmp_path):
    probe = "\n".join(
        [
            "import sys",
            "from IPython.core.interactiveshell import InteractiveShell",
            f"done = InteractiveShell().run_cell({stamp.setup_cell()!r})",
            "assert done.success",
            "assert not any(m.split('.')[0] == 'lib' for m in sys.modules)",
        ]
    )
    environment = {k: v for k, v in os.environ.items() if k != "COLAB_RELEASE_TAG"}
    environment["IPYTHONDIR"] = str(tmp_path)
    command = [sys.executable, "-W", "ignore", "-c", probe]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
