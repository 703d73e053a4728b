"""What a request to the API costs, beside FastAPI under uvicorn, bare and with the API's duties: `make bench`.

Each is measured directly and behind NGINX, by this interpreter and by one of the image's version if IMAGE_PYTHON names
it. Everything runs on this machine's loopback and is started here. The servers take turns, so that what else the
machine does falls on all of them; compare the ratios, not the rates. NGINX and wrk share the processors with the
servers. The last lines are other figures: how long developers wait for `make check`, `make diff` and `make run`.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from pathlib import Path

from documents.figures import MEASURED, add_record_option, record
from tools.local.ports import answers, free_port
from tools.local.run import PORTS, START_SECONDS
from tools.repository import REPOSITORY, environments

PATH = f"{REPOSITORY / '.build' / 'bin'}:{os.environ['PATH']}:/usr/sbin"
ROUNDS, SECONDS = 4, 3
WRK = ["wrk", "--threads", "1", "--connections", "32", "--latency"]

UVICORN = "uvicorn --port {port} --loop uvloop --http httptools --no-access-log --log-level warning"
BARE, EQUAL, API = "FastAPI, bare", "FastAPI, equal duties", "the API"
SERVERS = {
    BARE: f"{UVICORN} bench.rival:bare",
    EQUAL: f"{UVICORN} bench.rival:dutiful",
    API: "gunicorn -c {configuration}",
}
CONFIGURATION = REPOSITORY / "src" / "api" / "gunicorn.conf.py"


class BenchError(Exception):
    """Something could not be measured; the message says what and what to do."""


@dataclass(frozen=True)
class Candidate:
    """A server to measure.

    Attributes:
        python: The interpreter that runs it.
        server: One of SERVERS.
        direct: Whether the load comes to it without NGINX.
    """

    python: str
    server: str
    direct: bool

    def command(self, port: int) -> list[str]:
        """Return the command that serves on a port."""
        return [self.python, "-m", *SERVERS[self.server].format(port=port, configuration=CONFIGURATION).split()]


@dataclass(frozen=True)
class Measurement:
    """What was measured of a candidate in one round.

    Attributes:
        rate: Answers per second.
        p99: The milliseconds within which 99 of 100 answers came.
        cost: The microseconds of processor time that the server spent on a request: the figure that depends least on
            what else the machine does.
        memory: What all its processes take, in MiB; pages that they share count once.
    """

    rate: float
    p99: float
    cost: float
    memory: float


@contextmanager
def running(command: list[str], port: int, **environ: str) -> Iterator[int]:
    """Run a server for the length of the block; gives its process id once its port is open.

    Raises:
        BenchError: if it does not listen within ten seconds.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, env=os.environ | environ | {"PATH": PATH}, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=output
        )
        try:
            if not _opens(process, port):
                output.seek(0)
                said = output.read().decode(errors="replace")[-1000:]
                raise BenchError(f"'{' '.join(command)}' does not listen on port {port}; it said: {said}")
            yield process.pid
        finally:
            process.terminate()
            process.wait(timeout=40)


def _opens(process: "subprocess.Popen[bytes]", port: int) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


@contextmanager
def nginx_before(port: int) -> Iterator[int]:
    """Run an NGINX that passes everything on to a port, over kept connections as our front does; gives its own port."""
    own_port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        temporary = "".join(
            f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        configuration = Path(directory, "nginx.conf")
        configuration.write_text(f"""
            daemon off; worker_processes 1; pid {directory}/pid; error_log stderr warn;
            events {{ worker_connections 1024; }}
            http {{
              access_log off; {temporary}
              upstream api {{ server 127.0.0.1:{port}; keepalive 32; keepalive_time 5s; keepalive_timeout 5s; }}
              server {{
                listen 127.0.0.1:{own_port};
                location / {{
                  proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_set_header X-Request-ID $request_id;
                }}
              }}
            }}""")
        with running(["nginx", "-e", "stderr", "-c", str(configuration)], own_port):
            yield own_port


def load(port: int, seconds: int) -> str:
    """Load a port and return wrk's report.

    Raises:
        BenchError: if any answer was not a success.
    """
    command = [*WRK, "--duration", f"{seconds}s", f"http://127.0.0.1:{port}/"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise BenchError(f"not all requests succeeded:\n{report}")
    return report


def number(pattern: str, report: str) -> float:
    """Return the number that the first group of a pattern finds in wrk's report."""
    found = re.search(pattern, report)
    if not found:
        raise BenchError(f"wrk's report has no {pattern!r}:\n{report}")
    return float(found[1])


def milliseconds(report: str) -> float:
    """Return the 99th percentile of the latency from wrk's report."""
    units = {"us": 0.001, "ms": 1, "s": 1000}
    unit = re.search(r"99%\s+[\d.]+(us|ms|s)", report)
    return number(r"99%\s+([\d.]+)", report) * units[unit[1] if unit else "ms"]


def processes_of(process: int) -> list[int]:
    """Return a process and its children."""
    return [process, *map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())]


def memory_of(process: int) -> float:
    """Return what a process and its children take, in MiB."""
    rollups = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in processes_of(process)]
    return sum(number(r"\nPss:\s+(\d+) kB", rollup) for rollup in rollups) / 1024


