"""The loop, step by step, in this order: each test leaves the application healthy for the next."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.cluster.gitops.application import NAMESPACE, OVERLAY, Builder, Loop, Source, replacing
from tests.cluster.load import load
from tests.support.clones import change_banner
from tests.support.cluster import Measure, press_button, turn_on_live
from tests.support.product import DEPLOYMENTS, FOLLOWED, PREFIX
from tests.support.waiting import eventually
from tools.repository import REPOSITORY

API, FRONT = DEPLOYMENTS
PICTURE: ViewportSize = {"width": 1280, "height": 760}
ANSWERS_WATCHED = 30  # one a second, by the page
COMMIT_TO_SERVED, DRIFT_TO_HEALED = 45, 15  # seconds, with Argo CD polling every five


def config_maps(loop: Loop) -> set[str]:
    names = loop.kubectl("get", "configmaps", "-o", "name").split()
    return {name for name in names if f"{PREFIX}-config-" in name}


def read_by_pods(loop: Loop) -> set[str]:
    """Return the ConfigMaps that pods, not those on their way out, have mounted."""
    volumes = [volume for pod in loop.cluster.pods(NAMESPACE, FRONT) for volume in pod["spec"]["volumes"]]
    return {f"configmap/{volume['configMap']['name']}" for volume in volumes if "configMap" in volume}


def test_bootstrap_to_the_button_s_answer(loop: Loop, page: Page) -> None:
    assert press_button(page, loop.url)["service"] == "api"


@pytest.fixture
def watched(loop: Loop, browser: Browser) -> Iterator[Page]:
    """The page, left open to show what is served; as sharp as the pictures of the documents are to be."""
    with browser.new_context(
        viewport=PICTURE, device_scale_factor=2, locale="fr-FR", timezone_id="Europe/Paris"
    ) as context:
        page = context.new_page()
        page.goto(loop.url)
        turn_on_live(page)
        yield page


@pytest.mark.timeout(240)
def test_a_merge_rolls_out_by_itself(
    loop: Loop, builder: Builder, measure: Measure, watched: Page, pytestconfig: pytest.Config
) -> None:
    former = loop.served_revision()
    commit, digest = builder.release("Second version")
    with loop.lossless("commit-to-served", measure):
        promotion = builder.promote(commit, digest)
        started = time.monotonic()
        eventually(lambda: loop.served_revision() == commit, 120, "the new version is served")
        served = time.monotonic() - started
        loop.wait(promotion)
    measure("commit-to-served", served)
    assert served <= COMMIT_TO_SERVED
    assert loop.serves_only(commit)
    image = loop.get("Deployment", API)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == f"{builder.image.name}:sha-{commit}@{digest}"
    results = loop.operation()["syncResult"]["resources"]
    (smoke,) = [result for result in results if result["kind"] == "Job"]
    assert smoke["hookPhase"] == "Succeeded"
    assert f"the API at {commit}" in loop.kubectl("logs", f"job/{PREFIX}-smoke")

    loop.kubectl("delete", "pod", loop.cluster.pods(NAMESPACE, API)[0]["metadata"]["name"])
    loop.kubectl("rollout", "restart", f"deployment/{FRONT}")
    loop.cluster.wait_for_rollout(NAMESPACE)
    front = ["pods", NAMESPACE, "-l", f"app.kubernetes.io/name={FRONT}"]
    eventually(lambda: len(loop.cluster.objects(*front)) == len(loop.cluster.pods(NAMESPACE, FRONT)), 60, "none stops")
    assert_the_page_saw_one_change(watched, former, commit)
    if pytestconfig.getoption("record"):
        watched.screenshot(path=REPOSITORY / "docs" / "images" / "page.png")


def assert_the_page_saw_one_change(page: Page, former: str, newer: str) -> None:
    page.get_by_role("button", name="Tester l'API").click()
    expect(page.locator("#answer")).to_contain_text('"service"')
    page.mouse.move(0, 0)  # away from the button, which would look pressed in the picture
    expect(page.locator("#failed")).to_have_text("0")
    assert page.locator("#bars b").all_inner_texts() == [f"{former[:7]} → {newer[:7]}"]
    assert int(page.locator("#sent").inner_text()) > ANSWERS_WATCHED


def test_a_controller_that_restarts_during_a_sync_ends_it(loop: Loop, builder: Builder, measure: Measure) -> None:
    commit, digest = builder.release("Third version")
    with loop.lossless("controller-restarted", measure):
        promotion = builder.promote(commit, digest)
        started = time.monotonic()
        eventually(lambda: loop.syncing(promotion), 60, "the sync has begun")
        controller = ["-n", "argocd", "-l", "app.kubernetes.io/name=argocd-application-controller"]
        loop.cluster.kubectl("delete", "pod", *controller, "--now")
        loop.wait(promotion)
        seconds = time.monotonic() - started
    measure("controller-restarted", seconds)
    assert loop.serves_only(commit)


def test_a_former_value_stays_until_nobody_reads_it(loop: Loop, measure: Measure) -> None:
    (former,) = config_maps(loop)

    def edit(directory: Path) -> None:
        change_banner(directory / OVERLAY, "Changée")

    missing: set[str] = set()
    with loop.lossless("changed-value", measure):
        commit = loop.source.commit("Change the banner", edit)
        started = time.monotonic()
        while former in config_maps(loop) or not loop.settled(commit):
            assert time.monotonic() - started < 120, "the former ConfigMap is not pruned"
            read = read_by_pods(loop)
            missing |= read - config_maps(loop)
            time.sleep(0.2)
        seconds = time.monotonic() - started
    measure("changed-value", seconds)
    assert missing == set(), "a pod's ConfigMap was pruned before the pod"
    (now,) = config_maps(loop)
    assert now != former


@pytest.fixture
def new_commit(loop: Loop) -> None:
    """A commit of its own for a drift: of one commit, Argo CD heals each further drift after a longer pause.

    2, 6, 18, 54 seconds and so on, until none was needed for a while: controller.self.heal.backoff.* in
    https://argo-cd.readthedocs.io/en/stable/operator-manual/argocd-cmd-params-cm-yaml/
    """
    commit = loop.source.commit("Change nothing")
    eventually(lambda: loop.settled(commit), 60, "Argo CD has seen the commit")


def api_server(loop: Loop) -> str:
    (container,) = loop.get("Deployment", FRONT)["spec"]["template"]["spec"]["containers"]
    (value,) = [item["value"] for item in container["env"] if item["name"] == "API_SERVER"]
    return str(value)


# What somebody does by hand, and how to see that it is undone. The environment's new value means the same to NGINX.
DRIFTS: dict[str, tuple[list[str], Callable[[Loop], bool]]] = {
    "drift-scaled": (
        ["scale", f"deployment/{API}", "--replicas=3"],
        lambda loop: loop.get("Deployment", API)["spec"]["replicas"] == 2,
    ),
    "drift-variable": (
        ["set", "env", f"deployment/{FRONT}", f"API_SERVER={API}.{NAMESPACE}.svc.cluster.local:80 resolve"],
        lambda loop: "$(POD_NAMESPACE)" in api_server(loop),
    ),
    "drift-policy": (
        ["delete", "networkpolicy", "default-deny"],
        lambda loop: bool(loop.get("NetworkPolicy", "default-deny")),
    ),
}


@pytest.mark.usefixtures("new_commit")
@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_healed(loop: Loop, measure: Measure, drift: str) -> None:
    command, healed = DRIFTS[drift]
    with loop.lossless(drift, measure):
        loop.kubectl(*command)
        seconds = eventually(lambda: healed(loop), 60, "the drift is healed")
        time.sleep(5)
        loop.cluster.wait_for_rollout(NAMESPACE)
        eventually(lambda: loop.settled(loop.source.head()), 60, "the application is healthy again")
    measure(drift, seconds)
    assert seconds <= DRIFT_TO_HEALED


def test_a_reference_that_becomes_a_value_is_mended_by_hand(loop: Loop, measure: Measure) -> None:
    """No apply can heal it: the value belongs to whoever set it, and a variable cannot have both.

    Argo CD says so and does nothing more, so somebody has to take the value out; the pods in service stay throughout.
    """
    with loop.lossless("reference-mended", measure):
        loop.kubectl("set", "env", f"deployment/{API}", f"APP_ENV={FOLLOWED}")
        eventually(lambda: "may not be specified when `value` is not empty" in loop.conditions(), 60, "it is told")
        loop.kubectl("set", "env", f"deployment/{API}", "APP_ENV-")
        seconds = eventually(lambda: loop.settled(loop.source.head()), 120, "Argo CD goes on")
    measure("reference-mended", seconds)
    (container,) = loop.get("Deployment", API)["spec"]["template"]["spec"]["containers"]
    assert [item["name"] for item in container["env"] if "valueFrom" in item] == ["APP_ENV", "DB_PASSWORD"]


@pytest.mark.usefixtures("new_commit")
def test_a_deleted_service_is_back(loop: Loop, measure: Measure) -> None:
    """Not lossless: without the Service the API has no address. What is lost is the API, and only until it is back."""
    with load(loop.url) as seen:
        loop.kubectl("delete", "service", API)
        started = time.monotonic()
        seconds = eventually(lambda: bool(loop.get("Service", API)), 60, "the Service is back")
        eventually(lambda: loop.served_revision() != "", 30, "the API answers again")
        recovered = time.monotonic()
        time.sleep(3)
    measure("drift-service", seconds)
    measure("drift-service-answer", recovered - started)
    seen.measure("drift-service", measure)
    assert seconds <= DRIFT_TO_HEALED
    assert all("/api/" in answer.request for answer in seen.failed), "the page itself was always served"
    assert all(answer.outcome in {"502", "504"} for answer in seen.failed)
    # NGINX asks for the name every 5 s, each of its workers' view being one; a failed answer may take as long again.
    assert all(answer.at <= started + seconds + 10 for answer in seen.failed)


def test_a_removed_object_is_pruned(loop: Loop, source: Source, measure: Measure) -> None:
    assert loop.get("PodDisruptionBudget", FRONT)
    with loop.lossless("component-removed", measure):
        source.commit("Remove the disruption budgets", replacing(r"  - ../../components/disruption-budget\n", ""))
        seconds = eventually(lambda: not loop.get("PodDisruptionBudget", FRONT), 60, "the budget is pruned")
        loop.wait(source.revert())
    measure("component-removed", seconds)
    assert loop.get("PodDisruptionBudget", FRONT)
