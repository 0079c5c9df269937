package policy

import (
	"errors"
	"net"
	"strconv"
	"strings"
)

// Tracing is where spans of requests go, Envoy's and memgate's in one trace.
type Tracing struct {
	OTLP        string      `yaml:"otlp" doc:"host:port of a collector of OpenTelemetry traces (OTLP over gRPC), for Envoy and for memgate" required:"true"`
	Sample      Fraction    `yaml:"sample" doc:"the part of requests that is traced, from 0 to 1 in steps of 0.0001; Envoy draws it, and memgate follows" default:"0.1"`
	Service     string      `yaml:"service" doc:"service.name of memgate's spans; Envoy's have -envoy behind it" default:"memgate"`
	TrustClient bool        `yaml:"trust_client" doc:"go on with the trace that a client names in traceparent, unless the client does not trace it, and pass on its baggage; without it both are taken off"`
	TLS         *TracingTLS `yaml:"tls" doc:"TLS to the collector; plain when left out. Envoy goes by envoy.identity"`
}

// TracingTLS is how the collector is known.
type TracingTLS struct {
	ServerName string `yaml:"server_name" doc:"name that the collector's certificate must have; the host of tracing.otlp when empty"`
	CA         Secret `yaml:"ca" doc:"file:PATH of the authorities of the collector's certificate (PEM), for memgate, which shows that of server.tls; those of the system when empty"`
}

// Fraction is a part of a whole, in ten-thousandths, which is as fine as Envoy
// samples.
type Fraction int

// Whole is the [Fraction] that is all.
const Whole Fraction = 10_000

var _ scalar = (*Fraction)(nil)

// Float is f as a number from 0 to 1.
func (f Fraction) Float() float64 { return float64(f) / float64(Whole) }

// String is f in the form that the file takes.
func (f Fraction) String() string { return strconv.FormatFloat(f.Float(), 'f', -1, 64) }

func (f *Fraction) parse(text string) error {
	whole, part, point := strings.Cut(text, ".")
	if !isDecimal(whole) || len(whole) > 1 || point && !isDecimal(part) {
		return errors.New("must be a number from 0 to 1, such as 0.1")
	}
	if part = strings.TrimRight(part, "0"); len(part) > 4 {
		return errors.New("must be a number in steps of 0.0001")
	}
	n, err := strconv.Atoi(whole + part + strings.Repeat("0", 4-len(part)))
	if err != nil || n > int(Whole) {
		return errors.New("must be a number from 0 to 1, such as 0.1")
	}
	*f = Fraction(n)
	return nil
}

func (*Fraction) pattern() (string, string) { return `^(0(\.[0-9]+)?|1(\.0+)?)$`, "0.1" }

func (l *linter) tracing() {
	t := l.p.Tracing
	if t == nil {
		return
	}
	problem := addressProblem(t.OTLP)
	if problem != "" {
		l.err("tracing.otlp", "address", "%s", problem)
	}
	if t.Service == "" || len(t.Service) > 64 || !isRouteName(t.Service) {
		l.err("tracing.service", "trace-service", "is made of letters, digits, '.', '_' and '-', 1 to 64 of them")
	}
	if t.TrustClient {
		l.warn("tracing.trust_client", "trace-client", "clients choose the trace that their requests are part of, and that they are not traced; leave it out where they are not your own")
	}
	if t.TLS == nil {
		if host, _, err := net.SplitHostPort(t.OTLP); problem == "" && err == nil && l.p.Environment == "production" && !isLoopback(host) {
			l.err("tracing.otlp", "trace-plain", "is not encrypted and not on loopback in production: set tracing.tls, or send to a collector on this machine")
		}
		return
	}
	if l.p.Envoy.Identity == nil {
		l.err("tracing.tls", "tls", "needs envoy.identity, which says whose certificate Envoy believes to be the collector's")
	}
	if strings.HasPrefix(string(t.TLS.CA), schemeEnv) {
		l.err("tracing.tls.ca", "file-reference", "must be file:PATH")
	}
}
