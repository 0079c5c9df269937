package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/memgate/memgate/filter/txntoken/strictjson"
)

// Bounds on reading what an issuer publishes.
const (
	maxDocument  = 1 << 20
	fetchTimeout = 5 * time.Second
)

var (
	errTooLarge    = errors.New("the answer is larger than 1 MiB")
	errDiscovery   = errors.New("the discovery document is malformed")
	errOtherIssuer = errors.New("the discovery document names another issuer")
	errURL         = errors.New("a URL must be https, or http to a loopback address, without user or fragment")
)

// newClient returns a client that follows no redirect: an issuer's keys are where the
// configuration or its discovery document says, or they are not read.
func newClient(base *http.Client) *http.Client {
	client := http.Client{Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: fetchTimeout}).DialContext,
		TLSHandshakeTimeout:    fetchTimeout,
		ResponseHeaderTimeout:  fetchTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		IdleConnTimeout:        time.Minute,
		MaxIdleConnsPerHost:    1,
		ForceAttemptHTTP2:      true,
	}}
	if base != nil {
		client = *base
	}
	client.Timeout = fetchTimeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// checkURL says whether keys may be read from raw.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errURL
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return errURL
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// get fetches one JSON document and says for how long its sender lets it be kept, zero
// meaning that it does not say.
func get(ctx context.Context, client *http.Client, from string) (body []byte, maxAge time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, 0, errURL
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the issuer answered with status %d", res.StatusCode)
	}
	body, err = readBounded(res.Body)
	return body, cacheTime(res.Header.Get("Cache-Control")), err
}

func readBounded(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxDocument {
		return nil, errTooLarge
	}
	return b, nil
}

// cacheTime returns max-age (RFC 9111, section 5.2.2.1), at most a day.
func cacheTime(cacheControl string) time.Duration {
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		n, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if err != nil {
			return 0
		}
		return min(time.Duration(n)*time.Second, 24*time.Hour)
	}
	return 0
}

// discover reads the issuer's configuration (OpenID Connect Discovery 1.0, sections 4.1
// and 4.3) and returns where its keys are.
func discover(ctx context.Context, client *http.Client, issuer string) (string, error) {
	b, _, err := get(ctx, client, discoveryURL(issuer))
	if err != nil {
		return "", err
	}
	members, err := strictjson.Members(nil, b)
	if err != nil {
		return "", errDiscovery
	}
	if !strictjson.Lookup(members, "issuer").Equals(issuer) {
		return "", errOtherIssuer
	}
	jwksURI, ok := strictjson.Lookup(members, "jwks_uri").Text()
	if !ok {
		return "", errDiscovery
	}
	return jwksURI, checkURL(jwksURI)
}

func discoveryURL(issuer string) string {
	return strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
}

// fileState tells one version of a file from the next.
type fileState struct {
	modified time.Time
	size     int64
}

func statFile(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	return fileState{modified: info.ModTime(), size: info.Size()}, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}
