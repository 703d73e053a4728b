package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/deprecation"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	podsecurity "k8s.io/pod-security-admission/admission"
)

// kind is how the API server treats the objects of a kind.
type kind struct {
	strategy
	gvk      schema.GroupVersionKind
	resource schema.GroupVersionResource
	// parse reads an object as it is written, decode into the API server's own form, with its defaults.
	parse, decode func([]byte) (runtime.Object, error)
	// external gives that form back as clients see it.
	external func(runtime.Object) (runtime.Object, error)
}

// judge says what the API server would of one object. Where its code fails, the API server refuses the request and goes on, and so does this.
func (c *cluster) judge(data []byte) (said answer) {
	said = answer{Findings: []finding{}}
	defer func() {
		if cause := recover(); cause != nil {
			said.Findings = append(said.Findings, finding{By: "validation", Message: fmt.Sprintf("the API server's own code fails: %v", cause)})
		}
	}()
	kind, ok := c.kindOf(data)
	if !ok {
		said.Findings = append(said.Findings, unserved(named(data))...)
		said.Known = len(said.Findings) > 0
		return said
	}
	said.Known = true
	object, err := kind.decode(data)
	if err != nil {
		said.Findings = append(said.Findings, kind.decodingFindings(data, err)...)
	}
	if object == nil {
		return said
	}
	ctx := kind.context(object, &said)
	former := c.created[kind.key(object)]
	attributes := kind.attributes(object, former)
	if former == nil {
		err = c.create(ctx, kind, object)
	} else {
		err = c.update(ctx, kind, object, former.DeepCopyObject())
	}
	said.Findings = append(said.Findings, validationFindings(err)...)
	valid := err == nil
	external, err := kind.external(object)
	if err != nil {
		said.Findings = append(said.Findings, finding{By: "validation", Message: err.Error()})
		return said
	}
	if notice := deprecation.WarningMessage(external); notice != "" {
		warning.AddWarning(ctx, "", notice)
	}
	if valid {
		said.Findings = append(said.Findings, c.admit(ctx, attributes, external)...)
	}
	stored := kind.shown(object)
	said.Stored = stored
	if former != nil {
		shown := kind.shown(former)
		said.Former = shown
		said.Unchanged = equality.Semantic.DeepEqual(shown, stored)
		said.PodsUnchanged = equality.Semantic.DeepEqual(podOf(shown), podOf(stored))
	}
	return said
}

// create does what the API server does with an object that is new.
func (c *cluster) create(ctx context.Context, kind kind, object runtime.Object) error {
	rest.FillObjectMetaSystemFields(accessor(object))
	finish, err := c.begin(ctx, object, nil)
	if err != nil {
		return err
	}
	err = rest.BeforeCreate(kind.strategy, ctx, object)
	finish(ctx, err == nil)
	return err
}

// update does what the API server does with an object that it has already.
func (c *cluster) update(ctx context.Context, kind kind, object, former runtime.Object) error {
	accessor(object).SetResourceVersion(accessor(former).GetResourceVersion())
	finish, err := c.begin(ctx, object, former)
	if err != nil {
		return err
	}
	err = rest.BeforeUpdate(kind.strategy, ctx, object, former)
	finish(ctx, err == nil)
	return err
}

// podOf is the template of an object's pods, if it has one; the controllers restart pods if it differs.
func podOf(object runtime.Object) *core.PodTemplateSpec {
	metadata, spec, err := podsecurity.DefaultPodSpecExtractor{}.ExtractPodSpec(object)
	if err != nil || spec == nil {
		return nil
	}
	return &core.PodTemplateSpec{ObjectMeta: *metadata, Spec: *spec}
}

// key tells the objects of a cluster apart.
func (k kind) key(object runtime.Object) string {
	return strings.Join([]string{k.gvk.Group, k.gvk.Kind, accessor(object).GetNamespace(), accessor(object).GetName()}, "/")
}

// shown is an object as clients see it, without what no manifest says.
func (k kind) shown(object runtime.Object) runtime.Object {
	external, err := k.external(object)
	if err != nil {
		return nil
	}
	// A custom resource has no other form than the one that is kept.
	external = external.DeepCopyObject()
	of := accessor(external)
	of.SetUID("")
	of.SetResourceVersion("")
	of.SetGeneration(0)
	of.SetCreationTimestamp(metav1.Time{})
	return external
}

// context is that of a request which sends an object; what the API server warns of goes to the answer.
func (k kind) context(object runtime.Object, said *answer) context.Context {
	ctx := apirequest.WithNamespace(context.Background(), accessor(object).GetNamespace())
	ctx = apirequest.WithRequestInfo(ctx, &apirequest.RequestInfo{
		APIGroup: k.gvk.Group, APIVersion: k.gvk.Version, Resource: k.resource.Resource, Name: accessor(object).GetName(),
	})
	return warning.WithWarningRecorder(ctx, recorder{said})
}

// recorder keeps warnings.
type recorder struct{ *answer }

// AddWarning keeps one.
func (r recorder) AddWarning(_, text string) {
	r.Findings = append(r.Findings, finding{By: "warning", Message: text})
}

func accessor(object runtime.Object) metav1.Object {
	found, err := meta.Accessor(object)
	if err != nil {
		// Every kind of the table has metadata.
		panic(err)
	}
	return found
}

