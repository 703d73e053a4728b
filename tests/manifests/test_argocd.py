"""What Argo CD is told to do, what it may do, and the test that it runs after each sync."""

from collections.abc import Mapping
from typing import Any

import kubernetes_validate
import pytest

from tests.support.manifests import SUPPORTED, Environment
from tools.manifests import Manifest
from tools.repository import OVERLAYS, REPOSITORY, followed

CLUSTER = "https://kubernetes.default.svc"
HOOK = {
    "argocd.argoproj.io/hook": "PostSync",
    "argocd.argoproj.io/hook-delete-policy": "BeforeHookCreation",
}
API_VERSION = "argoproj.io/v1alpha1"
SMOKE_TEST = OVERLAYS.parent / "components" / "smoke-test"


def test_argo_cd_follows_recette(argocd: Mapping[str, list[Manifest]]) -> None:
    assert "recette" in followed()
    assert len(argocd["Application"]) == len(followed())


@pytest.mark.parametrize("name", followed())
def test_application(argocd: Mapping[str, list[Manifest]], name: str) -> None:
    namespace = f"datapress-{name}"
    (application,) = [one for one in argocd["Application"] if one["metadata"]["name"] == namespace]
    (project,) = argocd["AppProject"]
    assert application["apiVersion"] == API_VERSION
    assert application["metadata"] == {
        "name": namespace,
        "namespace": "argocd",
        "annotations": {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"},
        "finalizers": ["resources-finalizer.argocd.argoproj.io"],
    }
    spec = application["spec"]
    assert spec["project"] == project["metadata"]["name"]
    assert [spec["source"]["repoURL"]] == project["spec"]["sourceRepos"]
    assert spec["revisionHistoryLimit"] == 5
    assert spec["source"]["targetRevision"] == "main"
    assert REPOSITORY / spec["source"]["path"] == OVERLAYS / name
    components = [OVERLAYS / name / path for path in spec["source"]["kustomize"]["components"]]
    assert [path.resolve() for path in components] == [SMOKE_TEST]
    assert spec["destination"] == {"server": CLUSTER, "namespace": namespace}
    assert spec["syncPolicy"] == {
        "automated": {"enabled": True, "prune": True, "selfHeal": True, "allowEmpty": False},
        "retry": {"limit": 5, "refresh": True, "backoff": {"duration": "5s", "factor": 2, "maxDuration": "1m"}},
        "syncOptions": [
            "ServerSideApply=true",
            "PruneLast=true",
            "PrunePropagationPolicy=foreground",
            "FailOnSharedResource=true",
        ],
    }


def test_project_allows_this_repository_these_namespaces_and_the_kinds_in_use(
    synced: Environment, argocd: Mapping[str, list[Manifest]]
) -> None:
    (project,) = argocd["AppProject"]
    namespaces = [f"datapress-{name}" for name in followed()]
    assert project["apiVersion"] == API_VERSION
    assert project["metadata"] == {"name": "datapress", "namespace": "argocd"}
    spec = project["spec"]
    assert spec["description"]
    assert len(spec["sourceRepos"]) == 1
    assert spec["destinations"] == [{"server": CLUSTER, "namespace": one} for one in namespaces]
    assert spec["clusterResourceWhitelist"] == [{"group": "", "kind": "Namespace", "name": one} for one in namespaces]
    allowed = [(item["group"], item["kind"]) for item in spec["namespaceResourceWhitelist"]]
    used = {
        (manifest["apiVersion"].rpartition("/")[0], manifest["kind"])
        for manifest in synced.objects
        if manifest["kind"] != "Namespace"
    }
    assert sorted(allowed) == sorted(used)
    assert spec["orphanedResources"] == {"warn": True}


def test_the_repository_stands_in_one_place(argocd: Mapping[str, list[Manifest]]) -> None:
    (url,) = argocd["AppProject"][0]["spec"]["sourceRepos"]
    naming = [path.name for path in (REPOSITORY / "argocd").iterdir() if url in path.read_text()]
    assert naming == ["application.yaml"]


@pytest.mark.parametrize("environment", followed(), indirect=True)
def test_namespace_comes_first_and_is_never_pruned(environment: Environment) -> None:
    assert environment.get("Namespace", environment.namespace)["metadata"]["annotations"] == {
        "argocd.argoproj.io/sync-wave": "-1",
        "argocd.argoproj.io/sync-options": "Prune=false",
    }


def test_argo_cd_deploys_the_overlay_and_the_smoke_test(synced: Environment, overlay: Environment) -> None:
    added = [manifest for manifest in synced.objects if manifest not in overlay.objects]
    assert len(synced.objects) == len(overlay.objects) + len(added)
    assert sorted((manifest["kind"], manifest["metadata"]["name"]) for manifest in added) == [
        ("ConfigMap", "datapress-smoke"),
        ("Job", "datapress-smoke"),
        ("NetworkPolicy", "datapress-smoke"),
    ]
    for manifest in added:
        assert manifest["metadata"]["namespace"] == synced.namespace
        kubernetes_validate.validate(manifest, SUPPORTED[0], strict=True)


def test_smoke_test_runs_after_each_sync_and_tests_the_image_deployed(
    synced: Environment, overlay: Environment
) -> None:
    job = synced.get("Job", "datapress-smoke")
    assert job["metadata"]["annotations"] == HOOK
    assert {key: value for key, value in job["spec"].items() if key != "template"} == {
        "backoffLimit": 0,
        "activeDeadlineSeconds": 60,
    }
    container = _container(job)
    assert container["name"] == "smoke"
    assert container["image"] == overlay.container("datapress-api")["image"]
    assert container["command"] == ["python", "/opt/smoke/smoke.py"]
    assert container["volumeMounts"] == [{"name": "script", "mountPath": "/opt/smoke", "readOnly": True}]
    script = synced.get("ConfigMap", "datapress-smoke")
    assert script["immutable"] is True
    assert script["data"] == {"smoke.py": (SMOKE_TEST / "smoke.py").read_text()}
    assert job["spec"]["template"]["spec"]["volumes"] == [
        {"name": "script", "configMap": {"name": script["metadata"]["name"]}}
    ]


def test_all_of_the_smoke_test_is_hooks_so_that_an_empty_overlay_is_empty(synced: Environment) -> None:
    """One object that is none, and `allowEmpty: false` would see a wish in an overlay that renders to nothing."""
    smoke = [manifest for manifest in synced.objects if manifest["metadata"]["name"].startswith("datapress-smoke")]
    before_the_job = {**HOOK, "argocd.argoproj.io/sync-wave": "-1"}
    assert {manifest["kind"]: manifest["metadata"]["annotations"] for manifest in smoke} == {
        "ConfigMap": before_the_job,
        "NetworkPolicy": before_the_job,
        "Job": HOOK,
    }


def test_smoke_test_is_as_hardened_as_what_it_tests(synced: Environment) -> None:
    pod = synced.get("Job", "datapress-smoke")["spec"]["template"]["spec"]
    deployed = synced.pod("datapress-api")["spec"]
    for field in ("securityContext", "automountServiceAccountToken", "enableServiceLinks"):
        assert pod[field] == deployed[field]
    container = _container(synced.get("Job", "datapress-smoke"))
    assert container["securityContext"] == synced.container("datapress-api")["securityContext"]
    assert container["resources"] == {
        "requests": {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "16Mi"},
        "limits": {"memory": "64Mi", "ephemeral-storage": "32Mi"},
    }
    assert pod["restartPolicy"] == "Never"


def test_smoke_test_reaches_the_front_and_dns_only(synced: Environment) -> None:
    job = synced.get("Job", "datapress-smoke")
    labels = {"app.kubernetes.io/name": "datapress-smoke", "app.kubernetes.io/part-of": "datapress"}
    assert job["metadata"]["labels"] == job["spec"]["template"]["metadata"]["labels"] == labels
    policy = synced.get("NetworkPolicy", "datapress-smoke")["spec"]
    assert policy["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "datapress-smoke"}}
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    to_front, to_dns = policy["egress"]
    front = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "datapress-front"}}}
    assert to_front == {"to": [front], "ports": [{"port": "http", "protocol": "TCP"}]}
    assert to_dns == synced.get("NetworkPolicy", "datapress-front")["spec"]["egress"][1]


def test_an_overlay_alone_has_no_job(environment: Environment) -> None:
    """A Job's pod cannot be changed: the second `kubectl apply -k` would fail."""
    assert environment.of_kind("Job") == []


def _container(job: Manifest) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found
