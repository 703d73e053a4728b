"""What one adds or changes as a page says, in a fresh clone, by the commands that stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clones import RECETTE
from tests.support.commands import commands, run, steps
from tests.support.git import git
from tools.repository import OVERLAYS

ENVIRONMENT = "docs/runbooks/ajouter-un-environnement.md"
NAME = "preprod"
COMPONENT = "docs/runbooks/ajouter-un-composant.md"


def unless_followed(page: str, made: Path) -> pytest.MarkDecorator:
    """Skip a test where somebody has followed a page for real: what it makes can't be made again."""
    return pytest.mark.skipif(made.exists(), reason=f"{page} was followed: {made.name} is here")


unless_environment = unless_followed(ENVIRONMENT, OVERLAYS / NAME)
unless_component = unless_followed(COMPONENT, OVERLAYS.parent / "components" / "client-addresses")


def follow(name: str, clone: Path) -> list[str]:
    """Run all blocks of a name, and return what each prints."""
    return [run(step, clone) for step in steps(name)]


def take_names(clone: Path, owner: str, repository: str) -> str:
    """Do what the README says a copy is to do first; return what that prints."""
    text = commands("a-copy-has-its-own-names")
    text, count = re.subn(r"^OWNER=\S+ REPOSITORY=\S+", f"OWNER={owner} REPOSITORY={repository}", text)
    assert count == 1
    return run(text, clone)


def run_tests(clone: Path, *paths: str) -> list[str]:
    """Run tests of a clone on the clone, and return which of them fail."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", *paths],
        cwd=clone,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert " passed in " in done.stdout, done.stdout[-5000:]
    return re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.MULTILINE)


@unless_environment
@pytest.mark.timeout(240)
def test_an_environment_more_is_held_to_the_rules_of_the_others(clone: Path) -> None:
    *_, told = follow("new-environment", clone)
    assert "nothing to correct" in told
    assert f"{NAME}  datapress-{NAME}" in told
    assert f"{NAME}  NodePort 30082" in told
    for unchanged in ("dev", "recette"):
        assert f"{unchanged}: nothing changes" in told
    (added,) = [line for line in told.splitlines() if line.startswith(f"{NAME}: ")]
    assert "added" in added
    assert "changed" not in added
    git(clone, "commit", "--quiet", f"--message=Add {NAME}")
    # The manifests' own tests, network and admission among them, and those of tools, pages, forms, the local cluster.
    failed = run_tests(
        clone,
        "tests/manifests",
        "tests/tools/test_check.py",
        "tests/tools/test_cluster.py",
        "tests/tools/test_diff.py::test_nothing_changes_and_the_commit_is_named",
        "tests/tools/test_compare.py",
        "tests/tools/test_flows.py",
        "tests/workflows",
        "tests/documents/test_generated.py",
        "tests/documents/test_spelling.py",
    )
    assert failed == []


@unless_environment
@pytest.mark.timeout(120)
def test_an_environment_that_takes_the_port_of_another_is_refused(clone: Path) -> None:
    run(steps("new-environment")[0].replace("s/30080/30082/", "s/30080/30081/"), clone)
    with pytest.raises(AssertionError, match="node-port"):
        run("make check", clone)


@unless_component
@pytest.mark.timeout(120)
def test_a_component_more_changes_the_environment_that_takes_it(clone: Path) -> None:
    *_, told = follow("new-component", clone)
    assert "nothing to correct" in told
    assert "recette: nothing changes" in told
    (dev,) = [part for part in told.split("\n\n") if part.startswith("dev: ")]
    assert "spec.externalTrafficPolicy: (not set) → Local" in dev
    assert "no pod restarts" in dev
    assert "deploy/components/client-addresses/README.md" in git(clone, "diff", "--cached", "--name-only")
    # The one place where the change is to be declared, as the page says.
    assert run_tests(clone, "tests/manifests") == ["test_services[dev]"]


@pytest.mark.timeout(240)
def test_a_copy_has_names_of_its_own(clone: Path) -> None:
    (former,) = re.findall(r"git grep -lIwz ('.*?')", commands("a-copy-has-its-own-names"))
    assert run(f"git grep -Iw {former}", clone)
    head = git(clone, "rev-parse", "HEAD")
    assert "nothing to correct" in take_names(clone, "team", "team/site")
    assert run(f"git grep -Iw {former} || true", clone) == ""
    images = re.findall(r"image: (\S+)", run(f"kubectl kustomize {RECETTE}", clone))
    assert sorted(images) == [f"ghcr.io/team/{name}:sha-{head}" for name in ("api", "front")]
    assert run("kubectl kustomize argocd", clone).count("https://github.com/team/site.git") == 2
    failed = run_tests(
        clone,
        "tests/manifests",
        "tests/tools/test_deploy.py",
        "tests/tools/test_images.py",
        "tests/tools/test_promote.py",
        "tests/documents/test_blocks.py",
        "tests/documents/test_generated.py",
        "tests/documents/test_links.py",
    )
    assert failed == []
