"""python -m tools seal: encrypt a value for the Sealed Secrets controller of one cluster, for Git to hold.

The value is asked for, or read from the standard input: it is in no argument, no variable and no file.
https://github.com/bitnami-labs/sealed-secrets
"""

import argparse
import getpass
import random
import sys
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tools.command import RefusedError, overlay
from tools.controller import certificate
from tools.manifests import HASH_LENGTH, HASH_LETTERS, Manifest, get, pods_of, without_hash
from tools.render import render
from tools.repository import REPOSITORY

try:
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import Certificate, load_pem_x509_certificate
except ModuleNotFoundError as error:
    raise RefusedError("this Python has no cryptography: use `make seal`, which installs it") from error

FILE = "sealed-secret.yaml"
_HEAD = (
    "# Written by `make seal`: the value can be read by the controller of the cluster that it was sealed for, and by\n"
    "# nobody else. To change it, seal the new one: it gets another name, so that its pods roll.\n"
)


def encrypt(value: bytes, label: str, key: RSAPublicKey) -> str:
    """Return a value as the controller reads it.

    https://github.com/bitnami-labs/sealed-secrets/blob/v0.40.0/pkg/crypto/crypto.go

    Args:
        value: what is secret
        label: NAMESPACE/NAME, without which it cannot be read: the strict scope
        key: the public key of the controller's certificate
    """
    session = AESGCM.generate_key(256)
    wrapped = key.encrypt(session, OAEP(MGF1(SHA256()), SHA256(), label.encode()))
    # A nonce may be constant where its key is used once.
    sealed = AESGCM(session).encrypt(bytes(12), value, None)
    return b64encode(len(wrapped).to_bytes(2, "big") + wrapped + sealed).decode()


def sealed_secret(name: str, namespace: str, key: str, encrypted: str) -> Manifest:
    """Return a SealedSecret with one value, whose Secret cannot be changed in place."""
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": metadata,
        "spec": {
            "encryptedData": {key: encrypted},
            # Says in clear what it is sealed for, so that `make check` can tell when a namespace or a prefix changes.
            "template": {"metadata": {**metadata}, "immutable": True},
        },
    }


def read_by(manifests: list[Manifest], key: str) -> tuple[str, str]:
    """Return the namespace and the Secret, without the hash of its name, of which containers read a key.

    Raises:
        RefusedError: if none does, if several Secrets have it, or if another key of the same Secret is read too.
    """
    reads = [
        (str(get(pod.manifest, ("metadata", "namespace")) or ""), without_hash(one.name), one.key)
        for pod in pods_of(manifests)
        for one in pod.reads()
        if one.kind == "Secret" and one.key
    ]
    found = sorted({(namespace, name) for namespace, name, other in reads if other == key})
    if len(found) != 1:
        known = ", ".join(sorted({other for *_, other in reads})) or "none"
        said = "several Secrets have the key" if found else "no container reads the key"
        raise RefusedError(f"{said} '{key}'; those that containers read of a Secret: {known}")
    ((namespace, name),) = found
    others = sorted({other for *where, other in reads if tuple(where) == found[0]} - {key})
    if others:
        raise RefusedError(
            f"{', '.join(others)} would go with the former Secret '{name}', as each sealing is a Secret of one key: "
            "let the container read it from a Secret of another name"
        )
    return namespace, name


def asked(key: str) -> bytes:
    """Return the value: typed twice and not shown, or all of the standard input but the end of its last line.

    Raises:
        RefusedError: if it is empty, or was typed in two ways.
    """
    if not sys.stdin.isatty():
        value = sys.stdin.buffer.read().removesuffix(b"\n").removesuffix(b"\r")
    else:
        value = getpass.getpass(f"{key}: ").encode()
        if value != getpass.getpass(f"{key}, once more: ").encode():
            raise RefusedError("the two are not the same: nothing was written, try again")
    if not value:
        raise RefusedError(f"{key} has no value: type it, or send it to the standard input; nothing was written")
    return value


def public_key(pem: bytes, origin: str) -> RSAPublicKey:
    """Return the key of a controller's certificate.

    Args:
        pem: the certificate
        origin: where it comes from, for a message

    Raises:
        RefusedError: if it is none, has another sort of key, or has expired.
    """
    try:
        found: Certificate = load_pem_x509_certificate(pem)
    except ValueError as error:
        raise RefusedError(f"{origin} is no certificate in PEM: fetch it with kubeseal --fetch-cert") from error
    if found.not_valid_after_utc < datetime.now(UTC):
        raise RefusedError(f"{origin} is a certificate that expired on {found.not_valid_after_utc:%F}: fetch a new one")
    key = found.public_key()
    if not isinstance(key, RSAPublicKey):
        raise RefusedError(f"{origin} has no RSA key: it is not the certificate of a Sealed Secrets controller")
    return key


def write(directory: Path, manifest: Manifest) -> Path:
    """Write the file of an overlay, whole or not at all."""
    file = directory / FILE
    draft = file.with_name(f".{FILE}.new")
    draft.write_text(_HEAD + yaml.safe_dump(manifest, sort_keys=False, width=2**16))
    draft.replace(file)
    return file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("environment", help="whose overlay gets the file")
    parser.add_argument("key", help="the key that a container reads of a Secret, such as DB_PASSWORD")
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE", help="the controller's, in PEM; default: the current cluster's"
    )


def main(options: argparse.Namespace) -> int:
    """Write the sealed value.

    Raises:
        RefusedError: if something is missing for it; nothing is written then.
    """
    directory = overlay(options.environment)
    namespace, name = read_by(render(directory), options.key)
    pem, origin = certificate(options.certificate)
    key = public_key(pem, origin)
    # As Kustomize's hashes are, so that every command knows what is a name and what is not.
    name = f"{name}-{''.join(random.SystemRandom().choices(HASH_LETTERS, k=HASH_LENGTH))}"
    encrypted = encrypt(asked(options.key), f"{namespace}/{name}", key)
    file = write(directory, sealed_secret(name, namespace, options.key, encrypted))
    print(f"{file.relative_to(REPOSITORY)}: {options.key} of Secret {name} in {namespace}, sealed with {origin}")
    print("`make check` says what is missing around it; commit the file like any other")
    return 0
