"""`make run`, started as a developer starts it: a real gunicorn and a real NGINX, on a copy of the repository."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.product import rendered
from tests.support.servers import Program
from tools.__main__ import main
from tools.command import RefusedError, run_program
from tools.local import run as run_module
from tools.local.ports import free_port
from tools.local.run import PORTS, prepare_front, read_ports
from tools.repository import environments

PATIENCE = 20
ENVIRONMENT, *_ = environments()


class Run(Program):
    """A `make run` under way, or ended."""

    def __init__(self, repository: Path, output: Path, environment: str, ports: dict[str, int]) -> None:
        self.ports = ports
        self.api, self.front, self.metrics = (f"http://127.0.0.1:{port}" for port in ports.values())
        # What a shell may hold must not count: a pod has none of it.
        shell = {"APP_ENV": "production", "GUNICORN_CMD_ARGS": "--workers=7"}
        super().__init__(
            [sys.executable, "-m", "tools", "run", environment],
            output,
            environ=os.environ | ports_as_variables(ports) | shell,
            directory=repository,
        )

    def wait_for(self, pattern: str) -> None:
        """Wait until what was printed matches a pattern."""
        self.wait_until(lambda: re.search(pattern, self.output(), re.MULTILINE), PATIENCE)

    def ready(self) -> "Run":
        self.wait_for("Ctrl-C ends it")
        return self

    def program(self, name: str) -> int:
        """Return the process id of one of the two programs."""
        listed = subprocess.check_output(["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)], text=True)
        (line,) = [line for line in listed.splitlines() if name in line]
        return int(line.split()[0])


def free_ports() -> dict[str, int]:
    return {name: free_port() for name in PORTS}


def ports_as_variables(ports: dict[str, int]) -> dict[str, str]:
    return {name: str(port) for name, port in ports.items()}


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def is_up(url: str) -> bool:
    try:
        return bool(get(url))
    except OSError:
        return False


def assert_all_is_gone(run: Run) -> None:
    """No worker is left: one would hold its program's listening socket."""
    assert read_ports(ports_as_variables(run.ports)) == run.ports
    assert "Traceback" not in run.output()


@pytest.fixture
def repository(tmp_path: Path, copy_repository: Callable[[Path], Path]) -> Path:
    # In a folder of a name that a shell, NGINX and Python's own scripts might read as more than a name.
    return copy_repository(tmp_path / """the user's "own" $HOME""")


@contextmanager
def started(repository: Path, environment: str = ENVIRONMENT) -> Iterator[Run]:
    run = Run(repository, repository.parent / "output", environment, free_ports())
    try:
        yield run
    finally:
        run.stop(signal.SIGINT)


@pytest.mark.parametrize("environment", environments())
def test_both_serve_with_the_values_of_the_overlay(repository: Path, environment: str) -> None:
    with started(repository, environment) as run:
        run.ready()
        assert (
            get(f"{run.front}/config.json") == (repository / f"deploy/overlays/{environment}/config.json").read_text()
        )
        assert json.loads(get(f"{run.api}/version"))["environment"] == environment
        assert json.loads(get(f"{run.front}/api/"))["service"] == "api"
        assert "http_requests" in get(f"{run.metrics}/metrics")
        assert run.output().count("Booting worker") == 1, "a variable of this shell came through"
        request = r"\d\d:\d\d:\d\d INFO GET {} 200 [\d.]+ ms \([\w-]+\)$"
        run.wait_for(f"^front \\| {request.format('/config.json')}")
        run.wait_for(f"^api   \\| {request.format('/version')}")


def test_what_listens_at_the_other_localhost_is_not_met(repository: Path) -> None:
    with ExitStack() as stack:
        run = stack.enter_context(started(repository))
        try:
            stack.enter_context(socket.create_server(("::1", run.ports["FRONT_PORT"]), family=socket.AF_INET6))
        except OSError as error:
            pytest.skip(f"this machine has no IPv6: {error}")
        run.ready()
        (page,) = re.findall(r"(\S+)  the page", run.output())
        assert get(page) == (repository / "src/front/site/index.html").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_cleanly(repository: Path, number: signal.Signals) -> None:
    with started(repository) as run:
        run.ready()
        begin = time.monotonic()
        assert run.stop(number) == 0
        assert time.monotonic() - begin < 3
        assert_all_is_gone(run)


def test_it_says_ready_only_when_the_page_reaches_the_api(repository: Path) -> None:
    template = repository / "src/front/templates/default.conf.template"
    template.write_text(template.read_text().replace("location ^~ /api/", "location ^~ /elsewhere/"))
    with started(repository) as run:
        run.wait_for(r"^front \| .* GET /api/health 404")
        assert run.stop(signal.SIGINT) == 0
        assert "the page" not in run.output()
        assert_all_is_gone(run)


