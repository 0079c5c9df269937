package mesh

type gatewaySpec struct {
	GatewayClassName string            `yaml:"gatewayClassName"`
	Infrastructure   infrastructure    `yaml:"infrastructure"`
	Listeners        []gatewayListener `yaml:"listeners"`
}

type infrastructure struct {
	ParametersRef targetRef `yaml:"parametersRef"`
}

type gatewayListener struct {
	Name     string       `yaml:"name"`
	Protocol string       `yaml:"protocol"`
	Port     int          `yaml:"port"`
	TLS      *listenerTLS `yaml:"tls,omitempty"`
}

type listenerTLS struct {
	Mode            string      `yaml:"mode"`
	CertificateRefs []targetRef `yaml:"certificateRefs"`
}

type targetRef struct {
	Group       string `yaml:"group,omitempty"`
	Kind        string `yaml:"kind"`
	Name        string `yaml:"name"`
	SectionName string `yaml:"sectionName,omitempty"`
	Namespace   string `yaml:"namespace,omitempty"`
}

type httpRouteSpec struct {
	ParentRefs []parentRef `yaml:"parentRefs"`
	Hostnames  []string    `yaml:"hostnames"`
	Rules      []routeRule `yaml:"rules"`
}

type parentRef struct {
	Name        string `yaml:"name"`
	SectionName string `yaml:"sectionName"`
}

type routeRule struct {
	Name        string        `yaml:"name,omitempty"`
	Matches     []routeMatch  `yaml:"matches,omitempty"`
	Filters     []routeFilter `yaml:"filters,omitempty"`
	BackendRefs []backendRef  `yaml:"backendRefs,omitempty"`
}

type routeMatch struct {
	Path    pathMatch     `yaml:"path"`
	Method  string        `yaml:"method,omitempty"`
	Headers []headerMatch `yaml:"headers,omitempty"`
}

type headerMatch struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

type pathMatch struct {
	Type  string `yaml:"type"`
	Value string `yaml:"value"`
}

type routeFilter struct {
	Type            string        `yaml:"type"`
	RequestRedirect redirectRoute `yaml:"requestRedirect"`
}

type redirectRoute struct {
	Scheme     string `yaml:"scheme"`
	StatusCode int    `yaml:"statusCode"`
}

type backendRef struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace,omitempty"`
	Port      uint32 `yaml:"port"`
}

type securitySpec struct {
	TargetRefs []targetRef `yaml:"targetRefs"`
	ExtAuth    egExtAuth   `yaml:"extAuth"`
}

type egExtAuth struct {
	GRPC           backendRefs `yaml:"grpc"`
	Timeout        string      `yaml:"timeout"`
	FailOpen       bool        `yaml:"failOpen"`
	StatusOnError  int         `yaml:"statusOnError"`
	RecomputeRoute bool        `yaml:"recomputeRoute,omitempty"`
}

type backendRefs struct {
	BackendRefs []backendRef `yaml:"backendRefs"`
}

type extensionSpec struct {
	TargetRefs []targetRef `yaml:"targetRefs"`
	Wasm       []egWasm    `yaml:"wasm"`
}

type egWasm struct {
	Name     string       `yaml:"name"`
	RootID   string       `yaml:"rootID"`
	Code     wasmCode     `yaml:"code"`
	Config   pluginConfig `yaml:"config"`
	FailOpen bool         `yaml:"failOpen"`
}

type wasmCode struct {
	Type  string     `yaml:"type"`
	Image *wasmImage `yaml:"image,omitempty"`
	HTTP  *wasmImage `yaml:"http,omitempty"`
}

type wasmImage struct {
	URL           string     `yaml:"url"`
	SHA256        string     `yaml:"sha256"`
	PullSecretRef *targetRef `yaml:"pullSecretRef,omitempty"`
}

type clientTrafficSpec struct {
	TargetRefs        []targetRef         `yaml:"targetRefs"`
	ClientIPDetection *clientIP           `yaml:"clientIPDetection,omitempty"`
	TLS               *egTLS              `yaml:"tls,omitempty"`
	Path              egPath              `yaml:"path"`
	Headers           egHeaders           `yaml:"headers"`
	Timeout           egTimeouts          `yaml:"timeout"`
	Connection        egClientConnections `yaml:"connection"`
	HTTP2             egHTTP2             `yaml:"http2"`
	HTTP3             *struct{}           `yaml:"http3,omitempty"`
}

