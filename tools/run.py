"""Execute notebooks and store their outputs.

python tools/run.py                        every notebook
python tools/run.py normal                 those of one chapter
python tools/run.py chapters/normal/density.ipynb

A stored notebook is replaced only when every cell of the new one has run.
"""

import os
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbstripout import strip_output
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))
from alone import alone, replace
from stamp import ROOT, notebooks, read

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
TIMEOUT = 120  # seconds a cell may take


def chosen(names: list[str]) -> list[Path]:
    """The notebooks that the arguments name; all of them without arguments."""
    paths = []
    for name in names:
        path = (ROOT / name).resolve()
        found = [p for p in notebooks() if p == path or p.parent.name == name]
        if not found:
            chapters = ", ".join(sorted({p.parent.name for p in notebooks()}))
            raise SystemExit(
                f"run: {name!r} names no notebook; give a path such as"
                f" chapters/normal/density.ipynb or a chapter: {chapters}"
            )
        paths += found
    return paths or notebooks()


def execute(path: Path) -> str | None:
    """Run one notebook in its own folder and store it; return what went wrong."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        notebook = read(path)
    except ValueError as error:
        return str(error)
    running: list[nbformat.NotebookNode] = []
    client = NotebookClient(
        notebook,
        on_cell_execute=lambda cell, cell_index: running.append(cell),
        timeout=TIMEOUT,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors only
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
        replace(path, nbformat.writes(normalise(notebook)) + "\n")
        return None
    except CellExecutionError as error:
        problem = f"a cell raised {error.ename}: {error.evalue}"
    except CellTimeoutError:
        problem = f"a cell ran for more than {TIMEOUT} s"
    except DeadKernelError:
        problem = "the kernel died"
    except (OSError, RuntimeError) as error:  # a full disk; a kernel that cannot start
        return str(error)
    return f"{problem}\n{textwrap.indent(running[-1].source, '    ')}"


def normalise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what changes from run to run and from editor to editor."""
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return strip_output(notebook, keep_output=True, keep_count=True, keep_id=True)


def main(names: list[str]) -> int:
    with alone("run"):
        failed = run(chosen(names))
    if failed:
        print(
            f"run: {', '.join(failed)} stay as they were; mend what is said above,"
            f" then make run CH={failed[0]}"
        )
    return int(bool(failed))


def run(paths: list[Path]) -> list[str]:
    """Run notebooks, two at a time; the names of those that failed.

    Threads do: a kernel is a process, and ends itself when this one is no more.
    """
    failed = []
    pool = ThreadPoolExecutor(min(2, os.cpu_count() or 1))
    with tqdm(total=len(paths), unit="notebook") as bar:
        jobs = {pool.submit(execute, path): path for path in paths}
        for job in as_completed(jobs):
            name = jobs[job].relative_to(ROOT)
            problem = job.result()
            bar.write(f"  {name}  {'FAILED: ' + problem if problem else 'stored'}")
            failed += [str(name)] if problem else []
            bar.update()
    return failed


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
