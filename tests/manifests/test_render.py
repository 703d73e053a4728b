"""Every way of rendering gives the same bytes, and says the same of what is broken."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.product import deployed
from tools.dryrun import Request, ask
from tools.dryrun.program import NEWEST, PROGRAM
from tools.render import RenderError, build, build_with_kubectl, render
from tools.repository import OVERLAYS, REPOSITORY, environments


@pytest.mark.parametrize("name", environments())
def test_kubectl_and_kustomize_render_the_same_bytes(name: str) -> None:
    """`kubectl apply -k` is the operator's way, Kustomize alone is Argo CD's, tools/dryrun that of the tools here."""
    built = subprocess.run(
        [REPOSITORY / ".build" / "bin" / "kustomize", "build", OVERLAYS / name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not built.stderr, "Kustomize warns of deprecated fields here"
    assert build(OVERLAYS / name) == build_with_kubectl(OVERLAYS / name) == (built.stdout, "")


@pytest.mark.parametrize("program", [PROGRAM, NEWEST], ids=["oldest", "newest"])
def test_each_supported_kubernetes_accepts_every_object(program: Path) -> None:
    if not program.exists():
        pytest.skip("'tools/setup.sh dryrun-newest' builds it")
    platform = render(OVERLAYS.parent / "platform")
    requests = [Request([*platform, *deployed(name)]) for name in environments()]
    answers = [one for answers in ask(requests, program).answers for one in answers]
    refusals = [finding for one in answers for finding in one.refusals]
    assert (refusals, len(answers) > len(platform)) == ([], True)


@pytest.mark.parametrize(
    "text",
    [
        "resources: [absent.yaml]\n",
        "resource: []\n",
        "nameSuffix: [\n",
        "commonLabels: {a: b}\nresources: [one.yaml]\n",
    ],
    ids=["absent", "misspelt", "no YAML", "deprecated"],
)
def test_a_mistake_is_told_in_kubectl_s_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "kustomization.yaml").write_text(text)
    (tmp_path / "one.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n")
    assert told(build, tmp_path) == told(build_with_kubectl, tmp_path)


def told(how: Callable[[Path], tuple[str, str]], directory: Path) -> tuple[str, str]:
    try:
        return how(directory)
    except RenderError as error:
        return str(error), ""
