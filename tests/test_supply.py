"""What the book is built from, and by whom: versions, hashes, licences, workflows."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "_ext"))

import environments  # noqa: E402
import licences  # noqa: E402
import supply  # noqa: E402
import versions  # noqa: E402

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKED = supply.pins(supply.LOCK)
EVENTS = {"pull_request", "push", "schedule", "workflow_dispatch", "workflow_run"}
WORDS = {
    "MIT": "to any person obtaining a copy of this software",
    "BSD": "Redistribution and use in source and binary forms",
    "OFL": "SIL OPEN FONT LICENSE",
}


@pytest.mark.parametrize(
    "file", ["requirements.txt", "requirements-web.txt", "constraints.txt"]
)
def test_the_lock_has_the_versions_of(file):
    pins = supply.pins(ROOT / file)
    if file == "constraints.txt":  # it may pin what nothing asks for any more
        pins = {name: pins[name] for name in pins.keys() & LOCKED.keys()}
    assert pins
    assert pins == {n: LOCKED.get(n) for n in pins}, "run: make lock"


def test_every_locked_package_has_hashes_and_no_address():
    text = supply.LOCK.read_text("utf-8")
    entries = re.split(r"\n(?=\w)", text.partition("\n")[2])
    assert len(entries) == len(LOCKED)
    for entry in entries:
        hashes = re.findall(r"--hash=(\S*)", entry)
        assert hashes, entry
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", h) for h in hashes), entry
    assert "://" not in text


def test_what_builds_our_package_is_locked():
    """`pip install --no-build-isolation -e .` takes it from the environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert set(project["build-system"]["requires"]) <= set(supply.BUILD) <= set(LOCKED)


def bounds() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return dict(line.split(">=") for line in project["dependencies"])


def test_the_oldest_versions_are_the_bounds_of_the_package():
    oldest = dict(r.split("==") for r in versions.requirements("oldest") if "==" in r)
    for name, bound in bounds().items():
        version = oldest[name]
        assert re.fullmatch(rf"{re.escape(bound)}(\.0)*", version), (name, version)


@pytest.mark.parametrize("name", ["colab", "oldest", "newest", "image"])
def test_requirements_of_other_versions(name):
    """Each package is asked for once; only `newest` and `image` leave it open."""
    asked = versions.requirements(name)
    names = [versions.name_of(r) for r in asked]
    assert len(names) == len(set(names))
    pinned = {versions.name_of(r) for r in versions.lines(ROOT / "requirements.txt")}
    assert pinned <= set(names)
    open_ones = [r for r in asked if not re.search("[=<]", r)]
    assert bool(open_ones) == (name in versions.NEWEST)


def test_another_python_than_colabs_is_named(monkeypatch):
    monkeypatch.setattr(versions, "PYTHONS", {"colab": (3, 1)})
    with pytest.raises(SystemExit, match=r"^versions: colab has Python 3.1, got "):
        versions.make("colab")


def test_outcome_of_a_run():
    suite = {"tests": "9", "failures": "1", "errors": "2", "skipped": "3"}
    assert versions.counts(suite) == {"passed": 3, "failed": 3, "skipped": 3}
    assert environments.outcome(versions.counts(suite)) == "3 failed"
    assert environments.outcome({"passed": 5, "failed": 0}) == "all 5 passed"


def test_a_record_keeps_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(versions, "RECORD", tmp_path / "versions.json")
    for name in "oldest", "newest":
        versions.record(name, Path(sys.executable), passed=1, failed=0, skipped=0)
    kept = json.loads(versions.RECORD.read_text())
    assert list(kept) == ["oldest", "newest"]
    assert kept["oldest"]["packages"]["torch"]
    assert set(environments.NAMES) >= {"oldest", "newest"}


def test_pinned_versions_are_found():
    names = list(versions.SHOWN)
    found = environments.pinned(names)
    assert set(found) == {*names, "python"}
    assert found["torch"] == supply.pins(ROOT / "requirements.txt")["torch"]
    assert "3.11" in found["python"]


@pytest.mark.parametrize("name", licences.texts())
def test_licence(name):
    terms, path = licences.texts()[name]
    text = " ".join(path.read_text("utf-8").split())
    for word, says in WORDS.items():
        assert (says in text) == (word in terms), f"{name}: {terms}, see {path}"


def test_every_vendored_folder_has_its_licence():
    for folder in (ROOT / "_ext" / "vendor").iterdir():
        assert folder.is_file() or (folder / "LICENSE").is_file(), folder


def workflow(path: Path) -> dict:
    text = path.read_text("utf-8")
    return yaml.safe_load(re.sub("^on:", "when:", text, flags=re.M))  # YAML's "yes"


def steps(path: Path) -> list[dict]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
class TestWorkflow:
    def test_is_one(self, path):
        found = workflow(path)
        assert set(found) <= {"name", "when", "permissions", "concurrency", "jobs"}
        assert set(found["when"]) <= EVENTS
        assert found["name"] == path.stem
        for name, job in found["jobs"].items():
            needed = job.get("needs", [])
            assert set(needed) <= set(found["jobs"]), name
            assert job["runs-on"] == "ubuntu-latest"
            assert job["timeout-minutes"] <= 120
            for step in job["steps"]:
                assert ("run" in step) != ("uses" in step), step
        for event in "workflow_run", "workflow_call":
            for other in (found["when"].get(event) or {}).get("workflows", []):
                assert path.with_name(f"{other}.yml").exists()

    def test_calls_what_exists(self, path):
        targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
        commands = "\n".join(step.get("run", "") for step in steps(path))
        for target in re.findall(r"\bmake ([a-z]\w*)", commands):
            assert target in targets[1].split()
        for name in re.findall(r"\bV=(\w+)", commands):
            assert name in {*versions.PYTHONS, *versions.NEWEST, "processors"}
        for tool in re.findall(r"(?:tools/\w+\.py|\.ci/run)", commands):
            assert (ROOT / tool).is_file()
        if "venv.py" in commands:
            assert "venv.py --locked" in commands

    def test_takes_actions_by_commit(self, path):
        for line in re.findall(r"^.*\buses:.*$", path.read_text("utf-8"), re.M):
            assert re.search(r"uses: actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+", line)

    def test_asks_for_no_more_than_it_needs(self, path):
        found, text = workflow(path), path.read_text("utf-8")
        assert found["permissions"] in ({}, {"contents": "read"})
        assert "secrets" not in text
        assert "pull_request_target" not in text
        for run in (step.get("run", "") for step in steps(path)):
            assert "${{" not in run, "pass it as a variable: it is not quoted here"
        if "pull_request" in found["when"]:
            assert not any("permissions" in job for job in found["jobs"].values())
