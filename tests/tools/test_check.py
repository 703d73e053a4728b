"""`python -m tools check`: the catalogue of broken and of sound overlays, and what it says of the repository itself."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.product import API, FRONT
from tools.__main__ import main
from tools.check import Finding, check, rendering
from tools.check.catalogue import RULES
from tools.check.explain import BROKEN, example
from tools.command import RefusedError
from tools.dryrun.program import NotBuiltError
from tools.local import run
from tools.local.container import container_of, pod_of
from tools.local.ports import free_port
from tools.manifests import Manifest, read_of
from tools.render import build, render
from tools.repository import REPOSITORY, environments

CATALOGUE = REPOSITORY / "tests" / "cases" / "catalogue"
CASE = "case.yaml"


def cases(pattern: str) -> list[Path]:
    return sorted(path.parent for path in CATALOGUE.glob(f"{pattern}/{CASE}"))


def name_of(case: Path) -> str:
    return "/".join(case.relative_to(CATALOGUE).parts[1:])


def case_of(directory: Path) -> dict[str, Any]:
    case: dict[str, Any] = yaml.safe_load((directory / CASE).read_text())
    return case or {}


@pytest.fixture(scope="module", autouse=True)
def _render_once() -> Iterator[None]:
    """Kustomize renders an overlay once for all the cases that leave it as it is."""
    rendered: dict[bytes, tuple[str, str]] = {}

    def remembered(overlay: Path) -> tuple[str, str]:
        # The platform's own kustomization stands beside overlays/, not in it.
        deploy = overlay.parent.parent if overlay.parent.name == "overlays" else overlay.parent
        content = hashlib.sha256(overlay.name.encode())
        # Of other overlays they take the images, and nothing else.
        others = [one for one in overlay.parent.iterdir() if one != overlay]
        for file in sorted(deploy.rglob("*.*")):
            if file.is_file() and (file.parent.name == "images" or not set(others) & set(file.parents)):
                content.update(f"{file.relative_to(deploy)}\0".encode() + file.read_bytes())
        if content.digest() not in rendered:
            rendered[content.digest()] = build(overlay)
        return rendered[content.digest()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "build", remembered)
        yield


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what `check` reads."""
    for name in ("deploy", "argocd"):
        shutil.copytree(REPOSITORY / name, tmp_path / "repository" / name)
    return tmp_path / "repository"


@pytest.fixture
def changed(root: Path) -> Callable[[Path], Path]:
    """A function that does a case's change to a copy of what `check` reads."""
    # The application has a word of its own.
    (root / "src").symlink_to(REPOSITORY / "src")

    def change(directory: Path) -> Path:
        case = case_of(directory)
        if "after" in case:
            change(CATALOGUE / case["after"])
        for file in directory.rglob("*"):
            if file.is_file() and file.name != CASE:
                target = root / file.relative_to(directory)
                target.parent.mkdir(exist_ok=True)
                shutil.copy(file, target)
        for name in case.get("removed", []):
            (root / name).unlink()
        for edit in case.get("edits", []):
            file = root / edit["file"]
            text = file.read_text()
            assert text.count(edit["old"]) == 1, f"{edit['old']!r} must stand once in {edit['file']}"
            file.write_text(text.replace(edit["old"], edit["new"].replace("…", "x" * edit.get("fill", 1))))
        return root

    return change


def line_of(file: Path, text: str) -> int:
    """Return the line on which a text ends that stands once in a file."""
    content = file.read_text()
    assert content.count(text) == 1, f"{text!r} must stand once in {file}"
    return content[: content.index(text) + len(text)].count("\n") + 1


def places(root: Path, expected: dict[str, Any]) -> list[tuple[str, str, int]]:
    """Return the rule, the file and the line of what must be reported, for each file that it is to be reported in."""
    files = sorted(root.glob(expected["file"]))
    assert files, f"no {expected['file']}"
    return [(expected["rule"], str(file.relative_to(root)), line_of(file, expected["line"])) for file in files]


