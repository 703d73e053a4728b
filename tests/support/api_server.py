"""An API server by HTTP: kubectl takes a second for what a test asks a thousand times."""

import base64
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
import yaml

from tools.manifests import Manifest

AT_ONCE = 8


@dataclass(frozen=True)
class Verdict:
    """What an API server says of an object that is sent as a dry run.

    Attributes:
        status: of HTTP
        message: what it says where it refuses
        fields: those that it names
        warnings: what it warns of
        reason: its word for the sort of refusal
    """

    status: int
    message: str = ""
    fields: frozenset[str] = field(default_factory=frozenset)
    warnings: tuple[str, ...] = ()
    reason: str = ""

    @property
    def refuses(self) -> bool:
        return self.status >= HTTPStatus.BAD_REQUEST


class ApiServer:
    """The API server of KUBECONFIG; the certificates by which it is asked are kept in a directory."""

    def __init__(self, certificates: Path) -> None:
        self.certificates = certificates
        config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
        (cluster,), (user,) = ([one[key] for one in config[f"{key}s"]] for key in ("cluster", "user"))
        self.url = cluster["server"]
        self.session = requests.Session()
        # The bundle of certificates that the environment may name would count more than the cluster's own.
        self.session.trust_env = False
        self.session.verify = self._file("ca", cluster["certificate-authority-data"])
        self.session.cert = (
            self._file("certificate", user["client-certificate-data"]),
            self._file("key", user["client-key-data"]),
        )
        self.session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=AT_ONCE))
        self._plural = cache(self._discover)

    def _file(self, name: str, data: str) -> str:
        file = self.certificates / name
        file.write_bytes(base64.b64decode(data))
        return str(file)

    def _discover(self, version: str) -> dict[str, Any]:
        path = f"apis/{version}" if "/" in version else f"api/{version}"
        found = self.session.get(f"{self.url}/{path}").json()["resources"]
        return {one["kind"]: one for one in found if "/" not in one["name"]}

    def _collection(self, manifest: Manifest) -> str:
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        resource = self._plural(version)[manifest["kind"]]
        base = f"{self.url}/{'apis' if '/' in version else 'api'}/{version}"
        return (
            f"{base}/namespaces/{metadata['namespace']}/{resource['name']}"
            if resource["namespaced"]
            else f"{base}/{resource['name']}"
        )

    def version(self) -> str:
        return str(self.session.get(f"{self.url}/version").json()["gitVersion"])

    def key(self, manifest: Manifest) -> str:
        """Return where an object is."""
        return f"{self._collection(manifest)}/{manifest['metadata']['name']}"

    def get(self, manifest: Manifest) -> Manifest:
        """Return an object as it is there."""
        found: Manifest = self.session.get(self.key(manifest)).json()
        return found

    def create(self, manifest: Manifest, at: Manifest | None = None) -> Verdict:
        """Send an object that would be new to where another one, of the same kind, belongs."""
        return self._send("POST", self._collection(at or manifest), manifest)

    def update(self, manifest: Manifest, at: Manifest) -> Verdict:
        """Send an object in place of one that is there."""
        return self._send("PUT", self.key(at), manifest)

    def _send(self, method: str, url: str, manifest: Manifest) -> Verdict:
        parameters = {"dryRun": "All", "fieldValidation": "Strict"}
        said = self.session.request(method, url, params=parameters, json=manifest, timeout=30)
        warnings = tuple(said.raw.headers.getlist("Warning"))
        if said.ok:
            return Verdict(said.status_code, warnings=warnings)
        answer = said.json()
        causes = (answer.get("details") or {}).get("causes") or []
        # That of no field says that rules were not tried, as the object is wrong in its form already.
        fields = frozenset(one["field"] for one in causes if one.get("field", "<nil>") != "<nil>")
        return Verdict(said.status_code, answer["message"], fields, warnings, answer.get("reason", ""))

    def all(self, calls: Iterable[Any]) -> list[Verdict]:
        """Return what is said to each call, a function of no argument, in their order."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda call: call(), calls))
