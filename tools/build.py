"""Build the book into _build/html, from nothing, so that a failure stays a failure."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "_build"


def main() -> int:
    for old in "html", ".doctrees":
        shutil.rmtree(BUILD / old, ignore_errors=True)
    command = [
        Path(sys.executable).parent / "jupyter-book",
        *("build", "--all", "--quiet", "--warningiserror", "--nitpick", "--keep-going"),
        ".",
    ]
    if subprocess.run(command, cwd=ROOT).returncode:
        shutil.rmtree(BUILD / "html", ignore_errors=True)
        print("book: not built; mend what the lines above name, then make book again")
        return 1
    print(f"book: open {BUILD / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
