"""How the front is started, in its image and without it."""

import json
import re
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from tools.local import front
from tools.repository import REPOSITORY, VENV_BIN

DOCKERFILE = (front.FRONT / "Dockerfile").read_text()


def placeholders() -> set[str]:
    return set(re.findall(r"\$\{(\w+)\}", front.TEMPLATE.read_text()))


def test_image_replaces_exactly_the_names_of_the_template() -> None:
    pattern = re.search(r'NGINX_ENVSUBST_FILTER="\^\((.*)\)\$"', DOCKERFILE)
    assert pattern
    assert set(pattern[1].split("|")) == placeholders()


def test_image_has_a_default_for_each_name_but_the_resolvers() -> None:
    """The resolvers are the container's own: the entrypoint reads them where it is told to."""
    defaults = set(re.findall(r"^(?:ENV|   ) (\w+)=", DOCKERFILE, re.M))
    assert placeholders() - defaults == {"NGINX_LOCAL_RESOLVERS"}
    assert "NGINX_ENTRYPOINT_LOCAL_RESOLVERS" in defaults


def test_image_runs_as_a_numeric_user_and_stops_gently() -> None:
    instructions = re.findall(r"^(USER|STOPSIGNAL|CMD) (.*)$", DOCKERFILE, re.M)
    assert dict(instructions) == {
        "USER": "101:101",
        "STOPSIGNAL": "SIGQUIT",
        "CMD": '["nginx", "-p", "/tmp", "-e", "stderr", "-g", "daemon off;"]',
    }


def test_compose_starts_what_the_image_starts() -> None:
    """Its own entrypoint makes Docker forget the image's command."""
    (command,) = re.findall(r"^CMD (.*)$", DOCKERFILE, re.M)
    service = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]["front"]
    assert service["command"] == json.loads(command)


def test_dockerfile_passes_its_linter() -> None:
    lint = subprocess.run(
        [VENV_BIN / "hadolint", front.FRONT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (lint.returncode, lint.stdout) == (0, "")


def test_template_with_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="UNKNOWN"):
        front.render("listen ${UNKNOWN};", {})


def test_rendering_leaves_the_variables_of_nginx() -> None:
    assert front.render("$host ${PORT} $request_id", {"PORT": "1"}) == "$host 1 $request_id"


def test_missing_nginx_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(front.FrontError, match=r"'nginx' is missing: run 'tools/setup\.sh run'"):
        front.prepare(tmp_path, api_server="127.0.0.1:1", port=1)


def test_taken_port_ends_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = front.prepare(tmp_path, api_server="127.0.0.1:1", port=port)
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 1
    assert "Address already in use" in done.stderr


def test_unrendered_template_stops_nginx(tmp_path: Path) -> None:
    """Better no server than one that serves nothing."""
    command = front.prepare(tmp_path, api_server="127.0.0.1:1", port=1)
    (tmp_path / "conf.d" / "default.conf").unlink()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 1
    assert "conf.d/default.conf" in done.stderr
