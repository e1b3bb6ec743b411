"""Build the book into _build/html: the whole of it, or nothing.

It is built in a folder of its own and moved when complete. The build before it is gone
from the start, so that a failure stays a failure.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hatchling.build import build_wheel

sys.path.insert(0, str(Path(__file__).parent))
from alone import alone
from stamp import damaged, wheel

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "_build"
COMMAND = [
    Path(sys.executable).parent / "jupyter-book",
    *("build", "--all", "--quiet", "--warningiserror", "--nitpick", "--keep-going"),
    ".",
]


def pages(folder: Path) -> bool:
    """Build into folder/_build/html, in a session of its own: Ctrl-C is for us."""
    command = [*COMMAND, "--path-output", folder]
    options = {"stdout": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen(command, cwd=ROOT, **options) as sphinx:
        try:
            return sphinx.wait() == 0
        except KeyboardInterrupt:
            os.killpg(sphinx.pid, signal.SIGKILL)
            raise


def library(folder: Path) -> Path:
    """Build the wheel of lib, the same bytes each time; setup cells ask for it."""
    folder.mkdir(exist_ok=True)
    with contextlib.chdir(ROOT):
        built = folder / build_wheel(str(folder))
    if built.name != wheel():
        raise ValueError(f"the wheel must be named {wheel()}, got {built.name}")
    return built


def build() -> bool:
    BUILD.mkdir(exist_ok=True)
    for killed in BUILD.glob("part-*"):
        shutil.rmtree(killed, ignore_errors=True)
    with TemporaryDirectory(
        dir=BUILD, prefix="part-", ignore_cleanup_errors=True
    ) as part:
        html = BUILD / "html"
        if html.exists():
            html.rename(Path(part) / "before")
        if problems := damaged():
            print(*problems, sep="\n")
            return False
        if not pages(Path(part)):
            return False
        made = Path(part) / "_build" / "html"
        library(made / "wheels")
        made.rename(html)
    return True


def main() -> int:
    with alone("book"):
        built = build()
    if built:
        print(f"book: open {BUILD / 'html' / 'index.html'}")
    else:
        print("book: not built; mend what the lines above name, then make book again")
    return int(not built)


if __name__ == "__main__":
    raise SystemExit(main())
