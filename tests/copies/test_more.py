"""A copy changes or adds what copies do, touches no other file, and the tests stay green: in a fresh clone each."""

import re
from pathlib import Path

import pytest

from tests.support.commands import run, steps
from tests.support.copies import (
    COMPONENT,
    ENVIRONMENT,
    commit,
    failing,
    replace,
    unless_component,
    unless_environment,
    write,
)
from tests.support.git import git
from tests.support.product import API, BASE, BY_HAND, FOLLOWED, FRONT, PREFIX, node_port
from tools.local.cluster import CONFIG
from tools.repository import OVERLAYS, REPOSITORY

pytestmark = pytest.mark.timeout(900)

DEPLOY = OVERLAYS.relative_to(REPOSITORY).parent
MANIFESTS = ["tests/manifests", "tests/tools/test_check.py", "tests/tools/test_diff.py", "tests/tools/test_flows.py"]
# Not the catalogue of make check, whose cases change the way in of this repository's overlays: for a copy that has
# another way in, or a component that needs this one.
OF_ANOTHER_WAY_IN = [one for one in MANIFESTS if "check" not in one]
PAGES = ["tests/documents"]


def overlay(clone: Path, environment: str) -> Path:
    return clone / DEPLOY / "overlays" / environment


def test_another_node_port(clone: Path) -> None:
    before, after = str(node_port(FOLLOWED)), "30190"
    replace(overlay(clone, FOLLOWED) / "node-port.yaml", (before, after))
    kind = clone / CONFIG.relative_to(REPOSITORY)
    kind.write_text(kind.read_text().replace(before, after))
    run("make pages", clone)
    commit(clone)
    tools = [f"tests/tools/test_{name}.py" for name in ("cluster", "compare", "deploy", "run")]
    assert failing(clone, *MANIFESTS, *tools, *PAGES) == []


def test_a_deployment_more(clone: Path) -> None:
    name = f"{PREFIX}-reports"
    for path in (BASE / "api").iterdir():
        text = path.read_text().replace(API, name).replace("- name: api", "- name: reports")
        write(clone, {f"{DEPLOY}/base/reports/{path.name}": text})
    replace(clone / DEPLOY / "base" / "kustomization.yaml", ("  - front\n", "  - front\n  - reports\n"))
    replicas = f"  - {{name: {FRONT}, count: 2}}\n"
    replace(overlay(clone, FOLLOWED) / "kustomization.yaml", (replicas, replicas + replicas.replace(FRONT, name)))
    budgets = clone / DEPLOY / "components" / "disruption-budget"
    (budgets / "reports.yaml").write_text((budgets / "api.yaml").read_text().replace(API, name))
    replace(budgets / "kustomization.yaml", ("  - api.yaml\n", "  - api.yaml\n  - reports.yaml\n"))
    budget = f"  - PodDisruptionBudget/{FRONT}\n"
    replace(clone / DEPLOY / "differences.yaml", (budget, budget + budget.replace(FRONT, name)))
    ends = "".join(f"  {one}/reports: {{title: rapports de {one}, workload: {name}}}\n" for one in (FOLLOWED, BY_HAND))
    reached = f"[{BY_HAND}, elsewhere, {FOLLOWED}/front:http]"
    reaches = f"  {FOLLOWED}/reports: []\n  {BY_HAND}/reports: {reached}\n"
    replace(
        clone / DEPLOY / "flows.yaml", ("\nends:\n", f"\nends:\n{ends}"), ("\nreaches:\n", f"\nreaches:\n{reaches}")
    )
    run("make pages check", clone)
    commit(clone)
    assert failing(clone, *MANIFESTS, *PAGES) == []


