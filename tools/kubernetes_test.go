package tools

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// objects are the documents of lockify.yaml.
type objects struct {
	set      apps.StatefulSet
	config   core.ConfigMap
	services map[string]core.Service
	budget   policy.PodDisruptionBudget
}

// strict decodes a document into a type. An unknown field, or one twice, is an error.
func strict(t *testing.T, doc []byte, to any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(doc, to); err != nil {
		t.Fatalf("%v in:\n%s", err, doc)
	}
}

func readObjects(t *testing.T) (o objects) {
	t.Helper()
	text, err := os.ReadFile("../deploy/kubernetes/lockify.yaml")
	if err != nil {
		t.Fatal(err)
	}
	o.services = map[string]core.Service{}
	kinds := map[string]int{}
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		var head struct {
			Kind       string `json:"kind"`
			APIVersion string `json:"apiVersion"`
		}
		if err := yaml.Unmarshal(doc, &head); err != nil {
			t.Fatal(err)
		}
		kind := head.APIVersion + " " + head.Kind
		kinds[kind]++
		switch kind {
		case "apps/v1 StatefulSet":
			strict(t, doc, &o.set)
		case "v1 ConfigMap":
			strict(t, doc, &o.config)
		case "policy/v1 PodDisruptionBudget":
			strict(t, doc, &o.budget)
		case "v1 Service":
			var s core.Service
			strict(t, doc, &s)
			o.services[s.Name] = s
		default:
			t.Errorf("a document of kind %s", kind)
		}
	}
	want := map[string]int{"apps/v1 StatefulSet": 1, "v1 ConfigMap": 1, "policy/v1 PodDisruptionBudget": 1, "v1 Service": 2}
	if !maps.Equal(kinds, want) {
		t.Errorf("documents %v, want %v", kinds, want)
	}
	return o
}

// Labels, ports, volumes and names fit together.
func TestKubernetesFits(t *testing.T) {
	o := readObjects(t)
	labels := o.set.Spec.Template.Labels
	fits := func(what string, selector map[string]string) {
		t.Helper()
		for k, v := range selector {
			if labels[k] != v {
				t.Errorf("%s selects %s=%s, pods have %q", what, k, v, labels[k])
			}
		}
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
	}
	fits("the set", o.set.Spec.Selector.MatchLabels)
	fits("the budget", o.budget.Spec.Selector.MatchLabels)
	c := o.set.Spec.Template.Spec.Containers[0]
	for name, s := range o.services {
		fits(name, s.Spec.Selector)
		for _, p := range s.Spec.Ports {
			if !slices.ContainsFunc(c.Ports, func(cp core.ContainerPort) bool { return cp.ContainerPort == p.Port }) {
				t.Errorf("service %s has port %d, the container has not", name, p.Port)
			}
		}
	}
	if s, ok := o.services[o.set.Spec.ServiceName]; !ok || s.Spec.ClusterIP != core.ClusterIPNone || !s.Spec.PublishNotReadyAddresses {
		t.Errorf("serviceName %q wants a headless service that publishes who is not ready", o.set.Spec.ServiceName)
	}
	if o.set.Spec.Ordinals == nil || o.set.Spec.Ordinals.Start != 1 {
		t.Error("nodes are numbered from 1 on")
	}
	var volumes []string
	for _, v := range o.set.Spec.Template.Spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	for _, v := range o.set.Spec.VolumeClaimTemplates {
		volumes = append(volumes, v.Name)
	}
	for _, m := range c.VolumeMounts {
		if !slices.Contains(volumes, m.Name) {
			t.Errorf("no volume %s, there are %v", m.Name, volumes)
		}
	}
}

// environ is the container's environment in the pod of a node.
func environ(t *testing.T, c *core.Container, id int) (env []string) {
	t.Helper()
	known := map[string]string{}
	for _, e := range c.Env {
		v := e.Value
		switch from := e.ValueFrom; {
		case from == nil:
			for name, value := range known {
				v = strings.ReplaceAll(v, "$("+name+")", value)
			}
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.labels['apps.kubernetes.io/pod-index']":
			v = fmt.Sprint(id)
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
			v = fmt.Sprintf("lockify-%d", id)
		case from.ConfigMapKeyRef != nil && *from.ConfigMapKeyRef.Optional:
			continue
		default:
			t.Errorf("%s: a source that is not known here", e.Name)
		}
		if strings.Contains(v, "$(") {
			t.Errorf("%s=%s: a variable that is not there yet", e.Name, v)
		}
		known[e.Name] = v
		env = append(env, e.Name+"="+v)
	}
	return env
}

// The command of the container, with lockifyd told to check only, finds the configuration
// good for each node: first start of the first, and later ones.
func TestKubernetesConfiguration(t *testing.T) {
	o := readObjects(t)
	c := &o.set.Spec.Template.Spec.Containers[0]
	dir := t.TempDir()
	run := func(cmd *exec.Cmd) string {
		t.Helper()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
		return string(out)
	}
	build := exec.Command("go", "build", "-o", dir, "./cmd/lockifyd", "./cmd/lockctl")
	build.Dir = ".."
	run(build)
	ctl := func(args ...string) { run(exec.Command(filepath.Join(dir, "lockctl"), args...)) }
	ctl("tls", "init", "--cluster", "storage", "--dir", dir)
	config := filepath.Join(dir, "lockifyd.toml")
	local := strings.NewReplacer("/etc/lockify-tls", dir, "/etc/lockify/lockifyd.toml", config+" --check-config")
	if err := os.WriteFile(config, []byte(local.Replace(o.config.Data["lockifyd.toml"])), 0o600); err != nil {
		t.Fatal(err)
	}
	for id := 1; id <= int(*o.set.Spec.Replicas); id++ {
		ctl("tls", "node", fmt.Sprint(id), "--dir", dir)
		for _, first := range []string{"", "1"} {
			cmd := exec.Command("sh", "-c", local.Replace(c.Command[2]))
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "FIRST_START=" + first}
			for _, e := range environ(t, c, id) {
				cmd.Env = append(cmd.Env, local.Replace(e))
			}
			out := run(cmd)
			makes := strings.Contains(out, "# $LOCKIFYD_NEW_CLUSTER")
			if !strings.Contains(out, "the configuration is good") || makes != (id == 1 && first != "") {
				t.Errorf("node %d, first %q:\n%s", id, first, out)
			}
		}
	}
}