// builtIn is a kind of Kubernetes itself.
func builtIn(gvk schema.GroupVersionKind, of strategy) kind {
	info, _ := runtime.SerializerInfoForMediaType(legacyscheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
	hub := schema.GroupVersion{Group: gvk.Group, Version: runtime.APIVersionInternal}
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	return kind{
		strategy: of,
		gvk:      gvk,
		resource: resource,
		parse:    decoded(info.StrictSerializer),
		decode:   namespaced(of, decoded(legacyscheme.Codecs.DecoderToVersion(info.StrictSerializer, hub))),
		external: func(object runtime.Object) (runtime.Object, error) {
			external, err := legacyscheme.Scheme.ConvertToVersion(object, gvk.GroupVersion())
			if err == nil {
				external.GetObjectKind().SetGroupVersionKind(gvk)
			}
			return external, err
		},
	}
}

func decoded(decoder runtime.Decoder) func([]byte) (runtime.Object, error) {
	return func(data []byte) (runtime.Object, error) {
		object, _, err := decoder.Decode(data, nil, nil)
		return object, err
	}
}

// namespaced gives a decoder that puts an object without a namespace into the default one, as kubectl does.
func namespaced(of strategy, decode func([]byte) (runtime.Object, error)) func([]byte) (runtime.Object, error) {
	return func(data []byte) (runtime.Object, error) {
		object, err := decode(data)
		if object != nil && of.NamespaceScoped() && accessor(object).GetNamespace() == "" {
			accessor(object).SetNamespace(metav1.NamespaceDefault)
		}
		return object, err
	}
}

// validationFindings are those of an error with which the API server refuses a request.
func validationFindings(err error) []finding {
	if err == nil {
		return nil
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return []finding{{By: "validation", Message: err.Error()}}
	}
	var found []finding
	for _, cause := range status.Status().Details.Causes {
		// A path that leads nowhere is written so.
		path := strings.TrimPrefix(strings.TrimPrefix(cause.Field, "<nil>"), "[]")
		found = append(found, finding{By: "validation", Reason: string(cause.Type), Field: path, Message: cause.Message})
	}
	return found
}

// decodingFindings are those of an object that cannot be decoded as it is written.
func (k kind) decodingFindings(data []byte, err error) []finding {
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		var found []finding
		for _, one := range strict.Errors() {
			found = append(found, finding{By: "decoding", Reason: "Strict", Message: one.Error(), Known: k.neighbours(one.Error())})
		}
		return found
	}
	var object map[string]any
	if json.Unmarshal(data, &object) == nil {
		if found := k.culprits(object, nil, func(value any) any { return value }); len(found) > 0 {
			return found
		}
	}
	return []finding{{By: "decoding", Message: err.Error()}}
}

// neighbours are the fields that there are beside one that a decoder does not know.
func (k kind) neighbours(message string) []string {
	named := unknownField.FindStringSubmatch(message)
	object, err := legacyscheme.Scheme.New(k.gvk)
	if named == nil || err != nil {
		return nil
	}
	of := reflect.TypeOf(object)
	for _, step := range pathStep.FindAllString(named[1], -1) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			return nil
		}
		fields := fieldsOf(of)
		next, ok := fields[step]
		if !ok {
			return slices.Sorted(maps.Keys(fields))
		}
		of = next
	}
	return nil
}

var (
	unknownField = regexp.MustCompile(`^unknown field "(.+)"$`)
	pathStep     = regexp.MustCompile(`[^.\[\]]*[^.\[\]\d][^.\[\]]*`)
)

// fieldsOf gives the fields of a structure by their names in JSON.
func fieldsOf(of reflect.Type) map[string]reflect.Type {
	found := map[string]reflect.Type{}
	for _, field := range reflect.VisibleFields(of) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" && name != "-" {
			found[name] = field.Type
		}
	}
	return found
}

// culprits are the innermost values that cannot be decoded, each tried alone: the decoder stops at the first, and does not say where all are.
func (k kind) culprits(value any, path *field.Path, within func(any) any) []finding {
	err := k.parsedAlone(within(value))
	if err == nil {
		return nil
	}
	var found []finding
	switch of := value.(type) {
	case map[string]any:
		for key, child := range of {
			step := path.Child(key)
			if strings.ContainsAny(key, ".[]") {
				step = path.Key(key)
			}
			found = append(found, k.culprits(child, step, func(one any) any { return within(map[string]any{key: one}) })...)
		}
	case []any:
		for i, child := range of {
			found = append(found, k.culprits(child, path.Index(i), func(one any) any { return within([]any{one}) })...)
		}
	}
	if len(found) == 0 {
		found = []finding{{By: "decoding", Reason: "Type", Field: path.String(), Message: err.Error()}}
	}
	return found
}

func (k kind) parsedAlone(object any) error {
	fields, ok := object.(map[string]any)
	if !ok {
		return fmt.Errorf("not an object but %T", object)
	}
	alone := map[string]any{}
	for key, value := range fields {
		alone[key] = value
	}
	alone["apiVersion"], alone["kind"] = k.gvk.ToAPIVersionAndKind()
	data, err := json.Marshal(alone)
	if err != nil {
		return err
	}
	// What is not known is not what cannot be decoded.
	if _, err = k.parse(data); runtime.IsStrictDecodingError(err) {
		return nil
	}
	return err
}