IMPORTS = """import os
import re

from werkzeug.exceptions import BadRequest
"""
ENDPOINT = """
    @api.get("/indicators")
    def indicators() -> dict[str, str]:
        first = request.args.get("from", "")
        if not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", first):
            raise BadRequest("'from' is not a day such as 2026-01-31.")
        return {"from": first}

    return api
"""
DESCRIPTION = """paths:
  /indicators:
    parameters:
      - $ref: "#/components/parameters/RequestId"
    get:
      summary: Say what the indicators were since a day
      operationId: indicators
      parameters: &since
        - name: from
          in: query
          required: true
          description: The first day.
          schema: { type: string, pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }
          example: "2026-01-31"
      responses:
        "200":
          description: The indicators.
          headers:
            X-Request-ID: { $ref: "#/components/headers/RequestId" }
            Cache-Control: { $ref: "#/components/headers/CacheControl" }
          content:
            application/json:
              schema:
                type: object
                required: [from]
                additionalProperties: false
                properties:
                  from: { type: string }
        default: { $ref: "#/components/responses/Problem" }
    head:
      summary: As GET, without the body
      parameters: *since
      responses:
        "200":
          description: The headers that GET answers with.
          headers:
            X-Request-ID: { $ref: "#/components/headers/RequestId" }
            Cache-Control: { $ref: "#/components/headers/CacheControl" }
        default: { $ref: "#/components/responses/Problem" }
    options:
      summary: Say which methods there are
      responses:
        "200":
          description: The methods, in `Allow`.
          headers:
            X-Request-ID: { $ref: "#/components/headers/RequestId" }
            Cache-Control: { $ref: "#/components/headers/CacheControl" }
            Allow: { $ref: "#/components/headers/Allow" }
"""
ITS_TEST = '''"""The indicators since a day."""

from flask.testing import FlaskClient


def test_indicators_since_a_day(client: FlaskClient) -> None:
    assert client.get("/indicators?from=2026-01-31").json == {"from": "2026-01-31"}
    assert client.get("/indicators?from=yesterday").status_code == 400
'''


def test_an_endpoint_more(clone: Path) -> None:
    (package,) = (clone / "src" / "api").glob("*/app.py")
    replace(package, ("import os\n", IMPORTS), ("\n    return api\n", ENDPOINT))
    replace(clone / "src" / "api" / "openapi.yaml", ("paths:\n", DESCRIPTION))
    write(clone, {"tests/api/test_indicators.py": ITS_TEST})
    run("make pages", clone)
    commit(clone)
    assert failing(clone, "tests/api", "tests/front/test_nginx.py", *PAGES) == []


INGRESS = f"""# The page by a name, in place of a port of each node.
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {PREFIX}
spec:
  ingressClassName: nginx
  rules:
    - host: {PREFIX}.example.org
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {FRONT}
                port: {{name: http}}
"""
COMPONENTS = """apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources:
  - ingress.yaml
"""
ITS_README = """# ingress

The page has a name, which an ingress controller serves; without that controller nothing changes.
"""


def test_a_component_with_an_ingress(clone: Path) -> None:
    component = DEPLOY / "components" / "ingress"
    files = {"ingress.yaml": INGRESS, "kustomization.yaml": COMPONENTS, "README.md": ITS_README}
    write(clone, {f"{component}/{name}": text for name, text in files.items()})
    taken = "  - ../../components/disruption-budget\n"
    replace(overlay(clone, FOLLOWED) / "kustomization.yaml", (taken, f"{taken}  - ../../components/ingress\n"))
    kind = "    - {group: networking.k8s.io, kind: NetworkPolicy}\n"
    replace(clone / "argocd" / "project.yaml", (kind, kind.replace("NetworkPolicy", "Ingress") + kind))
    last = f"  - PodDisruptionBudget/{FRONT}\n"
    replace(clone / DEPLOY / "differences.yaml", (last, f"{last}  - Ingress/{PREFIX}\n"))
    ends = "  elsewhere/ingress: {title: entrée, namespace: ingress-nginx, labels: {}, ports: {any: 80/TCP}}\n"
    reaches = f"  elsewhere/ingress: [{FOLLOWED}/front:http, {BY_HAND}]\n"
    replace(
        clone / DEPLOY / "flows.yaml", ("\nends:\n", f"\nends:\n{ends}"), ("\nreaches:\n", f"\nreaches:\n{reaches}")
    )
    run("make pages check", clone)
    commit(clone)
    tools = [f"tests/tools/test_{name}.py" for name in ("compare", "deploy")]
    assert failing(clone, *OF_ANOTHER_WAY_IN, *tools, *PAGES) == []