def processor_seconds_of(process: int) -> float:
    """Return the processor time that a process and its children have spent, in seconds."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes_of(process)]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")


def measure(candidate: Candidate) -> Measurement:
    """Start a candidate, warm it up and load it."""
    port = free_port()
    settings = {"APP_ENV": "dev", "DB_PASSWORD": "demo-bench", "API_PORT": str(port), "METRICS_PORT": str(free_port())}
    packages = {"PYTHONPATH": str(CONFIGURATION.parent)}
    with running(candidate.command(port), port, **settings, **packages) as process, nginx_before(port) as nginx_port:
        target = port if candidate.direct else nginx_port
        load(target, seconds=1)
        before = processor_seconds_of(process)
        report = load(target, SECONDS)
        spent = processor_seconds_of(process) - before
        return Measurement(
            rate=number(r"Requests/sec:\s+([\d.]+)", report),
            p99=milliseconds(report),
            cost=spent * 1e6 / number(r"(\d+) requests in", report),
            memory=memory_of(process),
        )


def best(rounds: list[Measurement]) -> Measurement:
    """Return the best of each figure: what else a machine does makes none better."""
    return Measurement(
        rate=max(one.rate for one in rounds),
        p99=min(one.p99 for one in rounds),
        cost=min(one.cost for one in rounds),
        memory=min(one.memory for one in rounds),
    )


def table(measured: dict[Candidate, list[Measurement]]) -> Iterator[str]:
    """Return the lines of the table: the best of the rounds, and its ratios to FastAPI run and loaded the same way."""
    yield f"{'':34}CPU µs/request  × bare  × equal   requests/s  × bare   p99 ms   MiB"
    for candidate, rounds in measured.items():
        own = best(rounds)
        bare, equal = (best(measured[replace(candidate, server=rival)]) for rival in (BARE, EQUAL))
        way = "direct" if candidate.direct else "NGINX"
        yield (
            f"{version_of(candidate.python):5} {way:6} {candidate.server:21}"
            f"{own.cost:15.0f}{own.cost / bare.cost:8.2f}{own.cost / equal.cost:9.2f}"
            f"{own.rate:13.0f}{own.rate / bare.rate:8.2f}{own.p99:9.0f}{own.memory:6.0f}"
        )


@cache
def version_of(python: str) -> str:
    """Return an interpreter's version, without the last part."""
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def seconds_of(command: str) -> float:
    """Return how long a command of `python -m tools` takes on the repository."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "tools", command], cwd=REPOSITORY, capture_output=True, check=False)
    # 1 is that it found something; 2 that it could not look.
    if done.returncode not in (0, 1):
        raise BenchError(f"python -m tools {command} failed:\n{done.stderr.decode()}")
    return time.monotonic() - start


def seconds_to_run() -> float:
    """Return how long `make run` takes to the API's first answer through the front."""
    ports = {name: str(free_port()) for name in PORTS}
    front = ports["FRONT_PORT"]
    start = time.monotonic()
    with running([sys.executable, "-m", "tools", "run", environments()[0]], int(front), **ports):
        while not answers(f"http://127.0.0.1:{front}/api/"):
            time.sleep(0.05)
            if time.monotonic() - start > START_SECONDS:
                raise BenchError("'make run' serves no API: start it by hand to see why")
        return time.monotonic() - start


def main(arguments: list[str]) -> int:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="bench")
    add_record_option(parser)
    parser.add_argument("--python", default="", help="another interpreter, with requirements/bench.txt")
    options = parser.parse_args(arguments)
    missing = [program for program in ("nginx", "wrk") if not shutil.which(program, path=PATH)]
    if missing:
        print(f"bench: {' and '.join(missing)} not found: run 'tools/setup.sh bench'", file=sys.stderr)
        return 2
    pythons = [sys.executable, *([options.python] if options.python else [])]
    candidates = [Candidate(*one) for one in product(pythons, SERVERS, (True, False))]
    measured: dict[Candidate, list[Measurement]] = {candidate: [] for candidate in candidates}
    try:
        for done in range(ROUNDS):
            for candidate in candidates:
                print(f"bench: round {done + 1} of {ROUNDS}: {candidate.server}", file=sys.stderr)
                measured[candidate].append(measure(candidate))
        waits = {"make-check": seconds_of("check"), "make-diff": seconds_of("diff"), "make-run": seconds_to_run()}
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n".join([*table(measured), *(f"{MEASURED[key].label_en}: {wait:.1f} s" for key, wait in waits.items())]))
    if options.record:
        record(waits)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
