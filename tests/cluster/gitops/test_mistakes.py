"""What somebody merges by mistake: users go on being served, Argo CD says what is wrong, and a commit puts it right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.gitops.application import NAMESPACE, OVERLAY, Builder, Loop, replacing
from tests.support.cluster import Measure
from tests.support.commands import commands, run
from tests.support.product import API, FOLLOWED, FRONT, PREFIX
from tests.support.waiting import eventually
from tools.promote import pins_of

NO_COMPONENTS = '[{"op": "remove", "path": "/spec/source/kustomize"}]'
REVERT_TO_SERVED = 180  # seconds: far above what progressDeadlineSeconds, a retry and a poll take together
SOURCES = Path("src/api/datapress_api")
pytestmark = pytest.mark.timeout(600)  # two waits of that length, and what an earlier failure leaves to restore
UNKNOWN_DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(autouse=True)
def restored(loop: Loop, healthy: None) -> Iterator[None]:
    """A test that fails before its own way back must not spoil the next; one that passes leaves nothing to do."""
    assert healthy is None
    before = loop.source.head()
    yield
    loop.source.restore(before)


@dataclass(frozen=True)
class Mistake:
    """A version that must not run.

    Attributes:
        promotion: the commit by which the environment is to run it
        source: the commit that it was built from
    """

    promotion: str
    source: str


def merge(builder: Builder, what: str, edit: Callable[[Path], None]) -> Mistake:
    source, digest = builder.release(what, edit)
    return Mistake(builder.promote(source, digest), source)


def waiting_reasons(loop: Loop) -> set[str]:
    """Return why containers of the API do not run."""
    states = [
        status["state"].get("waiting", status["lastState"].get("terminated", {}))
        for pod in loop.cluster.pods(NAMESPACE, API)
        for status in pod["status"].get("containerStatuses", [])
    ]
    return {state.get("reason", "") for state in states}


def until(loop: Loop, holds: Callable[[], bool], what: str) -> tuple[float, set[str]]:
    """Wait for something; return the seconds that took, and which versions users were served meanwhile."""
    served: set[str] = set()

    def look() -> bool:
        served.add(loop.served_revision())
        return holds()

    return eventually(look, REVERT_TO_SERVED, what), served


def test_an_image_that_is_not_there_and_the_commit_after_it(loop: Loop, measure: Measure) -> None:
    """By hand, as `make promote` refuses it. The commit after it is not ignored, though it does not help."""
    former = loop.served_revision()
    pin = r"(/api, newTag: sha-[0-9a-f]{40}, digest: )sha256:[0-9a-f]{64}"
    with loop.lossless("missing-image-next", measure):
        unknown = replacing(pin, rf"\g<1>{UNKNOWN_DIGEST}", pins_of(FOLLOWED))
        mistake = loop.source.commit("Name an image that nobody has", unknown)
        eventually(lambda: waiting_reasons(loop) & {"ErrImagePull", "ImagePullBackOff"}, 60, "it is tried")
        assert loop.syncing(mistake)
        second = loop.source.commit(
            "Add a replica while the sync is stuck",
            replacing(rf"{FRONT}, count: 2", f"{FRONT}, count: 3"),
        )
        applied, served = until(loop, lambda: replicas(loop, FRONT) == 3, "the second commit is applied")
        assert loop.status()["health"]["status"] == "Degraded"
        loop.source.revert(second)
        revert = loop.source.revert(mistake)
        back, later = until(loop, lambda: loop.settled(revert), "the revert is what runs")
    measure("missing-image-next", applied)
    measure("missing-image-revert", back)
    assert served | later == {former}


def replicas(loop: Loop, name: str) -> int:
    count: int = loop.get("Deployment", name)["spec"]["replicas"]
    return count


def test_a_version_that_crashes(loop: Loop, builder: Builder, measure: Measure) -> None:
    former = loop.served_revision()
    with loop.lossless("crash-revert", measure):
        crash = replacing(
            r"(?m)^def create_app\(", 'raise RuntimeError("a mistake")\n\n\ndef create_app(', SOURCES / "app.py"
        )
        mistake = merge(builder, "Crash at the start", crash)
        eventually(lambda: "CrashLoopBackOff" in waiting_reasons(loop), 90, "it crashes")
        revert = loop.source.revert(mistake.promotion)
        seconds, served = until(loop, lambda: loop.settled(revert), "the revert is what runs")
    measure("crash-revert", seconds)
    assert served == {former}
    loop.source.revert(mistake.source)


def test_a_version_that_fails_its_smoke_test(loop: Loop, builder: Builder, measure: Measure) -> None:
    """Healthy for Kubernetes, so it rolls out, and users are served it until an operator pastes what the page says."""
    former = loop.served_revision()
    with loop.lossless("smoke-test-revert", measure):
        wrong = replacing(r'"revision": settings\.revision', '"revision": "another"', SOURCES / "app.py")
        mistake = merge(builder, "Serve another version than this one", wrong)
        eventually(lambda: "Job has reached the specified backoff limit" in loop.failure(), 180, "the smoke test fails")
        assert "/api/version serves another, not " + mistake.source in loop.kubectl("logs", f"job/{PREFIX}-smoke")
        run(commands("revert-the-last-promotion"), loop.source.directory, ENVIRONNEMENT=FOLLOWED)
        loop.source.pull()
        seconds, served = until(loop, lambda: loop.served_revision() == former, "the former version is served")
        revert = loop.source.head()
        eventually(lambda: loop.settled(revert), 120, "the revert is what runs")
    measure("smoke-test-revert", seconds)
    assert served <= {former, "another"}
    assert loop.serves_only(former)
    loop.source.revert(mistake.source)


def test_a_kustomization_that_does_not_render(loop: Loop, measure: Measure) -> None:
    former = loop.objects()
    with loop.lossless("broken-kustomization-mended", measure):
        mistake = loop.source.commit("Name a file that is not there", replacing("node-port.yaml", "nodeport.yaml"))
        eventually(lambda: "nodeport.yaml" in loop.conditions(), 60, "the error names the file")
        assert loop.objects() == former
        fixed = loop.source.commit("Name the right file", replacing("nodeport.yaml", "node-port.yaml"))
        seconds = eventually(lambda: loop.settled(fixed), 60, "the next good commit is what runs")
    assert mistake
    measure("broken-kustomization-mended", seconds)


def test_an_overlay_that_renders_to_nothing(loop: Loop, bootstrap: Callable[[], Loop], measure: Measure) -> None:
    """The smoke test does not render without an API; without the smoke test, Argo CD refuses to remove all there is."""
    former = loop.objects()
    with loop.lossless("empty-overlay-revert", measure):
        mistake = loop.source.commit("Empty the overlay", empty)
        eventually(lambda: "nothing selected by Deployment" in loop.conditions(), 60, loop.conditions)
        loop.cluster.kubectl("patch", "application", loop.name, "-n", "argocd", "--type=json", f"-p={NO_COMPONENTS}")
        eventually(lambda: "auto-sync will wipe out all resources" in loop.conditions(), 60, loop.conditions)
        assert loop.objects() == former
        bootstrap()
        revert = loop.source.revert(mistake)
        seconds = eventually(lambda: loop.settled(revert), 60, "the revert is what runs")
    measure("empty-overlay-revert", seconds)


def empty(directory: Path) -> None:
    kept = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
    (directory / OVERLAY / "kustomization.yaml").write_text(f"{kept}namespace: {NAMESPACE}\n")