def is_ours(file: Path) -> bool:
    """Tell whether a file is of the product as it is; a workload that a copy adds may make the same mistake as well."""
    text = file.read_text()
    return API in text or FRONT in text


@pytest.fixture(scope="module")
def known() -> set[tuple[str, str, str]]:
    """What is only worth knowing of the repository as it is: no case has caused it."""
    return {(one.rule, one.file, one.reason) for one in check() if one.note}


@pytest.mark.parametrize("directory", cases("broken/*/*"), ids=name_of)
def test_what_is_broken_is_reported_with_its_line(
    directory: Path, changed: Callable[[Path], Path], known: set[tuple[str, str, str]]
) -> None:
    root = changed(directory)
    expected = case_of(directory)["expect"]
    found = [one for one in check(root) if (one.rule, one.file, one.reason) not in known]
    wanted = [place for one in expected for place in places(root, one)]
    left_out = [place for one in expected if one.get("unless_shared") for place in places(root, one)]
    reported = sorted((one.rule, one.file, one.line) for one in found)
    assert sorted(set(wanted) - set(reported) - set(left_out)) == []
    more = [place for place in reported if place not in wanted]
    assert [place for place in more if place[0] not in {rule for rule, *_ in wanted} or is_ours(root / place[1])] == []
    said = "\n".join(f"{finding.reason} {finding.advice}" for finding in found)
    for one in expected:
        assert one.get("says", "") in said


def of_controllers(manifests: list[Manifest]) -> set[str]:
    """Return the names of what the API's variables need, and what only a controller makes in the cluster."""
    pod = pod_of(manifests, "api")
    container = container_of(pod, "api")
    reads = [read_of(item) for field in ("env", "envFrom") for item in container.get(field) or []]
    made = {(one["kind"], one["metadata"]["name"]) for one in manifests}
    return {read.name for read in reads if read and not read.optional and (read.kind, read.name) not in made}


