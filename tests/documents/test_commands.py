"""The commands of the documents that need no cluster, run as they stand there."""

import re
from pathlib import Path

import requests

from tests.support.clones import change_banner, lend_packages, make_origin, shell_environment
from tests.support.commands import commands, run
from tests.support.git import git
from tests.support.product import API, FOLLOWED, FRONT, configuration, namespace, path
from tests.support.servers import running
from tools.local.ports import answers, free_port
from tools.local.run import PORTS
from tools.repository import environments

PUBLIC = "https://github.com/datapress/datapress.git"


def test_two_commands_to_the_page(tmp_path: Path) -> None:
    first, second = commands("two-commands-to-the-page").splitlines()
    # What Git is told, so that the address of the README leads here.
    here = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{make_origin(tmp_path)}.insteadOf",
        "GIT_CONFIG_VALUE_0": PUBLIC,
    }
    home = tmp_path / "home"
    home.mkdir()
    clone = Path(run(f"{first}\npwd", home, **here).splitlines()[-1])
    lend_packages(clone)
    ports = {name: str(free_port()) for name in PORTS}
    api, front = (f"http://127.0.0.1:{ports[name]}" for name in ("API_PORT", "FRONT_PORT"))
    command, environ = ["bash", "-c", second], shell_environment() | ports
    with running(command, tmp_path / "output", environ=environ, directory=clone) as site:
        site.wait_until(lambda: answers(f"{front}/api/"))
        assert "<title>" in requests.get(f"{front}/", timeout=5).content.decode()
        assert requests.get(f"{front}/api/", timeout=5).json()["service"] == "api"
        assert requests.get(f"{api}/health", timeout=5).json() == {"status": "ok"}


def test_preview_shows_what_a_merge_would_change(clone: Path) -> None:
    preview = commands("preview")
    assert f"{FOLLOWED}: nothing changes" in run(preview, clone)
    former = configuration(FOLLOWED)["banner"]
    change_banner(clone / path(FOLLOWED), "Autre bannière")
    git(clone, "commit", "--quiet", "--all", "--message=not merged")
    lines = [line.strip() for line in run(preview, clone).splitlines()]
    assert lines[0].startswith("The files here, against origin/main (")
    assert any(former in line for line in lines)
    assert any("Autre bannière" in line for line in lines)
    (restarts,) = [line for line in lines if line.startswith("restarts")]
    assert [f"Deployment {name}" in restarts for name in (API, FRONT)] == [True, True]
    assert ": 2 pods, 1 at a time" in restarts


def test_three_questions_before_a_change(clone: Path) -> None:
    asked = commands("three-questions")
    said = run(asked, clone)
    assert f"{FOLLOWED}: nothing changes" in said
    for name in environments():
        assert re.search(rf"^  {name} +{namespace(name)}$", said, re.MULTILINE)
