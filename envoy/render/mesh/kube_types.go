package mesh

// resource is an object of a cluster.
type resource[Spec any] struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   meta   `yaml:"metadata"`
	Spec       Spec   `yaml:"spec"`
}

type meta struct {
	Name        string            `yaml:"name,omitempty"`
	Namespace   string            `yaml:"namespace,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Annotations map[string]string `yaml:"annotations,omitempty"`
}

// bare is an object without a spec.
type bare struct {
	APIVersion                   string            `yaml:"apiVersion"`
	Kind                         string            `yaml:"kind"`
	Metadata                     meta              `yaml:"metadata"`
	AutomountServiceAccountToken *bool             `yaml:"automountServiceAccountToken,omitempty"`
	Data                         map[string]string `yaml:"data,omitempty"`
}

type serviceSpec struct {
	Selector map[string]string `yaml:"selector"`
	Ports    []servicePort     `yaml:"ports"`
}

type servicePort struct {
	Name        string `yaml:"name"`
	Port        uint32 `yaml:"port"`
	TargetPort  string `yaml:"targetPort"`
	AppProtocol string `yaml:"appProtocol"`
}

type deploymentSpec struct {
	Replicas int           `yaml:"replicas,omitempty"`
	Selector labelSelector `yaml:"selector"`
	Strategy struct {
		RollingUpdate struct {
			MaxUnavailable int `yaml:"maxUnavailable"`
			MaxSurge       int `yaml:"maxSurge"`
		} `yaml:"rollingUpdate"`
	} `yaml:"strategy"`
	Template struct {
		Metadata meta    `yaml:"metadata"`
		Spec     podSpec `yaml:"spec"`
	} `yaml:"template"`
}

type labelSelector struct {
	MatchLabels map[string]string `yaml:"matchLabels,omitempty"`
}

type podSpec struct {
	ServiceAccountName            string         `yaml:"serviceAccountName"`
	AutomountServiceAccountToken  bool           `yaml:"automountServiceAccountToken"`
	TerminationGracePeriodSeconds int            `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               podSecurity    `yaml:"securityContext"`
	TopologySpreadConstraints     []spread       `yaml:"topologySpreadConstraints"`
	ImagePullSecrets              []localRef     `yaml:"imagePullSecrets,omitempty"`
	Containers                    []containerObj `yaml:"containers"`
	Volumes                       []volume       `yaml:"volumes"`
}

type localRef struct {
	Name string `yaml:"name"`
}

type podSecurity struct {
	RunAsNonRoot   bool    `yaml:"runAsNonRoot"`
	RunAsUser      int     `yaml:"runAsUser"`
	RunAsGroup     int     `yaml:"runAsGroup"`
	FSGroup        int     `yaml:"fsGroup"`
	SeccompProfile seccomp `yaml:"seccompProfile"`
}

type seccomp struct {
	Type string `yaml:"type"`
}

type spread struct {
	MaxSkew           int           `yaml:"maxSkew"`
	TopologyKey       string        `yaml:"topologyKey"`
	WhenUnsatisfiable string        `yaml:"whenUnsatisfiable"`
	LabelSelector     labelSelector `yaml:"labelSelector"`
}

type containerObj struct {
	Name            string          `yaml:"name"`
	Image           string          `yaml:"image"`
	Args            []string        `yaml:"args"`
	EnvFrom         []envFrom       `yaml:"envFrom"`
	Ports           []containerPort `yaml:"ports"`
	ReadinessProbe  probe           `yaml:"readinessProbe"`
	LivenessProbe   probe           `yaml:"livenessProbe"`
	StartupProbe    probe           `yaml:"startupProbe"`
	Resources       resources       `yaml:"resources"`
	SecurityContext containerGuard  `yaml:"securityContext"`
	VolumeMounts    []mount         `yaml:"volumeMounts"`
	Lifecycle       lifecycle       `yaml:"lifecycle"`
}

// lifecycle keeps a pod that ends serving for a while.
type lifecycle struct {
	PreStop struct {
		Sleep struct {
			Seconds int `yaml:"seconds"`
		} `yaml:"sleep"`
	} `yaml:"preStop"`
}

type envFrom struct {
	SecretRef optionalRef `yaml:"secretRef"`
}

type optionalRef struct {
	Name     string `yaml:"name"`
	Optional bool   `yaml:"optional"`
}

type containerPort struct {
	Name          string `yaml:"name"`
	ContainerPort uint32 `yaml:"containerPort"`
}

type probe struct {
	HTTPGet          httpGet `yaml:"httpGet"`
	PeriodSeconds    int     `yaml:"periodSeconds"`
	TimeoutSeconds   int     `yaml:"timeoutSeconds"`
	FailureThreshold int     `yaml:"failureThreshold"`
}

type httpGet struct {
	Path string `yaml:"path"`
	Port string `yaml:"port"`
}

type resources struct {
	Requests map[string]string `yaml:"requests"`
	Limits   map[string]string `yaml:"limits"`
}

type containerGuard struct {
	AllowPrivilegeEscalation bool `yaml:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool `yaml:"readOnlyRootFilesystem"`
	Capabilities             struct {
		Drop []string `yaml:"drop"`
	} `yaml:"capabilities"`
}

type mount struct {
	Name      string `yaml:"name"`
	MountPath string `yaml:"mountPath"`
	ReadOnly  bool   `yaml:"readOnly,omitempty"`
}

type volume struct {
	Name      string     `yaml:"name"`
	Projected *projected `yaml:"projected,omitempty"`
	EmptyDir  *emptyDir  `yaml:"emptyDir,omitempty"`
}

type emptyDir struct {
	SizeLimit string `yaml:"sizeLimit"`
}

type projected struct {
	Sources []source `yaml:"sources"`
}

type source struct {
	ConfigMap *localRef  `yaml:"configMap,omitempty"`
	Secret    *secretRef `yaml:"secret,omitempty"`
}

type secretRef struct {
	Name     string    `yaml:"name"`
	Optional bool      `yaml:"optional"`
	Items    []keyPath `yaml:"items,omitempty"`
}

type keyPath struct {
	Key  string `yaml:"key"`
	Path string `yaml:"path"`
}

type disruptionSpec struct {
	MinAvailable int           `yaml:"minAvailable"`
	Selector     labelSelector `yaml:"selector"`
}

type scalerSpec struct {
	ScaleTargetRef scaleTarget `yaml:"scaleTargetRef"`
	MinReplicas    int         `yaml:"minReplicas"`
	MaxReplicas    int         `yaml:"maxReplicas"`
	Metrics        []metric    `yaml:"metrics"`
}

type scaleTarget struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Name       string `yaml:"name"`
}

type metric struct {
	Type     string         `yaml:"type"`
	Resource resourceMetric `yaml:"resource"`
}

type resourceMetric struct {
	Name   string `yaml:"name"`
	Target struct {
		Type               string `yaml:"type"`
		AverageUtilization int    `yaml:"averageUtilization"`
	} `yaml:"target"`
}

type networkSpec struct {
	PodSelector labelSelector `yaml:"podSelector"`
	PolicyTypes []string      `yaml:"policyTypes"`
	Ingress     []ingressRule `yaml:"ingress,omitempty"`
}

type ingressRule struct {
	From  []peer        `yaml:"from"`
	Ports []networkPort `yaml:"ports,omitempty"`
}

type peer struct {
	NamespaceSelector *labelSelector `yaml:"namespaceSelector,omitempty"`
	PodSelector       *labelSelector `yaml:"podSelector,omitempty"`
}

type networkPort struct {
	Protocol string `yaml:"protocol"`
	Port     string `yaml:"port"`
}
