"""Names and values that one place uses and another must have, and that no rule of `make check` knows."""

import base64
import json
import re
import tomllib

from datapress_api.settings import DUMMY_PREFIX, read_settings
from tests.support.front_server import CONFIGURATION
from tests.support.manifests import Environment
from tests.support.product import API, FRONT, configuration
from tools.images import images_of
from tools.local.container import environment_of
from tools.manifests import Container, base_name, get
from tools.repository import REPOSITORY, environments

LOOK = {"colour", "mark"}  # of the page's configuration; what has none looks as the page says
COLOUR = re.compile("#[0-9a-f]{6}")
CLUSTER_SCOPED = {"Namespace"}
HOOK = "argocd.argoproj.io/hook"


def test_every_object_is_in_the_environment_s_namespace(environment: Environment) -> None:
    for manifest in environment.objects:
        if manifest["kind"] not in CLUSTER_SCOPED:
            assert manifest["metadata"]["namespace"] == environment.namespace


def test_objects_of_a_workload_have_its_name(environment: Environment) -> None:
    """And so have the images and the sources of the product's own: `make deploy` and `make promote` go by that."""
    for pod in environment.pods:
        assert pod.labels["app.kubernetes.io/name"] == pod.manifest["metadata"]["name"]
    for name in (API, FRONT):
        deployment = environment.get("Deployment", name)
        (image,) = images_of([deployment])
        assert name.endswith(f"-{image.context.name}")
        assert image.name.endswith(f"/{image.context.name}")


def test_images_of_the_product_are_named_by_a_commit(environment: Environment) -> None:
    """By a tag that never moves, perhaps with a digest after it."""
    for name in (API, FRONT):
        image = environment.container(name).data["image"]
        assert re.fullmatch(r".+:sha-[0-9a-f]{40}(@sha256:[0-9a-f]{64})?", image)


def test_generated_names_follow_the_content(environment: Environment) -> None:
    """A changed value gets a new name, so that its pods roll, and what runs is never edited in place."""
    for manifest in environment.of_kind("ConfigMap", "Secret"):
        assert manifest["immutable"] is True
        made_anew = HOOK in manifest["metadata"].get("annotations", {})
        assert made_anew or base_name(manifest) != manifest["metadata"]["name"]


def test_secrets_are_dummies_that_production_refuses(environment: Environment) -> None:
    for secret in environment.of_kind("Secret"):
        for value in secret["data"].values():
            assert base64.b64decode(value, validate=True).decode().startswith(DUMMY_PREFIX)


def test_api_and_page_know_their_environment(environment: Environment) -> None:
    config = {key: value for one in environment.of_kind("ConfigMap") for key, value in one["data"].items()}
    page = json.loads(config["config.json"])
    assert CONFIGURATION.keys() - LOOK <= page.keys() <= CONFIGURATION.keys()
    assert all(page.values())
    assert COLOUR.fullmatch(page.get("colour", "#000000"))
    assert len(page.get("mark", "")) <= 2
    assert page["environment"] == environment.name
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert page["version"].startswith(f"v{version.removesuffix('.0')} ")


def test_each_environment_has_a_look_of_its_own() -> None:
    looks = [configuration(name) for name in environments()]
    for part in LOOK:
        given = [look[part] for look in looks if part in look]
        assert len(given) == len(set(given)), part


def variables_of(environment: Environment, container: Container) -> dict[str, str]:
    return environment_of(environment.objects, container.data, container.template)


def test_the_api_and_the_smoke_test_get_their_settings(environment: Environment) -> None:
    api = variables_of(environment, environment.container(API))
    assert read_settings(api).environment == environment.name
    for pod in environment.pods:
        if pod.manifest["kind"] == "Job":
            (container,) = pod.containers
            assert variables_of(environment, container)["APP_ENV"] == environment.name


def test_volumes_are_where_the_images_expect_them(environment: Environment) -> None:
    dockerfile = (REPOSITORY / "src" / "front" / "Dockerfile").read_text()
    (prefix,) = re.findall(r'^CMD .*"-p", "([^"]+)"', dockerfile, re.MULTILINE)
    (read,) = re.findall(r"CONFIG_DIR=(\S+)", dockerfile)
    # The last is where the entrypoint of NGINX's image writes.
    written = {API: {"/tmp"}, FRONT: {prefix, "/etc/nginx/conf.d"}}
    for name, paths in written.items():
        mounts = [mount for _, mount in environment.container(name).items("volumeMounts")]
        assert {mount["mountPath"] for mount in mounts if not mount.get("readOnly")} == paths
    (mount,) = [one for _, one in environment.container(FRONT).items("volumeMounts") if one.get("readOnly")]
    (volume,) = [one for one in environment.pod(FRONT).spec["volumes"] if one["name"] == mount["name"]]
    assert (mount["mountPath"], get(volume, ("configMap", "items", 0, "path"))) == (read, "config.json")
