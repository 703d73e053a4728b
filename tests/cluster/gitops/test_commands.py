"""The commands of the runbooks on Argo CD, run as they stand there."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import Cluster, eventually
from tests.cluster.gitops.conftest import APPLICATION, Builder, Loop
from tests.documents.commands import commands, run
from tests.support.clones import make_clone
from tools.repository import REPOSITORY

INSTALL = "docs/runbooks/installer-argo-cd.md"
PROMOTE = "docs/runbooks/promouvoir.md"
GO_BACK = "docs/runbooks/revenir-en-arriere.md"


@pytest.fixture
def clone(loop: Loop, tmp_path: Path) -> Iterator[Path]:
    """An operator's clone of the repository that Argo CD follows, whose application names it."""
    clone = make_clone(Path(loop.source.git("remote", "get-url", "origin")), tmp_path / "clone")
    application = clone / "argocd" / "application.yaml"
    application.write_text(re.sub(r"repoURL: .*", f"repoURL: {loop.source.url}", application.read_text()))
    yield clone
    loop.source.pull()


@pytest.fixture
def set_up_for_tests(cluster: Cluster) -> Iterator[None]:
    """Argo CD as it was, with its eyes on Git every few seconds, after a test that sets it up as the runbook does."""
    project = json.loads(cluster.kubectl("get", "appproject", "default", "-n", "argocd", "-o", "json"))
    yield
    spec = json.dumps({"spec": project["spec"]})
    cluster.kubectl("patch", "appproject", "default", "-n", "argocd", "--type", "merge", "-p", spec)
    subprocess.run([REPOSITORY / "tests" / "cluster" / "argocd.sh"], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("set_up_for_tests")
def test_argo_cd_is_set_up(cluster: Cluster, clone: Path) -> None:
    run(commands(INSTALL, "2. Régler"), clone)
    for name in ("deployment/argocd-repo-server", "statefulset/argocd-application-controller"):
        cluster.kubectl("rollout", "status", name, "-n", "argocd", "--timeout=120s")
    settings: dict[str, str] = {}
    for name in ("argocd-cm", "argocd-cmd-params-cm"):
        found = cluster.kubectl("get", "configmap", name, "-n", "argocd", "-o", "json")
        settings |= json.loads(found)["data"]
    told = (REPOSITORY / INSTALL).read_text()
    for setting in ("timeout.reconciliation", "controller.sync.timeout.seconds"):
        assert f"`{setting}`" in told
        assert settings[setting].strip('"') in told
    default = json.loads(cluster.kubectl("get", "appproject", "default", "-n", "argocd", "-o", "json"))
    assert not default["spec"].get("destinations")


@pytest.mark.timeout(400)
def test_argo_cd_is_left_and_taken_up_again(loop: Loop, clone: Path) -> None:
    run(commands(INSTALL, "4. Arrêter de suivre"), clone)
    assert loop.cluster.try_kubectl("get", "namespace", APPLICATION).returncode != 0
    run(commands(INSTALL, "3. Suivre ce dépôt"), clone)
    eventually(lambda: loop.synced(loop.source.head()), 60, "the application is there again")


@pytest.mark.timeout(400)
def test_promote_and_go_back(loop: Loop, builder: Builder, clone: Path) -> None:
    before = loop.served_revision()
    commit, digest = builder.release("A version of the runbook's")
    run(commands(PROMOTE, "Promouvoir"), clone, COMMIT=commit, DIGEST=digest)
    assert json.loads(run(commands(PROMOTE, "Suivre le déploiement"), clone).splitlines()[-1])["revision"] == commit

    (last, *_) = run(commands(GO_BACK, "1. Trouver la promotion"), clone).splitlines()
    assert f"promote api to sha-{commit[:12]}" in last
    run(commands(GO_BACK, "2. L'annuler"), clone, PROMOTION=last.split()[0])
    assert not (clone.parent / "retour").exists()
    assert json.loads(run(commands(GO_BACK, "4. Vérifier"), clone).splitlines()[-1])["revision"] == before


def test_argo_cd_says_how_it_is(loop: Loop) -> None:
    assert loop.source.head()
    told = run(commands("docs/runbooks/diagnostiquer.md", "4. Ce que dit Argo CD"), REPOSITORY)
    assert told.startswith("Synced Healthy Succeeded\n")


def test_the_platform_s_rules_are_applied_by_hand(loop: Loop, clone: Path) -> None:
    try:
        told = run(commands("deploy/platform/README.md", "platform"), clone)
        assert told.startswith("IMAGE\n")
        policies = {path.parent.name for path in (REPOSITORY / "deploy" / "platform").glob("*/policy.yaml")}
        assert all(re.search(rf"\S*{policy}\S* created", told) for policy in policies), told
    finally:
        loop.cluster.kubectl("delete", "-k", clone / "deploy" / "platform")