@pytest.mark.parametrize("directory", cases("sound/*"), ids=name_of)
def test_what_is_unusual_and_sound_is_not_reported_and_runs(
    directory: Path, changed: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = changed(directory)
    assert [finding for finding in check(root) if not finding.note] == []
    monkeypatch.setattr(run, "REPOSITORY", root)
    ports = {name: free_port() for name in run.PORTS}
    for environment in environments():
        manifests = render(root / "deploy" / "overlays" / environment)
        if unknown := of_controllers(manifests):
            with pytest.raises(RefusedError, match="|".join(unknown)):
                run.prepare_api(manifests, ports)
        else:
            assert run.prepare_api(manifests, ports).environment["APP_ENV"] == environment
        prepared = run.prepare_front(manifests, ports)
        assert json.loads((prepared.directory / "config" / "config.json").read_text())["environment"] == environment


def test_every_rule_is_broken_by_a_case_of_its_own() -> None:
    assert {path.name for path in BROKEN.iterdir()} == RULES.keys()
    assert {directory: case_of(directory)["expect"][0]["rule"] for directory in cases("broken/*/*")} == {
        directory: directory.parent.name for directory in cases("broken/*/*")
    }


def test_each_folder_of_the_catalogue_is_a_case() -> None:
    folders = [*BROKEN.glob("*/*"), *CATALOGUE.glob("sound/*")]
    assert [path for path in folders if not (path / CASE).is_file()] == []


# --- the time that it takes

# What a long line of a file may be made of: hexadecimal, random letters, words, hosts, addresses, tokens, passwords.
PARTS = ("0123456789abcdef", "aB3dE6gH9", "recette ", "a.", "http://a", "-eyJ", "://a:a")


def long_lines(root: Path, size: int) -> None:
    file = root / "deploy" / "overlays" / environments()[0] / "config.json"
    lines = ",\n".join(f'"note{index}": "{part * (size // len(part))}"' for index, part in enumerate(PARTS))
    file.write_text(f"{{{lines}}}")


def wrong_lines(root: Path, size: int) -> None:
    """Give a container ever more variables, each of which uses one that there is not."""
    file = root / "deploy" / "base" / "api" / "deployment.yaml"
    lines = "".join(f"            - {{name: V{index}, value: $(W{index})}}\n" for index in range(size))
    source = REPOSITORY / file.relative_to(root)
    file.write_text(source.read_text().replace("          env:\n", f"          env:\n{lines}"))


@pytest.mark.parametrize(("write", "size"), [(long_lines, 10_000), (wrong_lines, 300)])
def test_no_file_takes_the_square_of_its_size(write: Callable[[Path, int], None], size: int, root: Path) -> None:
    """By processor time, without that of Kustomize and of the API server's code, which are not ours."""
    taken = []
    for factor in (1, 8):
        write(root, factor * size)
        start = time.process_time()
        check(root)
        taken.append(time.process_time() - start)
    assert taken[1] < 16 * taken[0]


# --- what a rule is for


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_explained_by_a_case_that_it_finds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The cases show that the bad example is reported; the good one is what stands in the repository."""
    assert main(["check", "--explain", name]) == 0
    said = " ".join(capsys.readouterr().out.split())
    rule, shown = RULES[name], example(RULES[name])
    for text in (name, rule.why, rule.remedy, shown.story):
        assert " ".join(text.split()) in said
    assert shown.edits
    for edit in shown.edits:
        files = [root / edit["file"] for root in (REPOSITORY, *BROKEN.glob(f"{name}/*"), *CATALOGUE.glob("sound/*"))]
        assert any(edit["old"] in file.read_text() for file in files if file.is_file())
        assert all(" ".join(edit[key].split()) in said for key in ("old", "new"))


@pytest.mark.parametrize(("name", "near"), [("service-prot", "service-port"), ("zzz", "--help lists them")])
def test_an_unknown_rule_gets_the_nearest_names(name: str, near: str) -> None:
    with pytest.raises(RefusedError, match=f"there is no rule '{name}'.* {near}"):
        main(["check", "--explain", name])


# --- the command


def finding(**changes: Any) -> Finding:
    values: dict[str, Any] = {
        "file": "a.yaml",
        "line": 3,
        "rule": "image",
        "reason": "it moves",
        "advice": "fix it",
        "note": False,
    }
    return Finding(**(values | changes))


@pytest.mark.parametrize(
    ("found", "status", "said"),
    [
        ([], 0, "nothing to correct, 0 to know\n"),
        (
            [finding(note=True, environments=["dev"])],
            0,
            "a.yaml:3: image: it moves (dev)\n    fix it\nnothing to correct, 1 to know\n",
        ),
        ([finding(), finding(note=True)], 1, None),
    ],
)
def test_status_and_words(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: list[Finding],
    status: int,
    said: str | None,
) -> None:
    monkeypatch.setattr("tools.check.check", lambda *_, **__: found)
    assert main(["check"]) == status
    out = capsys.readouterr().out
    assert out == said if said else out.endswith("1 to correct, 1 to know\n")
    assert main(["check", "--json"]) == status
    assert json.loads(capsys.readouterr().out) == [vars(one) for one in found]


def test_the_repository_is_sound() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools", "check", "--json"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert {one["rule"] for one in json.loads(done.stdout)} <= {"digest"}


def test_a_line_is_reported_once_with_its_environments(changed: Callable[[Path], Path]) -> None:
    (found,) = [one for one in check(changed(BROKEN / "pod-security" / "runs-as-root")) if not one.note]
    assert found.environments == environments()


# --- another repository

SERVICE = """apiVersion: v1
kind: Service
metadata: {name: shop}
spec:
  selector: {app: shop}
  ports: [{port: 80, targetPort: 3000}]
"""
WORKLOAD = """apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - name: api
          image: example.org/shop:1.0
          ports: [{name: web, containerPort: 3000}]
"""
ONE_OR_THE_OTHER = """apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [store.yaml]
"""
STORE = """apiVersion: v1
kind: ConfigMap
metadata: {name: store}
data: {KIND: of its own}
"""


def elsewhere(root: Path, deploy: str, workload: str = WORKLOAD) -> Path:
    """Write a repository that has none of our conventions: a folder of another name, components that exclude others."""
    files = {
        "base/kustomization.yaml": "resources: [deployment.yaml, service.yaml]\n",
        "base/deployment.yaml": workload,
        "base/service.yaml": SERVICE,
        "base/NOTES.txt": "Nobody deploys this.\n",
        **{f"components/{name}/kustomization.yaml": ONE_OR_THE_OTHER for name in ("mysql", "postgres")},
        **{f"components/{name}/store.yaml": STORE for name in ("mysql", "postgres")},
        "overlays/test/kustomization.yaml": "resources: [../../base]\n",
        "overlays/live/kustomization.yaml": "namespace: shop\nresources: [../../base]\n",
    }
    for name, text in files.items():
        file = root / deploy / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(("deploy", "named"), [("deploy", ""), ("k8s", "k8s")])
def test_another_repository_is_not_held_to_our_conventions(
    tmp_path: Path, deploy: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = elsewhere(tmp_path, deploy)
    assert main(["check", "--root", str(root / named)]) == 0, capsys.readouterr().out


def test_what_is_broken_anywhere_is_found_in_another_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = elsewhere(tmp_path, "deploy", WORKLOAD.replace("name: web", "name: much-too-long-a-name"))
    assert main(["check", "--root", str(root), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["rule"], found["file"], found["environments"]) == (
        "refused",
        "deploy/base/deployment.yaml",
        ["live", "test"],
    )


def test_what_is_no_manifest_disturbs_nothing(tmp_path: Path) -> None:
    root = elsewhere(tmp_path, "deploy")
    (root / "deploy/chart").mkdir()
    (root / "deploy/chart/template.yaml").write_text("{{- if .Values.on }}\nkind: {{ .Values.kind }}\n{{- end }}\n")
    (root / "deploy/chart/editor.json").write_text("{} // by hand\n")
    (root / "deploy/base/gone").symlink_to("nowhere")
    os.mkfifo(root / "deploy/base/pipe")
    assert check(root, own=False) == []


def test_a_base_may_be_outside(tmp_path: Path) -> None:
    root = elsewhere(tmp_path, "deploy", WORKLOAD.replace("name: web", "name: much-too-long-a-name"))
    inside = root / "teams/shop/k8s"
    (inside / "overlays/live").mkdir(parents=True)
    text = "resources: [../../../../../deploy/base]\nreplicas: [{name: shop, count: -1}]\n"
    (inside / "overlays/live/kustomization.yaml").write_text(text)
    places = [(one.file, one.line) for one in check(inside, own=False)]
    base = root / "deploy/base/deployment.yaml"
    assert (os.path.relpath(base, inside), line_of(base, "much-too-long-a-name")) in places
    assert ("overlays/live/kustomization.yaml", 2) in places


OLD_FIELDS = """bases: [../../base]
patchesStrategicMerge:
  - scale.yaml
  - |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: shop}
    spec: {minReadySeconds: -7}
