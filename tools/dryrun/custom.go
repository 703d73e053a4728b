package main

import (
	"fmt"

	internal "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apiextensions-apiserver/pkg/crdserverscheme"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

func init() {
	install.Install(legacyscheme.Scheme)
}

// What definitions were made of, and the kinds that they make: reading one, and compiling its rules, takes far longer
// than judging by it, and each request brings the same ones.
var (
	definitions = map[string]*apiextensions.CustomResourceDefinition{}
	customKinds = map[customKey]kind{}
)

type customKey struct {
	definition *apiextensions.CustomResourceDefinition
	gvk        schema.GroupVersionKind
}

// remember keeps a definition; who asks with thousands of changed ones gets no leak.
func remember(data []byte, definition *apiextensions.CustomResourceDefinition) {
	if len(definitions) == mostPrograms {
		clear(definitions)
		clear(customKinds)
	}
	definitions[string(data)] = definition
}

// customOnce gives what custom does, made once for each definition.
func customOnce(gvk schema.GroupVersionKind, definition *apiextensions.CustomResourceDefinition) (kind, bool) {
	key := customKey{definition, gvk}
	if made, ok := customKinds[key]; ok {
		return made, true
	}
	made, ok := custom(gvk, definition)
	if ok {
		customKinds[key] = made
	}
	return made, ok
}

// custom is a kind that a CustomResourceDefinition makes, if it serves this version.
func custom(gvk schema.GroupVersionKind, definition *apiextensions.CustomResourceDefinition) (kind, bool) {
	for _, version := range definition.Spec.Versions {
		if version.Name != gvk.Version || !version.Served || version.Schema == nil {
			continue
		}
		var properties internal.JSONSchemaProps
		if apiextensions.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &properties, nil) != nil {
			return kind{}, false
		}
		structural, err := structuralschema.NewStructural(&properties)
		if err != nil {
			return kind{}, false
		}
		validator, _, err := validation.NewSchemaValidator(&properties)
		if err != nil {
			return kind{}, false
		}
		of := customresource.NewStrategy(
			crdserverscheme.NewUnstructuredObjectTyper(), definition.Spec.Scope == apiextensions.NamespaceScoped, gvk,
			validator, nil, structural, nil, nil, version.SelectableFields,
		)
		decode := namespaced(of, func(data []byte) (runtime.Object, error) { return decodeCustom(data, structural) })
		return kind{
			strategy: of,
			gvk:      gvk,
			resource: gvk.GroupVersion().WithResource(definition.Spec.Names.Plural),
			parse:    decode,
			decode:   decode,
			external: func(object runtime.Object) (runtime.Object, error) { return object, nil },
		}, true
	}
	return kind{}, false
}

// decodeCustom does what the API server does on reading a custom resource: what the schema does not know is pruned, and named; what it defaults is set.
func decodeCustom(data []byte, structural *structuralschema.Structural) (runtime.Object, error) {
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(data); err != nil {
		return nil, err
	}
	metadata, found, unknown, err := objectmeta.GetObjectMetaWithOptions(object.Object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, err
	}
	unknown = append(unknown, pruning.PruneWithOptions(object.Object, structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})...)
	defaulting.PruneNonNullableNullsWithoutDefaults(object.Object, structural)
	coerced, paths := objectmeta.CoerceWithOptions(nil, object.Object, structural, false, objectmeta.CoerceOptions{ReturnUnknownFieldPaths: true})
	if coerced != nil {
		return nil, coerced
	}
	defaulting.Default(object.Object, structural)
	if found {
		if err := objectmeta.SetObjectMeta(object.Object, metadata); err != nil {
			return nil, err
		}
	}
	var errs []error
	for _, path := range append(unknown, paths...) {
		errs = append(errs, fmt.Errorf("unknown field %q", path))
	}
	if len(errs) == 0 {
		return object, nil
	}
	return object, runtime.NewStrictDecodingError(errs)
}
