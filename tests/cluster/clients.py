"""Pods of the tests' own, which take connections and make them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.cluster import IMAGE, Cluster
from tools.network.policy import End

# Connects to all targets at once, as each one that is refused is a time-out. Prints for each what went wrong. One that
# takes a UDP port is asked as a DNS server. In threads, because it runs beside NGINX in a pod of 32 MiB.
CONNECT = r"""
import json, socket, sys, threading
NAME = b"".join(bytes([len(part)]) + part for part in b"kubernetes.default.svc.cluster.local".split(b"."))
QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0" + NAME + b"\0\0\1\0\1"
def ask(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.connect(address)
        for last in (False, False, True):
            client.send(QUERY)
            try:
                return client.recv(512)
            except TimeoutError:
                if last: raise
def connect(number, host, port, protocol):
    try:
        ask((host, port)) if protocol == "UDP" else socket.create_connection((host, port), timeout=3).close()
        errors[number] = ""
    except OSError as error:
        errors[number] = str(error)
targets = json.loads(sys.argv[1])
errors = [None] * len(targets)
threads = [threading.Thread(target=connect, args=(number, *target)) for number, target in enumerate(targets)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(errors))
"""
# Takes connections and closes them.
LISTEN = """
import socket, sys, threading
def take(port):
    listener = socket.create_server(("", port))
    while True: listener.accept()[0].close()
for port in sys.argv[1:]: threading.Thread(target=take, args=(int(port),), daemon=True).start()
threading.Event().wait()
"""
Address = tuple[str, int, str]
Pod = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """A container with Python from which to connect."""

    cluster: Cluster
    pod: Pod
    container: str

    @property
    def address(self) -> str:
        address: str = self.pod["status"]["podIP"]
        return address

    def run(self, code: str, *arguments: str) -> str:
        """Run Python there and return what it prints."""
        metadata = self.pod["metadata"]
        within = ["exec", metadata["name"], "-n", metadata["namespace"], "-c", self.container]
        return self.cluster.kubectl(*within, "--", "python3", "-c", code, *arguments)

    def connect(self, targets: Sequence[Address]) -> list[str]:
        """Return what went wrong with the connection to each target; empty if nothing did."""
        errors: list[str] = json.loads(self.run(CONNECT, json.dumps(targets)))
        return errors


def pod_of(name: str, end: End) -> Pod:
    ports = [{"name": key, "containerPort": port.number, "protocol": port.protocol} for key, port in end.ports.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"e2e-{name.partition('/')[2]}",
            "namespace": end.namespace,
            "labels": {**end.labels},
        },
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10002,
                "seccompProfile": {"type": "RuntimeDefault"},
                # One of the settings that any pod may have; the DNS port is below 1024.
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            "containers": [
                {
                    "name": "e2e",
                    "image": IMAGE,
                    "command": ["python3", "-c", LISTEN, *(str(port.number) for port in end.ports.values())],
                    "ports": ports,
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
