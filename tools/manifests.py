"""What Kubernetes, Kustomize and Argo CD mean by what manifests say: manifests in, values out."""

from typing import Any

Manifest = dict[str, Any]
