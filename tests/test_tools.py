"""The commands behind the Makefile: what they refuse, and how they end if disturbed."""

import errno
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from zipfile import ZipFile

import nbformat
import psutil
import pytest

import alone
import build
import run
import stamp

ROOT = Path(__file__).parents[1]
PATIENCE = 60  # seconds, on a machine that does much else


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """Locks and unfinished files of these tests, apart from the book's."""
    monkeypatch.setattr(alone, "CACHE", tmp_path / "cache")
    return alone.CACHE


@pytest.fixture
def page(tmp_path) -> Path:
    new = nbformat.v4.new_code_cell
    cells = [
        new("import sys\nprint('a')\nsys.stdout.flush()\nprint('b')"),
        new("1 + 1"),
    ]
    path = tmp_path / "chapter" / "page.ipynb"
    path.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_stores_what_a_notebook_printed_the_same_twice(page):
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
    before = page.read_bytes()
    assert run.execute(page) is None
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


def test_a_full_disk_leaves_the_notebook_as_it_was(page, cache, monkeypatch):
    def write_half(path, text, encoding):
        path.write_bytes(text.encode(encoding)[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(run.NotebookClient, "execute", lambda client: None)
    monkeypatch.setattr(Path, "write_text", write_half)
    before = page.read_bytes()
    assert "No space left on device" in run.execute(page)
    assert page.read_bytes() == before
    assert list(page.parent.iterdir()) == [page]
    assert not list(cache.iterdir())


def truncated(text: str) -> str:
    return text[: len(text) // 2]


def conflicting(text: str) -> str:
    return f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> theirs\n"


def of_another_format(text: str) -> str:
    return json.dumps(json.loads(text) | {"nbformat": 3})


def without_cells(text: str) -> str:
    return json.dumps({k: v for k, v in json.loads(text).items() if k != "cells"})


def with_a_cell_of_no_kind(text: str) -> str:
    return text.replace('"cell_type": "code"', '"cell_type": "coed"')


def empty(text: str) -> str:
    return ""


DAMAGE = [
    truncated,
    conflicting,
    of_another_format,
    without_cells,
    with_a_cell_of_no_kind,
    empty,
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_notebook_is_named(page, monkeypatch, damage):
    page.write_text(damage(page.read_text()))
    before = page.read_bytes()
    problem = run.execute(page)
    assert re.fullmatch(
        rf"{page} is damaged \(.+\); mend it, or take back the last good one:"
        rf" git checkout -- {page}",
        problem,
    )
    assert page.read_bytes() == before
    monkeypatch.setattr(stamp, "notebooks", lambda: [page])
    assert stamp.damaged() == [problem]


def test_tests_begin_with_the_names_of_damaged_notebooks(tmp_path):
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    for name in "conftest.py", "pyproject.toml":
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "chapters").mkdir()
    (tmp_path / "chapters" / "bad.ipynb").write_text("{")
    command = [sys.executable, "-m", "pytest", "--nbval", "-n", "2"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert re.search(r"^ERROR: chapters/bad.ipynb is damaged", done.stderr, re.M)
    assert "Traceback" not in done.stdout + done.stderr


def script(tool: str, cache: Path, *lines: str) -> list[str]:
    """The command that runs these lines with a tool."""
    head = [
        "import sys",
        "from pathlib import Path",
        f"sys.path.insert(0, {str(ROOT / 'tools')!r})",
        f"import alone, {tool}",
        f"alone.CACHE = Path({str(cache)!r})",
    ]
    return [sys.executable, "-c", "\n".join([*head, *lines])]


def start(command: list[str]) -> subprocess.Popen:
    pipe = subprocess.PIPE
    return subprocess.Popen(command, text=True, stdout=pipe, stderr=pipe)


def wait_for(what) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_stopped_run_leaves_everything_whole(page, cache, tmp_path):
    """Killed, started again beside another, and stopped by Ctrl-C."""
    started = tmp_path / "started"
    notebook = nbformat.read(page, as_version=4)
    notebook.cells[1].source = (
        "import os, pathlib, time\n"
        f"pathlib.Path({str(started)!r}).write_text(f'{{os.getpid()}}.')\n"
        "time.sleep(600)"
    )
    nbformat.write(notebook, page)
    before = page.read_bytes()
    command = script(
        "run",
        cache,
        f"run.ROOT = Path({str(tmp_path)!r})",
        f"run.notebooks = lambda: [Path({str(page)!r})]",
        "raise SystemExit(run.main([]))",
    )
    for number, code in (signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130):
        runner = start(command)
        wait_for(lambda: started.exists() and started.read_text().endswith("."))
        kernel = int(started.read_text().rstrip("."))
        if number == signal.SIGINT:
            second = subprocess.run(
                command, text=True, capture_output=True, timeout=PATIENCE
            )
            assert second.returncode == 1
            assert second.stderr == (
                "run: another make run works in this folder; wait until it has ended\n"
            )
        runner.send_signal(number)
        out, err = runner.communicate(timeout=PATIENCE)
        assert runner.returncode == code
        assert "Traceback" not in out + err
        wait_for(lambda kernel=kernel: is_gone(kernel))
        assert page.read_bytes() == before
        assert list(page.parent.iterdir()) == [page]
        assert not list(cache.glob("*.ipynb"))
        started.unlink()
    assert out.strip() == "run: stopped; nothing is half written"


SPHINX = """
import sys, time
from pathlib import Path
html = Path(sys.argv[-1]) / "_build" / "html"
html.mkdir(parents=True)
(html / "index.html").touch()
{then}
"""


def sphinx(then: str) -> list[str]:
    """What stands in for jupyter-book: it writes a page, and then does this."""
    return [sys.executable, "-c", SPHINX.format(then=then)]


@pytest.fixture
def built(tmp_path, monkeypatch) -> Path:
    """An earlier build, in a folder of these tests."""
    monkeypatch.setattr(build, "BUILD", tmp_path / "_build")
    monkeypatch.setattr(build, "damaged", list)
    (tmp_path / "_build" / "html").mkdir(parents=True)
    (tmp_path / "_build" / "html" / "renamed.html").touch()
    return tmp_path / "_build"


def test_a_build_is_complete_and_the_same_twice(built, monkeypatch, capfd):
    monkeypatch.setattr(build, "COMMAND", sphinx("print('noise')"))
    wheels = []
    for _ in range(2):
        assert build.main() == 0
        assert capfd.readouterr().out == f"book: open {built / 'html' / 'index.html'}\n"
        assert [p.name for p in built.iterdir()] == ["html"]
        assert {p.name for p in (built / "html").iterdir()} == {"index.html", "wheels"}
        (wheel,) = (built / "html" / "wheels").iterdir()
        wheels.append(wheel.read_bytes())
        for path in (ROOT / "lib").glob("*.py"):
            assert path.relative_to(ROOT).as_posix() in ZipFile(wheel).namelist()
    assert wheels[0] == wheels[1]
    assert wheel.name in stamp.setup_cell()


def test_a_failed_build_leaves_none(built, monkeypatch, capfd):
    monkeypatch.setattr(build, "COMMAND", sphinx("sys.exit('page 7 is wrong')"))
    assert build.main() == 1
    out, err = capfd.readouterr()
    assert out.startswith("book: not built; mend what the lines above name")
    assert err == "page 7 is wrong\n"
    assert not list(built.iterdir())


def test_a_damaged_notebook_is_not_built(built, monkeypatch, capsys):
    monkeypatch.setattr(build, "COMMAND", sphinx("raise AssertionError"))
    monkeypatch.setattr(build, "damaged", lambda: ["a.ipynb is damaged"])
    assert build.main() == 1
    assert capsys.readouterr().out.startswith("a.ipynb is damaged\nbook: not built;")
    assert not list(built.iterdir())


def test_a_full_disk_leaves_no_build(built, monkeypatch):
    def full(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build, "COMMAND", sphinx(""))
    monkeypatch.setattr(build, "library", full)
    with pytest.raises(SystemExit, match="^book: .*No space left on device; nothing"):
        build.main()
    assert not list(built.iterdir())


def test_a_stopped_build_leaves_none(built, cache):
    """Killed, started again beside another, and stopped by Ctrl-C."""
    started = built.parent / "started"
    hang = f"Path({str(started)!r}).touch(); time.sleep(600)"
    command = script(
        "build",
        cache,
        f"build.BUILD = Path({str(built)!r})",
        "build.damaged = list",
        f"build.COMMAND = {sphinx(hang)!r}",
        "raise SystemExit(build.main())",
    )
    children = []
    for number, code in (signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130):
        builder = start(command)
        wait_for(started.exists)
        started.unlink()
        children += psutil.Process(builder.pid).children()
        if number == signal.SIGINT:
            second = subprocess.run(
                command, text=True, capture_output=True, timeout=PATIENCE
            )
            assert second.returncode == 1
            assert second.stderr.startswith("book: another make book works in this")
        builder.send_signal(number)
        builder.wait(timeout=PATIENCE)
        if number == signal.SIGKILL:
            children[0].kill()
        out, err = builder.communicate(timeout=PATIENCE)
        assert builder.returncode == code
        assert not err
        assert not (built / "html").exists()
    assert out.strip() == "book: stopped; nothing is half written"
    assert is_gone(children[1].pid)
    assert not list(built.iterdir())


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


VENV = ROOT / "tools" / "venv.py"
LOAD = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("made", {str(VENV)!r})
venv = importlib.util.module_from_spec(spec)
spec.loader.exec_module(venv)
"""  # by its path, as its name is that of a standard module


@pytest.fixture
def venv(tmp_path, monkeypatch):
    """tools/venv.py for an environment of these tests, made without a network."""
    scope = {}
    exec(LOAD, scope)
    module = scope["venv"]
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "made-from")
    monkeypatch.setattr(module, "LOCK", tmp_path / "cache" / "venv.lock")
    monkeypatch.setattr(module, "PYTHON", sys.executable)
    monkeypatch.setattr(sys, "argv", ["venv.py"])
    module.VENV.mkdir()
    return module


def test_an_old_python_is_named(venv, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match="^venv: Python must be .*, got 3.9.1; try"):
        venv.make()


@pytest.mark.parametrize("moment", ["removing", "installing"])
def test_half_an_environment_is_never_taken_as_good(venv, monkeypatch, moment):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    def installed(*command):
        venv.VENV.mkdir(exist_ok=True)
        return True

    venv.STAMP.write_text(venv.fingerprint())
    assert venv.works()
    with monkeypatch.context() as patch:
        if moment == "removing":
            patch.setattr(venv.shutil, "rmtree", interrupted)
        else:
            patch.setattr(venv, "did", interrupted)
        with pytest.raises(KeyboardInterrupt):
            venv.make()
    assert not venv.works()
    monkeypatch.setattr(venv, "did", installed)
    venv.main()
    assert venv.works()


def test_a_second_venv_waits_also_for_the_pip_of_a_killed_one(venv, tmp_path):
    running, end = tmp_path / "running", tmp_path / "end"
    pip = (
        "import pathlib, time\n"
        f"pathlib.Path({str(running)!r}).touch()\n"
        f"while not pathlib.Path({str(end)!r}).exists(): time.sleep(0.05)"
    )
    lock = venv.wait_for_others()
    thread = threading.Thread(target=venv.did, args=[sys.executable, "-c", pip])
    thread.start()
    wait_for(running.exists)
    lock.close()  # as when the process is killed
    path = f"venv.LOCK = venv.Path({str(venv.LOCK)!r})"
    second = start(
        [sys.executable, "-c", f"{LOAD}\n{path}\nvenv.wait_for_others()\nprint('mine')"]
    )
    first_line = second.stdout.readline()
    ended = second.poll()
    end.touch()
    thread.join()
    assert second.communicate(timeout=PATIENCE) == ("mine\n", "")
    assert first_line.startswith("venv: waiting for another make venv")
    assert ended is None