patchesJson6902:
  - target: {group: apps, version: v1, kind: Deployment, name: shop}
    patch: |
      - {op: add, path: /spec/revisionHistoryLimit, value: -5}
  - target: {group: apps, version: v1, kind: Deployment, name: shop}
    patch: |
      - {op: replace, path: /metadata/labels/app, value: shop}
"""
SCALE = """apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, labels: {app: shop}}
spec: {replicas: -3}
"""


def test_the_deprecated_fields_of_a_kustomization_are_followed(tmp_path: Path) -> None:
    live = elsewhere(tmp_path, "deploy") / "deploy/overlays/live"
    (live / "kustomization.yaml").write_text(OLD_FIELDS)
    (live / "scale.yaml").write_text(SCALE)
    found = {(one.rule, Path(one.file).name, one.line) for one in check(tmp_path, own=False)}
    file = live / "kustomization.yaml"
    assert found >= {
        ("refused", "scale.yaml", line_of(live / "scale.yaml", "replicas: -3")),
        ("refused", "kustomization.yaml", line_of(file, "minReadySeconds: -7")),
        ("refused", "kustomization.yaml", line_of(file, "value: -5")),
    }
    for wrong in ("-7", "-5"):
        file.write_text(file.read_text().replace(wrong, "1"))
    (live / "scale.yaml").write_text(SCALE.replace("-3", "3"))
    found = {(one.rule, Path(one.file).name, one.line) for one in check(tmp_path, own=False)}
    last = next(number for number, line in enumerate(OLD_FIELDS.splitlines(), 1) if "labels" in line) - 2
    assert [line for rule, _, line in found if rule == "patch-without-effect"] == [last]


def given(root: Path, more: str | bytes) -> list[Finding]:
    """Check a repository whose base has some objects more."""
    elsewhere(root, "deploy")
    (root / "deploy/base/more.yaml").write_bytes(more if isinstance(more, bytes) else more.encode())
    (root / "deploy/base/kustomization.yaml").write_text("resources: [deployment.yaml, service.yaml, more.yaml]\n")
    return check(root, own=False)


def config_map(value: bytes) -> bytes:
    return b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata:\n  A: " + value + b"\n"


@pytest.mark.parametrize("value", ["2021-13-45", "2021-12-31", "="])
def test_what_is_text_to_kubernetes_is_text(tmp_path: Path, value: str) -> None:
    assert not [one for one in given(tmp_path, config_map(value.encode())) if one.rule != "unread-key"]


@pytest.mark.parametrize("value", [b"\x01", b"\xe9t\xe9", b"[", b"\t-"])
def test_what_is_no_text_is_reported_with_its_line(tmp_path: Path, value: bytes) -> None:
    (found,) = given(tmp_path, config_map(value))
    assert (found.rule, found.file) == ("syntax", "deploy/base/more.yaml")
    assert found.line in (5, 6)  # a bracket is missed at the end


def an_object(api_version: str, kind: str, content: str) -> str:
    return f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: more}}\n{content}\n"


@pytest.mark.parametrize(
    ("api_version", "kind"),
    [
        ("serving.knative.dev/v1", "Service"),
        ("crd.projectcalico.org/v1", "NetworkPolicy"),
        ("example.org/v1", "PodDisruptionBudget"),
        ("example.org/v1", "HorizontalPodAutoscaler"),
        ("example.org/v1", "Ingress"),
    ],
)
def test_a_kind_of_others_is_not_that_of_kubernetes(tmp_path: Path, api_version: str, kind: str) -> None:
    found = given(tmp_path, an_object(api_version, kind, "spec: {ingress: [{action: Allow}]}"))
    assert {one.rule for one in found} == {"unknown-kind"}


MISSHAPEN = [
    "containers: [{env: [{}]}]",
    "containers: [{name: a}], initContainers: {name: b}",
    "containers: [{ports: [80]}]",
]


@pytest.mark.parametrize("pod", MISSHAPEN)
def test_a_pod_of_another_form_is_refused(tmp_path: Path, pod: str) -> None:
    found = given(tmp_path, an_object("v1", "Pod", f"spec: {{{pod}}}"))
    assert {(one.rule, one.note) for one in found} == {("refused", False)}


@pytest.mark.parametrize("pod", MISSHAPEN)
@pytest.mark.parametrize("built", [True, False])
def test_what_nobody_judges_may_have_any_form(
    tmp_path: Path, pod: str, built: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise NotBuiltError("build it")

    if not built:
        monkeypatch.setattr("tools.check.apiserver.ask", refuse)
    api_version, kind = ("example.org/v1", "Thing") if built else ("apps/v1", "StatefulSet")
    found = given(tmp_path, an_object(api_version, kind, f"spec: {{template: {{spec: {{{pod}}}}}}}"))
    assert [one for one in found if not one.note] == []
    assert {"unknown-kind" if built else "not-asked"} <= {one.rule for one in found}


def as_own(root: Path) -> list[Finding]:
    """Check another repository as if it were this one, of which no component excludes another."""
    shutil.rmtree(root / "deploy/components")
    return check(root)


ENCRYPTED = """data:
  .dockerconfigjson: ENC[AES256_GCM,data:a2tIFLoZ,iv:2CmjkD/u,tag:WFnhhQ==,type:str]
