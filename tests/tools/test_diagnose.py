"""What is kept when a test on the cluster fails, and the cluster fails as well."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.cluster import DIAGNOSE, diagnose
from tools.repository import environments


def test_a_cluster_that_is_away_leaves_what_git_has(away: Path, tmp_path: Path) -> None:
    diagnosis = tmp_path / "diagnosis"
    environ = os.environ | {"KUBECONFIG": str(away)}
    subprocess.run([DIAGNOSE, diagnosis], env=environ, check=True, timeout=60)
    assert "127.0.0.1:1 was refused" in (diagnosis / "api-server.txt").read_text()
    for environment in environments():
        rendered = yaml.safe_load_all((diagnosis / f"{environment}.yaml").read_text())
        assert "Deployment" in {manifest["kind"] for manifest in rendered}


def test_a_cluster_that_hangs_does_not_end_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def hang(command: list[str], **_options: object) -> None:
        raise subprocess.TimeoutExpired(command, 60)

    monkeypatch.setattr(subprocess, "run", hang)
    diagnose("test_any[case]")
    assert "test_any-case-" in capsys.readouterr().err
