package mesh

// meshValues are values for the chart of istiod, or the meshConfig of an
// installation.
type meshValues struct {
	MeshConfig meshConfig `yaml:"meshConfig"`
}

type meshConfig struct {
	PathNormalization  pathNormalization `yaml:"pathNormalization"`
	ExtensionProviders []provider        `yaml:"extensionProviders"`
}

type pathNormalization struct {
	Normalization string `yaml:"normalization"`
}

type provider struct {
	Name      string         `yaml:"name"`
	ExtAuthz  *extAuthz      `yaml:"envoyExtAuthzGrpc,omitempty"`
	AccessLog *httpAccessLog `yaml:"envoyHttpAls,omitempty"`
}

type extAuthz struct {
	Service         string `yaml:"service"`
	Port            uint32 `yaml:"port"`
	Timeout         string `yaml:"timeout"`
	FailOpen        bool   `yaml:"failOpen"`
	StatusOnError   string `yaml:"statusOnError"`
	ClearRouteCache bool   `yaml:"clearRouteCache,omitempty"`
}

type httpAccessLog struct {
	Service     string   `yaml:"service"`
	Port        uint32   `yaml:"port"`
	LogName     string   `yaml:"logName"`
	FilterState []string `yaml:"filterStateObjectsToLog"`
}

type authorizationSpec struct {
	Selector *labelSelector  `yaml:"selector,omitempty"`
	Action   string          `yaml:"action"`
	Provider *providerRef    `yaml:"provider,omitempty"`
	Rules    []authorization `yaml:"rules"`
}

type providerRef struct {
	Name string `yaml:"name"`
}

// authorization without members matches every request.
type authorization struct{}

type wasmSpec struct {
	Selector        labelSelector `yaml:"selector"`
	URL             string        `yaml:"url"`
	SHA256          string        `yaml:"sha256"`
	ImagePullPolicy string        `yaml:"imagePullPolicy"`
	ImagePullSecret string        `yaml:"imagePullSecret,omitempty"`
	PluginName      string        `yaml:"pluginName"`
	Type            string        `yaml:"type"`
	Phase           string        `yaml:"phase"`
	Priority        int           `yaml:"priority"`
	FailStrategy    string        `yaml:"failStrategy"`
	PluginConfig    pluginConfig  `yaml:"pluginConfig"`
	Match           []wasmMatch   `yaml:"match,omitempty"`
}

type wasmMatch struct {
	Mode string `yaml:"mode"`
}

type pluginConfig struct {
	Cluster string `yaml:"cluster" json:"cluster"`
	Headers string `yaml:"headers,omitempty" json:"headers,omitempty"`
}

type telemetrySpec struct {
	Selector      labelSelector  `yaml:"selector"`
	AccessLogging []accessLogger `yaml:"accessLogging"`
}

type accessLogger struct {
	Providers []providerRef `yaml:"providers"`
	Match     *wasmMatch    `yaml:"match,omitempty"`
}

type destinationSpec struct {
	Host          string        `yaml:"host"`
	TrafficPolicy trafficPolicy `yaml:"trafficPolicy"`
}

type trafficPolicy struct {
	TLS            *clientTLS     `yaml:"tls,omitempty"`
	ConnectionPool connectionPool `yaml:"connectionPool"`
}

type clientTLS struct {
	Mode string `yaml:"mode"`
}

type connectionPool struct {
	TCP struct {
		ConnectTimeout string `yaml:"connectTimeout"`
		MaxConnections int    `yaml:"maxConnections,omitempty"`
	} `yaml:"tcp"`
	HTTP struct {
		HTTP1MaxPendingRequests int `yaml:"http1MaxPendingRequests"`
		HTTP2MaxRequests        int `yaml:"http2MaxRequests"`
	} `yaml:"http"`
}

type serviceEntrySpec struct {
	Hosts      []string    `yaml:"hosts"`
	Location   string      `yaml:"location"`
	Resolution string      `yaml:"resolution"`
	ExportTo   []string    `yaml:"exportTo"`
	Ports      []entryPort `yaml:"ports"`
}

type entryPort struct {
	Number   int    `yaml:"number"`
	Name     string `yaml:"name"`
	Protocol string `yaml:"protocol"`
}

type peerAuthenticationSpec struct {
	Selector *labelSelector `yaml:"selector,omitempty"`
	MTLS     clientTLS      `yaml:"mtls"`
}

type istioGatewaySpec struct {
	Selector map[string]string `yaml:"selector"`
	Servers  []gatewayServer   `yaml:"servers"`
}

type gatewayServer struct {
	Port  entryPort     `yaml:"port"`
	Hosts []string      `yaml:"hosts"`
	TLS   *gatewayCerts `yaml:"tls"`
}

type gatewayCerts struct {
	HTTPSRedirect      bool     `yaml:"httpsRedirect,omitempty"`
	Mode               string   `yaml:"mode,omitempty"`
	CredentialName     string   `yaml:"credentialName,omitempty"`
	MinProtocolVersion string   `yaml:"minProtocolVersion,omitempty"`
	CipherSuites       []string `yaml:"cipherSuites,omitempty"`
}

type virtualServiceSpec struct {
	Hosts    []string    `yaml:"hosts"`
	Gateways []string    `yaml:"gateways"`
	HTTP     []httpRoute `yaml:"http"`
}

type httpRoute struct {
	Name    string        `yaml:"name"`
	Match   []httpMatch   `yaml:"match,omitempty"`
	Route   []destination `yaml:"route"`
	Timeout string        `yaml:"timeout"`
	Retries routeRetries  `yaml:"retries"`
}

type httpMatch struct {
	URI    stringMatch  `yaml:"uri"`
	Method *stringMatch `yaml:"method,omitempty"`
}

type stringMatch struct {
	Regex string `yaml:"regex,omitempty"`
}

type destination struct {
	Destination struct {
		Host string `yaml:"host"`
		Port struct {
			Number uint32 `yaml:"number"`
		} `yaml:"port"`
	} `yaml:"destination"`
}

type routeRetries struct {
	Attempts int    `yaml:"attempts"`
	RetryOn  string `yaml:"retryOn,omitempty"`
}

type envoyFilterSpec struct {
	WorkloadSelector workloadSelector `yaml:"workloadSelector"`
	Priority         int              `yaml:"priority"`
	ConfigPatches    []configPatch    `yaml:"configPatches"`
}

type workloadSelector struct {
	Labels map[string]string `yaml:"labels"`
}

type configPatch struct {
	ApplyTo string      `yaml:"applyTo"`
	Match   *patchMatch `yaml:"match,omitempty"`
	Patch   patch       `yaml:"patch"`
}

type patchMatch struct {
	Context  string         `yaml:"context"`
	Listener *listenerMatch `yaml:"listener,omitempty"`
}

type listenerMatch struct {
	FilterChain struct {
		Filter filterMatch `yaml:"filter"`
	} `yaml:"filterChain"`
}

type filterMatch struct {
	Name      string   `yaml:"name"`
	SubFilter *subName `yaml:"subFilter,omitempty"`
}

type subName struct {
	Name string `yaml:"name"`
}

type patch struct {
	Operation string `yaml:"operation"`
	Value     any    `yaml:"value"`
}
