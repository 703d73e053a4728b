"""make undeploy: take an environment off the current context's cluster.

In the environment: ASSUME_YES=1, the same as --yes.
"""

import argparse

from tools.command import do, overlay
from tools.local import context
from tools.local.context import confirm, current_cluster
from tools.local.deploy import ROLLOUT_SECONDS
from tools.render import render

add_arguments = context.add_arguments


def undeploy(environment: str, assume_yes: bool) -> None:
    """Delete what the overlay renders, its namespace and so all that is in it included.

    Raises:
        RefusedError: if there is no such overlay, or no cluster.
        FailedError: if the cluster does not delete it.
    """
    base = overlay(environment)
    namespaces = [item["metadata"]["name"] for item in render(base) if item["kind"] == "Namespace"]
    cluster = current_cluster()
    what = f"make undeploy ENV={environment}\n  deletes    the namespace {', '.join(namespaces)} and all that is in it"
    confirm(cluster, what, assume_yes)
    do([*cluster.kubectl, "delete", "--kustomize", base, "--ignore-not-found", f"--timeout={ROLLOUT_SECONDS}s"])


def main(options: argparse.Namespace) -> int:
    """Do what the command line says."""
    undeploy(options.environment, options.yes)
    return 0
