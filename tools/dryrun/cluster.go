package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	_ "unsafe" // for go:linkname

	core "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic"
	"k8s.io/apiserver/pkg/admission/plugin/policy/matching"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	services "k8s.io/kubernetes/pkg/registry/core/service/storage"
	podsecurity "k8s.io/pod-security-admission/api"
	podsecuritypolicy "k8s.io/pod-security-admission/policy"
)

// cluster is what decides about an object besides the object itself.
type cluster struct {
	namespaces  cache.Indexer
	lister      listers.NamespaceLister
	definitions map[schema.GroupKind]*apiextensions.CustomResourceDefinition
	policies    []validating.PolicyHook
	created     map[string]runtime.Object
	services    *services.REST
	dispatcher  generic.Dispatcher[validating.PolicyHook]
	podSecurity podsecuritypolicy.Evaluator
}

// newCluster makes one that has what is present, and what is asked about as far as it decides about others.
func newCluster(asked request) (*cluster, error) {
	podSecurity, err := evaluator()
	if err != nil {
		return nil, err
	}
	services, err := newServices()
	if err != nil {
		return nil, err
	}
	made := &cluster{
		namespaces:  cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{}),
		definitions: map[schema.GroupKind]*apiextensions.CustomResourceDefinition{},
		created:     map[string]runtime.Object{},
		podSecurity: podSecurity,
		services:    services,
	}
	made.lister = listers.NewNamespaceLister(made.namespaces)
	matcher := generic.NewPolicyMatcher(matching.NewMatcher(made.lister, nil))
	made.dispatcher = validating.NewDispatcher(authorizerfactory.NewAlwaysAllowAuthorizer(), matcher)
	var deciding []runtime.Object
	for _, data := range slices.Concat(asked.Present, asked.Objects) {
		if object := made.deciding(data); object != nil {
			deciding = append(deciding, object)
		}
	}
	if err := made.add(deciding); err != nil {
		return nil, err
	}
	// A Service keeps its node ports from others. What decides about others is known already, and making a policy takes
	// longer than all the rest, so it is made only if something is sent to replace it.
	replaced := map[string]bool{}
	for _, data := range asked.Objects {
		replaced[headerOf(data).place()] = true
	}
	for _, data := range asked.Present {
		if of := headerOf(data); replaced[of.place()] || !of.decides() {
			made.have(data)
		}
	}
	return made, nil
}

// header is what every object says of itself, read without the rest.
type header struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   json.RawMessage `json:"metadata"`
}

// headerOf gives that of an object; an empty one if it says none.
func headerOf(data []byte) header {
	var says header
	if json.Unmarshal(data, &says) != nil {
		return header{}
	}
	return says
}

// decides tells whether such an object decides about others.
func (h header) decides() bool {
	return slices.Contains(decidingKinds, h.Kind)
}

// place is where it stands: an object of the same place replaces it, in whatever version it is written.
func (h header) place() string {
	var metadata struct {
		Name string `json:"name"`
	}
	if json.Unmarshal(h.Metadata, &metadata) != nil {
		return ""
	}
	return h.Kind + "/" + metadata.Name
}

// evaluator is that of Pod Security, which judges every request by the same checks. From Kubernetes 1.35 on it takes another version to
// imitate, of which none is wanted.
var evaluator = sync.OnceValues(func() (podsecuritypolicy.Evaluator, error) {
	of := reflect.ValueOf(podsecuritypolicy.NewEvaluator)
	arguments := []reflect.Value{reflect.ValueOf(podsecuritypolicy.DefaultChecks())}
	for i := 1; i < of.Type().NumIn(); i++ {
		arguments = append(arguments, reflect.Zero(of.Type().In(i)))
	}
	made := of.Call(arguments)
	err, _ := made[1].Interface().(error)
	evaluator, _ := made[0].Interface().(podsecuritypolicy.Evaluator)
	return evaluator, err
})

// add takes what decides about other objects; the later of one name counts.
func (c *cluster) add(deciding []runtime.Object) error {
	policies := map[string]*validating.Policy{}
	bindings := map[string]map[string]*validating.PolicyBinding{}
	for _, object := range deciding {
		switch object := object.(type) {
		case *core.Namespace:
			if err := c.namespaces.Add(object); err != nil {
				return err
			}
		case *apiextensions.CustomResourceDefinition:
			c.definitions[schema.GroupKind{Group: object.Spec.Group, Kind: object.Spec.Names.Kind}] = object
		case *validating.Policy:
			policies[object.Name] = object
		case *validating.PolicyBinding:
			if bindings[object.Spec.PolicyName] == nil {
				bindings[object.Spec.PolicyName] = map[string]*validating.PolicyBinding{}
			}
			bindings[object.Spec.PolicyName][object.Name] = object
		}
	}
	for _, name := range slices.Sorted(maps.Keys(policies)) {
		c.policies = append(c.policies, validating.PolicyHook{
			Policy: policies[name], Bindings: slices.Collect(maps.Values(bindings[name])), Evaluator: compiled(policies[name]),
		})
	}
	return nil
}

// have creates what is present.
func (c *cluster) have(data []byte) {
	kind, ok := c.kindOf(data)
	if !ok {
		return
	}
	if object, _ := kind.decode(data); object != nil {
		// What it refuses today, it may have taken in another version.
		_ = c.create(kind.context(object, &answer{}), kind, object)
		accessor(object).SetResourceVersion("1")
		c.created[kind.key(object)] = object
	}
}

