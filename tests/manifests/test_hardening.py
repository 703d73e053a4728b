"""What every pod must be, whoever adds one: as few rights as can be, and no resource without an end.

What Pod Security (restricted) asks for is a rule of `make check`: see test_rules.py.
"""

import re

from tests.support.manifests import SUPPORTED, Environment
from tools.images import images_of, name_of
from tools.manifests import Container, Manifest, get, quantity


def test_root_file_systems_are_read_only(environment: Environment) -> None:
    for _, container in environment.containers:
        assert get(container.data, ("securityContext", "readOnlyRootFilesystem")) is True, container.name


def test_no_pod_has_a_token_or_the_variables_of_services(environment: Environment) -> None:
    for pod in environment.pods:
        # Variables such as DATAPRESS_API_PORT would mix with those that the product reads.
        assert (pod.spec["automountServiceAccountToken"], pod.spec["enableServiceLinks"]) == (False, False)
    for account in environment.of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


def test_each_deployment_has_an_account_of_its_own(environment: Environment) -> None:
    """A right that is given to another workload by mistake is not this one's too."""
    accounts = [pod.spec["serviceAccountName"] for pod in environment.deployments]
    assert len({"default", *accounts}) == len(accounts) + 1


def test_pods_run_as_the_user_of_their_image(environment: Environment) -> None:
    """By numbers, which Kubernetes can compare; of an image that is built here, those of its Dockerfile."""
    built = {image.name: image.context for image in images_of(environment.objects)}
    for pod, container in environment.containers:
        context = pod.spec["securityContext"]
        user = f"{int(context['runAsUser'])}:{int(context['runAsGroup'])}"
        assert "0" not in user.split(":")
        if directory := built.get(name_of(container.data["image"])):
            assert user == re.findall(r"^USER (\S+)$", (directory / "Dockerfile").read_text(), re.MULTILINE)[-1]


def test_every_resource_is_requested_and_bounded(environment: Environment) -> None:
    for _, container in environment.containers:
        requests, limits = container.data["resources"]["requests"], container.data["resources"]["limits"]
        assert _amount(requests["cpu"])
        # A pod is never ended for what others use of memory, nor slowed down while the node's CPUs are idle.
        assert _amount(requests["memory"]) == _amount(limits["memory"])
        assert "cpu" not in limits
        assert _amount(requests["ephemeral-storage"]) <= _amount(limits["ephemeral-storage"])


def _amount(text: str) -> float:
    """Return what a quantity is, which must be one and not zero."""
    found = quantity(text)
    assert found
    return float(found)


def test_what_can_be_written_is_small_and_in_memory(environment: Environment) -> None:
    for pod in environment.pods:
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        written = {mount["name"] for one in pod.containers for _, mount in one.items("volumeMounts") if _writes(mount)}
        assert {volumes[name]["emptyDir"]["medium"] for name in written} <= {"Memory"}
        # It counts as memory of the containers, which need most of that for themselves.
        taken = sum(_amount(volumes[name]["emptyDir"]["sizeLimit"]) for name in written)
        assert 2 * taken <= min(_memory(container) for container in pod.containers)


def _writes(mount: Manifest) -> bool:
    return not mount.get("readOnly")


def _memory(container: Container) -> float:
    return _amount(container.data["resources"]["limits"]["memory"])


def test_the_namespace_holds_pods_to_the_restricted_level(environment: Environment) -> None:
    """By the oldest version of Kubernetes that is supported, so that an upgrade refuses nothing that was accepted."""
    (namespace,) = environment.of_kind("Namespace")
    said = {key.partition("/")[2]: value for key, value in namespace["metadata"]["labels"].items() if "pod-sec" in key}
    oldest = f"v{SUPPORTED[0]}"
    modes = ("enforce", "audit", "warn")
    assert said == {**dict.fromkeys(modes, "restricted"), **{f"{mode}-version": oldest for mode in modes}}
