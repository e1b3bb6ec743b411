"""Run the unit tests and every notebook with other versions, or on other processors.

python tools/versions.py colab        what Google Colab has
python tools/versions.py oldest       the oldest that pyproject.toml admits
python tools/versions.py newest       the newest there is
python tools/versions.py image        the packages of the Python that runs this
python tools/versions.py processors   .venv, with the kernels of other processors

The first four make an environment of their own below .cache and execute the notebooks
with all their assertions, but compare no output; the last compares strictly. What came
of it is kept in tools/versions.json, which the page "What it was verified on" shows.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "versions"
RECORD = ROOT / "tools" / "versions.json"
PYTHONS = {"colab": (3, 13), "oldest": (3, 11)}
TIMEOUT = 600  # seconds a cell may take: speed is not what is tested here
NEWEST = "newest", "image"  # no version is asked for; the image's own are kept
SHOWN = (
    *("torch", "numpy", "matplotlib", "seaborn", "scikit-learn", "tqdm"),
    *("ipython", "ipykernel"),
)
# Which kernels torch, MKL, oneDNN and OpenBLAS (of NumPy and SciPy) are allowed.
PROCESSORS = {
    "SSE": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_CBWR": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "": {},  # its own
}


def name_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def lines(path: Path) -> list[str]:
    """The requirements of a file, without comments and options."""
    text = (
        line.partition("#")[0].strip() for line in path.read_text("utf-8").splitlines()
    )
    return [line for line in text if line and not line.startswith("-")]


def requirements(name: str) -> list[str]:
    """Those of requirements.txt, with the lines of requirements-<name>.txt instead."""
    file = "newest" if name in NEWEST else name
    own = lines(ROOT / f"requirements-{file}.txt")
    replaced = {name_of(line) for line in own}
    rest = [r for r in lines(ROOT / "requirements.txt") if name_of(r) not in replaced]
    return own + [name_of(r) if name in NEWEST else r for r in rest]


def make(name: str) -> Path:
    """An environment with these requirements and the book's library; its Python."""
    wanted = PYTHONS.get(name, sys.version_info[:2])
    if sys.version_info[:2] != wanted:
        version = ".".join(map(str, wanted))
        raise SystemExit(
            f"versions: {name} has Python {version}, got {platform.python_version()};"
            f" try make versions V={name} PYTHON=python{version}"
        )
    home, image = CACHE / name, name == "image"  # an image may have no ensurepip
    options = ["--system-site-packages", "--without-pip"] if image else []
    command = [sys.executable, "-m", "venv", "--clear", *options, home]
    subprocess.run(command, check=True)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [python, "-m", "pip", "install", "--quiet"]
    for args in requirements(name), ["--no-deps", "--editable", "."]:
        if subprocess.run([*pip, *args], cwd=ROOT).returncode:
            raise SystemExit(f"versions: pip could not install what {name} needs")
    kernel = ["-m", "ipykernel", "install", "--sys-prefix", "--name", "python3"]
    subprocess.run([python, *kernel], check=True, capture_output=True)
    return python


def test(python: Path, *args: str, **variables: str) -> dict[str, int]:
    """Run pytest; how many tests passed, failed and were skipped."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [python, "-m", "pytest", "-q", *args, f"--junitxml={report}"]
        command.append(f"--nbval-cell-timeout={TIMEOUT}")
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **variables}
        subprocess.run(command, cwd=ROOT, env=environment)
        if not report.exists():
            raise SystemExit("versions: pytest ended before it could report")
        suite = ET.parse(report).getroot().find("testsuite").attrib
    return counts(suite)


def counts(suite: dict[str, str]) -> dict[str, int]:
    failed, skipped = int(suite["failures"]) + int(suite["errors"]), suite["skipped"]
    passed = int(suite["tests"]) - failed - int(skipped)
    return {"passed": passed, "failed": failed, "skipped": int(skipped)}


def packages(python: Path) -> dict[str, str]:
    freeze = [python, "-m", "pip", "list", "--format=json"]
    listed = subprocess.run(freeze, check=True, text=True, capture_output=True).stdout
    found = {name_of(p["name"]): p["version"] for p in json.loads(listed)}
    return {name: found[name] for name in SHOWN}


def processors(jobs: str) -> int:
    """Compare the outputs of all notebooks with all kernels, on one and two threads."""
    python, runs = ROOT / ".venv" / "bin" / "python", []
    probe = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    own = subprocess.check_output([python, "-c", probe], text=True).strip()
    for kernels, allowed in PROCESSORS.items():
        for threads in "1", "2":
            options = {**allowed, "OMP_NUM_THREADS": threads}
            result = test(python, "--nbval", jobs, "chapters", **options)
            runs.append({"kernels": kernels or own, "threads": threads, **result})
    record("processors", python, runs=runs)
    return any(run["failed"] for run in runs)


def record(name: str, python: Path, **results: object) -> None:
    ask = "import platform as p; print(p.python_version(), p.system(), p.machine())"
    found = subprocess.check_output([python, "-c", ask], text=True).split()
    about = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "system": " ".join(found[1:]),
        "packages": {"python": found[0], **packages(python)},
    }
    kept = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    text = json.dumps({**kept, name: {**about, **results}}, indent=2)
    RECORD.write_text(text + "\n", "utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*PYTHONS, *NEWEST, "processors"])
    parser.add_argument("--jobs", default="2", help="notebooks at a time")
    options = parser.parse_args()
    jobs = f"-n{options.jobs}"
    CACHE.mkdir(parents=True, exist_ok=True)
    if options.name == "processors":
        return processors(jobs)
    python = make(options.name)
    result = test(python, "--nbval-lax", jobs)
    record(options.name, python, **result)
    return bool(result["failed"])


if __name__ == "__main__":
    raise SystemExit(main())
