"""What the tests of the built book and the print edition need: Playwright, a browser.

python tools/browser.py    install what is missing, and say what it was

The browser is the one that the variable CHROMIUM names, or else a Chromium or Chrome
of the system; on Debian and Ubuntu it is installed where there is none.
"""

import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements-web.txt"
NAMES = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
ARGS = ["--no-sandbox", "--disable-gpu"]  # it only ever opens the book


def find() -> str | None:
    """Path of the browser, or None."""
    named = os.environ.get("CHROMIUM")
    if named and not shutil.which(named):
        raise SystemExit(f"browser: CHROMIUM must name a program, got {named!r}")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


def missing() -> list[str]:
    """Lines of requirements-web.txt that are not installed as they say."""
    lines = REQUIREMENTS.read_text("utf-8").splitlines()
    return [line for line in lines if "==" in line and not installed(line)]


def installed(requirement: str) -> bool:
    name, _, wanted = requirement.partition("==")
    try:
        return version(name) == wanted
    except PackageNotFoundError:
        return False


def install() -> None:
    if wanted := missing():
        print("browser: installing", ", ".join(wanted))
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS]
        if subprocess.run(pip).returncode:
            raise SystemExit("browser: pip could not install these (no network?)")
    if find() is None:
        advice = "install Chromium or Chrome, or name one: CHROMIUM=/path/to/it"
        if not shutil.which("apt-get"):
            raise SystemExit(f"browser: there is none; {advice}")
        print("browser: installing chromium with apt-get")
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        get = [*sudo, "apt-get", "-qq"]
        subprocess.run([*get, "update"])
        if subprocess.run([*get, "install", "--yes", "chromium"]).returncode:
            raise SystemExit(f"browser: apt-get could not install one; {advice}")


if __name__ == "__main__":
    install()
