"""How a Deployment replaces its pods, by its manifest's own numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from tools.manifests import Manifest, fewest_pods, get, share


@dataclass(frozen=True)
class Rollout:
    """How a Deployment replaces its pods, from the manifest's own numbers.

    Attributes:
        pods: how many
        surge: how many more than these may be there
        unavailable: how many of these may be away
        ready_seconds: from a container's start to the moment from which its pod counts, at least
        stop_seconds: how long a pod takes to end, at least
        recreates: whether all end before the first starts
    """

    pods: int
    surge: int
    unavailable: int
    ready_seconds: int
    stop_seconds: int
    recreates: bool

    @property
    def seconds(self) -> int:
        """How long it takes at least; scheduling, images and the programs' own start come on top."""
        if self.recreates:
            return self.stop_seconds + self.ready_seconds
        return ceil(self.pods / (self.surge + self.unavailable)) * self.ready_seconds

    def __str__(self) -> str:
        pods = f"{self.pods} pod{'s' if self.pods > 1 else ''}"
        if self.recreates:
            return f"{pods}: all end, then the new ones start, and nothing answers meanwhile"
        at_once = f", {min(self.pods, self.surge + self.unavailable)} at a time" if self.pods > 1 else ""
        if self.unavailable == 0:
            return f"{pods}{at_once}: a new one is ready before an old one leaves"
        left = max(self.pods - self.unavailable, 0)
        return f"{pods}{at_once}: old ones leave before new ones are ready, and {left} serve meanwhile"


def rollout(deployment: Manifest, beside: Sequence[Manifest] = ()) -> Rollout:
    """Return how a Deployment replaces its pods; what is beside it may have an autoscaler, which leaves so many."""
    spec = deployment["spec"]
    pods, strategy = fewest_pods(deployment, beside), spec.get("strategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    surge = share(rolling.get("maxSurge", "25%"), pods, up=True) or 0
    unavailable = share(rolling.get("maxUnavailable", "25%"), pods, up=False) or 0
    containers = get(spec, ("template", "spec", "containers")) or []
    delays = [
        get(container, (probe, "initialDelaySeconds")) or 0
        for container in containers
        for probe in ("startupProbe", "readinessProbe")
    ]
    sleeps = [get(item, ("lifecycle", "preStop", "sleep", "seconds")) or 0 for item in containers]
    return Rollout(
        pods=pods,
        surge=surge,
        # As Kubernetes does when both round to nothing.
        unavailable=unavailable if surge or unavailable else 1,
        ready_seconds=max(delays, default=0) + spec.get("minReadySeconds", 0),
        stop_seconds=max(sleeps, default=0),
        recreates=strategy.get("type") == "Recreate",
    )
