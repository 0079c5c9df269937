package edge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

// activate returns a session token.
func activate(t *testing.T, agent string, header map[string]string) (token string, r *harness.Response) {
	t.Helper()
	harness.Needs(t, harness.OwnRoutes)
	r = stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/" + agent + "/activate", Header: header})
	var session struct {
		Token string `json:"session_token"`
		Agent string `json:"agent_id"`
	}
	if r.Status == 200 {
		if err := json.Unmarshal([]byte(r.Body), &session); err != nil || session.Token == "" || session.Agent != agent {
			t.Fatalf("activation: %s", r.Body)
		}
	}
	return session.Token, r
}

func TestSessions(t *testing.T) {
	bearer := stack.Token("sessions", scopes)
	makeAgent(t, bearer, "one")
	makeAgent(t, bearer, "two")
	credential := map[string]string{"Authorization": "Bearer " + bearer}
	first, r := activate(t, "one", credential)
	if r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	secure(t, r)
	second, _ := activate(t, "one", credential)
	if first == second {
		t.Fatal("two activations share a session")
	}
	renewed, _ := activate(t, "one", map[string]string{"Authorization": "Bearer " + bearer, "X-Session-Token": first})
	if renewed != first {
		t.Fatal("renewal changed the token")
	}

	remember := func(agent string, header map[string]string) int {
		h := map[string]string{"Content-Type": "application/json"}
		for name, value := range header {
			h[name] = value
		}
		return stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/" + agent + "/remember", Header: h, Body: `{"content":"x is y","type":"fact"}`}).Status
	}
	if got := remember("one", map[string]string{"X-Session-Token": first}); got >= 300 {
		t.Errorf("the session alone: %d", got)
	}
	if got := remember("one", map[string]string{"X-Session-Token": first, "Authorization": "Bearer " + bearer}); got >= 300 {
		t.Errorf("the session beside its credential: %d", got)
	}
	if got := remember("two", map[string]string{"X-Session-Token": first}); got != 403 {
		t.Errorf("another agent: %d", got)
	}
	stranger := stack.Token("stranger", scopes)
	if got := remember("one", map[string]string{"X-Session-Token": first, "Authorization": "Bearer " + stranger}); got != 401 {
		t.Errorf("beside another tenant's credential: %d", got)
	}
	if got := remember("one", map[string]string{"X-Session-Token": first + "x"}); got != 401 {
		t.Errorf("a session token that was tampered with: %d", got)
	}

	status := stack.Do(t, harness.Request{Path: "/api/v2/status", Header: map[string]string{"X-Session-Token": first}})
	if status.Status != 200 {
		t.Errorf("status: %d %s", status.Status, status.Body)
	}

	// Deactivation works at once, and for the agent's every session.
	if r := stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/one/deactivate", Header: credential}); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	for _, token := range []string{first, second} {
		if got := remember("one", map[string]string{"X-Session-Token": token}); got != 401 {
			t.Errorf("after deactivation: %d", got)
		}
	}
}

// A session carries the scopes of the one who activated it, and no more.
func TestSessionGrantsNoMoreThanItsCredential(t *testing.T) {
	writer, reader := stack.Token("narrow", scopes), stack.Token("narrow", "memory:read")
	makeAgent(t, writer, "a")
	token, r := activate(t, "a", map[string]string{"Authorization": "Bearer " + reader})
	if r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	r = stack.Do(t, harness.Request{Method: "POST", Path: "/api/v2/agents/a/remember", Header: map[string]string{
		"X-Session-Token": token, "Content-Type": "application/json"}, Body: `{"content":"x is y","type":"fact"}`})
	if r.Status != 403 {
		t.Errorf("%d %s", r.Status, r.Body)
	}
}

// A key that is revoked must not live on in the sessions that it was used for.
func TestRevokedKeyEndsItsSessions(t *testing.T) {
	key := stack.APIKey("revoked", scopes)
	var token string
	harness.Eventually(t, func() error { // a running memgate takes notice of the key
		var r *harness.Response
		token, r = activate(t, "a", map[string]string{"X-API-Key": key})
		return harness.Want(r, 200)
	})
	status := func() *harness.Response {
		return stack.Do(t, harness.Request{Path: "/api/v2/status", Header: map[string]string{"X-Session-Token": token}})
	}
	if r := status(); r.Status != 200 {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	stack.CLI("key", "revoke", "--config", stack.Config, strings.Split(key, "_")[2])
	harness.Eventually(t, func() error { return harness.Want(status(), 401) })
}
