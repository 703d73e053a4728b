"""`make seal`: a value that Git may hold, which nobody can read but the controller; and nothing of it anywhere else."""

import json
import os
import pty
import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.clones import shell_environment
from tests.support.git import git
from tests.support.product import FOLLOWED, namespace, path, rendered
from tests.support.programs import Fakes
from tools import seal
from tools.command import RefusedError
from tools.controller import NAME, unreadable
from tools.manifests import Manifest, pods_of, without_hash

VALUE = f"correct horse: {token_hex()}"  # not one that this file brings into Git
NOW = datetime.now(UTC)
KEY = rsa.generate_private_key(65537, 2048)
(READ,) = [one for pod in pods_of(rendered(FOLLOWED)) for one in pod.reads() if one.kind == "Secret"]
SECRET = without_hash(READ.name)


def certificate(key: Any = KEY, until: datetime = NOW + timedelta(days=1)) -> bytes:
    """Return a certificate as a controller makes one for itself."""
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, until - timedelta(days=9), until)
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    file = tmp_path / "controller.pem"
    file.write_bytes(certificate())
    return file


def read(encrypted: str, label: str) -> bytes:
    """Return what was encrypted, as the controller does."""
    data = b64decode(encrypted)
    end = 2 + int.from_bytes(data[:2], "big")
    session = KEY.decrypt(data[2:end], OAEP(MGF1(SHA256()), SHA256(), label.encode()))
    return AESGCM(session).decrypt(bytes(12), data[end:], None)


def sealed_in(clone: Path) -> Manifest:
    found: Manifest = yaml.safe_load((clone / path(FOLLOWED) / seal.FILE).read_text())
    return found


def make_seal(clone: Path, pem: Path, value: str = VALUE) -> "subprocess.CompletedProcess[str]":
    command = ["make", "seal", f"ENV={FOLLOWED}", f"KEY={READ.key}", f"CERT={pem}"]
    environ = shell_environment()
    return subprocess.run(command, cwd=clone, env=environ, input=value, capture_output=True, text=True, check=False)


def test_it_is_sealed_for_one_name_and_namespace(clone: Path, pem: Path) -> None:
    done = make_seal(clone, pem, f"{VALUE}\n")
    assert done.returncode == 0, done.stderr
    sealed = sealed_in(clone)
    name, where = sealed["metadata"]["name"], sealed["metadata"]["namespace"]
    assert (without_hash(name), where) == (SECRET, namespace(FOLLOWED))
    assert sealed["spec"]["template"] == {"metadata": sealed["metadata"], "immutable": True}
    (key,) = sealed["spec"]["encryptedData"]
    assert key == READ.key
    assert read(sealed["spec"]["encryptedData"][key], f"{where}/{name}") == VALUE.encode()
    with pytest.raises(ValueError, match="ecryption failed"):
        read(sealed["spec"]["encryptedData"][key], f"{where}/another")


def test_one_file_is_written_and_git_never_has_the_value(clone: Path, pem: Path) -> None:
    done = make_seal(clone, pem)
    assert git(clone, "status", "--porcelain", "--untracked-files=all") == f"?? {path(FOLLOWED) / seal.FILE}"
    assert VALUE not in done.stdout + done.stderr
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message=Seal")
    everything = subprocess.check_output(["git", "cat-file", "--batch-all-objects", "--batch"], cwd=clone)
    assert sealed_in(clone)["metadata"]["name"].encode() in everything
    assert VALUE.encode() not in everything


# Prints what a program opens to write, and what it starts, as Python itself sees it.
WATCHING = """
import json, os, sys
seen = []
def hook(event, given):
    if event == "open" and not isinstance(given[0], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen.append(["writes", str(given[0])])
    if event == "subprocess.Popen":
        seen.append(["starts", repr(given)])
sys.addaudithook(hook)
from tools.__main__ import main
main(sys.argv[1:])
print(json.dumps(seen), file=sys.stderr)
"""


def test_the_value_is_in_no_argument_and_in_no_other_file(clone: Path, pem: Path) -> None:
    arguments = ["seal", FOLLOWED, READ.key, f"--certificate={pem}"]
    done = subprocess.run(
        [clone / ".venv" / "bin" / "python", "-B", "-c", WATCHING, *arguments],
        cwd=clone,
        input=VALUE,
        capture_output=True,
        text=True,
        check=True,
    )
    seen = json.loads(done.stderr)
    written = {Path(what) for how, what in seen if how == "writes"} - {Path(os.devnull)}
    assert {file.parent for file in written} == {clone / path(FOLLOWED)}
    assert [what for how, what in seen if how == "starts"] != []
    assert VALUE not in done.stderr


