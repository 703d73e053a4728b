// Command dryrun says of objects what a Kubernetes API server would say of them, by the API server's own code and without a server.
// It renders kustomizations too, by the code of kubectl.
//
// It reads requests and writes answers, one JSON document a line; the first line of output names the Kubernetes version that go.mod takes.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/capabilities"
)

// request asks about the objects of one cluster, or for a rendering.
type request struct {
	// Kustomize is the directory to render; then nothing else is asked.
	Kustomize string `json:"kustomize"`
	// Objects are what would be sent to it. The namespaces, policies and definitions of kinds among them count for the others.
	Objects []json.RawMessage `json:"objects"`
	// Present are what it has already: an object of the same kind and name is updated, others are created.
	Present []json.RawMessage `json:"present"`
}

// answer is what the API server would make of one object.
type answer struct {
	// Known tells whether the API server serves this kind.
	Known bool `json:"known"`
	// Stored is the object with its defaults, as the API server would return it; nothing if it cannot be decoded.
	Stored any `json:"stored,omitempty"`
	// Former is the same of what the cluster has under this name.
	Former any `json:"former,omitempty"`
	// Unchanged tells whether both mean the same, PodsUnchanged whether their pods do, so that none restarts.
	Unchanged     bool      `json:"unchanged,omitempty"`
	PodsUnchanged bool      `json:"podsUnchanged,omitempty"`
	Findings      []finding `json:"findings"`
}

// finding is an error, or a warning.
type finding struct {
	// By is what found it: decoding, validation, warning, pod-security or policy.
	By string `json:"by"`
	// Reason is the API server's word for its sort: FieldValueRequired and so on; the name of a policy.
	Reason string `json:"reason,omitempty"`
	// Field is its path, if the API server gives one.
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	// Known are the fields that there are in place of an unknown one.
	Known []string `json:"known,omitempty"`
}

func main() {
	// The libraries log for the operator of a server.
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	// Nearly every cluster starts its API server with --allow-privileged, as kubeadm does; who may is up to Pod Security.
	capabilities.Setup(true, 0)
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dryrun:", err)
		os.Exit(1)
	}
}

func run(input io.Reader, output io.Writer) error {
	buffered := bufio.NewWriter(output)
	lines := json.NewEncoder(buffered)
	if err := errors.Join(lines.Encode(map[string]string{"kubernetes": kubernetesVersion()}), buffered.Flush()); err != nil {
		return err
	}
	for requests := json.NewDecoder(input); ; {
		var asked request
		if err := requests.Decode(&asked); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		said, err := asked.reply()
		if err != nil {
			return err
		}
		if err := errors.Join(lines.Encode(said), buffered.Flush()); err != nil {
			return err
		}
	}
}

// reply gives what a request asks for.
func (asked request) reply() (any, error) {
	if asked.Kustomize != "" {
		return render(asked.Kustomize)
	}
	return asked.answers()
}

// answers gives one for each object of a request.
func (asked request) answers() ([]answer, error) {
	cluster, err := newCluster(asked)
	if err != nil {
		return nil, err
	}
	answers := make([]answer, len(asked.Objects))
	for i, object := range asked.Objects {
		answers[i] = cluster.judge(object)
	}
	return answers, nil
}

// kubernetesVersion is that of the module whose code answers.
func kubernetesVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "k8s.io/kubernetes" {
				return module.Version
			}
		}
	}
	return ""
}
