"""Where the dependencies come from: their hashes, and what is known against them.

python tools/supply.py lock    write requirements.lock, from which CI installs
python tools/supply.py audit   ask the advisory service about what is locked

Both need the network. The lock is universal: one file for every system and for the
Pythons from the oldest on that the pins admit. torch is the registry's, with CUDA.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOME = ROOT / ".cache" / "supply"
BIN = HOME / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "requirements.lock"
OLDEST = "3.11.5"  # of a Python that the pins admit: soupsieve asks for it
BUILD = ["hatchling", "editables"]  # build our own package, without isolation
HEAD = "# Written by `make lock` from the other requirements; CI installs from it.\n"


def environment() -> None:
    """Make the environment of the tools, unless it is there."""
    requirements = ROOT / "requirements-supply.txt"
    stamp, wanted = HOME / "made-from", requirements.read_text("utf-8")
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return
    run(sys.executable, "-m", "venv", "--clear", HOME)
    run(BIN / "python", "-m", "pip", "install", "--quiet", "-r", requirements)
    stamp.write_text(wanted, "utf-8")


def run(*command: str | Path, **options) -> None:
    if subprocess.run(command, cwd=ROOT, **options).returncode:
        raise SystemExit(
            f"supply: {Path(command[0]).name} failed; is the network there?"
        )


def pins(path: Path) -> dict[str, str]:
    """Versions by name; the lock has them as pip's requirement files do."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\]+)", path.read_text("utf-8"), re.M)
    return {name.lower().replace("_", "-"): version for name, version in found}


def lock() -> None:
    files = "requirements.txt", "requirements-web.txt"
    wanted = [f"{n}=={v}" for f in files for n, v in pins(ROOT / f).items()] + BUILD
    part = LOCK.with_suffix(".part")
    if LOCK.exists():
        part.write_bytes(LOCK.read_bytes())  # what need not change does not
    options = [
        *("--quiet", "--universal", "--generate-hashes", "--no-annotate"),
        *("--no-header", "--python-version", OLDEST, "-c", "constraints.txt"),
    ]
    try:
        command = BIN / "uv", "pip", "compile", *options, "--output-file", part, "-"
        run(*command, input="\n".join(wanted), text=True)
        part.write_text(HEAD + part.read_text("utf-8"), "utf-8")
        part.replace(LOCK)
    finally:
        part.unlink(missing_ok=True)


def audit() -> None:
    """Fails as well where the service does not know a package."""
    options = "--strict", "--require-hashes", "--disable-pip"
    run(BIN / "pip-audit", *options, "-r", LOCK)


if __name__ == "__main__":
    jobs = {"lock": lock, "audit": audit}
    if len(sys.argv) != 2 or sys.argv[1] not in jobs:
        raise SystemExit(f"supply: give one of {', '.join(jobs)}, got {sys.argv[1:]}")
    environment()
    jobs[sys.argv[1]]()
