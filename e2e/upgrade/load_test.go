package upgrade

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What the load sends and must never see again.
const (
	email = "jane.doe@example.com"
	path  = "/api/v2/agents/helper/remember"
)

// pause is between two requests of a caller: the load is steady and leaves the
// machine time for what is upgraded.
const pause = 5 * time.Millisecond

// caller is one kind of request, sent over and over.
type caller struct {
	name         string
	method, path string
	header       map[string]string
	body         string
	want         int    // its status when all is well
	problem      string // the refusal's type, of one that is refused
}

// tally counts how a phase went.
type tally struct{ answered, failed atomic.Int64 }

// load sends requests until it is stopped, and judges each answer.
type load struct {
	url   atomic.Pointer[string]
	phase atomic.Pointer[tally]
	// restarting says that the service behind the edge may be away.
	restarting atomic.Bool

	mu    sync.Mutex
	wrong []string
	kinds map[string]int    // of failures
	ids   map[string]string // of requests that were answered, to their phase
	name  string            // of the phase

	stop chan struct{}
	done sync.WaitGroup
}

func startLoad(url string, callers []caller) *load {
	l := &load{stop: make(chan struct{}), kinds: make(map[string]int), ids: make(map[string]string)}
	l.url.Store(&url)
	l.phase.Store(new(tally))
	for _, c := range callers {
		// A connection for each request would say nothing of those that live through
		// an upgrade, and one for all nothing of new ones.
		for _, fresh := range []bool{false, true} {
			client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: fresh, DisableCompression: true}}
			l.done.Go(func() { l.run(client, c) })
		}
	}
	return l
}

func (l *load) end() {
	close(l.stop)
	l.done.Wait()
}

// unaudited returns how many of the requests that were answered have no line in
// the logs, by phase.
func (l *load) unaudited(t *testing.T, logs ...string) map[string]int {
	t.Helper()
	lines := make(map[string]bool)
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if _, rest, ok := strings.Cut(line, `"http_request":{"uid":"`); ok {
				id, _, _ := strings.Cut(rest, `"`)
				lines[id] = true
			}
		}
	}
	missing := make(map[string]int)
	for id, phase := range l.ids {
		if !lines[id] {
			missing[phase]++
		}
	}
	return missing
}

func (l *load) run(client *http.Client, c caller) {
	for {
		select {
		case <-l.stop:
			client.CloseIdleConnections()
			return
		case <-time.After(pause):
		}
		l.one(client, c)
	}
}

// one sends a request and counts it. An answer is right, or a failure that says
// so and let nothing through, or wrong.
func (l *load) one(client *http.Client, c caller) {
	phase := l.phase.Load()
	request, err := http.NewRequest(c.method, *l.url.Load()+c.path, strings.NewReader(c.body))
	if err != nil {
		l.judge(c, "%v", err)
		return
	}
	for name, value := range c.header {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(response.Body)
		response.Body.Close()
	}
	if err != nil {
		phase.failed.Add(1)
		l.failure(c, "no answer")
		return
	}
	text, status := string(body), response.StatusCode
	if strings.Contains(text, email) {
		l.judge(c, "%d with what must be redacted: %s", status, text)
	}
	var refusal struct{ Type string }
	if status >= 400 {
		if err := json.Unmarshal(body, &refusal); err != nil || response.Header.Get("Content-Type") != "application/problem+json" {
			l.judge(c, "%d without a problem document: %s", status, text)
			return
		}
	}
	slug := strings.TrimPrefix(refusal.Type, "urn:memgate:problem:")
	switch {
	case status == c.want && slug == c.problem:
		phase.answered.Add(1)
		l.mu.Lock()
		l.ids[response.Header.Get("X-Request-Id")] = l.name
		l.mu.Unlock()
	case status == 503 || l.restarting.Load() && (status == 502 || status == 504):
		phase.failed.Add(1)
		l.failure(c, fmt.Sprint(status, " ", slug))
	default:
		l.judge(c, "%d %s, want %d %s: %s", status, slug, c.want, c.problem, text)
	}
}

func (l *load) failure(c caller, kind string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kinds[c.name+": "+kind]++
}

func (l *load) judge(c caller, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, c.name+": "+fmt.Sprintf(format, args...))
}

// during runs one phase of the upgrade under the load and prints how it went.
func (l *load) during(t *testing.T, name string, step func(t *testing.T)) {
	t.Helper()
	counts := new(tally)
	l.phase.Store(counts)
	l.mu.Lock()
	l.name = name
	l.mu.Unlock()
	began := time.Now()
	ok := t.Run(name, func(t *testing.T) {
		step(t)
		l.settle(t)
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	var kinds []string
	for kind, n := range l.kinds {
		kinds = append(kinds, fmt.Sprintf("%s ×%d", kind, n))
	}
	slices.Sort(kinds)
	fmt.Printf("upgrade: %-40s %5d answered, %4d failed in %v %s\n", name, counts.answered.Load(), counts.failed.Load(),
		time.Since(began).Round(time.Millisecond), strings.Join(kinds, ", "))
	clear(l.kinds)
	for i, wrong := range l.wrong {
		if i == 10 {
			t.Errorf("and %d more", len(l.wrong)-i)
			break
		}
		t.Errorf("%s: %s", name, wrong)
	}
	l.wrong = nil
	if !ok || t.Failed() {
		t.FailNow()
	}
}

// settle waits until requests are answered again and none fails.
func (l *load) settle(t *testing.T) {
	t.Helper()
	const row = 100 // answers without a failure between them
	phase := l.phase.Load()
	for deadline := time.Now().Add(time.Minute); ; {
		failed, from := phase.failed.Load(), phase.answered.Load()
		for phase.failed.Load() == failed && phase.answered.Load() < from+row && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if phase.answered.Load() >= from+row && phase.failed.Load() == failed {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("requests fail, and it does not end")
		}
	}
}
