"""The project's own files agree with each other: versions, Pythons, addresses, workflows, templates."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
CI = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_the_hash_of_a_release_and_one_hash_each(workflow):
    used = re.findall(r"uses: (.+)", workflow.read_text(encoding="utf-8"))
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action
    everywhere = {a for path in WORKFLOWS for a in re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))}
    assert len(everywhere) == len({action.partition("@")[0] for action in everywhere})


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_nothing_else_and_its_jobs_end(workflow):
    content = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert content["permissions"] == {"contents": "read"}
    for job in content["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 180


def test_ci_runs_every_environment_of_tox_on_every_python_of_the_package():
    environments = set(re.findall(r"^\[testenv:(\w+)\]$", read("tox.ini"), re.MULTILINE))
    run = {name for path in WORKFLOWS for name in re.findall(r"tox run -e (\w+)", path.read_text(encoding="utf-8"))}
    assert run == environments
    stated = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert set(yaml.safe_load(CI)["jobs"]["test"]["strategy"]["matrix"]["python"]) == stated
    assert f">={min(stated)}" == PROJECT["requires-python"]


def test_one_version_stands_everywhere():
    version = PROJECT["version"]
    assert yaml.safe_load(read("CITATION.cff"))["version"] == version
    assert f"version = {{{version}}}" in read("docs/cite.md")


def test_one_line_replaces_the_placeholder_of_the_repository():
    (line,) = re.findall(r"^    sed -i '(.+)' (.+)$", read("RELEASING.md"), re.MULTILINE)
    placeholder = line[0].split("#")[1]
    assert all(url.startswith(placeholder) for url in PROJECT["urls"].values())
    tracked = [path for path in ROOT.glob("*") if path.is_file() and path.suffix in (".toml", ".cff", ".md", ".yml")]
    pages = [*tracked, *(ROOT / "docs").glob("*.md")]
    holding = {path.name for path in pages if placeholder in path.read_text(encoding="utf-8")}
    assert holding - {"RELEASING.md"} == set(line[1].split())


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one_that_github_takes(form):
    content = yaml.safe_load(form.read_text(encoding="utf-8"))
    if form.stem == "config":
        return
    assert content["name"]
    assert content["description"]
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields) > 0
    assert {field["type"] for field in fields} <= {"input", "textarea", "dropdown", "checkboxes"}


def test_dependabot_looks_where_exact_versions_are():
    updates = yaml.safe_load(read(".github/dependabot.yml"))["updates"]
    assert {(update["package-ecosystem"], update["directory"]) for update in updates} == {
        ("github-actions", "/"),
        ("pip", "/.ci"),
    }
    assert "==" in read(".ci/docs.txt")
