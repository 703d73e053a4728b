"""What Argo CD is told to do, what it may do, and the test that it runs after each sync."""

import re

import pytest

from tests.support.manifests import Environment
from tests.support.product import API, rendered
from tools.manifests import Manifest, group_of, pods_of, title
from tools.promote import BRANCH
from tools.repository import APPLICATION, OVERLAYS, REPOSITORY, environments, followed

PREFIX = "argocd.argoproj.io/"
SMOKE_TEST = OVERLAYS.parent / "components" / "smoke-test"


@pytest.fixture
def application(argocd: dict[str, list[Manifest]], followed_environment: Environment) -> Manifest:
    """The Application of an environment; it has the name of its namespace, as the runbooks say."""
    (found,) = [one for one in argocd["Application"] if one["metadata"]["name"] == followed_environment.namespace]
    return found


@pytest.fixture
def project(argocd: dict[str, list[Manifest]]) -> Manifest:
    (found,) = argocd["AppProject"]
    return found


def test_application_deploys_an_overlay_to_its_namespace(
    application: Manifest, project: Manifest, followed_environment: Environment
) -> None:
    spec = application["spec"]
    assert application["apiVersion"] == project["apiVersion"] == "argoproj.io/v1alpha1"
    assert application["metadata"]["namespace"] == project["metadata"]["namespace"] == "argocd"
    assert spec["project"] == project["metadata"]["name"]
    assert [spec["source"]["repoURL"]] == project["spec"]["sourceRepos"]
    assert spec["source"]["targetRevision"] == BRANCH
    assert REPOSITORY / spec["source"]["path"] == OVERLAYS / followed_environment.name
    added = [(REPOSITORY / spec["source"]["path"] / one).resolve() for one in spec["source"]["kustomize"]["components"]]
    assert SMOKE_TEST in added
    assert all((one / "kustomization.yaml").is_file() for one in added)
    assert spec["destination"]["namespace"] == followed_environment.namespace


def test_application_keeps_the_cluster_as_git_has_it(application: Manifest) -> None:
    """And loses nothing by that: docs/decisions/0009-options-d-argo-cd.md says what each of these prevents."""
    policy = application["spec"]["syncPolicy"]
    assert policy["automated"] == {"enabled": True, "prune": True, "selfHeal": True, "allowEmpty": False}
    assert policy["retry"]["refresh"] is True
    options = {
        "ServerSideApply=true",
        "PruneLast=true",
        "PrunePropagationPolicy=foreground",
        "FailOnSharedResource=true",
    }
    assert options <= set(policy["syncOptions"])
    assert application["metadata"]["annotations"][f"{PREFIX}compare-options"] == "ServerSideDiff=true"


def test_project_permits_what_is_deployed_and_no_more(
    project: Manifest, argocd: dict[str, list[Manifest]], followed_environment: Environment
) -> None:
    """Each kind by its name: a whole group, or all of them, would let a merge give rights to anybody."""
    spec = project["spec"]
    namespaces = [one["spec"]["destination"]["namespace"] for one in argocd["Application"]]
    (server,) = {one["spec"]["destination"]["server"] for one in argocd["Application"]}
    destinations = [{"server": server, "namespace": one} for one in namespaces]
    made = [{"group": "", "kind": "Namespace", "name": one} for one in namespaces]
    for listed, wanted in ((spec["destinations"], destinations), (spec["clusterResourceWhitelist"], made)):
        assert len(listed) == len(wanted)
        assert all(one in listed for one in wanted)
    in_use = {(group_of(one), one["kind"]) for one in followed_environment.objects if one["kind"] != "Namespace"}
    assert {(one["group"], one["kind"]) for one in spec["namespaceResourceWhitelist"]} == in_use
    assert spec["orphanedResources"]["warn"] is True


def test_the_repository_stands_in_one_place(project: Manifest) -> None:
    (url,) = project["spec"]["sourceRepos"]
    assert [file for file in APPLICATION.parent.iterdir() if url in file.read_text()] == [APPLICATION]


def test_each_environment_that_is_followed_has_one_application(argocd: dict[str, list[Manifest]]) -> None:
    assert len(argocd["Application"]) == len(followed())


def test_the_namespace_comes_first_and_is_never_pruned(followed_environment: Environment) -> None:
    (namespace,) = followed_environment.of_kind("Namespace")
    annotations = namespace["metadata"]["annotations"]
    assert int(annotations[f"{PREFIX}sync-wave"]) < 0
    assert annotations[f"{PREFIX}sync-options"] == "Prune=false"


def test_all_that_argo_cd_adds_is_a_hook(followed_environment: Environment) -> None:
    """One object that is none, and `allowEmpty: false` would see a wish in an overlay that renders to nothing."""
    own = {title(manifest) for manifest in rendered(followed_environment.name)}
    added = {
        title(one): one["metadata"]["annotations"] for one in followed_environment.objects if title(one) not in own
    }
    assert added
    for name, annotations in added.items():
        assert (annotations[f"{PREFIX}hook"], annotations[f"{PREFIX}hook-delete-policy"]) == (
            "PostSync",
            "BeforeHookCreation",
        )
        # What the Job needs is there before it.
        assert (int(annotations.get(f"{PREFIX}sync-wave", 0)) < 0) == (not name.startswith("Job "))


def test_the_smoke_test_runs_its_script_in_the_image_deployed(followed_environment: Environment) -> None:
    (job,) = followed_environment.of_kind("Job")
    (pod,) = pods_of([job])
    (container,) = pod.containers
    assert container.data["image"] == followed_environment.container(API).data["image"]
    (_, mount), (volume,) = *container.items("volumeMounts"), pod.spec["volumes"]
    script = followed_environment.get("ConfigMap", volume["configMap"]["name"])["data"]
    assert container.data["command"] == ["python", *(f"{mount['mountPath']}/{name}" for name in script)]
    assert mount["readOnly"] is True
    assert list(script.values()) == [(SMOKE_TEST / "smoke.py").read_text()]
    asked = {name for text in script.values() for name in re.findall(r'environ\["(\w+)"\]', text)}
    of_the_image = re.findall(r" (APP_\w+)=", (REPOSITORY / "src" / "api" / "Dockerfile").read_text())
    assert asked - {*of_the_image} == {variable["name"] for _, variable in container.items("env")}


def test_the_smoke_test_ends_and_is_not_repeated(followed_environment: Environment) -> None:
    """The script repeats by itself what is worth repeating; Argo CD waits for its end."""
    (job,) = followed_environment.of_kind("Job")
    assert job["spec"]["backoffLimit"] == 0
    assert job["spec"]["activeDeadlineSeconds"] > 0
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", environments())
def test_an_overlay_alone_has_no_job(name: str) -> None:
    """A Job's pod cannot be changed: the second `kubectl apply -k` would fail."""
    assert "Job" not in {manifest["kind"] for manifest in rendered(name)}
