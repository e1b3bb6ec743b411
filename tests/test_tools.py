"""The commands behind the Makefile: what they refuse, and that they stay whole."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import run

ROOT = Path(__file__).parents[1]


@pytest.fixture
def page(tmp_path) -> Path:
    new = nbformat.v4.new_code_cell
    cells = [
        new("import sys\nprint('a')\nsys.stdout.flush()\nprint('b')"),
        new("1 + 1"),
    ]
    path = tmp_path / "page.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_stores_what_a_notebook_printed(page):
    assert run.execute(page) is None
    stored = nbformat.read(page, as_version=4)
    first, second = (c.outputs[0] for c in stored.cells)
    assert first.text == "a\nb\n"
    assert second.data["text/plain"] == "2"
    assert [c.execution_count for c in stored.cells] == [1, 2]
    assert stored.metadata == {
        "kernelspec": run.KERNEL,
        "language_info": {"name": "python"},
    }


def test_running_again_changes_no_byte(page):
    run.execute(page)
    before = page.read_bytes()
    run.execute(page)
    assert page.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("raise ValueError('no')", "a cell raised ValueError: no"),
        ("import time; time.sleep(9)", "a cell ran for more than 2 s"),
        ("import os; os._exit(1)", "the kernel died"),
    ],
    ids=["error", "hang", "death"],
)
def test_a_failed_notebook_stays_as_it_was(page, monkeypatch, source, problem):
    monkeypatch.setattr(run, "TIMEOUT", 2)
    notebook = nbformat.read(page, as_version=4)
    notebook.cells[1].source = source
    nbformat.write(notebook, page)
    before = page.read_bytes()
    message = run.execute(page)
    assert message.startswith(problem)
    assert source in message
    assert page.read_bytes() == before
    assert list(page.parent.iterdir()) == [page]


def test_names_what_can_be_run():
    with pytest.raises(
        SystemExit, match=r"'nromal' names no notebook; .* a chapter: .*normal"
    ):
        run.chosen(["nromal"])
    assert {p.parent.name for p in run.chosen(["normal"])} == {"normal"}
    (path,) = run.chosen(["chapters/normal/density.ipynb"])
    assert path.name == "density.ipynb"
    assert len(run.chosen([])) >= len(run.chosen(["normal"]))


def test_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    shown = subprocess.run(["make", "help"], cwd=ROOT, text=True, capture_output=True)
    assert re.findall(r"^  make (\w+)  +\w", shown.stdout, re.M) == targets


def test_a_missing_python_is_named():
    command = ["make", "venv", "PYTHON=python3.99"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert done.returncode
    assert "python3.99 is not there; install Python 3.11 or newer" in done.stdout


def test_an_old_python_is_named(monkeypatch, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r})\n"
        "sys.version_info = (3, 9, 1)\n"
        "import importlib.util as u, pathlib\n"
        f"spec = u.spec_from_file_location('v', {str(ROOT / 'tools' / 'venv.py')!r})\n"
        "v = u.module_from_spec(spec); spec.loader.exec_module(v)\n"
        f"v.VENV = pathlib.Path({str(tmp_path / '.venv')!r})\n"
        "v.make()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    assert done.stderr.startswith(
        "venv: Python must be 3.11 or newer, got 3.9.1; try make"
    )
