"""Every way of rendering gives the same bytes."""

import subprocess
from pathlib import Path

import pytest

from tests.support.product import deployed
from tools.dryrun import NEWEST, PROGRAM, Request, ask
from tools.render import RenderError, kustomize, render
from tools.repository import OVERLAYS, REPOSITORY, environments


@pytest.mark.parametrize("name", environments())
def test_kubectl_and_kustomize_render_the_same_bytes(name: str) -> None:
    """`kubectl apply -k` is the operator's way, Kustomize alone is Argo CD's."""
    built = subprocess.run(
        [REPOSITORY / ".build" / "bin" / "kustomize", "build", OVERLAYS / name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert built.stdout == kustomize(OVERLAYS / name)
    assert not built.stderr, "Kustomize warns of deprecated fields here"


@pytest.mark.parametrize("program", [PROGRAM, NEWEST], ids=["oldest", "newest"])
def test_each_supported_kubernetes_accepts_every_object(program: Path) -> None:
    if not program.exists():
        pytest.skip("'tools/setup.sh dryrun-newest' builds it")
    platform = render(OVERLAYS.parent / "platform")
    requests = [Request([*platform, *deployed(name)]) for name in environments()]
    answers = [one for answers in ask(requests, program).answers for one in answers]
    refusals = [finding for one in answers for finding in one.findings if finding.by in ("decoding", "validation")]
    assert (refusals, len(answers) > len(platform)) == ([], True)


def test_a_broken_kustomization_is_told_by_kustomize_s_words(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(RenderError, match=r"absent\.yaml"):
        kustomize(tmp_path)
