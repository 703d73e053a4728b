#!/usr/bin/env bash
# Writes to a directory what the cluster of KUBECONFIG knows of the product and of Argo CD: one file each for what is there,
# events and rendered manifests, and one for each container's log.
#   tests/cluster/diagnose.sh DIRECTORY
set -uo pipefail # and no -e: what one command cannot tell, the next may
[ $# = 1 ] || { echo "usage: tests/cluster/diagnose.sh DIRECTORY" >&2; exit 2; }
mkdir -p "$1" || exit 1
unset CDPATH
into=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.." || exit 1
PATH=$PWD/.venv/bin:$PATH

for overlay in deploy/overlays/*; do
  kubectl kustomize "$overlay" >"$into/${overlay##*/}.yaml" 2>&1
done
# Each command that follows would wait long for a cluster that hangs.
kubectl get --raw /version --request-timeout 10s >"$into/api-server.txt" 2>&1 || exit 0
kubectl get pods,services,endpointslices,networkpolicies --all-namespaces --output wide >"$into/objects.txt" 2>&1
kubectl describe applications --namespace argocd >"$into/applications.txt" 2>&1
kubectl get events --all-namespaces --sort-by .lastTimestamp >"$into/events.txt" 2>&1
namespaces=$(kubectl get namespaces --output name | sed -n '/^namespace\/kube-/!s,^namespace/,,p')
for namespace in $namespaces; do
  kubectl describe pods --namespace "$namespace" >"$into/$namespace.pods.txt" 2>&1
  for pod in $(kubectl get pods --namespace "$namespace" --output name); do
    kubectl logs --namespace "$namespace" "$pod" --all-containers --prefix --tail 500 >"$into/$namespace.${pod#pod/}.log" 2>&1
    kubectl logs --namespace "$namespace" "$pod" --all-containers --prefix --tail 500 --previous >"$into/$namespace.${pod#pod/}.previous.log" 2>/dev/null ||
      rm -f "$into/$namespace.${pod#pod/}.previous.log"
  done
done
