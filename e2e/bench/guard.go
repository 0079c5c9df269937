package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/memgate/memgate/e2e/harness"
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/poison"
)

// The budgets of the search in Envoy's V8, in MB/s.
const (
	cleanBudget = 400
	denseBudget = 60
)

// worstFactor is how many times slower per byte than prose any text may be.
const worstFactor = 10

// text is what a response consists of, again and again up to its size.
type text struct {
	name, mediaType string
	format          pii.Format
	unit            string
}

// The texts of which the first is without anything to find, the third has an entity in
// each 100 bytes, and those from worst on take longest of all that are known: numbers and
// names of secrets that come to nothing, and values that overlap. The search for more is
//
//	go test -run '^$' -bench Worst -benchtime 60s ./filter/pii
var texts = []text{
	{"prose", "text/plain", pii.Text, "The committee met on a quiet afternoon and agreed that the garden behind the library should be open to everyone, as long as the gate is closed at night. "},
	{"JSON memories", "application/x-ndjson", pii.NDJSON, remembered + "\n"},
	{"dense", "text/plain", pii.Text, "Please send the report about the meeting of last week to joe.bloggs@example.com before Friday at noon. "},
	{"numbers", "text/plain", pii.Text, "1 85 05 78 006 084 "},
	{"dialled", "text/plain", pii.Text, "006 "},
	{"birthdays", "text/plain", pii.Text, "78 006 084\\card  born "},
	{"passwords", "text/plain", pii.Text, "password=1"},
	{"wallets", "text/plain", pii.Text, "31x4111111111111111account "},
	{"addresses", "text/plain", pii.Text, "@1.2.3.0"},
	{"lines of events", "text/event-stream", pii.SSE, "2\n2\n2\n2\n2\n2\n2\n2\n\n"},
}

// worst is the first of the texts that are adversarial.
const worst = 3

var sizes = []int{1 << 10, 64 << 10, 1 << 20, 10 << 20}

func (x *text) repeated(size int) string {
	return strings.Repeat(x.unit, max(size/len(x.unit), 1))
}

// guard measures what the search of a response costs in Envoy, and natively.
type guard struct {
	b           *bench
	with, plain *harness.Envoy
	digest      string
	client      *http.Client
}

// content measures the content guard: in Envoy's V8, as the CPU of Envoy with the filter
// beyond that of the same Envoy without it, natively, and beside Presidio.
func (b *bench) content(report *budgets) {
	edge := harness.StartWasm(b.t, nil)
	bodies := map[string]string{}
	for i := range texts {
		for _, size := range sizes {
			bodies[fmt.Sprintf("/%d/%d", i, size)] = texts[i].repeated(size)
		}
	}
	edge.Forget(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
			return
		}
		i, _ := strconv.Atoi(strings.Split(r.URL.Path, "/")[1])
		body := bodies[r.URL.Path]
		w.Header().Set("Content-Type", texts[i].mediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.WriteString(w, body)
	})
	policy := &content.Policy{Response: content.Body{MaxBytes: content.NoLimit, Types: []string{"*/*"}, PII: redactAll()}}
	g := &guard{
		b: b, with: edge.Envoy, plain: harness.StartEnvoy(b.t, b.without(edge.Bootstrap(b.t), wasm)),
		digest: edge.Policies.Add(b.t, policy), client: &http.Client{Timeout: time.Minute},
	}
	presidio := b.presidio()
	fmt.Printf("\nContent guard: a response that is searched and rewritten as it passes; one caller\n%-16s %10s %14s %14s %14s %14s\n",
		"", "bytes", "CPU µs without", "CPU µs with", "MB/s in Envoy", "MB/s natively")
	inEnvoy, native := make([]float64, len(texts)), make([]float64, len(texts))
	for i := range texts {
		for _, size := range sizes {
			path := fmt.Sprintf("/%d/%d", i, size)
			length := len(bodies[path])
			var with, without time.Duration
			calls := 0
			for round := range b.options.rounds {
				n := g.turn(g.with, path, "", 0, length, &with)
				g.turn(g.plain, path, "", n, length, &without)
				if round == 0 {
					with, without = 0, 0 // warms both up
					continue
				}
				calls += n
			}
			speed := float64(calls*length) / max(float64((with-without).Microseconds()), 1)
			own := nativeSpeed(&texts[i], bodies[path], b.options.turn)
			inEnvoy[i], native[i] = max(inEnvoy[i], speed), max(native[i], own)
			fmt.Printf("%-16s %10d %14.0f %14.0f %14.0f %14.0f\n", texts[i].name, length,
				float64(without.Microseconds())/float64(calls), float64(with.Microseconds())/float64(calls), speed, own)
		}
	}
	report.add(fmt.Sprintf("the search in Envoy's V8, prose: %d MB/s against what it reaches", cleanBudget), cleanBudget/inEnvoy[0], 1)
	report.add(fmt.Sprintf("the search in Envoy's V8, dense: %d MB/s against what it reaches", denseBudget), denseBudget/inEnvoy[2], 1)
	report.add("the search in Envoy's V8: time per byte of the worst text against prose", inEnvoy[0]/slices.Min(inEnvoy[worst:]), worstFactor)
	report.add("the search natively: time per byte of the worst text against prose", native[0]/slices.Min(native[worst:]), worstFactor)
	g.poisoning(edge)
	for i, speed := range presidio {
		fmt.Printf("%-16s Presidio %8.3f MB/s, memgate natively %8.0f MB/s: %.0f times as fast\n", texts[i].name, speed, native[i], native[i]/speed)
	}
}

