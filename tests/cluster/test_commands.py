"""The commands of the README and of the documents that need a cluster, run as they stand there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clones import change_banner
from tests.support.cluster import Release
from tests.support.commands import commands, run
from tests.support.git import git
from tests.support.product import API, FOLLOWED, FRONT, PREFIX, path
from tools.images import images_of
from tools.render import render
from tools.repository import OVERLAYS


@pytest.fixture
def followed_restored(followed: Release) -> Iterator[Release]:
    """The environment that Argo CD follows, put back as the repository has it after the test."""
    yield followed
    followed.cluster.kubectl("apply", "-k", OVERLAYS / FOLLOWED)
    followed.cluster.wait_for_rollout(followed.namespace)


@pytest.mark.timeout(240)
def test_two_more_to_recette(followed_restored: Release, clone: Path) -> None:
    told = run(commands("two-more-to-recette"), clone, ASSUME_YES="1")
    assert json.loads(told.splitlines()[-1])["service"] == "api"
    revision = git(clone, "rev-parse", "HEAD")
    for image in images_of(render(OVERLAYS / FOLLOWED)):
        name = f"{PREFIX}-{image.context.name}"
        images = {pod["spec"]["containers"][0]["image"] for pod in followed_restored.pods(name)}
        assert all(f":sha-{revision}@sha256:" in image for image in images), images


def test_preview_asks_the_cluster(followed: Release, clone: Path) -> None:
    assert followed.pods(FRONT)
    change_banner(clone / path(FOLLOWED), "Autre bannière")
    told = run(commands("preview-live"), clone)
    assert "Autre bannière" in told


@pytest.mark.timeout(240)
def test_deploy_what_was_just_written(restored: Release, clone: Path) -> None:
    url = restored.url
    told = run(commands("deploy-what-was-written"), clone, ASSUME_YES="1")
    assert f"Ready: {url}/" in told
    assert f"deployment.apps/{API}" in told
    assert restored.cluster.try_kubectl("get", "namespace", restored.namespace).returncode != 0


@pytest.mark.timeout(240)
def test_deploy_what_git_has(followed: Release, clone: Path) -> None:
    told = run(commands("deploy-what-git-has"), clone)
    revision = json.loads(told.splitlines()[-1])["revision"]
    (api,) = [image for image in images_of(render(OVERLAYS / FOLLOWED)) if image.context.name == "api"]
    running = {pod["spec"]["containers"][0]["image"] for pod in followed.pods(API)}
    assert running == {f"{api.name}:sha-{revision}"} or all(f":sha-{revision}@" in image for image in running)
