"""An environment added as its runbook says, beside the others on a cluster."""

from pathlib import Path

import pytest
import requests

from tests.support.cluster import ROLLOUT_SECONDS, Cluster
from tests.support.commands import run, steps
from tests.support.copies import ENVIRONMENT, unless_environment
from tests.support.product import DEPLOYMENTS, PREFIX
from tests.support.waiting import eventually
from tools.local.ports import answers
from tools.repository import OVERLAYS, REPOSITORY


@unless_environment
@pytest.mark.timeout(240)
def test_an_environment_more_answers(cluster: Cluster, images: dict[str, str], clone: Path) -> None:
    assert images
    run(steps("new-environment")[0], clone)
    overlay, namespace = clone / OVERLAYS.relative_to(REPOSITORY) / ENVIRONMENT, f"{PREFIX}-{ENVIRONMENT}"
    try:
        cluster.kubectl("apply", "-k", overlay)
        cluster.wait_for_rollout(namespace)
        assert [len(cluster.pods(namespace, name)) for name in DEPLOYMENTS] == [2, 2]
        url = cluster.url(namespace)
        eventually(lambda: answers(f"{url}/api/"), ROLLOUT_SECONDS, f"{url}/api/ answers")
        assert requests.get(f"{url}/api/version", timeout=5).json()["environment"] == ENVIRONMENT
        assert requests.get(f"{url}/config.json", timeout=5).json()["environment"] == ENVIRONMENT
    finally:
        cluster.kubectl("delete", "-k", overlay, "--ignore-not-found", f"--timeout={ROLLOUT_SECONDS}s")