// compiled gives a policy's program. Compiling takes far longer than judging by it, and each request brings the same policies.
func compiled(policy *validating.Policy) validating.Validator {
	key := policy.Spec.String()
	if program, ok := programs[key]; ok {
		return program
	}
	if len(programs) == mostPrograms {
		clear(programs)
	}
	programs[key] = compilePolicy(policy)
	return programs[key]
}

// mostPrograms are far more than a platform has policies; who asks about thousands of changed ones gets no leak.
const mostPrograms = 100

var programs = map[string]validating.Validator{}

// compilePolicy is how the API server compiles a policy: the parts that it puts together differ from one version to the next.
//
//go:linkname compilePolicy k8s.io/apiserver/pkg/admission/plugin/policy/validating.compilePolicy
func compilePolicy(*validating.Policy) validating.Validator

// deciding gives an object as clients see it if it is of a kind that decides about others.
func (c *cluster) deciding(data []byte) runtime.Object {
	kind, ok := c.kindOf(data)
	if !ok || !slices.Contains(decidingKinds, kind.gvk.Kind) {
		return nil
	}
	if definition, ok := definitions[string(data)]; ok {
		return definition
	}
	object, _ := kind.decode(data)
	if object == nil {
		return nil
	}
	// A namespace gets its name as a label.
	kind.PrepareForCreate(kind.context(object, &answer{}), object)
	external, _ := kind.external(object)
	if definition, ok := external.(*apiextensions.CustomResourceDefinition); ok {
		remember(data, definition)
	}
	return external
}

var decidingKinds = []string{"Namespace", "CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}

// kindOf gives the kind of an object, if the cluster serves it.
func (c *cluster) kindOf(data []byte) (kind, bool) {
	gvk := named(data)
	if of, ok := strategies[gvk]; ok {
		return builtIn(gvk, of), true
	}
	if definition, ok := c.definitions[gvk.GroupKind()]; ok {
		return customOnce(gvk, definition)
	}
	return kind{}, false
}

// named is the kind that an object says it is of.
func named(data []byte) schema.GroupVersionKind {
	says := headerOf(data)
	return schema.FromAPIVersionAndKind(says.APIVersion, says.Kind)
}

// attributes are what admission sees of a request.
func (k kind) attributes(object, former runtime.Object) admission.Attributes {
	operation := admission.Create
	if former != nil {
		operation = admission.Update
	}
	of := accessor(object)
	return admission.NewAttributesRecord(
		object, former, k.gvk, of.GetNamespace(), of.GetName(), k.resource, "", operation, nil, true, &user.DefaultInfo{},
	)
}

// admit says what Pod Security and the policies refuse.
func (c *cluster) admit(ctx context.Context, attributes admission.Attributes, external runtime.Object) []finding {
	found := append(levelFindings(external, attributes.GetOldObject()), c.podSecurityFindings(external)...)
	if name := attributes.GetNamespace(); name != "" {
		if _, err := c.lister.Get(name); err != nil {
			// The policies ask for its labels. It has only that which Kubernetes gives, as far as is known here.
			namespace := core.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{core.LabelMetadataName: name}}}
			_ = c.namespaces.Add(&namespace)
		}
	}
	for _, policy := range c.policies {
		if policy.Policy.Spec.ParamKind != nil {
			found = append(found, finding{By: "warning", Reason: policy.Policy.Name, Message: "the parameters of this policy are not known here"})
			continue
		}
		err := c.dispatcher.Dispatch(ctx, attributes, admission.NewObjectInterfacesFromScheme(legacyscheme.Scheme), []validating.PolicyHook{policy})
		if err != nil {
			found = append(found, finding{By: "policy", Reason: policy.Policy.Name, Message: err.Error()})
		}
	}
	return found
}

// levelFindings are those of the labels by which a namespace asks for a level of Pod Security; on an update, those that are new.
func levelFindings(external, former runtime.Object) []finding {
	namespace, ok := external.(*core.Namespace)
	if !ok {
		return nil
	}
	_, errs := podsecurity.PolicyToEvaluate(namespace.Labels, podsecurity.Policy{})
	if former != nil {
		if _, old := podsecurity.PolicyToEvaluate(accessor(former).GetLabels(), podsecurity.Policy{}); reflect.DeepEqual(old, errs) {
			return nil
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return validationFindings(apierrors.NewInvalid(core.SchemeGroupVersion.WithKind("Namespace").GroupKind(), namespace.Name, errs))
}

// podSecurityFindings are those at the level that an object's namespace enforces; the API server finds them when the pods are made.
func (c *cluster) podSecurityFindings(external runtime.Object) []finding {
	pod := podOf(external)
	if pod == nil {
		return nil
	}
	namespace, err := c.lister.Get(accessor(external).GetNamespace())
	if err != nil {
		return nil
	}
	privileged := podsecurity.LevelVersion{Level: podsecurity.LevelPrivileged, Version: podsecurity.LatestVersion()}
	defaults := podsecurity.Policy{Enforce: privileged, Audit: privileged, Warn: privileged}
	wanted, _ := podsecurity.PolicyToEvaluate(namespace.Labels, defaults)
	var found []finding
	for _, result := range c.podSecurity.EvaluatePod(wanted.Enforce, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			message := fmt.Sprintf("violates PodSecurity %q: %s (%s)", wanted.Enforce, result.ForbiddenReason, result.ForbiddenDetail)
			found = append(found, finding{By: "pod-security", Reason: result.ForbiddenReason, Message: message})
		}
	}
	return found
}