type: kubernetes.io/dockerconfigjson
sops:
  mac: ENC[AES256_GCM,data:09losWcZ,iv:D3GGbj/1,tag:gBOddZ==,type:str]
  version: 3.9.0"""


def test_what_sops_has_encrypted_is_only_noted(tmp_path: Path) -> None:
    """Where nobody decrypts it, as here, the API server refuses it: this is for what Flux deploys, for example."""
    found = given(tmp_path, an_object("v1", "Secret", ENCRYPTED))
    assert {(one.rule, one.note) for one in found} == {("unknown-kind", True), ("unread-key", True)}
    (refused,) = [one for one in as_own(tmp_path) if one.rule == "refused"]
    assert refused.line == line_of(tmp_path / "deploy/base/more.yaml", ".dockerconfigjson: ENC")


STRANGE = """spec:
  template:
    metadata: {labels: {app: more}}
    spec:
      containers:
        - name: more
          image: example.org/more:1.0
          command: [sh, -c, "echo $(hostname)"]
          env:
            - name: PASSWORD
              valueFrom: {secretKeyRef: {name: made-by-hand, key: PASSWORD}}
            - {name: TOKEN_FILE, value: /run/secrets/token}
            - {name: API_TOKEN, value: "${API_TOKEN}"}
            - {name: CACHE, value: "http://redis:6379"}
          volumeMounts: [{name: ca, mountPath: /ca}]
      volumes: [{name: ca, configMap: {name: kube-root-ca.crt}}]
  selector: {matchLabels: {app: more}}"""


def test_what_another_repository_has_elsewhere_is_only_noted(tmp_path: Path) -> None:
    found = given(tmp_path, an_object("apps/v1", "Deployment", STRANGE))
    assert {(one.rule, one.note) for one in found} == {("reference", True), ("host", True)}


def test_each_environment_of_others_may_have_its_own_cluster(tmp_path: Path) -> None:
    service = "spec: {type: NodePort, selector: {app: shop}, ports: [{port: 80, targetPort: 3000, nodePort: 30080}]}"
    assert given(tmp_path, an_object("v1", "Service", service)) == []
    assert "node-port" in {one.rule for one in as_own(tmp_path)}


APPLICATIONS = """apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: redis}
spec: {project: platform, source: {repoURL: https://charts.example.org, chart: redis}}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: other}
spec: {project: platform, source: {repoURL: https://git.example.org/other, path: charts/other}}
"""


def test_applications_of_others_may_follow_other_repositories(tmp_path: Path) -> None:
    root = elsewhere(tmp_path, "deploy")
    (root / "argocd").mkdir()
    (root / "argocd/all.yaml").write_text(APPLICATIONS)
    assert check(root, own=False) == []


@pytest.mark.parametrize(
    ("kustomization", "line", "said"),
    [
        ("resources: [../../base]\nhelmCharts:\n  - {name: a, repo: 'https://charts.example.org'}\n", 2, "Helm"),
        ("resources: [../../base]\npatches:\n  - patch.yaml\n", 2, "Kustomize refuses"),
        ("resources: [../../base]\nimages:\n  - name: example.org/shop\n    newTag: 1.10\n", 4, "quotes"),
        ("resources:\n  - ../../base\n  - notes.yaml\n", 3, "missing metadata.name"),
        ("resources:\n  - ../../base\n  - file:///nowhere/other//deploy?ref=v1\n", 3, "file:///nowhere/other//deploy?"),
    ],
)
def test_what_is_not_rendered_has_its_line(tmp_path: Path, kustomization: str, line: int, said: str) -> None:
    root = elsewhere(tmp_path, "deploy")
    (root / "deploy/overlays/live/kustomization.yaml").write_text(kustomization)
    (root / "deploy/overlays/live/notes.yaml").write_text("kind: Note\napiVersion: v1\n")
    (found,) = check(root, own=False)
    assert (found.rule, found.file, found.line) == ("kustomize", "deploy/overlays/live/kustomization.yaml", line)
    assert said in f"{found.reason} {found.advice}"
    assert len(found.reason.replace(str(tmp_path), "")) < 300


def test_a_patch_is_for_the_name_before_its_suffix(tmp_path: Path) -> None:
    root = elsewhere(tmp_path, "deploy")
    patch = "- {op: replace, path: /spec/template/spec/containers/0/name, value: api}"
    entry = f"  - target: {{kind: Deployment, name: shop}}\n    patch: '{patch}'\n"
    text = f"resources: [../../base]\nnameSuffix: -live\npatches:\n{entry}"
    (root / "deploy/overlays/live/kustomization.yaml").write_text(text)
    (found,) = check(root, own=False)
    assert (found.rule, found.line) == ("patch-without-effect", 4)
    assert "changes nothing" in found.reason


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / "deploy" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


SHARD = """namePrefix: shard-{number}-
resources: [../../../base]
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {{name: shop}}
      spec: {{replicas: {replicas}}}
"""


def test_one_of_several_copies_has_its_own_line(tmp_path: Path) -> None:
    elsewhere(tmp_path, "deploy")
    shards = {str(number): SHARD.format(number=number, replicas=replicas) for number, replicas in enumerate((-1, 1))}
    files = {f"overlays/live/{name}/kustomization.yaml": text for name, text in shards.items()}
    root = write(tmp_path, {**files, "overlays/live/kustomization.yaml": "resources: ['0', '1']\n"})
    (found,) = check(root, own=False)
    assert (found.file, found.line) == ("deploy/overlays/live/0/kustomization.yaml", 8)


def test_one_of_several_namesakes_has_its_own_file(tmp_path: Path) -> None:
    wrong = WORKLOAD.replace("image: example.org/shop:1.0", 'image: "example.org/shop 1.0"')
    files = {f"{name}/shop.yaml": text for name, text in (("a", WORKLOAD), ("b", wrong), ("c", WORKLOAD))}
    files |= {f"{name}/kustomization.yaml": f"namespace: {name}\nresources: [shop.yaml]\n" for name in "abc"}
    root = write(tmp_path, {**files, "overlays/live/kustomization.yaml": "resources: [../../a, ../../b, ../../c]\n"})
    assert {one.file for one in check(root, own=False) if not one.note} == {"deploy/b/shop.yaml"}


def test_an_item_of_a_list_has_its_line(tmp_path: Path) -> None:
    items = "items:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: more}\n  data: {a: 1}\n"
    (found, *_) = given(tmp_path, f"apiVersion: v1\nkind: List\n{items}")
    assert (found.rule, found.file, found.line) == ("refused", "deploy/base/more.yaml", 7)


def test_a_directory_without_overlays_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="overlays"):
        main(["check", "--root", str(tmp_path)])
