package wasm

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/content"
)

// The first piece of a body waits in Envoy while the content policy is on its way.
// In shadow the policy would refuse the body, and lets it go on. The request must
// then stay where it is until the next piece takes the first along: resumed in the
// middle of the body, Envoy sends what waits at once, and with the next piece again.
func TestShadowPolicyArrivesLate(t *testing.T) {
	const first, rest = "--b\r\nthe first piece\r\n", "--b--\r\n"
	policy := fresh(t)
	policy.Modes = content.Modes{Content: content.Shadow, PII: content.Shadow, CORS: content.Shadow, Headers: content.Shadow}
	policy.Request.Types, policy.Request.Fields, policy.Request.MaxDepth = []string{"multipart/form-data"}, nil, 0
	digest := edge.Policies.Add(t, policy)
	edge.Policies.Delay(digest, 300*time.Millisecond)
	fetched := edge.Stat("wasmcustom.memgate.policy_fetched")

	body, pieces := io.Pipe()
	request, err := http.NewRequest(http.MethodPost, edge.URL+"/", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "multipart/form-data") // without a boundary it cannot be read
	request.Header.Set(harness.PolicyHeader, digest)
	answered := make(chan error, 1)
	var response *http.Response
	go func() {
		var err error
		response, err = (&http.Client{Timeout: 30 * time.Second}).Do(request)
		answered <- err
	}()
	if _, err := io.WriteString(pieces, first); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, func() error {
		if edge.Stat("wasmcustom.memgate.policy_fetched") == fetched {
			return errors.New("the policy is on its way")
		}
		return nil
	})
	if _, err := io.WriteString(pieces, rest); err != nil {
		t.Fatal(err)
	}
	_ = pieces.Close()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	received := edge.Upstream.Received(response.Header.Get("X-Request-Id"))
	if response.StatusCode != 200 || received == nil || received.Body != first+rest {
		t.Errorf("%s, the upstream got %+v", response.Status, received)
	}
}