def test_the_value_is_typed_twice_and_not_shown(clone: Path, pem: Path) -> None:
    python = str(clone / ".venv" / "bin" / "python")
    command = ["setsid", "--ctty", python, "-m", "tools", "seal", FOLLOWED, READ.key, f"--certificate={pem}"]
    for second, status in ((VALUE, 0), ("another", 2)):
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            command,
            cwd=clone,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            shown = answer(ours, [VALUE, second])
        assert (process.returncode, VALUE in shown) == (status, False), shown


def answer(terminal: int, lines: list[str]) -> str:
    """Type a line at each question, and return all that was shown."""
    shown, asked = "", 0
    while True:
        try:
            shown += os.read(terminal, 1024).decode()
        except OSError:  # the program has ended
            return shown
        if asked < len(lines) and shown.count(": ") > asked:
            os.write(terminal, f"{lines[asked]}\n".encode())
            asked += 1


def test_a_second_sealing_has_another_name(clone: Path, pem: Path) -> None:
    found = []
    for _ in range(2):
        assert make_seal(clone, pem).returncode == 0
        found.append(sealed_in(clone)["metadata"]["name"])
    assert found[0] != found[1]


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        (b"none", "is no certificate in PEM"),
        (certificate(until=NOW - timedelta(days=1)), "expired on"),
        (certificate(ec.generate_private_key(ec.SECP256R1())), "has no RSA key"),
    ],
    ids=["text", "expired", "elliptic"],
)
def test_another_certificate_is_refused(pem: bytes, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        seal.public_key(pem, "the file")


def test_an_empty_value_is_refused(clone: Path, pem: Path) -> None:
    assert "has no value" in make_seal(clone, pem, "\n").stderr
    assert git(clone, "status", "--porcelain") == ""


def manifest(*keys: tuple[str, str]) -> Manifest:
    """Return a pod that reads keys of Secrets."""
    variables = [{"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}} for secret, key in keys]
    return {
        "kind": "Pod",
        "metadata": {"name": "one", "namespace": "here"},
        "spec": {"containers": [{"name": "one", "env": variables}]},
    }


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([("one", "A")], "no container reads the key 'B'; those that containers read of a Secret: A"),
        ([("one", "B"), ("two", "B")], "several Secrets have the key 'B'"),
        ([("one", "A"), ("one", "B")], "A would go with the former Secret 'one'"),
    ],
)
def test_a_key_that_cannot_be_sealed_is_refused(keys: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        seal.read_by([manifest(*keys)], "B")
    assert str(refused.value).startswith(said)


def test_the_name_has_no_hash_of_what_is_there_now() -> None:
    assert seal.read_by([manifest(("one-24dk7mh9tc", "B"), ("two", "A"))], "B") == ("here", "one")


# --- the cluster's controller


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    """A kubectl of a cluster that answers."""
    fakes = Fakes(tmp_path)
    monkeypatch.setattr("tools.local.context.kubectl", lambda: str(tmp_path / "kubectl"))
    return fakes


THERE = {"config current-context": (0, "here"), "config view": (0, "{}"), "raw /version": (0, "{}")}


@pytest.mark.parametrize(
    ("answers", "lost"),
    [
        ({"create --raw": (0, "")}, []),
        ({"create --raw": (1, "Error from server (AlreadyExists): the server reported a conflict")}, ["one"]),
    ],
)
def test_the_controller_says_what_it_cannot_read(
    kubectl: Fakes, answers: dict[str, tuple[int, str]], lost: list[str]
) -> None:
    kubectl.add("kubectl", THERE | {"get service": (0, "http")} | answers)
    found, context = unreadable([{"metadata": {"name": "one"}}])
    assert ([one["metadata"]["name"] for one in found], context) == (lost, "here")
    (asked,) = kubectl.calls("kubectl --context here create")
    assert f"services/http:{NAME}:http/proxy/v1/verify" in asked


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"get service": (1, "not found")}, f"the current cluster tells of no Service kube-system/{NAME}"),
        ({"get service": (0, ""), "create --raw": (1, "Forbidden")}, "the controller cannot be asked: Forbidden"),
    ],
)
def test_a_cluster_that_cannot_be_asked_is_said_so(
    kubectl: Fakes, answers: dict[str, tuple[int, str]], said: str
) -> None:
    kubectl.add("kubectl", THERE | answers)
    with pytest.raises(RefusedError, match=said):
        unreadable([{"metadata": {"name": "one"}}])