// poisoning measures the rules against poisoning on requests of prose, in Envoy and natively.
func (g *guard) poisoning(edge *harness.WasmEdge) {
	rules := poison.Policy{Action: poison.Quarantine, Quarantine: 4, Refuse: 9}
	g.digest = edge.Policies.Add(g.b.t, &content.Policy{Request: content.Body{MaxBytes: 1 << 20, Types: []string{"*/*"}, Poison: rules}})
	set, err := poison.Compile(rules)
	if err != nil {
		g.b.t.Fatalf("%v", err)
	}
	for _, size := range sizes[:2] {
		body := `{"content":"` + texts[0].repeated(size) + `"}`
		var with, without time.Duration
		calls := 0
		for round := range g.b.options.rounds {
			n := g.turn(g.with, "/poison", body, 0, 0, &with)
			g.turn(g.plain, "/poison", body, n, 0, &without)
			if round == 0 {
				with, without = 0, 0 // warms both up
				continue
			}
			calls += n
		}
		r := pii.NewRewriter(pii.Config{Format: pii.JSON, Texts: poison.NewScanner(set)})
		fmt.Printf("%-16s %10d %14.0f %14.0f %14.0f %14.0f\n", "poisoning rules", len(body), float64(without.Microseconds())/float64(calls),
			float64(with.Microseconds())/float64(calls), float64(calls*len(body))/max(float64((with-without).Microseconds()), 1),
			rewriterSpeed(r, body, g.b.options.turn))
	}
}

// redactAll is the policy that redacts each entity.
func redactAll() (p pii.Policy) {
	for e := range p.Actions {
		p.Actions[e] = pii.Redact
	}
	return p
}

// turn asks for a path, or sends it a body, as often as fits into a turn, or n times, and adds
// the CPU of Envoy.
func (g *guard) turn(envoy *harness.Envoy, path, body string, n, length int, cpu *time.Duration) (calls int) {
	before, start := cpuOf(envoy.PID()), time.Now()
	for calls < n || n == 0 && (calls == 0 || time.Since(start) < g.b.options.turn/2) {
		method := http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
		request, err := http.NewRequest(method, envoy.URL+path, strings.NewReader(body))
		if err != nil {
			g.b.t.Fatalf("%v", err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set(harness.PolicyHeader, g.digest)
		response, err := g.client.Do(request)
		if err != nil {
			g.b.t.Fatalf("%s: %v", path, err)
		}
		got, err := io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || envoy == g.plain && int(got) != length {
			g.b.t.Fatalf("%s: %s, %d bytes, %v", path, response.Status, got, err)
		}
		calls++
	}
	*cpu += cpuOf(envoy.PID()) - before
	return calls
}

// nativeSpeed is that of the same rewriter in this process, in MB/s.
func nativeSpeed(x *text, body string, turn time.Duration) float64 {
	return rewriterSpeed(pii.NewRewriter(pii.Config{Format: x.format, Policy: redactAll(), Lenient: true}), body, turn)
}

func rewriterSpeed(r *pii.Rewriter, body string, turn time.Duration) float64 {
	const piece = 64 << 10 // about what Envoy hands over at once
	out := make([]byte, 0, 2*piece)
	calls, start, before := 0, time.Now(), cpuOf(os.Getpid())
	for ; calls == 0 || time.Since(start) < turn; calls++ {
		r.Reset()
		for at := 0; at < len(body); at += piece {
			out, _ = r.Write(out[:0], []byte(body[at:min(at+piece, len(body))]))
		}
		out, _ = r.Close(out[:0])
	}
	return float64(calls*len(body)) / float64(max((cpuOf(os.Getpid())-before).Microseconds(), 1))
}

// without takes a filter out of a configuration.
func (b *bench) without(bootstrap *bootstrapv3.Bootstrap, name string) *bootstrapv3.Bootstrap {
	config := bootstrap.StaticResources.Listeners[0].FilterChains[0].Filters[0].GetTypedConfig()
	var manager hcmv3.HttpConnectionManager
	if err := config.UnmarshalTo(&manager); err != nil {
		b.t.Fatalf("%v", err)
	}
	var filters []*hcmv3.HttpFilter
	for _, f := range manager.HttpFilters {
		if f.Name != name {
			filters = append(filters, f)
		}
	}
	manager.HttpFilters = filters
	b.pack(config, &manager)
	return bootstrap
}

// presidio is the speed of Presidio's analyzer in MB/s, of each text that it is asked
// about; nil without a Python that has it. It is given texts of about 1 KB.
func (b *bench) presidio() (speeds []float64) {
	if b.options.presidio == "" {
		return nil
	}
	for i := range texts[:3] {
		const lines = 40
		body := texts[i].repeated(1 << 10)
		var list bytes.Buffer
		for range lines {
			line, _ := json.Marshal(map[string]string{"Text": body})
			list.Write(append(line, '\n'))
		}
		command := exec.Command(b.options.presidio, "tools/presidio.py", "--seconds", b.write("texts", list.String()))
		command.Stderr = os.Stderr
		out, err := command.Output()
		var seconds float64
		if err == nil {
			lines := bufio.NewScanner(bytes.NewReader(out))
			lines.Scan()
			seconds, err = strconv.ParseFloat(lines.Text(), 64)
		}
		if err != nil {
			b.t.Fatalf("Presidio: %v", err)
		}
		speeds = append(speeds, float64(lines*len(body))/seconds/1e6)
	}
	return speeds
}
