"""What runs the workflows, with a registry of the tests' own."""

from pathlib import Path

import pytest

from tests.cluster.workflows.github import GitHub
from tests.support.cluster import Cluster


@pytest.fixture
def github(cluster: Cluster, tmp_path: Path) -> GitHub:
    runs = tmp_path / "runs"
    runs.mkdir()
    return GitHub(runs, cluster.registry)
