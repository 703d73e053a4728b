package main

import (
	"context"
	"net"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/apis/batch"
	core "k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/registry/core/service/ipallocator"
	"k8s.io/kubernetes/pkg/registry/core/service/portallocator"
	services "k8s.io/kubernetes/pkg/registry/core/service/storage"
)

// nodePorts are those that an API server gives unless it is told otherwise.
var nodePorts = utilnet.PortRange{Base: 30000, Size: 2768}

// newServices is what gives Services their addresses and ports, before they are validated; it stores nothing.
func newServices() (*services.REST, error) {
	ports, err := portallocator.NewInMemory(nodePorts)
	if err != nil {
		return nil, err
	}
	addresses := map[core.IPFamily]ipallocator.Interface{core.IPv4Protocol: &anyAddress{}}
	options := generic.RESTOptions{StorageConfig: &storagebackend.ConfigForResource{}, ResourcePrefix: "services", Decorator: noStorage}
	made, _, _, err := services.NewREST(options, core.IPv4Protocol, addresses, ports, nil, nil, nil)
	return made, err
}

func noStorage(
	*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object, func() runtime.Object,
	storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	return nil, func() {}, nil
}

// begin does what comes before validation; what it gives must be called with whether the object is accepted.
func (c *cluster) begin(ctx context.Context, object, former runtime.Object) (registry.FinishFunc, error) {
	switch object := object.(type) {
	case *core.Service:
		if former == nil {
			return c.services.BeginCreate(ctx, object, &metav1.CreateOptions{})
		}
		return c.services.BeginUpdate(ctx, object, former, &metav1.UpdateOptions{})
	case *batch.Job:
		if former != nil && object.Spec.Selector == nil {
			keepGenerated(object, former.(*batch.Job))
		}
	}
	return func(context.Context, bool) {}, nil
}

// keepGenerated keeps by what a Job knows its pods, as applying does: the manifest does not say it.
func keepGenerated(object, former *batch.Job) {
	object.Spec.Selector = former.Spec.Selector
	if object.Spec.Template.Labels == nil {
		object.Spec.Template.Labels = map[string]string{}
	}
	for _, key := range []string{batch.ControllerUidLabel, batch.JobNameLabel, batch.LegacyControllerUidLabel, batch.LegacyJobNameLabel} {
		if value, ok := former.Spec.Template.Labels[key]; ok {
			object.Spec.Template.Labels[key] = value
		}
	}
}

// anyAddress gives addresses and takes every one: which a cluster has is not known here.
type anyAddress struct{ given byte }

func (a *anyAddress) AllocateNext() (net.IP, error) {
	a.given++
	return net.IPv4(10, 96, 0, a.given), nil
}
func (*anyAddress) Allocate(net.IP) error           { return nil }
func (*anyAddress) Release(net.IP) error            { return nil }
func (*anyAddress) ForEach(func(net.IP))            {}
func (*anyAddress) CIDR() net.IPNet                 { return net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)} }
func (*anyAddress) IPFamily() core.IPFamily         { return core.IPv4Protocol }
func (*anyAddress) Has(net.IP) bool                 { return true }
func (*anyAddress) Destroy()                        {}
func (*anyAddress) EnableMetrics()                  {}
func (a *anyAddress) DryRun() ipallocator.Interface { return a }