type clientIP struct {
	XForwardedFor struct {
		NumTrustedHops int `yaml:"numTrustedHops"`
	} `yaml:"xForwardedFor"`
}

type egTLS struct {
	MinVersion       string        `yaml:"minVersion"`
	Ciphers          []string      `yaml:"ciphers"`
	ALPNProtocols    []string      `yaml:"alpnProtocols"`
	ClientValidation *egValidation `yaml:"clientValidation,omitempty"`
}

type egValidation struct {
	Optional          bool        `yaml:"optional,omitempty"`
	CACertificateRefs []targetRef `yaml:"caCertificateRefs"`
}

type egPath struct {
	EscapedSlashesAction string `yaml:"escapedSlashesAction"`
	DisableMergeSlashes  bool   `yaml:"disableMergeSlashes"`
}

type egHeaders struct {
	WithUnderscoresAction string   `yaml:"withUnderscoresAction"`
	RequestID             string   `yaml:"requestID"`
	LateResponseHeaders   egHeader `yaml:"lateResponseHeaders"`
	XForwardedClientCert  egXFCC   `yaml:"xForwardedClientCert"`
}

type egHeader struct {
	Set []headerMatch `yaml:"set"`
}

type egXFCC struct {
	Mode             string   `yaml:"mode"`
	CertDetailsToAdd []string `yaml:"certDetailsToAdd,omitempty"`
}

type egTimeouts struct {
	HTTP egHTTPTimeouts `yaml:"http"`
}

type egHTTPTimeouts struct {
	RequestReceivedTimeout        string `yaml:"requestReceivedTimeout,omitempty"`
	RequestHeadersReceivedTimeout string `yaml:"requestHeadersReceivedTimeout,omitempty"`
	IdleTimeout                   string `yaml:"idleTimeout,omitempty"`
	StreamIdleTimeout             string `yaml:"streamIdleTimeout,omitempty"`
	RequestTimeout                string `yaml:"requestTimeout,omitempty"`
}

type egClientConnections struct {
	ConnectionLimit struct {
		Value int `yaml:"value"`
	} `yaml:"connectionLimit"`
	BufferLimit string `yaml:"bufferLimit"`
}

type egHTTP2 struct {
	InitialStreamWindowSize     string `yaml:"initialStreamWindowSize"`
	InitialConnectionWindowSize string `yaml:"initialConnectionWindowSize"`
	MaxConcurrentStreams        int    `yaml:"maxConcurrentStreams"`
}

type backendTrafficSpec struct {
	TargetRefs     []targetRef     `yaml:"targetRefs"`
	CircuitBreaker egBreaker       `yaml:"circuitBreaker"`
	Connection     egBackendBuffer `yaml:"connection"`
	Retry          egRetry         `yaml:"retry"`
	Timeout        egTimeouts      `yaml:"timeout"`
}

type egBreaker struct {
	MaxConnections      int `yaml:"maxConnections"`
	MaxPendingRequests  int `yaml:"maxPendingRequests"`
	MaxParallelRequests int `yaml:"maxParallelRequests"`
}

type egBackendBuffer struct {
	BufferLimit string `yaml:"bufferLimit"`
}

type egRetry struct {
	NumRetries int `yaml:"numRetries"`
	RetryOn    struct {
		Triggers []string `yaml:"triggers"`
	} `yaml:"retryOn"`
}

type envoyProxySpec struct {
	Telemetry struct {
		AccessLog struct {
			Settings []egLog `yaml:"settings"`
		} `yaml:"accessLog"`
	} `yaml:"telemetry"`
}

type egLog struct {
	Sinks []egSink `yaml:"sinks"`
}

type egSink struct {
	Type string `yaml:"type"`
	ALS  egALS  `yaml:"als"`
}

type egALS struct {
	BackendRefs []backendRef `yaml:"backendRefs"`
	LogName     string       `yaml:"logName"`
	Type        string       `yaml:"type"`
}

type grantSpec struct {
	From []grantFrom `yaml:"from"`
	To   []grantTo   `yaml:"to"`
}

type grantFrom struct {
	Group     string `yaml:"group"`
	Kind      string `yaml:"kind"`
	Namespace string `yaml:"namespace"`
}

type grantTo struct {
	Group string `yaml:"group"`
	Kind  string `yaml:"kind"`
	Name  string `yaml:"name"`
}
