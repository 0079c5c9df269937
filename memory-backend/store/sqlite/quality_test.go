package sqlite_test

import (
	"fmt"
	mathrand "math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// labelled makes memories, and questions with the id of the memory that answers each. A question shares the
// person and some form of a word with its answer, as those of people do, and nearly every word of it also
// occurs in memories that do not answer it.
func labelled() (memories []*memory.Memory, questions map[string]string) {
	people := strings.Fields("Alice Bob Carla Deniz Emre Fatima Goran Hana Ivan Julia Kemal Lena Marco Nadia Omar Petra Quentin Rosa Selim Tara")
	topics := []struct{ says, asks string }{
		{"%s plays the %s every evening", "What instrument is %s playing, the %s?"}, {"%s is allergic to %s", "Which allergy to %[2]s does %[1]s have?"},
		{"%s travelled to %s in spring", "Where did %s travel, was it %s?"}, {"%s wants to learn %s next year", "What is %s learning, %s?"},
		{"%s prefers %s for breakfast", "What preference for breakfasts has %s, %s?"}, {"%s works at the %s office", "In which office is %s working, %s?"},
	}
	things := strings.Fields("violin peanuts Lisbon Turkish porridge harbour cello walnuts Oslo Italian toast airport flute shellfish Kyoto Polish fruit station")
	r := mathrand.New(mathrand.NewSource(7))
	questions = make(map[string]string)
	at := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	for i, p := range people {
		for j, t := range topics {
			thing := things[(j+6*(i%3))%len(things)]
			m := &memory.Memory{ID: fmt.Sprintf("%s-%d", p, j), Agent: "bot", Type: "fact", Created: at, Updated: at, Content: fmt.Sprintf(t.says, p, thing)}
			at = at.Add(time.Hour)
			memories = append(memories, m)
			questions[fmt.Sprintf(t.asks, p, thing)] = m.ID
			for range 3 { // what is said about the same things without answering
				noise := fmt.Sprintf("%s talked with %s about %s, an office and breakfast", people[r.Intn(len(people))], people[r.Intn(len(people))], things[r.Intn(len(things))])
				memories = append(memories, &memory.Memory{ID: fmt.Sprint("noise", len(memories)), Agent: "bot", Type: "event", Created: at, Updated: at, Content: noise})
			}
		}
	}
	return memories, questions
}

// TestRecallQuality asks the labelled questions of an encrypted and a plain store: they must find the same,
// with the same scores, and nearly always the answer among the first five.
//
//	go test ./memory-backend/store/sqlite -run RecallQuality -v
func TestRecallQuality(t *testing.T) {
	memories, questions := labelled()
	sealed, open := openDir(t, t.TempDir(), 8), openWith(t, t.TempDir(), 8, nil)
	for _, s := range []memory.Store{sealed, open} {
		if err := s.Add(ctx, "a", by, memories); err != nil {
			t.Fatal(err)
		}
	}
	first, among := 0, 0
	for question, answer := range questions {
		q := memory.SearchQuery{Text: question, Limit: 5, Filter: memory.Eq(memory.FieldAgent, "bot")}
		a, err := sealed.Search(ctx, "a", q)
		if err != nil {
			t.Fatal(err)
		}
		b, err := open.Search(ctx, "a", q)
		if err != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%q: encrypted and plain differ: %v", question, err)
		}
		for i, h := range a {
			if h.Memory.ID == answer {
				among++
				if i == 0 {
					first++
				}
			}
		}
	}
	t.Logf("%d questions over %d memories: %d answers first, %d among five, the same encrypted and plain", len(questions), len(memories), first, among)
	if among*100 < len(questions)*95 || first*100 < len(questions)*80 {
		t.Errorf("%d of %d answers first, %d among five", first, len(questions), among)
	}
}