@pytest.mark.parametrize("name", ["nginx", "gunicorn"])
def test_when_one_dies_the_other_is_ended_too(repository: Path, name: str) -> None:
    with started(repository) as run:
        os.kill(run.ready().program(name), signal.SIGKILL)
        assert run.process.wait(PATIENCE) == 1
        died = {"nginx": "front", "gunicorn": "api"}[name]
        assert f"run: error: '{died}' ended by itself, with status -9" in run.output()
        assert_all_is_gone(run)


def test_a_change_of_the_api_starts_it_again(repository: Path) -> None:
    # A module that gunicorn's configuration imports, in the process from which the workers start.
    module = repository / "src/api/datapress_api/settings.py"
    before = module.read_text()
    with started(repository) as run:
        run.ready()
        module.write_text(f"{before}\nprint('this line is not JSON', flush=True)\n")
        run.wait_for(r"^api   \| this line is not JSON$")
        run.wait_until(lambda: is_up(f"{run.front}/api/health"))
        module.write_text(f"{before}\nraise RuntimeError('a slip')\n")
        run.wait_for("a slip")
        with pytest.raises(subprocess.TimeoutExpired):
            run.process.wait(1)
        assert get(f"{run.front}/healthz") == "ok\n"
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{run.front}/api/health")
        refused.value.close()
        module.write_text(before)
        run.wait_until(lambda: is_up(f"{run.front}/api/health"))
        assert run.stop(signal.SIGINT) == 0


def test_a_change_of_the_page_needs_nothing(repository: Path) -> None:
    with started(repository) as run:
        run.ready()
        (repository / "src/front/site/index.html").write_text("<title>edited</title>")
        assert get(f"{run.front}/") == "<title>edited</title>"


def test_a_wrong_value_in_the_overlay_is_told(repository: Path) -> None:
    kustomization = repository / "deploy/overlays" / ENVIRONMENT / "kustomization.yaml"
    kustomization.write_text(kustomization.read_text().replace(f"APP_ENV={ENVIRONMENT}", "APP_ENV=Nowhere"))
    with started(repository) as run:
        assert run.process.wait(PATIENCE) == 1
        assert "APP_ENV" in run.output()
        assert "Nowhere" in run.output()
        assert "run: error: 'api' ended by itself" in run.output()
        assert_all_is_gone(run)


@pytest.fixture
def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that returns the one line that a start gets which must be refused."""
    monkeypatch.delattr(run_module, "Child")

    def refuse(*arguments: str, **variables: str) -> str:
        for name, value in {**ports_as_variables(free_ports()), **variables}.items():
            monkeypatch.setenv(name, value)
        assert run_program("run", lambda: main(["run", *arguments])) == 2
        said = capsys.readouterr()
        assert said.out == ""
        (line,) = said.err.splitlines()
        return line

    return refuse


@pytest.mark.parametrize("name", PORTS)
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # what a server of another kind may do
def test_a_port_in_use_is_told_before_anything_starts(refusal: Callable[..., str], name: str, address: str) -> None:
    with socket.create_server((address, 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(ENVIRONMENT, **{name: str(port)})
    assert said == (
        f"run: error: port {port} is taken by another program: end that, or choose another port by {name}=…"
    )


@pytest.mark.parametrize("value", ["http", "0", "65536", "-1", "80 80"])
def test_a_wrong_port_is_refused(refusal: Callable[..., str], value: str) -> None:
    said = refusal(ENVIRONMENT, FRONT_PORT=value)
    assert said == f"run: error: FRONT_PORT={value} is not a port: give a number from 1 to 65535"


def test_equal_ports_are_refused(refusal: Callable[..., str]) -> None:
    said = refusal(ENVIRONMENT, API_PORT="18080", FRONT_PORT="18080", METRICS_PORT="18082")
    assert said == "run: error: API_PORT=18080, FRONT_PORT=18080, METRICS_PORT=18082: they must differ"


@pytest.mark.parametrize("name", ["nowhere", "", f"../overlays/{ENVIRONMENT}"])
def test_a_wrong_environment_lists_the_right_ones(refusal: Callable[..., str], name: str) -> None:
    said = refusal(name)
    assert said.startswith(f"run: error: there is no environment '{name}'")
    assert all(environment in said for environment in environments())


def test_a_wrong_command_line_is_refused(refusal: Callable[..., str]) -> None:
    assert "usage: python -m tools run" in refusal()
    assert "--quickly" in refusal(ENVIRONMENT, "--quickly")


def test_a_missing_nginx_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda *_args, **_names: None)
    manifests = rendered(ENVIRONMENT)
    with pytest.raises(RefusedError, match=r"'nginx' is missing.*setup"):
        prepare_front(manifests, free_ports())
