"""What a change of the overlay, of the API's address or of its being there does to those who use the page."""

from pathlib import Path

import requests
from playwright.sync_api import Page, expect

from tests.support.browsing import chain
from tests.support.cluster import Release, overlay_with_banner, press_button, turn_on_live
from tests.support.product import API, FRONT, PREFIX
from tests.support.waiting import eventually
from tools.repository import OVERLAYS


def test_a_changed_value_rolls_the_pods(restored: Release, tmp_path: Path) -> None:
    release = restored
    before = {pod["metadata"]["uid"] for pod in release.pods(FRONT)}
    config_maps = _config_maps(release)

    release.cluster.kubectl("apply", "-k", overlay_with_banner(release.name, "Une autre bannière", tmp_path))
    release.cluster.wait_for_rollout(release.namespace)

    eventually(
        lambda: requests.get(f"{release.url}/config.json", timeout=5).json()["banner"] == "Une autre bannière",
        5,
        "the new banner is served",
    )
    assert not before & {pod["metadata"]["uid"] for pod in release.pods(FRONT)}
    assert config_maps < _config_maps(release), "the former ConfigMap is gone while its pods may still need it"


def _config_maps(release: Release) -> set[str]:
    listed = release.cluster.objects("configmaps", release.namespace)
    return {m["metadata"]["name"] for m in listed if m["metadata"]["name"].startswith(f"{PREFIX}-config-")}


def test_the_page_explains_an_api_that_is_down_and_recovers(restored: Release, page: Page) -> None:
    release = restored
    press_button(page, release.url)
    turn_on_live(page)
    release.cluster.kubectl("scale", f"deployment/{API}", "-n", release.namespace, "--replicas=0")
    eventually(
        lambda: not release.cluster.objects("pods", release.namespace, "-l", f"app.kubernetes.io/name={API}"),
        60,
        "no API pod",
    )
    page.get_by_role("button", name="Tester l'API").click()
    expect(page.locator("#message")).to_contain_text("L’API est indisponible", timeout=10_000)
    assert chain(page) == ["passed", "passed", "failed"]
    expect(page.locator("#bars [data-outcome=failed]").first).to_be_visible()
    answer = requests.get(f"{release.url}/api/", timeout=10)
    assert answer.status_code in {502, 504}
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert requests.get(release.url, timeout=5).ok
    release.cluster.kubectl("scale", f"deployment/{API}", "-n", release.namespace, "--replicas=1")
    expect(page.locator("#answer")).to_contain_text('"service"', timeout=60_000)
    expect(page.locator("#event")).to_contain_text("L’API répond de nouveau", timeout=10_000)
    assert chain(page) == ["passed", "passed", "passed"]


def test_the_front_follows_the_api_s_address(restored: Release) -> None:
    release = restored
    kubectl = release.cluster.kubectl
    address = kubectl("get", "service", API, "-n", release.namespace, "-o", "jsonpath={.spec.clusterIP}")
    kubectl("delete", "service", API, "-n", release.namespace)
    kubectl("rollout", "restart", f"deployment/{FRONT}", "-n", release.namespace)
    release.cluster.wait_for_rollout(release.namespace, FRONT)
    eventually(lambda: requests.get(f"{release.url}/api/", timeout=10).status_code == 502, 30, "502 without the name")
    assert requests.get(release.url, timeout=5).ok

    # The former address is taken by another Service first, so that the API really comes back elsewhere.
    kubectl("create", "service", "clusterip", "squatter", "--tcp=80", f"--clusterip={address}", "-n", release.namespace)
    kubectl("apply", "-k", OVERLAYS / release.name)
    try:
        now = kubectl("get", "service", API, "-n", release.namespace, "-o", "jsonpath={.spec.clusterIP}")
        assert now != address
        eventually(lambda: requests.get(f"{release.url}/api/", timeout=10).ok, 30, "the API's new address is followed")
        _move_api(release)
    finally:
        kubectl("delete", "service", "squatter", "-n", release.namespace)


def _move_api(release: Release) -> None:
    """Give the Service another address while the front runs, and see that it follows."""
    kubectl = release.cluster.kubectl
    kubectl("delete", "service", API, "-n", release.namespace)
    kubectl("apply", "-k", OVERLAYS / release.name)
    eventually(lambda: requests.get(f"{release.url}/api/", timeout=10).ok, 30, "the API's address is followed")
