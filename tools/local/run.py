"""make run: the API and the front on this machine, with an overlay's values, without Docker or a cluster.

It starts the gunicorn and the NGINX that the images start, with the same configuration. In the environment: API_PORT,
FRONT_PORT and METRICS_PORT, for when other programs hold those that it takes by itself.
"""

import argparse
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tools.command import FailedError, RefusedError, overlay
from tools.images import version
from tools.local import front
from tools.local.container import arguments_of, container_of, environment_of, files_in, pod_of
from tools.local.log_lines import readable
from tools.local.ports import answers
from tools.manifests import Manifest
from tools.render import render
from tools.repository import REPOSITORY, VENV_BIN

API = REPOSITORY / "src" / "api"
# Not 9100, as in a pod: on a machine that is monitored, Prometheus' node exporter has that one.
PORTS = {"API_PORT": 8080, "FRONT_PORT": 8081, "METRICS_PORT": 8082}
START_SECONDS = 30
STOP_SECONDS = 5
POLL_SECONDS = 0.1
SOURCE_SUFFIXES = {".py", ".yaml"}
READY = """
  {page}  the page, with the values of deploy/overlays/{environment}
  {api}  the API; its metrics are at {metrics}/metrics

  After a change in src/api the API starts again by itself; in src/front/site, reload the page; in deploy/ or NGINX's
  configuration, start this again. Ctrl-C ends it.
"""


class StopRequest:
    """Notes Ctrl-C, SIGTERM and the terminal's end.

    A flag that is polled, not an exception: an exception between a program's start and the note of it would leave that
    program behind.
    """

    def __init__(self) -> None:
        self.made = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.made = True


@dataclass(frozen=True)
class Command:
    """What starts a program.

    Attributes:
        name: what stands before its log lines
        line: program and arguments
        environment: all of its variables
        directory: where it runs
        sources: the directory, if any, in which a change starts it again
    """

    name: str
    line: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    sources: Path | None = None

    def state(self) -> dict[Path, int]:
        """Return when each of the sources was last changed."""
        times = {}
        for path in self.sources.rglob("*") if self.sources else ():
            # An editor may replace a file while this looks.
            with suppress(FileNotFoundError):
                if path.suffix in SOURCE_SUFFIXES:
                    times[path] = path.stat().st_mtime_ns
        return times


class Child:
    """A program that runs until it is stopped, and whose log lines are printed as they come.

    It has a process group of its own: Ctrl-C in the terminal reaches us alone, who stop it in order, and none of its
    workers outlives it.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self.edited = False
        self._start()

    def _start(self) -> None:
        self.state = self.command.state()
        self.process = subprocess.Popen(
            self.command.line,
            env=self.command.environment,
            cwd=self.command.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.printer = threading.Thread(target=self._print_lines, daemon=True)
        self.printer.start()

    def _print_lines(self) -> None:
        colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        for line in self.process.stdout or ():
            for part in readable(line.rstrip("\n"), colour).split("\n"):
                # One write a line, so that the lines of two programs do not mix.
                sys.stdout.write(f"{self.command.name:5} | {part}\n")
                sys.stdout.flush()

    def check(self) -> None:
        """Start it again if its sources have changed, and make sure that it runs.

        gunicorn's own --reload would not do: it never reads its configuration again, nor the modules that this imports,
        and it ends for good on a module that cannot be imported.

        Raises:
            FailedError: if it ended by itself. After a change of its sources it may: the next change mends that.
        """
        if self.command.state() != self.state:
            print(f"{self.command.name:5} | its sources have changed: it starts again", flush=True)
            self.stop()
            self.edited = True
            self._start()
        status = self.process.poll()
        if status is not None and not self.edited:
            raise FailedError(f"'{self.command.name}' ended by itself, with status {status}: its lines above say why")

    def stop(self) -> None:
        """End it: by the signal on which both gunicorn and NGINX end fast, then by force, with all it has started."""
        with suppress(subprocess.TimeoutExpired):
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.printer.join()


def read_ports(environ: Mapping[str, str]) -> dict[str, int]:
    """Return the port of each name in PORTS: what the environment says, or else PORTS.

    Raises:
        RefusedError: if a value is not a port, two are the same, or another program listens on one.
    """
    given = {name: environ.get(name) or str(default) for name, default in PORTS.items()}
    for name, value in given.items():
        if not value.isdecimal() or not 0 < int(value) < 2**16:
            raise RefusedError(f"{name}={value} is not a port: give a number from 1 to 65535")
    ports = {name: int(value) for name, value in given.items()}
    if len(set(ports.values())) < len(ports):
        raise RefusedError(f"{', '.join(f'{name}={port}' for name, port in ports.items())}: they must differ")
    for name, port in ports.items():
        _check_free(name, port)
    return ports


def _check_free(name: str, port: int) -> None:
    with socket.socket() as probe:
        # As servers do: connections that linger of one that has ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else f"is refused ({error.strerror})"
            raise RefusedError(f"port {port} {why}: end that, or choose another port by {name}=…") from error


def prepare_api(manifests: Sequence[Manifest], ports: Mapping[str, int]) -> Command:
    """Return what runs gunicorn as the API's image does."""
    pod = pod_of(manifests, API.name)
    container = container_of(pod, API.name)
    values = environment_of(manifests, container, pod)
    # Of this shell's variables only PATH: what counts is what the overlay says, as in a pod.
    environment = {
        "PATH": f"{VENV_BIN}:{os.environ['PATH']}",
        "APP_VERSION": version(),
        "APP_REVISION": "local",
        **values,
        "API_PORT": str(ports["API_PORT"]),
        "METRICS_PORT": str(ports["METRICS_PORT"]),
        "BIND_ADDRESS": "127.0.0.1",
    }
    line = arguments_of(container, values) or [sys.executable, "-m", "gunicorn"]
    return Command("api", line, environment, API, sources=API)


