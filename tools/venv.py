"""Make or refresh the project's environment, .venv; quick where nothing has changed.

python tools/venv.py [--constraints | --locked]

Needs nothing but Python: it runs before anything is installed. The stamp holds a hash
of what the environment was made from, so a checkout of another version refreshes it;
it is removed first and written last, so half an environment is never taken as good.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows two at once are not kept apart
    fcntl = None

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "made-from"
LOCK = ROOT / ".cache" / "venv.lock"
PINNED = ["--quiet", "--upgrade", "pip"], ["-r", "requirements.txt"]
LOCKED = (  # by hash, which `-e .` cannot have
    ["--require-hashes", "-r", "requirements.lock"],
    ["--no-deps", "--no-build-isolation", "-e", "."],
)


def fingerprint() -> str:
    names = "requirements.txt", "constraints.txt", "pyproject.toml"
    made_from = "".join((ROOT / n).read_text("utf-8") for n in names)
    packaging, _, _ = made_from.partition("\n[tool.pytest")  # the rest is for tools
    return hashlib.sha256(packaging.encode()).hexdigest()


def works() -> bool:
    """Is the environment made from these files, and not moved since?"""
    if not (STAMP.exists() and STAMP.read_text() == fingerprint()):
        return False
    probe = "import importlib.util as u; print(u.find_spec('lib').origin)"
    try:
        found = subprocess.run([PYTHON, "-c", probe], cwd=VENV, capture_output=True)
    except OSError:
        return False
    return found.stdout.decode().strip() == str(ROOT / "lib" / "__init__.py")


def make(steps: tuple[list[str], list[str]] = PINNED) -> None:
    if sys.version_info < (3, 11):
        version = ".".join(map(str, sys.version_info[:3]))
        fail(f"Python must be 3.11 or newer, got {version}; try make PYTHON=python3.12")
    file = "requirements.lock" if steps is LOCKED else "requirements.txt"
    print(f"venv: making .venv from {file} (some minutes the first time)")
    STAMP.unlink(missing_ok=True)
    shutil.rmtree(VENV, ignore_errors=True)
    if not did(sys.executable, "-m", "venv", VENV):
        fail(
            "python -m venv did not work; on Debian or Ubuntu: apt install python3-venv"
        )
    pip = [PYTHON, "-m", "pip", "install"]
    if not sys.stdout.isatty():  # progress is for people; a log has the outcome
        pip.append("--quiet")
    for args in steps:
        if not did(*pip, *args):
            fail(
                "pip could not install what the lines above name; is the network there?"
            )
    STAMP.write_text(fingerprint())


def did(*command) -> bool:
    """Run; the child inherits the lock, and so holds it if this process is killed."""
    return subprocess.run(command, cwd=ROOT, close_fds=False).returncode == 0


def wait_for_others():
    """Take the lock, which the system frees however its holders end."""
    LOCK.parent.mkdir(exist_ok=True)
    lock = LOCK.open("w")
    if fcntl:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("venv: waiting for another make venv in this folder", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.set_inheritable(lock.fileno(), True)
    return lock


def fail(message: str) -> None:
    shutil.rmtree(VENV, ignore_errors=True)
    raise SystemExit(f"venv: {message}")


def write_constraints() -> None:
    """Pin what came along with the requirements, as it is installed now."""
    freeze = [PYTHON, "-m", "pip", "freeze", "--exclude-editable"]
    lines = subprocess.run(freeze, check=True, text=True, capture_output=True).stdout
    requirements = (ROOT / "requirements.txt").read_text()
    asked = set(re.findall(r"^([\w.-]+)==", requirements, re.M))
    pins = [
        line.removesuffix("+cpu")  # a build of torch, not a release
        for line in lines.splitlines()
        if "==" in line and line.split("==")[0] not in asked
    ]
    head = "# Written by `make constraints`: what comes along with requirements.txt.\n"
    (ROOT / "constraints.txt").write_text(head + "\n".join(pins) + "\n")
    STAMP.write_text(fingerprint())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--constraints", action="store_true", help="pin what came along"
    )
    parser.add_argument(
        "--locked", action="store_true", help="install by hash, from requirements.lock"
    )
    options = parser.parse_args()
    if not works():
        with wait_for_others():
            if not works():  # the others may have made it
                make(LOCKED if options.locked else PINNED)
    if options.constraints:
        write_constraints()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\nvenv: stopped; the next make starts again")
        raise SystemExit(130) from None
