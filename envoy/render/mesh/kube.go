package mesh

import (
	"github.com/memgate/memgate/filter/policy"
)

// user is the one without rights that the image runs as.
const user = 65532

var memgateLabels = map[string]string{"app": "memgate"}

// Kubernetes returns memgate itself for a cluster: what Istio and Envoy Gateway
// need beside it is in [Istio] and [EnvoyGateway].
func Kubernetes(p *policy.Policy, o Options) ([]File, error) {
	e, err := newEdge(p, o)
	if err != nil {
		return nil, err
	}
	file, err := e.memgate(nil)
	return []File{file}, err
}

// memgate is the file with memgate itself. labels are added to its namespace.
func (e *edge) memgate(labels map[string]string) (File, error) {
	no := false
	at := meta{Name: "memgate", Namespace: e.Namespace, Labels: memgateLabels}
	config := meta{Name: "memgate-policy", Namespace: e.Namespace, Labels: memgateLabels}
	return newFile("memgate.yaml", `memgate itself. What you would change: the image and its digest (--image), the number of
instances (--replicas), and the secrets that you make beside it:

  `+e.FilesSecret+`  files that the policy names below secrets/, such as txn-key.json (required with more than
                 one instance, so that all sign with the same key) and keys.yaml
  `+e.EnvSecret+`    environment variables that the policy names, such as REDIS_URL`,
		document{"", bare{APIVersion: "v1", Kind: "Namespace", Metadata: meta{Name: e.Namespace, Labels: labels}}},
		document{"The policy. memgate follows it: apply a new one, and it is in force without a restart.",
			bare{APIVersion: "v1", Kind: "ConfigMap", Metadata: config, Data: map[string]string{"memgate.yaml": string(e.Policy)}}},
		document{"memgate asks nothing of the cluster's API.",
			bare{APIVersion: "v1", Kind: "ServiceAccount", Metadata: at, AutomountServiceAccountToken: &no}},
		document{"", resource[serviceSpec]{"v1", "Service", at, serviceSpec{
			Selector: memgateLabels,
			Ports: []servicePort{
				{"grpc", e.grpc, "grpc", "grpc"},
				{"http", e.http, "http", "http"},
			},
		}}},
		document{"", e.deployment(at)},
		document{"Half of the instances stay while nodes are drained.",
			resource[disruptionSpec]{"policy/v1", "PodDisruptionBudget", at, disruptionSpec{
				MinAvailable: (e.Replicas + 1) / 2, Selector: labelSelector{memgateLabels},
			}}},
		document{"", e.scaler(at)},
		document{`Who may connect to memgate: pods of the namespace that it protects, and of the gateways.
Add the namespace of your Prometheus for /metrics.`, resource[networkSpec]{"networking.k8s.io/v1", "NetworkPolicy", at, networkSpec{
			PodSelector: labelSelector{memgateLabels}, PolicyTypes: []string{"Ingress"},
			Ingress: []ingressRule{{
				From:  []peer{{NamespaceSelector: named(e.WorkloadNamespace)}, {NamespaceSelector: named("istio-ingress")}, {NamespaceSelector: named("envoy-gateway-system")}},
				Ports: []networkPort{{"TCP", "grpc"}, {"TCP", "http"}},
			}},
		}}},
	)
}

// named selects a namespace by the label that each has.
func named(namespace string) *labelSelector {
	return &labelSelector{map[string]string{"kubernetes.io/metadata.name": namespace}}
}

func (e *edge) deployment(at meta) resource[deploymentSpec] {
	d := resource[deploymentSpec]{APIVersion: "apps/v1", Kind: "Deployment", Metadata: at}
	d.Spec.Selector = labelSelector{memgateLabels}
	d.Spec.Strategy.RollingUpdate.MaxSurge = 1
	d.Spec.Template.Metadata = meta{Labels: memgateLabels}
	probes := func(path string, period, failures int) probe {
		return probe{HTTPGet: httpGet{path, "http"}, PeriodSeconds: period, TimeoutSeconds: 2, FailureThreshold: failures}
	}
	guard := containerGuard{ReadOnlyRootFilesystem: true}
	guard.Capabilities.Drop = []string{"ALL"}
	pod := podSpec{
		ServiceAccountName:            "memgate",
		TerminationGracePeriodSeconds: 30,
		SecurityContext:               podSecurity{true, user, user, user, seccomp{"RuntimeDefault"}},
		TopologySpreadConstraints:     []spread{{1, "kubernetes.io/hostname", "ScheduleAnyway", labelSelector{memgateLabels}}},
		Containers: []containerObj{{
			Name: "memgate", Image: e.Image,
			Args:            []string{"serve", "--config", "/etc/memgate/memgate.yaml"},
			EnvFrom:         []envFrom{{optionalRef{e.EnvSecret, true}}},
			Ports:           []containerPort{{"grpc", e.grpc}, {"http", e.http}},
			ReadinessProbe:  probes("/readyz", 2, 2),
			LivenessProbe:   probes("/healthz", 10, 3),
			StartupProbe:    probes("/healthz", 1, 60),
			Resources:       resources{Requests: map[string]string{"cpu": "250m", "memory": "128Mi"}, Limits: map[string]string{"memory": "512Mi"}},
			SecurityContext: guard,
			VolumeMounts:    []mount{{"policy", "/etc/memgate", true}, {"run", "/run/memgate", false}},
		}},
		Volumes: []volume{
			{Name: "policy", Projected: &projected{[]source{
				{ConfigMap: &localRef{"memgate-policy"}},
				{Secret: &secretRef{Name: e.FilesSecret, Optional: true, Items: e.files()}},
			}}},
			{Name: "run", EmptyDir: &emptyDir{"64Mi"}},
		},
	}
	// Until every Envoy has heard that the pod ends, it goes on answering.
	pod.Containers[0].Lifecycle.PreStop.Sleep.Seconds = 5
	if e.PullSecret != "" {
		pod.ImagePullSecrets = []localRef{{e.PullSecret}}
	}
	d.Spec.Template.Spec = pod
	return d
}

func (e *edge) scaler(at meta) resource[scalerSpec] {
	m := metric{Type: "Resource", Resource: resourceMetric{Name: "cpu"}}
	m.Resource.Target.Type, m.Resource.Target.AverageUtilization = "Utilization", 70
	return resource[scalerSpec]{"autoscaling/v2", "HorizontalPodAutoscaler", at, scalerSpec{
		ScaleTargetRef: scaleTarget{"apps/v1", "Deployment", "memgate"},
		MinReplicas:    e.Replicas, MaxReplicas: max(10, 5*e.Replicas), Metrics: []metric{m},
	}}
}
