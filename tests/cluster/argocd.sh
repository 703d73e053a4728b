#!/usr/bin/env bash
# Prepares Argo CD for the tests on the cluster of KUBECONFIG: installs it where there is none, as
# docs/runbooks/installer-argo-cd.md does, and has it look at Git every five seconds and tell an error of rendering soon.
set -euo pipefail
unset CDPATH
cd "$(dirname "$0")/../.."
PATH=$PWD/.venv/bin:$PATH
version=v3.5.7
# Without the web interface, which no test opens.
manifests=https://raw.githubusercontent.com/argoproj/argo-cd/$version/manifests/core-install.yaml

argocd() { kubectl --namespace argocd "$@"; }

if ! argocd get statefulset/argocd-application-controller >/dev/null 2>&1; then
  kubectl create namespace argocd --dry-run=client --output yaml | kubectl apply --filename -
  # On the server's side: the CRDs are larger than the annotation that kubectl would keep of them.
  argocd apply --server-side --force-conflicts --filename "$manifests"
fi
argocd patch configmap argocd-cm --type merge --patch \
  '{"data": {"timeout.reconciliation": "5s", "timeout.reconciliation.jitter": "0s"}}'
argocd patch configmap argocd-cmd-params-cm --type merge --patch \
  '{"data": {"controller.repo.error.grace.period.seconds": "10s"}}'
argocd rollout restart deployment/argocd-repo-server statefulset/argocd-application-controller
argocd rollout status deployment/argocd-repo-server --timeout 300s
argocd rollout status statefulset/argocd-application-controller --timeout 300s
