"""A sealed secret under Argo CD, taken, changed and taken back as its runbook says; and the controller's key, lost."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread

import pytest

from tests.cluster.gitops.application import NAMESPACE, Loop, following
from tests.cluster.load import load
from tests.support.cluster import Measure
from tests.support.commands import commands, run
from tests.support.git import git
from tests.support.product import API, FOLLOWED
from tools.controller import NAME
from tools.controller import NAMESPACE as OF_CONTROLLER
from tools.manifests import pod_of
from tools.seal import FILE

pytestmark = pytest.mark.timeout(420)

KIND = "sealedsecrets.bitnami.com"
KEY_LABEL = "sealedsecrets.bitnami.com/sealed-secrets-key"
ARGOCD = ("deployment/argocd-repo-server", "statefulset/argocd-application-controller")


@dataclass
class Sealed:
    """The environment with a sealed secret.

    Attributes:
        loop: the application
        clone: where a person works who seals
        value: the secret's first one
    """

    loop: Loop
    clone: Path
    value: str

    def seal(self, value: str) -> None:
        """Have the runbook's command read a value from its standard input."""
        run(f'printf %s "$VALUE" | {commands("seal")}', self.clone, VALUE=value)

    def push(self, subject: str) -> str:
        """Commit all, and push it; return the commit."""
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", f"--message={subject}")
        return self.loop.source.take(self.clone)

    def named(self) -> str:
        """Return the Secret that the API's pods are to read."""
        pod = pod_of(self.loop.get("deployment", API))
        assert pod
        (name,) = {one.name for one in pod.reads() if one.kind == "Secret"}
        return name

    def read(self) -> str:
        """Return the value that they read."""
        ((_, value),) = self.loop.get("secret", self.named())["data"].items()
        return base64.b64decode(value).decode()

    def check(self) -> str:
        return run(commands("check-live"), self.clone)

    def wait(self, commit: str, former: str, what: str, measure: Measure) -> None:
        """Wait for a commit while users go on: none sees a failure, and the former Secret stays for its pods."""
        with load(self.loop.url) as seen, self.kept(former):
            seconds = self.loop.wait(commit)
        measure(f"{what}: from commit to synced, {len(seen.answers)} requests", f"{seconds:.1f} s")
        assert seen.failed == [], seen.failed[:5]

    @contextmanager
    def kept(self, name: str) -> Iterator[None]:
        """While the context lasts, a Secret is there until the last pod that reads it was told to end, and then not."""
        lost, looks, stop = [], 0, Event()

        def look() -> None:
            nonlocal looks
            while not stop.wait(0.2):
                # In this order: what is away before a pod is seen that reads it, is away too early.
                there = self.loop.get("secret", name)
                pods = filter(None, map(pod_of, self.loop.cluster.pods(NAMESPACE, API)))
                readers = [
                    pod.manifest["metadata"]["name"] for pod in pods if name in {one.name for one in pod.reads()}
                ]
                looks += bool(there and readers)
                lost.extend(readers if not there else [])

        thread = Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert looks
        assert lost == []
        assert not self.loop.get("secret", name)


@pytest.fixture(scope="module")
def sealed(
    loop: Loop, bootstrap: Callable[[], Loop], measure: Measure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sealed]:
    """The component, taken by the runbook's commands."""
    if loop.cluster.try_kubectl("get", "customresourcedefinition", KIND).returncode:
        pytest.skip("the cluster has no Sealed Secrets: docs/runbooks/sceller-un-secret.md, section 1, installs it")
    clone = loop.source.clone(tmp_path_factory.mktemp("sealed") / "clone")
    made = Sealed(loop, clone, token_hex())
    with loop.as_before(bootstrap):
        made.seal(made.value)
        run(commands("take-the-sealed-secret"), clone)
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "--message=Seal the password")
        following(loop.source.url)(clone)  # the test's repository is a fork
        loop.cluster.kubectl("apply", "-k", clone / "argocd")
        git(clone, "checkout", "--quiet", "--", "argocd")
        made.wait(loop.source.take(clone), made.named(), "sealed secret in place of the dummy", measure)
        yield made


def test_what_was_sealed_is_what_the_pods_read(sealed: Sealed) -> None:
    assert sealed.read() == sealed.value
    assert "cannot read" not in sealed.check()
    shown = run(commands("diagnose-a-sealed-secret"), sealed.clone)
    assert shown.count(sealed.named()) > 1
    assert sealed.value not in shown


def test_a_new_value_rolls_the_pods_and_a_revert_brings_it_back(sealed: Sealed, measure: Measure) -> None:
    first, value = sealed.named(), token_hex()
    sealed.seal(value)
    changed = sealed.push("Change the password")
    sealed.wait(changed, first, "sealed value changed", measure)
    second = sealed.named()
    assert sealed.read() == value
    reverted = sealed.loop.source.revert(changed)
    sealed.wait(reverted, second, "sealed value reverted", measure)
    assert (sealed.named(), sealed.read()) == (first, sealed.value)
    git(sealed.clone, "pull", "--quiet", "origin", "main")


def test_the_value_is_in_no_object_of_git_and_in_no_log(sealed: Sealed) -> None:
    everything = subprocess.check_output(["git", "cat-file", "--batch-all-objects", "--batch"], cwd=sealed.clone)
    assert sealed.named().encode() in everything
    assert sealed.value.encode() not in everything
    cluster = sealed.loop.cluster
    logs = [cluster.kubectl("logs", "-n", "argocd", name, "--since=20m") for name in ARGOCD]
    logs.append(cluster.kubectl("logs", "-n", OF_CONTROLLER, f"deployment/{NAME}"))
    logs.append(sealed.loop.kubectl("logs", f"deployment/{API}"))
    assert all(logs)
    assert [log for log in logs if sealed.value in log] == []


def test_a_lost_key_is_restored_or_the_value_sealed_again(sealed: Sealed, tmp_path: Path) -> None:
    cluster, name = sealed.loop.cluster, sealed.named()
    run(commands("backup-the-sealing-key"), tmp_path)
    keys = json.loads(cluster.kubectl("get", "secrets", "-n", OF_CONTROLLER, "-o", "json", "-l", KEY_LABEL))["items"]
    try:
        names = [f"secret/{one['metadata']['name']}" for one in keys]
        cluster.kubectl("delete", "-n", OF_CONTROLLER, *names)
        cluster.kubectl("rollout", "restart", "-n", OF_CONTROLLER, f"deployment/{NAME}")
        cluster.wait_for_rollout(OF_CONTROLLER, NAME)
        assert f"cannot read SealedSecret {name}" in sealed.check()
        assert sealed.read() == sealed.value  # what is there stays, and the pods serve
        sealed.seal(sealed.value)
        assert "cannot read" not in sealed.check()
        git(sealed.clone, "restore", f"deploy/overlays/{FOLLOWED}/{FILE}")
    finally:
        run(commands("restore-the-sealing-key"), tmp_path)
    assert "cannot read" not in sealed.check()
