package token

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/memgate/memgate/filter/identity"
)

// silent answers nothing until the request is given up, or its head alone.
type silent struct{ head bool }

func (s silent) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.head {
		return &http.Response{StatusCode: http.StatusOK, Body: body{r.Context()}}, nil
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// body is one that does not come.
type body struct{ ctx context.Context }

func (b body) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, errors.Join(io.ErrUnexpectedEOF, b.ctx.Err())
}

func (body) Close() error { return nil }

// An issuer that does not answer holds a request for maxWait, and a reading of its keys for
// fetchTimeout, after which another may begin.
func TestSilentIssuer(t *testing.T) {
	ec := ring().ec.token("ES256")
	for name, issuer := range map[string]silent{"nothing": {}, "the head alone": {head: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := testConfig(newClock(), IssuerConfig{JWKSURL: "https://idp.test/jwks"})
				config.HTTP = &http.Client{Transport: issuer}
				v, err := New(config)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if _, err := v.Verify(context.Background(), ec); !identity.IsUnavailable(err) {
					t.Errorf("got %v", err)
				}
				if waited := time.Since(start); waited != maxWait {
					t.Errorf("a request waited for %v", waited)
				}
				if v.Stats().Issuers[0].Failures != 0 {
					t.Error("the reading ended with the request")
				}
				time.Sleep(fetchTimeout - maxWait + time.Millisecond)
				synctest.Wait()
				if got := v.Stats().Issuers[0]; got.Failures != 1 || got.LastError == nil {
					t.Errorf("the reading goes on: %+v", got)
				}
			})
		})
	}
}
