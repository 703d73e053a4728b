package main

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/endpoints/deprecation"
	"k8s.io/client-go/kubernetes/scheme"
)

// unserved says that the API server has no such kind, where that is certain: its group is one of Kubernetes' own, and
// the kind was never in it, or is no more. A definition may bring what is of another group; a cluster may switch on a
// version that is not served by itself.
func unserved(gvk schema.GroupVersionKind) []finding {
	if !scheme.Scheme.IsGroupRegistered(gvk.Group) {
		return nil
	}
	object, err := scheme.Scheme.New(gvk)
	if err != nil {
		message := fmt.Sprintf("no matches for kind %q in version %q", gvk.Kind, gvk.GroupVersion())
		return []finding{{By: "decoding", Reason: "NotServed", Field: "kind", Message: message, Known: alternatives(gvk)}}
	}
	if !isPast(deprecation.RemovedRelease(object)) {
		return nil
	}
	object.GetObjectKind().SetGroupVersionKind(gvk)
	message := deprecation.WarningMessage(object)
	return []finding{{By: "decoding", Reason: "NotServed", Field: "apiVersion", Message: message, Known: alternatives(gvk)}}
}

// alternatives are the kinds of the same name that are served; if there is none, those of the same version.
func alternatives(gvk schema.GroupVersionKind) []string {
	var sameKind, sameVersion []string
	for served := range strategies {
		apiVersion, kind := served.ToAPIVersionAndKind()
		if kind == gvk.Kind {
			sameKind = append(sameKind, apiVersion+" "+kind)
		} else if served.GroupVersion() == gvk.GroupVersion() {
			sameVersion = append(sameVersion, apiVersion+" "+kind)
		}
	}
	found := sameKind
	if len(found) == 0 {
		found = sameVersion
	}
	slices.Sort(found)
	return found
}

func isPast(release string) bool {
	removed, err := version.ParseGeneric(release)
	if err != nil {
		return false
	}
	current, err := version.ParseGeneric(kubernetesVersion())
	return err == nil && current.AtLeast(removed)
}
