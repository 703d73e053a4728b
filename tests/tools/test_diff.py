"""`make diff`, without a cluster: what it compares, what it says, and that each of its rules is tried on a real one."""

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cases.changes import ROUNDS, Overlay, predict
from tests.support.clones import change_banner
from tests.support.git import git
from tests.support.product import API, BY_HAND, FOLLOWED, FRONT, PREFIX, configuration, namespace, path, rendered
from tools import diff
from tools.command import Parser
from tools.diff.changes import Change, compare
from tools.diff.consequences import Consequence, consequences
from tools.diff.live import bare
from tools.diff.report import Difference, Report, markdown
from tools.diff.rollout import rollout
from tools.diff.rules import FIELD_RULES, MADE_ANEW, NOT_PERMITTED, OBJECT_RULES, Effect, Situation
from tools.diff.stored import stored
from tools.manifests import Manifest, without_hash
from tools.repository import REPOSITORY, environments

# Argo CD's part is not that of `kubectl apply -k`: these files show it.
PROVEN_ELSEWHERE = {
    "pruned": "tests/cluster/gitops/test_loop.py",
    MADE_ANEW: "tests/cluster/gitops/test_loop.py",
    NOT_PERMITTED: "tests/cluster/gitops/test_refusals.py",
    **dict.fromkeys(("another gateway", "issuer", "way in"), "tests/cluster/drills/test_gateway.py"),
    "what is watched": "tests/cluster/drills/test_monitoring.py",
}
# As paths of a clone.
UNFOLLOWED, SYNCED = map(path, (BY_HAND, FOLLOWED))


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository whose branch main has the manifests of this one."""
    repository = tmp_path_factory.mktemp("committed")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
        for role in ("AUTHOR", "COMMITTER"):
            environment.setenv(f"GIT_{role}_NAME", "Test")
            environment.setenv(f"GIT_{role}_EMAIL", "test@example.org")
        for name in diff.DIRECTORIES:
            shutil.copytree(REPOSITORY / name, repository / name)
        git(repository, "init", "--quiet", "--initial-branch=main")
        git(repository, "add", ".")
        git(repository, "commit", "--quiet", "--message=what runs")
        yield repository


@pytest.fixture
def clone(committed: Path, tmp_path: Path) -> Path:
    """A developer's clone, to edit."""
    git(tmp_path, "clone", "--quiet", committed, "clone")
    return tmp_path / "clone"


def options(*arguments: str) -> argparse.Namespace:
    parser = Parser(prog="diff")
    diff.add_arguments(parser)
    return parser.parse_args(arguments)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.fixture
