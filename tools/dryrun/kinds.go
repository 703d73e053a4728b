package main

import (
	admissionregistration "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
	node "k8s.io/api/node/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	scheduling "k8s.io/api/scheduling/v1"
	storage "k8s.io/api/storage/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/admissionregistration/install"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/discovery/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/node/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	_ "k8s.io/kubernetes/pkg/apis/scheduling/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"k8s.io/kubernetes/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	"k8s.io/kubernetes/pkg/registry/apps/daemonset"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/apps/replicaset"
	"k8s.io/kubernetes/pkg/registry/apps/statefulset"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/batch/cronjob"
	"k8s.io/kubernetes/pkg/registry/batch/job"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/limitrange"
	"k8s.io/kubernetes/pkg/registry/core/namespace"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolume"
	"k8s.io/kubernetes/pkg/registry/core/persistentvolumeclaim"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/podtemplate"
	"k8s.io/kubernetes/pkg/registry/core/replicationcontroller"
	"k8s.io/kubernetes/pkg/registry/core/resourcequota"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/discovery/endpointslice"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/ingressclass"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/node/runtimeclass"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrole"
	"k8s.io/kubernetes/pkg/registry/rbac/clusterrolebinding"
	"k8s.io/kubernetes/pkg/registry/rbac/role"
	"k8s.io/kubernetes/pkg/registry/rbac/rolebinding"
	"k8s.io/kubernetes/pkg/registry/scheduling/priorityclass"
	"k8s.io/kubernetes/pkg/registry/storage/storageclass"
)

// strategy is what the API server has of each kind: how it prepares, validates and updates an object.
type strategy interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
}

// What people write manifests of, in the versions that a cluster serves without being told to. The rest is made by controllers,
// or said to be unknown.
var strategies = map[schema.GroupVersionKind]strategy{
	admissionregistration.SchemeGroupVersion.WithKind("MutatingWebhookConfiguration"):     mutatingwebhookconfiguration.Strategy,
	admissionregistration.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicy"):        validatingadmissionpolicy.NewStrategy(nil, nil),
	admissionregistration.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicyBinding"): validatingadmissionpolicybinding.NewStrategy(nil, nil, nil),
	admissionregistration.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"):   validatingwebhookconfiguration.Strategy,
	apiextensions.SchemeGroupVersion.WithKind("CustomResourceDefinition"):                 customresourcedefinition.NewStrategy(legacyscheme.Scheme),
	apps.SchemeGroupVersion.WithKind("DaemonSet"):                                         daemonset.Strategy,
	apps.SchemeGroupVersion.WithKind("Deployment"):                                        deployment.Strategy,
	apps.SchemeGroupVersion.WithKind("ReplicaSet"):                                        replicaset.Strategy,
	apps.SchemeGroupVersion.WithKind("StatefulSet"):                                       statefulset.Strategy,
	autoscaling.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"):                    horizontalpodautoscaler.Strategy,
	autoscalingv1.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"):                  horizontalpodautoscaler.Strategy,
	batch.SchemeGroupVersion.WithKind("CronJob"):                                          cronjob.Strategy,
	batch.SchemeGroupVersion.WithKind("Job"):                                              job.Strategy,
	core.SchemeGroupVersion.WithKind("ConfigMap"):                                         configmap.Strategy,
	core.SchemeGroupVersion.WithKind("LimitRange"):                                        limitrange.Strategy,
	core.SchemeGroupVersion.WithKind("Namespace"):                                         namespace.Strategy,
	core.SchemeGroupVersion.WithKind("PersistentVolume"):                                  persistentvolume.Strategy,
	core.SchemeGroupVersion.WithKind("PersistentVolumeClaim"):                             persistentvolumeclaim.Strategy,
	core.SchemeGroupVersion.WithKind("Pod"):                                               pod.Strategy,
	core.SchemeGroupVersion.WithKind("PodTemplate"):                                       podtemplate.Strategy,
	core.SchemeGroupVersion.WithKind("ReplicationController"):                             replicationcontroller.Strategy,
	core.SchemeGroupVersion.WithKind("ResourceQuota"):                                     resourcequota.Strategy,
	core.SchemeGroupVersion.WithKind("Secret"):                                            secret.Strategy,
	core.SchemeGroupVersion.WithKind("Service"):                                           service.Strategy,
	core.SchemeGroupVersion.WithKind("ServiceAccount"):                                    serviceaccount.Strategy,
	discovery.SchemeGroupVersion.WithKind("EndpointSlice"):                                endpointslice.Strategy,
	networking.SchemeGroupVersion.WithKind("Ingress"):                                     ingress.Strategy,
	networking.SchemeGroupVersion.WithKind("IngressClass"):                                ingressclass.Strategy,
	networking.SchemeGroupVersion.WithKind("NetworkPolicy"):                               networkpolicy.Strategy,
	node.SchemeGroupVersion.WithKind("RuntimeClass"):                                      runtimeclass.Strategy,
	policy.SchemeGroupVersion.WithKind("PodDisruptionBudget"):                             poddisruptionbudget.Strategy,
	rbac.SchemeGroupVersion.WithKind("ClusterRole"):                                       clusterrole.Strategy,
	rbac.SchemeGroupVersion.WithKind("ClusterRoleBinding"):                                clusterrolebinding.Strategy,
	rbac.SchemeGroupVersion.WithKind("Role"):                                              role.Strategy,
	rbac.SchemeGroupVersion.WithKind("RoleBinding"):                                       rolebinding.Strategy,
	scheduling.SchemeGroupVersion.WithKind("PriorityClass"):                               priorityclass.Strategy,
	storage.SchemeGroupVersion.WithKind("StorageClass"):                                   storageclass.Strategy,
}
