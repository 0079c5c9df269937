package txntoken

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

const (
	maxKeyID     = 128
	maxKeySet    = 64 << 10
	maxKeys      = 16
	fetchTimeout = 5 * time.Second
)

// keySource holds the edge's public keys by id and reads them again when they are old or
// when a token names one that is not there.
type keySource struct {
	cfg    *VerifierConfig
	static map[string]ed25519.PublicKey // if the configuration holds the keys
	http   *http.Client
	state  atomic.Pointer[keyState]

	mu      sync.Mutex
	running *attempt  // the read under way, or nil
	last    time.Time // start of the latest read
	failed  bool      // how the latest read ended
}

type keyState struct {
	keys map[string]ed25519.PublicKey
	read time.Time
}

type attempt struct {
	done chan struct{}
	err  error
}

func newKeySource(cfg *VerifierConfig) (*keySource, error) {
	given := 0
	for _, there := range [...]bool{cfg.JWKSURL != "", cfg.JWKSFile != "", cfg.JWKS != nil} {
		if there {
			given++
		}
	}
	if given != 1 {
		return nil, errors.New("txntoken: either a JWKS URL, a JWKS file or a key set is required")
	}
	s := &keySource{cfg: cfg}
	if cfg.JWKS != nil {
		keys, err := parseKeySet(cfg.JWKS)
		if err != nil {
			return nil, fmt.Errorf("txntoken: %w", err)
		}
		s.static = keys
		return s, nil
	}
	if cfg.JWKSURL == "" {
		return s, nil
	}
	u, err := url.Parse(cfg.JWKSURL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("txntoken: the JWKS URL is malformed")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && (cfg.AllowPlainHTTP || isLoopback(u.Hostname()))) {
		return nil, errors.New("txntoken: the JWKS URL must be https, or http to a loopback address")
	}
	client := http.Client{Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: fetchTimeout}).DialContext,
		ResponseHeaderTimeout: fetchTimeout,
		IdleConnTimeout:       time.Minute,
		MaxIdleConnsPerHost:   1,
	}}
	if cfg.HTTP != nil {
		client = *cfg.HTTP
	}
	client.Timeout = fetchTimeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s.http = &client
	return s, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// find returns the key with the id kid. Keys that are due to be read again are read in
// the background, so that no request waits for it; keys that have been due for long, as
// after an idle time, are read first.
func (s *keySource) find(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	if s.static != nil {
		if key, ok := s.static[kid]; ok {
			return key, nil
		}
		return nil, refuse(ReasonKeyUnknown, nil)
	}
	state := s.state.Load()
	if state != nil {
		age := s.cfg.Now().Sub(state.read)
		if key, ok := state.keys[kid]; ok && age < 2*s.cfg.Refresh && age <= s.cfg.MaxStale {
			if age >= s.cfg.Refresh {
				s.start(ctx)
			}
			return key, nil
		}
	}
	state, err := s.refresh(ctx)
	if err != nil {
		return nil, err
	}
	key, ok := state.keys[kid]
	if !ok {
		return nil, refuse(ReasonKeyUnknown, nil)
	}
	return key, nil
}

// refresh reads the keys, unless a read began within the throttle interval. Those who
// come while one is under way wait for it. It returns the keys to use after that.
func (s *keySource) refresh(ctx context.Context) (*keyState, error) {
	var cause error
	if a := s.start(ctx); a != nil {
		select {
		case <-a.done:
			cause = a.err
		case <-ctx.Done():
			cause = ctx.Err()
		}
	}
	state := s.state.Load()
	if state == nil {
		return nil, refuse(ReasonKeysUnavailable, cause)
	}
	if s.cfg.Now().Sub(state.read) > s.cfg.MaxStale {
		return nil, refuse(ReasonKeysUnavailable, errStale)
	}
	return state, nil
}

// start begins a read of the keys, or returns the one under way, or nil when the throttle
// allows none.
func (s *keySource) start(ctx context.Context) *attempt {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running
	}
	wait := s.cfg.Throttle
	if s.failed {
		wait /= 5
	}
	if !s.last.IsZero() && now.Sub(s.last) < wait {
		return nil
	}
	s.running, s.last = &attempt{done: make(chan struct{})}, now
	go s.read(context.WithoutCancel(ctx), s.running)
	return s.running
}

var errStale = errors.New("the keys are too old")

func (s *keySource) read(ctx context.Context, a *attempt) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	at := s.cfg.Now()
	keys, err := s.load(ctx)
	if err == nil {
		s.state.Store(&keyState{keys: keys, read: at})
	}
	s.mu.Lock()
	s.running, s.failed = nil, err != nil
	s.mu.Unlock()
	a.err = err
	close(a.done)
}

func (s *keySource) load(ctx context.Context) (map[string]ed25519.PublicKey, error) {
	var b []byte
	var err error
	if s.cfg.JWKSFile != "" {
		b, err = readFile(s.cfg.JWKSFile)
	} else {
		b, err = s.fetch(ctx)
	}
	if err != nil {
		return nil, err
	}
	return parseKeySet(b)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}

func (s *keySource) fetch(ctx context.Context) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.JWKSURL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the key set's server answered with status %d", res.StatusCode)
	}
	return readBounded(res.Body)
}

func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxKeySet+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxKeySet {
		return nil, errors.New("the key set is too large")
	}
	return b, nil
}

// parseKeySet takes the Ed25519 signature keys of a key set, and passes over others.
func parseKeySet(b []byte) (map[string]ed25519.PublicKey, error) {
	set, err := jwk.Parse(b, jwk.WithMaxKeys(maxKeys), jwk.WithRejectDuplicateKID(true))
	if err != nil {
		return nil, errors.New("no valid JWK Set")
	}
	keys := make(map[string]ed25519.PublicKey, set.Len())
	for i := range set.Len() {
		k, ok := set.Key(i)
		if !ok {
			continue
		}
		kid, ok := k.KeyID()
		if !ok || kid == "" || len(kid) > maxKeyID {
			continue
		}
		if use, ok := k.KeyUsage(); ok && use != string(jwk.ForSignature) {
			continue
		}
		var public ed25519.PublicKey
		if err := jwk.Export(k, &public); err != nil || len(public) != ed25519.PublicKeySize {
			continue
		}
		keys[kid] = public
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set holds no Ed25519 key")
	}
	return keys, nil
}