def prepare_front(manifests: Sequence[Manifest], ports: Mapping[str, int]) -> Command:
    """Return what runs NGINX with the front's configuration, in a directory that no other run uses: its port's.

    Raises:
        RefusedError: if there is no NGINX, or it is started in another way than the image does.
    """
    directory = REPOSITORY / ".build" / "run" / str(ports["FRONT_PORT"])
    pod = pod_of(manifests, front.FRONT.name)
    container = container_of(pod, front.FRONT.name)
    values = environment_of(manifests, container, pod)
    if arguments_of(container, values):
        raise RefusedError("the front's container has a command of its own, which only its image can run: take it off")
    config = directory / "config"
    shutil.rmtree(config, ignore_errors=True)
    config.mkdir(parents=True)
    for name, content in files_in(manifests, container, pod, values.get("CONFIG_DIR") or front.config_dir()).items():
        (config / name).parent.mkdir(parents=True, exist_ok=True)
        (config / name).write_bytes(content)
    server = f"127.0.0.1:{ports['API_PORT']}"
    try:
        line = front.prepare(directory, api_server=server, port=ports["FRONT_PORT"])
    except front.FrontError as error:
        raise RefusedError(str(error)) from error
    return Command("front", line, {"PATH": os.environ["PATH"]}, directory)


def wait_until_ready(children: Sequence[Child], pages: Sequence[str], stop: StopRequest) -> None:
    """Wait until each page answers, or a stop is asked for.

    Raises:
        FailedError: if one does not within START_SECONDS, or a program ends by itself.
    """
    deadline = time.monotonic() + START_SECONDS
    for page in pages:
        while not stop.made and not answers(page):
            for child in children:
                child.check()
            if time.monotonic() > deadline:
                raise FailedError(f"{page} does not answer after {START_SECONDS} s: the lines above may say why")
            time.sleep(POLL_SECONDS)


def run(environment: str) -> None:
    """Run both until Ctrl-C or SIGTERM.

    Raises:
        RefusedError: if something it needs is wrong or missing; nothing was started then.
        FailedError: if one of them ends by itself or does not answer; both are stopped then.
    """
    directory = overlay(environment)
    ports = read_ports(os.environ)
    manifests = render(directory)
    commands = [prepare_api(manifests, ports), prepare_front(manifests, ports)]
    api, page, metrics = (f"http://127.0.0.1:{port}" for port in ports.values())
    stop = StopRequest()
    children: list[Child] = []
    try:
        for command in commands:
            children.append(Child(command))
        # The second goes through NGINX to the API.
        wait_until_ready(children, [f"{api}/health", f"{page}/api/health"], stop)
        if not stop.made:
            print(READY.format(api=api, page=page, metrics=metrics, environment=environment), flush=True)
        while not stop.made:
            for child in children:
                child.check()
            time.sleep(POLL_SECONDS)
    finally:
        for child in reversed(children):
            child.stop()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("environment", metavar="ENV", help="the overlay's name")


def main(options: argparse.Namespace) -> int:
    """Do what the command line says.

    Raises:
        RefusedError: if it cannot be begun.
        FailedError: if it does not go on.
    """
    run(options.environment)
    return 0
