"""The Sealed Secrets controller of the current cluster: its certificate, and whether it can read what was sealed.

Both go through the API server, as kubeseal does, by the right that the controller's chart gives to who is logged in.
"""

import json
from pathlib import Path

from tools.command import RefusedError, ask, one_line
from tools.local.context import current_cluster
from tools.manifests import Manifest
from tools.texts import read_text

# Where kubeseal looks for it: https://github.com/bitnami-labs/sealed-secrets#installation
NAMESPACE, NAME = "kube-system", "sealed-secrets-controller"


def _path(kubectl: list[str], called: str) -> str:
    """Return what of the API server leads to the controller.

    Raises:
        RefusedError: if there is none.
    """
    # The port has a name in one of the two ways to install it, and none in the other.
    found = ask(*kubectl, "-n", NAMESPACE, "get", "service", NAME, "--output=jsonpath={.spec.ports[0].name}")
    if found.returncode:
        raise RefusedError(
            f"the current cluster tells of no Service {NAMESPACE}/{NAME} ({one_line(found.stderr)}): install the "
            "controller, choose its context, or have its certificate in a file"
        )
    return f"/api/v1/namespaces/{NAMESPACE}/services/http:{NAME}:{found.stdout.strip()}/proxy/v1/{called}"


def certificate(file: Path | None) -> tuple[bytes, str]:
    """Return the certificate to seal with, in PEM, and where it comes from.

    Args:
        file: that has it; None to ask the current cluster

    Raises:
        RefusedError: if it cannot be had.
    """
    if file:
        if not file.is_file():
            raise RefusedError(f"there is no file {file}: name one that has the controller's certificate")
        return read_text(file).encode(), str(file)
    cluster = current_cluster()
    told = ask(*cluster.kubectl, "get", "--raw", _path(cluster.kubectl, "cert.pem"))
    if told.returncode:
        raise RefusedError(f"the controller gives no certificate: {one_line(told.stderr)}")
    return told.stdout.encode(), f"the certificate of {cluster.context}"


def unreadable(sealed: list[Manifest]) -> tuple[list[Manifest], str]:
    """Return the SealedSecrets that the current cluster's controller cannot read, and the name of its context.

    Raises:
        RefusedError: if it cannot be asked.
    """
    cluster = current_cluster()
    path = _path(cluster.kubectl, "verify")
    return [one for one in sealed if not _reads(cluster.kubectl, path, one)], cluster.context


def _reads(kubectl: list[str], path: str, sealed: Manifest) -> bool:
    asked = ask(*kubectl, "create", "--raw", path, "--filename=-", sent=json.dumps(sealed))
    # Its answer for what it cannot read, in kubectl's words; anything else means that it was not asked.
    if asked.returncode and "the server reported a conflict" not in asked.stderr:
        raise RefusedError(f"the controller cannot be asked: {one_line(asked.stderr)}")
    return asked.returncode == 0
