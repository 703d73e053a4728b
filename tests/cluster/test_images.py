"""What the images are: who runs in them, what stops them, what they say of themselves, how much they add."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Measure
from tests.support.product import API, DEPLOYMENTS, FRONT
from tools.repository import REPOSITORY

STOP_SIGNAL = {
    API: "SIGTERM",
    FRONT: "SIGQUIT",
}  # each server's own word for "finish, then stop"
USER = {API: "10001", FRONT: "101"}
SOURCE = {API: REPOSITORY / "src" / "api", FRONT: REPOSITORY / "src" / "front"}
LAYERS = {API: "layers-api", FRONT: "layers-front"}
# Of the API, uvloop is the half: most of its library is symbols for a debugger.
OWN_LAYERS_LIMIT = {API: 25 * 10**6, FRONT: 10**5}


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_image(images: dict[str, str], name: str, measure: Measure) -> None:
    config = _inspect(images[name])["Config"]
    assert config["User"].partition(":")[0] == USER[name], "numeric, or runAsNonRoot cannot be checked"
    assert config["StopSignal"] == STOP_SIGNAL[name]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.revision"] == images[name].rpartition("sha-")[2]
    for label in ("title", "description", "source", "version"):
        assert labels[f"org.opencontainers.image.{label}"]
    own = _inspect(images[name])["Size"] - _inspect(_base(name))["Size"]
    measure(LAYERS[name], own / 1e6)
    assert own <= OWN_LAYERS_LIMIT[name]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_same_commit_gives_the_same_layers(images: dict[str, str], name: str, tmp_path: Path) -> None:
    """Built again without the cache by who keeps a clone private; times of files are the only thing that may differ."""
    again, private = f"{images[name]}-again", shutil.copytree(SOURCE[name], tmp_path / "private")
    for path in (private, *private.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o077)
    build = [
        "docker",
        "build",
        "--quiet",
        "--no-cache",
        "--build-arg",
        f"REVISION={images[name].rpartition('sha-')[2]}",
    ]
    subprocess.run([*build, "-t", again, private], check=True, capture_output=True)
    try:
        assert _content(again, name) == _content(images[name], name)
    finally:
        subprocess.run(["docker", "rmi", again], check=True, capture_output=True)


def _inspect(image: str) -> dict[str, Any]:
    done = subprocess.run(["docker", "inspect", image], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def _base(name: str) -> str:
    """Return the image that the Dockerfile's first stage is, on which the others build."""
    (image,) = re.findall(r"^FROM (\S+) AS base$", (SOURCE[name] / "Dockerfile").read_text(), re.MULTILINE)
    return str(image)


def _content(image: str, name: str) -> str:
    """Return a digest of every file and folder that is ours, by name, mode and bytes."""
    paths = {API: ["/opt/datapress"], FRONT: ["/etc/nginx", "/usr/share/nginx/html"]}[name]
    script = f"find {' '.join(paths)} -exec stat -c '%n %a' {{}} + -type f -exec sha256sum {{}} + | sort | sha256sum"
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", "--entrypoint=sh", image, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
