"""Every way of rendering gives the same bytes, and the API server's schema accepts them."""

import subprocess
from pathlib import Path

import kubernetes_validate
import pytest

from tests.support.manifests import SUPPORTED, Environment
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


@pytest.mark.parametrize("version", SUPPORTED)
def test_schema_accepts_every_object(environment: Environment, version: str) -> None:
    for manifest in environment.objects:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_schema_refuses_a_misspelt_field(environment: Environment) -> None:
    """The check above bites."""
    manifest = {**environment.get("Deployment", "datapress-api"), "specs": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, SUPPORTED[0], strict=True)


def test_a_broken_kustomization_is_told_by_kustomize_s_words(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(RenderError, match=r"absent\.yaml"):
        kustomize(tmp_path)
