"""Every way of rendering gives the same bytes, and the API server's schema accepts them."""

import subprocess
from pathlib import Path

import kubernetes_validate
import pytest

from tests.support.manifests import SUPPORTED
from tests.support.product import deployed
from tools.render import RenderError, kustomize
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


@pytest.mark.parametrize("name", environments())
def test_the_newest_schema_accepts_every_object(name: str) -> None:
    """That of the oldest version is a rule of `make check`."""
    for manifest in deployed(name):
        kubernetes_validate.validate(manifest, SUPPORTED[-1], strict=True)


def test_a_broken_kustomization_is_told_by_kustomize_s_words(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(RenderError, match=r"absent\.yaml"):
        kustomize(tmp_path)
