"""`make deploy` and `make undeploy` as a developer uses them, on the cluster of the current context."""

import os
import subprocess
import time

import pytest
import requests

from tests.support.cluster import Cluster, Measure, Release
from tests.support.product import API, BY_HAND, DEPLOYMENTS
from tests.support.waiting import eventually
from tools.images import revision
from tools.local.context import current_cluster
from tools.repository import REPOSITORY


def _make(cluster: Cluster, target: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["make", "--no-print-directory", target, f"ENV={BY_HAND}"],
        cwd=REPOSITORY,
        env={**os.environ, "REGISTRY": cluster.registry, "NODE_ADDRESS": cluster.node_address, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def served(release: Release) -> str:
    answered: str = requests.get(f"{release.url}/api/version", timeout=5).json()["revision"]
    return answered


def test_deploy_asks_before_it_touches_a_remote_cluster(restored: Release) -> None:
    if current_cluster().load is not None:
        pytest.skip("the context is local")
    before = restored.pods(API)
    done = _make(restored.cluster, "deploy")
    assert done.returncode != 0
    assert "not local" in done.stderr
    assert [pod["metadata"]["uid"] for pod in restored.pods(API)] == [pod["metadata"]["uid"] for pod in before]


def test_deploy_brings_what_the_sources_are_now(restored: Release, measure: Measure) -> None:
    started = time.monotonic()
    done = _make(restored.cluster, "deploy", ASSUME_YES="1")
    assert done.returncode == 0, done.stderr
    assert f"Ready: {restored.url}/" in done.stdout
    measure("make-deploy", time.monotonic() - started)
    # The front's open connections to the former pod last as long as that pod stops.
    eventually(lambda: served(restored) == revision(), 30, "the new version alone is served")
    for name in DEPLOYMENTS:
        (pod,) = restored.pods(name)
        (container,) = pod["spec"]["containers"]
        assert container["image"].startswith(f"{restored.cluster.registry}/datapress/")
        assert f":sha-{revision()}@sha256:" in container["image"]

    done = _make(restored.cluster, "undeploy", ASSUME_YES="1")
    assert done.returncode == 0, done.stderr
    assert restored.cluster.try_kubectl("get", "namespace", restored.namespace).returncode != 0