def test_an_environment_behind_a_gateway_and_another_like_it(clone: Path) -> None:
    *_, told = [run(step, clone) for step in steps("take-the-gateway")]
    assert "nothing to correct" in told
    commit(clone)
    tools = [f"tests/tools/test_{name}.py" for name in ("combinations", "compare", "deploy", "flows")]
    assert failing(clone, "tests/manifests", *tools, *PAGES) == []
    told = run(f"python -m tools new-environment essai --from {FOLLOWED}", clone)
    assert "nothing to correct" in told
    hosts = [(overlay(clone, name) / "gateway.yaml").read_text().count(f": {name}.") for name in (FOLLOWED, "essai")]
    assert hosts == [2, 2]


def reworded(page: str) -> str:
    """Return a page of other headings and of which every second sentence has its words in another order."""
    parts = re.split(r"(?ms)(^```.*?^```\n|^<!-- begin .*?^<!-- end .*?-->\n|^\|.*?\n(?!\|)|^<!--.*?-->\n)", page)
    text = "".join(
        part if number % 2 else re.sub(r"(?m)^[^\s#>!-].*(?:\n[^\s#>-].*)*", _paragraph, part)
        for number, part in enumerate(parts)
    )
    text = re.sub(r"(?m)^(#+ .*)$", r"\1 in other words", text)
    return re.sub(r"\]\(#([^)]+)\)", r"](#\1-in-other-words)", text)


def _paragraph(found: re.Match[str]) -> str:
    kept: list[str] = []

    def keep(piece: re.Match[str]) -> str:
        kept.append(piece[0])
        return f"\0{len(kept) - 1}\0"

    text = re.sub(r"<!-- v:.*?<!-- /v -->|<!--.*?-->|\[!?[^\]]*\]\([^)]*\)|`[^`]*`", keep, found[0])
    sentences = re.split(r"(?<=[.!?:;])\s+", text)
    sentences[1::2] = [" ".join(reversed(sentence.split())) for sentence in sentences[1::2]]
    return re.sub(r"\0(\d+)\0", lambda piece: kept[int(piece[1])], "\n".join(sentences))


def test_another_readme(clone: Path) -> None:
    readme = clone / "README.md"
    text = readme.read_text()
    readme.write_text(reworded(text))
    assert not set(re.findall(r"(?m)^#.*", text)) & set(re.findall(r"(?m)^#.*", readme.read_text()))
    run("make pages", clone)
    commit(clone)
    assert failing(clone, "tests/documents", "tests/workflows") == []


@unless_environment
def test_an_environment_more(clone: Path) -> None:
    *_, told = [run(step, clone) for step in steps("new-environment")]
    assert f"{ENVIRONMENT}  {PREFIX}-{ENVIRONMENT}" in told
    assert f"{ENVIRONMENT}  NodePort 30082" in told
    assert [f"{name}: nothing changes" in told for name in (BY_HAND, FOLLOWED)] == [True, True]
    (added,) = [line for line in told.splitlines() if line.startswith(f"{ENVIRONMENT}: ")]
    assert "added" in added
    assert "changed" not in added
    commit(clone)
    tools = [f"tests/tools/test_{name}.py" for name in ("cluster", "compare")]
    assert failing(clone, *MANIFESTS, *tools, "tests/workflows", *PAGES) == []


@pytest.mark.parametrize("options", ["", "--no-argocd"])
def test_an_environment_more_without_a_node_port(clone: Path, options: str) -> None:
    told = run(f"python -m tools new-environment essai --from {FOLLOWED} {options}", clone)
    assert "nothing to correct" in told
    assert (clone / "argocd" / "essai.yaml").exists() != bool(options)
    commit(clone)
    assert failing(clone, *MANIFESTS) == []


@unless_component
def test_a_component_more(clone: Path) -> None:
    *_, told = [run(step, clone) for step in steps("new-component")]
    assert "nothing to correct" in told
    assert f"{FOLLOWED}: nothing changes" in told
    (changed,) = [part for part in told.split("\n\n") if part.startswith(f"{BY_HAND}: ")]
    assert "spec.externalTrafficPolicy: Cluster → Local" in changed
    assert "no pod restarts" in changed
    assert f"{DEPLOY}/components/{COMPONENT}/README.md" in git(clone, "diff", "--cached", "--name-only")
    commit(clone)
    assert failing(clone, *OF_ANOTHER_WAY_IN) == []
