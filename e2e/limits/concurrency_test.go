package limits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/memgate/memgate/e2e/harness"
)

// slow is an upstream that answers when it is told to.
type slow struct {
	*harness.Upstream
	under atomic.Int64 // requests that wait
	mu    sync.Mutex
	open  chan struct{}
}

func startSlow(t *testing.T) *slow {
	u := &slow{Upstream: harness.StartUpstream(t), open: make(chan struct{})}
	u.Answer("", func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		open := u.open
		u.mu.Unlock()
		u.under.Add(1)
		defer u.under.Add(-1)
		select {
		case <-open:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}`))
	})
	t.Cleanup(u.answer)
	return u
}

// answer answers all that wait.
func (u *slow) answer() {
	u.mu.Lock()
	defer u.mu.Unlock()
	close(u.open)
	u.open = make(chan struct{})
}

func (u *slow) await(t *testing.T, n int64) {
	t.Helper()
	harness.Eventually(t, func() error {
		if have := u.under.Load(); have != n {
			return fmt.Errorf("%d requests wait in the upstream, not %d", have, n)
		}
		return nil
	})
}

// behind puts a stack in front of u.
func (u *slow) behind(limits string) func(string) string {
	return func(yaml string) string {
		start := strings.Index(yaml, "upstream: { address: ")
		end := start + strings.Index(yaml[start:], ",")
		yaml = yaml[:start] + `upstream: { address: "` + u.Addr + `"` + yaml[end:]
		return with(limits)(yaml)
	}
}

const listed = "/api/v2/agents"

// begin sends requests that will wait, and returns what ends them and what they
// get.
func begin(t *testing.T, s *harness.Stack, token string, n int) (cancel func(), answers chan int) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	answers = make(chan int, n)
	for range n {
		r, err := http.NewRequestWithContext(ctx, "GET", s.URL+listed, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		go func() {
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				answers <- 0
				return
			}
			_ = response.Body.Close()
			answers <- response.StatusCode
		}()
	}
	return cancel, answers
}

func refused(t *testing.T, s *harness.Stack, token string) {
	t.Helper()
	r := s.JSON(t, "GET", listed, token, "")
	var body struct{ Type string }
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil || r.Status != 429 || body.Type != "urn:memgate:problem:too-many-at-once" || r.Header.Get("Retry-After") != "1" {
		t.Fatalf("one too many: %d %v %s", r.Status, r.Header, r.Body)
	}
}

// none waits until no place is held in the process.
func none(t *testing.T, s *harness.Stack) {
	t.Helper()
	harness.Eventually(t, func() error {
		if n := s.Metric(t, "memgate_limiter_places"); n != 0 {
			return fmt.Errorf("memgate_limiter_places is %v", n)
		}
		return nil
	})
}

func TestConcurrency(t *testing.T) {
	u := startSlow(t)
	s := harness.StartStack(t, u.behind("  concurrency: { tenant: 3, classes: { write: 1 } }\n  classes: { write: 6000/m, read: 6000/m }\n"))
	token := s.Token("acme", "memory:read memory:write")

	_, answers := begin(t, s, token, 3)
	u.await(t, 3)
	refused(t, s, token)
	if n := s.Metric(t, "memgate_limiter_places"); n != 3 {
		t.Errorf("memgate_limiter_places is %v", n)
	}
	if n := s.Metric(t, `memgate_decisions_total{decision="deny",reason="too_many_at_once",route="agent-list",stage="quota"}`); n != 1 {
		t.Errorf("the refusal counts as %v", n)
	}
	// Others are not held up: another tenant, another class with its own number.
	_, calm := begin(t, s, s.Token("calm", "memory:read"), 1)
	u.await(t, 4)
	// What the content filter refuses has a place only until then.
	for range 3 {
		harness.Eventually(t, func() error { return harness.Want(s.JSON(t, "POST", listed, token, `{"agent_id":`), 400) })
	}
	u.answer()
	for range 3 {
		if status := <-answers; status != 200 {
			t.Errorf("a request that was under way got %d", status)
		}
	}
	if status := <-calm; status != 200 {
		t.Errorf("another tenant's got %d", status)
	}
	none(t, s)

	// Clients that go away.
	cancel, answers := begin(t, s, token, 3)
	u.await(t, 3)
	refused(t, s, token)
	cancel()
	for range 3 {
		<-answers
	}
	none(t, s)
	_, answers = begin(t, s, token, 3)
	u.await(t, 3)

	// memgate dies in the middle: it begins at none, and what it hears of the old
	// ones later does no harm.
	s.Memgate.Signal(os.Kill)
	s.Memgate.Exit()
	s.StartMemgate()
	var more chan int
	harness.Eventually(t, func() error { // Envoy has to connect again
		if u.under.Load() > 3 {
			return nil
		}
		_, more = begin(t, s, token, 1)
		select {
		case status := <-more:
			return fmt.Errorf("status %d", status)
		default:
			return errors.New("it is not there yet")
		}
	})
	u.answer()
	for range 3 {
		if status := <-answers; status != 200 {
			t.Errorf("a request that was under way got %d", status)
		}
	}
	harness.Eventually(t, func() error {
		u.answer()
		if n := s.Metric(t, "memgate_limiter_places"); n != 0 {
			return fmt.Errorf("memgate_limiter_places is %v", n)
		}
		return nil
	})
	// None of it counts as lost.
	if n := s.Metric(t, "memgate_limiter_places_expired_total"); n != 0 {
		t.Errorf("%v places expired", n)
	}
}

// Two instances that share a Redis have one number, also when one of them is
// started anew.
func TestConcurrencyWithRedis(t *testing.T) {
	redis := harness.StartRedis(t)
	t.Setenv("LIMITS_REDIS_URL", redis.URL)
	u := startSlow(t)
	change := u.behind("  store: redis\n  redis: { url: env:LIMITS_REDIS_URL, instances: 2, timeout: 500ms }\n  concurrency: { tenant: 4 }\n  classes: { write: 6000/m, read: 6000/m }\n")
	stacks := []*harness.Stack{harness.StartStack(t, change), harness.StartStack(t, change)}
	tokens := []string{stacks[0].Token("acme", "memory:read"), stacks[1].Token("acme", "memory:read")}
	var all [2]chan int
	for i, s := range stacks {
		_, all[i] = begin(t, s, tokens[i], 2)
	}
	u.await(t, 4)
	for i, s := range stacks {
		refused(t, s, tokens[i])
	}

	// What memgate counted outlives it, and it frees what it learns of later.
	stacks[0].Memgate.Signal(os.Kill)
	stacks[0].Memgate.Exit()
	stacks[0].StartMemgate()
	harness.Eventually(t, func() error {
		if up := stacks[0].Metric(t, "memgate_limiter_redis_up"); up != 1 {
			return fmt.Errorf("memgate_limiter_redis_up is %v", up)
		}
		return nil
	})
	harness.Eventually(t, func() error { return harness.Want(stacks[0].JSON(t, "GET", listed, tokens[0], ""), 429) })
	refused(t, stacks[1], tokens[1])
	u.answer()
	for _, answers := range all {
		for range 2 {
			if status := <-answers; status != 200 {
				t.Errorf("a request that was under way got %d", status)
			}
		}
	}
	left := func() error {
		if keys := redis.Command("EVAL", `local n = 0; for _, k in ipairs(redis.call('KEYS', '*}at:*')) do n = n + redis.call('ZCARD', k) end; return n`, "0"); keys != ":0" {
			return fmt.Errorf("places in Redis: %s", keys)
		}
		return nil
	}
	harness.Eventually(t, left)

	// Without Redis each instance has half of the places.
	redis.Pause()
	harness.Eventually(t, func() error {
		_, answers := begin(t, stacks[0], tokens[0], 1)
		for answered := false; !answered; {
			u.answer()
			select {
			case <-answers:
				answered = true
			case <-time.After(10 * time.Millisecond):
			}
		}
		if up := stacks[0].Metric(t, "memgate_limiter_redis_up"); up != 0 {
			return errors.New("Redis still counts as up")
		}
		return nil
	})
	none(t, stacks[0])
	_, answers := begin(t, stacks[0], tokens[0], 2)
	u.await(t, 2)
	refused(t, stacks[0], tokens[0])
	redis.Resume()
	u.answer()
	for range 2 {
		if status := <-answers; status != 200 {
			t.Errorf("a request without Redis got %d", status)
		}
	}
	none(t, stacks[0])
	harness.Eventually(t, left)
}