def run(clone: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A function that runs the command in the clone and returns what it prints; `status` is what it must end with."""

    def run(*arguments: str, status: int = 1) -> str:
        assert diff.main(options(*arguments), clone) == status
        said = capsys.readouterr()
        assert (said.err == "") == (status != 2)
        return said.err if status == 2 else said.out

    return run


@pytest.fixture
def results(run: Callable[..., str]) -> Callable[[], dict[str, Any]]:
    """A function that returns what a program is told, by environment."""

    def results() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(run("--json"))["environments"]
        return found

    return results


def effects(result: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in result["consequences"]:
        found.setdefault(one["object"], set()).add(one["effect"])
    return found


# --- what is compared


def test_nothing_changes_and_the_commit_is_named(clone: Path, run: Callable[..., str]) -> None:
    commit = git(clone, "rev-parse", "main")[:12]
    assert run(status=0).splitlines() == [
        f"The files here, against main ({commit})",
        *(line for name in [*environments(), "argocd"] for line in ("", f"{name}: nothing changes")),
    ]


def test_without_a_main_of_ones_own_the_remote_s_counts(clone: Path, run: Callable[..., str]) -> None:
    git(clone, "switch", "--quiet", "--create=work")
    git(clone, "branch", "--quiet", "--delete", "main")
    assert run(status=0).startswith("The files here, against origin/main (")


def test_any_commit_can_be_named_and_uncommitted_files_count(clone: Path, run: Callable[..., str]) -> None:
    change_banner(clone / UNFOLLOWED, "Rien ne change")
    git(clone, "commit", "--quiet", "--all", "--message=one")
    (clone / UNFOLLOWED / "role.yaml").write_text(
        yaml.safe_dump({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "new"}})
    )
    replace(clone / UNFOLLOWED / "kustomization.yaml", "  - namespace.yaml\n", "  - namespace.yaml\n  - role.yaml\n")
    since_head, since_before = run("HEAD"), run("HEAD~")
    assert f"{BY_HAND}: 1 added\n" in since_head
    assert "+ ServiceAccount new" in since_head
    # The configuration too, and whoever reads it.
    assert re.search(rf"^{BY_HAND}: 1 added, [2-9] changed$", since_before, re.MULTILINE)


def test_the_checkout_is_left_as_it_is(clone: Path, run: Callable[..., str]) -> None:
    change_banner(clone / SYNCED, "Autre")
    before = git(clone, "status", "--porcelain"), git(clone, "worktree", "list"), git(clone, "diff")
    run()
    assert (git(clone, "status", "--porcelain"), git(clone, "worktree", "list"), git(clone, "diff")) == before


def test_an_environment_that_is_new_or_gone(clone: Path, run: Callable[..., str]) -> None:
    (clone / UNFOLLOWED).rename(clone / UNFOLLOWED.with_name("another"))
    said = run()
    assert f"{BY_HAND}: {len(rendered(BY_HAND))} removed\n" in said
    assert f"another: {len(rendered(BY_HAND))} added\n" in said


def test_what_argo_cd_follows_is_compared_as_it_renders_it(clone: Path, results: Callable[[], dict[str, Any]]) -> None:
    script = clone / "deploy" / "components" / "smoke-test" / "smoke.py"
    script.write_text(f"{script.read_text()}# another\n")
    found = results()
    assert found[BY_HAND]["changes"] == []
    (change,) = found[FOLLOWED]["changes"]
    assert (change["kind"], change["name"]) == ("ConfigMap", f"{PREFIX}-smoke")
    assert effects(found[FOLLOWED]) == {f"ConfigMap {PREFIX}-smoke": {"no restart"}}


def test_what_argo_cd_follows_changes_only_by_hand(clone: Path, run: Callable[..., str]) -> None:
    replace(clone / "argocd" / "application.yaml", "targetRevision: main", "targetRevision: other")
    said = run()
    assert "spec.source.targetRevision: main → other" in said
    assert "nothing happens until somebody runs 'kubectl apply -k argocd'" in said
    assert f"{FOLLOWED}: nothing changes" in said


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent"], "absent is no commit of"),
        (["--live", "main"], "give one of the two"),
    ],
)
def test_a_wrong_request_gets_one_line(run: Callable[..., str], arguments: list[str], words: str) -> None:
    (line,) = run(*arguments, status=2).splitlines()
    assert line.startswith("diff: error: ")
    assert words in line


def test_an_overlay_that_does_not_render_gets_one_line(clone: Path, run: Callable[..., str]) -> None:
    replace(clone / UNFOLLOWED / "kustomization.yaml", "namespace.yaml", "absent.yaml")
    (line,) = run(status=2).splitlines()
    assert "absent.yaml" in line


def test_without_a_cluster_live_says_so(run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, away: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(away))
    (line,) = run("--live", status=2).splitlines()
    assert "no cluster answers" in line


def test_the_command_line() -> None:
    for arguments, status in (["--nonsense"], 2), (["--markdown", "--json"], 2), (["--help"], 0):
        done = subprocess.run(
            [sys.executable, "-m", "tools", "diff", *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status
        assert len(done.stderr.splitlines()) == (1 if status else 0)


# --- what is said


def test_a_value_is_shown_by_its_name_and_its_readers_restart(
    clone: Path, run: Callable[..., str], results: Callable[[], dict[str, Any]]
) -> None:
    version = configuration(FOLLOWED)["version"]
    replace(clone / SYNCED / "config.json", version, "v1.1")
    said = run()
    assert f"  ~ ConfigMap {PREFIX}-config\n      data[config.json].version: {version} →" in said
    assert f"  ~ Deployment {FRONT}\n      reads {PREFIX}-config, which has another content\n" in said
    assert f"{BY_HAND}: nothing changes" in said
    found = results()
    assert (
        effects(found[FOLLOWED]).items()
        >= {
            f"ConfigMap {PREFIX}-config": {"created", "pruned", "no restart"},
            f"Deployment {API}": {"restarts"},
            f"Deployment {FRONT}": {"restarts"},
            f"Job {PREFIX}-smoke": {"no restart"},
        }.items()
    )
    assert re.search(r"these \d restart side by side: at least 10 s in all", said)


@pytest.mark.parametrize("form", [[], ["--markdown"], ["--json"]])
def test_a_secret_s_value_is_never_shown(clone: Path, run: Callable[..., str], form: list[str]) -> None:
    replace(clone / UNFOLLOWED / "kustomization.yaml", "DB_PASSWORD=demo-", "DB_PASSWORD=demo-changed-")
    said = run(*form)
    assert "DB_PASSWORD" in said
    for value in ("demo-changed", "ZGVtby1jaGFuZ2Vk", "demo-not-a-secret", "ZGVtby1ub3Q"):
        assert value not in said


def test_removed_objects_are_pruned_by_argo_cd_and_else_left(
    clone: Path, results: Callable[[], dict[str, Any]]
) -> None:
    replace(clone / SYNCED / "kustomization.yaml", "  - ../../components/disruption-budget\n", "")
    replace(clone / UNFOLLOWED / "kustomization.yaml", "DB_PASSWORD=", "DB_PASSWORD=other")
    found = results()
    budgets = [one["metadata"]["name"] for one in rendered(FOLLOWED) if one["kind"] == "PodDisruptionBudget"]
    assert effects(found[FOLLOWED]) == {f"PodDisruptionBudget {name}": {"pruned"} for name in budgets}
    assert effects(found[BY_HAND])[f"Secret {PREFIX}-secret"] == {"created", "left", "no restart"}
    (left,) = [one for one in found[BY_HAND]["consequences"] if one["effect"] == "left"]
    assert left["advice"].startswith(
        f"when nothing needs it any more: kubectl -n {namespace(BY_HAND)} delete secret {PREFIX}-"
    )


def test_what_says_so_is_not_pruned(clone: Path, results: Callable[[], dict[str, Any]]) -> None:
    replace(clone / SYNCED / "kustomization.yaml", "  - namespace.yaml\n", "")
    found = results()
    assert effects(found[FOLLOWED]) == {f"Namespace {namespace(FOLLOWED)}": {"left"}}


def test_what_the_project_does_not_permit_is_refused(clone: Path, results: Callable[[], dict[str, Any]]) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "new"}, "rules": []}
    for overlay in (UNFOLLOWED, SYNCED):
        (clone / overlay / "role.yaml").write_text(yaml.safe_dump(role))
        replace(clone / overlay / "kustomization.yaml", "  - namespace.yaml\n", "  - namespace.yaml\n  - role.yaml\n")
    found = results()
    assert effects(found[BY_HAND]) == {"Role new": {"created"}}
    assert effects(found[FOLLOWED]) == {"Role new": {"refused"}}


def test_another_namespace_is_refused_too(clone: Path, results: Callable[[], dict[str, Any]]) -> None:
    replace(clone / SYNCED / "kustomization.yaml", f"namespace: {namespace(FOLLOWED)}", "namespace: default")
    found = results()
    refused = [one for one in found[FOLLOWED]["consequences"] if one["rule"] == NOT_PERMITTED]
    assert len(refused) == len([one for one in found[FOLLOWED]["changes"] if one["change"] == "added"]) > 10


def test_a_kind_of_which_no_rule_speaks_is_said_to_be_unknown() -> None:
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "a"}, "spec": {"size": 1}}
    (found,) = consequences(Situation([claim], [{**claim, "spec": {"size": 2}}]))
    assert found.effect == "unknown"
    assert "--live" in found.advice


def test_nothing_else_follows_from_what_is_refused() -> None:
    other = deployment(container(image="a:2"), replicas=2)
    other["spec"]["selector"] = {"matchLabels": {"c": "d"}}
    other["spec"]["template"]["metadata"]["labels"] = {"c": "d"}
    (refusal,) = predict([deployment()], [other])
    assert (refusal.effect, refusal.text) == (
        "refused",
        'Kubernetes refuses it: spec.selector: Invalid value: {"matchLabels":{"c":"d"}}: field is immutable',
    )


def test_the_comment_of_a_pull_request(clone: Path, run: Callable[..., str]) -> None:
    replace(clone / SYNCED / "kustomization.yaml", f"{{name: {FRONT}, count: 2}}", f"{{name: {FRONT}, count: 3}}")
    said = run("--markdown").splitlines()
    assert f"### {FOLLOWED}: 1 changed" in said
    assert f"| scales | Deployment {FRONT} | from 2 to 3: pods are added, those that run stay |" in said
    assert said.count("```diff") == said.count("```") == said.count("<details><summary>Every field</summary>") == 1


def test_a_cell_of_the_comment_stays_one() -> None:
    refusal = Consequence("API server", Effect.REFUSED, "Service a", "either | or")
    said = markdown(Report("the cluster", "", [Difference(BY_HAND, Situation([], []), (refusal,))]))
    assert "| refused | Service a | either \\| or |" in said.splitlines()


# --- field by field

POD = {"containers": [{"name": "a", "image": "a:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]}


def deployment(pod: dict[str, Any] | None = None, **spec: Any) -> Manifest:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": pod or POD}
    body = {"selector": {"matchLabels": {"a": "b"}}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "n"}, "spec": body}


def compared(before: Manifest, after: Manifest) -> list[Change]:
    """What differs once the API server has both."""
    (found,) = stored([([before], [after])])
    return found.situation(None).changes


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{**POD["containers"][0], **fields}]}


@pytest.mark.parametrize(
    ("after", "paths"),
    [
        (container(image="a:2"), ["spec.template.spec.containers[a].image"]),
        (container(env=[*POD["containers"][0]["env"][::-1]]), ["spec.template.spec.containers[a].env[order]"]),
        (
            container(env=[{"name": "A", "value": "3"}, {"name": "C", "value": "2"}]),
            [f"spec.template.spec.containers[a].env[{name}]" + ".value" * (name == "A") for name in "ABC"],
        ),
        (container(imagePullPolicy="IfNotPresent", terminationMessagePolicy="File", resources={}), []),
        (container(imagePullPolicy="Always"), ["spec.template.spec.containers[a].imagePullPolicy"]),
        ({**POD, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "securityContext": {}}, []),
        ({**POD, "terminationGracePeriodSeconds": 31}, ["spec.template.spec.terminationGracePeriodSeconds"]),
        (container(command=["a", "b"]), ["spec.template.spec.containers[a].command"]),
    ],
)
def test_a_field_is_named_and_a_default_is_none(after: dict[str, Any], paths: list[str]) -> None:
    changes = compared(deployment(), deployment(after))
    assert [field.path for change in changes for field in change.fields] == paths


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("100m", "0.1", True),
        ("1", 1, True),
        ("1Gi", "1024Mi", True),
        ("128Mi", "134217728", True),
        ("1G", "1Gi", False),
        ("1", "1m", False),
    ],
)
def test_a_quantity_is_compared_by_what_it_means(before: Any, after: Any, same: bool) -> None:
    one, other = (deployment(container(resources={"limits": {"cpu": amount}})) for amount in (before, after))
    assert (compared(one, other) == []) is same


def test_items_without_a_name_are_compared_by_position() -> None:
    def policy(*ports: int) -> Manifest:
        rules = [{"ports": [{"port": port}]} for port in ports]
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "a"},
            "spec": {"ingress": rules},
        }

    def paths(*sides: Manifest) -> list[str]:
        (change,) = compare(*[[side] for side in sides])
        return [f"{field.path}: {field.before} → {field.after}" for field in change.fields]

    assert paths(policy(1, 2), policy(1, 3)) == ["spec.ingress[1].ports[0].port: 2 → 3"]
    assert paths(policy(1, 2), policy(2)) == ["spec.ingress[]: {'ports': [{'port': 1}]} → Value.ABSENT"]


def test_a_generated_name_is_told_from_one_that_somebody_chose() -> None:
    assert without_hash(f"{PREFIX}-config-kg6hb8m4mf") == f"{PREFIX}-config"
    assert without_hash(f"{PREFIX}-config-production") == f"{PREFIX}-config-production"


def test_of_objects_of_one_name_the_one_that_stays_is_unchanged() -> None:
    """`kubectl apply -k` leaves each former ConfigMap behind, and --live sees them all."""

    def config(name: str) -> Manifest:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name},
            "data": {"a": name},
            "immutable": True,
        }

    former, stays = config("a-2456789bcd"), config("a-bcdfghkmt2")
    for before in ([former, stays], [stays, former]):
        (change,) = compare(before, [stays])
        assert (change.kind, change.before) == ("removed", former)


def test_what_the_cluster_keeps_for_itself_is_no_difference() -> None:
    live = {
        "kind": "Service",
        "metadata": {
            "name": "a",
            "uid": "1",
            "resourceVersion": "2",
            "annotations": {
                "argocd.argoproj.io/tracking-id": "x",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            },
        },
        "status": {},
    }
    assert bare(live) == {"kind": "Service", "metadata": {"name": "a"}}


# --- how pods are replaced

PROBES = {"startupProbe": {"initialDelaySeconds": 2}, "lifecycle": {"preStop": {"sleep": {"seconds": 10}}}}


@pytest.mark.parametrize(
    ("pods", "strategy", "seconds", "words"),
    [
        (1, {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, 5, "1 pod: a new one is ready before"),
        (
            4,
            {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            20,
            "4 pods, 1 at a time: a new one is ready before",
        ),
        (4, {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}, 20, "and 3 serve meanwhile"),
        (5, {"rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}}, 10, "5 pods, 3 at a time"),
        (4, {}, 10, "and 3 serve meanwhile"),
        (4, {"rollingUpdate": {"maxSurge": "10%", "maxUnavailable": "10%"}}, 20, "4 pods, 1 at a time"),
        (4, {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "10%"}}, 20, "and 3 serve meanwhile"),
        (3, {"type": "Recreate"}, 15, "3 pods: all end, then the new ones start"),
    ],
)
def test_a_rollout_is_told_by_the_manifest_s_own_numbers(
    pods: int, strategy: dict[str, Any], seconds: int, words: str
) -> None:
    found = rollout(deployment(container(**PROBES), replicas=pods, strategy=strategy, minReadySeconds=3))
    assert found.seconds == seconds
    assert words in str(found)


# --- the rules


def test_every_rule_is_tried_on_a_real_cluster(tmp_path: Path) -> None:
    """Each of them predicts something in the rounds of tests/cluster/test_diff_predictions.py."""
    overlay = Overlay(tmp_path, {API: "registry.example.org/api:1"})
    before, tried = overlay.render(), set(PROVEN_ELSEWHERE)
    for cases in ROUNDS:
        overlay.save()
        for case in cases:
            case.edit(overlay)
        after = overlay.render()
        found = predict(before, after)
        tried |= {one.rule for one in found}
        if any(one.effect == "refused" for one in found):
            overlay.take_back()
        else:
            before = after
    assert {rule.name for rule in (*FIELD_RULES, *OBJECT_RULES)} - tried == {"anything else"}
    assert all((REPOSITORY / file).is_file() for file in PROVEN_ELSEWHERE.values())
    assert len([case for cases in ROUNDS for case in cases]) >= 15
