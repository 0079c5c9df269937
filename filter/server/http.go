package server

import (
	"io"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ContentPath is where the Wasm filter gets a content policy by digest.
const ContentPath = "/v1/content/"

// handler is the HTTP port. Envoy routes only the sessions API to it from
// outside; the rest is for the mesh and the operator.
func (s *Server) handler(registry *prometheus.Registry, security *certificates) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := s.ready(); why != "" {
			plain(w, http.StatusServiceUnavailable, why+"\n")
			return
		}
		plain(w, http.StatusOK, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(s.current.Load().signer.JWKS())
	})
	mux.Handle("GET "+ContentPath+"{digest}", security.edgeOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wire, ok := s.service.Content(r.PathValue("digest"))
		if !ok {
			plain(w, http.StatusNotFound, "no content policy with this digest is in force\n")
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(wire)
	})))
	mux.HandleFunc("GET /.well-known/oauth-protected-resource", s.resourceMetadata)
	mux.HandleFunc("GET /.well-known/oauth-protected-resource/", s.resourceMetadata)
	mux.Handle("/api/v2/", security.edgeOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api := s.current.Load().api
		if api == nil {
			http.NotFound(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})))
	return mux
}

func plain(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
