// Package corpus makes texts to test and to measure search with: the same ones each time.
package corpus

import (
	"fmt"
	"math/rand"
	"strings"
	"time"

	"github.com/memgate/memgate/memory-backend/memory"
)

// Sentences returns what makes texts of so many words, in a made-up language in which, as in real ones, how often
// words occur follows Zipf's law.
func Sentences(seed int64) func(words int) string {
	r := rand.New(rand.NewSource(seed))
	zipf := rand.NewZipf(r, 1.1, 8, 30_000)
	syllables := strings.Fields("ba ke li mo nu pa re si to vu da fe gi ho ju ka le mi no pu")
	return func(words int) string {
		var b strings.Builder
		for i := range words {
			n := zipf.Uint64() + 20
			if i > 0 {
				b.WriteByte(' ')
			}
			for ; n > 0; n /= 20 {
				b.WriteString(syllables[n%20])
			}
		}
		return b.String()
	}
}

// Memories returns n memories of 30 words, a minute apart, half of each of the agents "agent-0" and "agent-1" and one in a
// hundred of each of the users "user-0" to "user-99". Their ids are the numbers from first on.
func Memories(seed int64, first, n int) []*memory.Memory {
	say := Sentences(seed)
	list := make([]*memory.Memory, n)
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range list {
		at := start.Add(time.Duration(first+i) * time.Minute)
		list[i] = &memory.Memory{ID: fmt.Sprint(first + i), Agent: fmt.Sprintf("agent-%d", (first+i)%2), User: fmt.Sprintf("user-%d", (first+i)%100),
			Content: say(30), Type: "fact", Status: memory.StatusActive, Created: at, Updated: at}
	}
	return list
}

// Agent is the agent of the memories of the labelled set.
const Agent = "bot"

// Labelled returns memories, and questions with the id of the memory that answers each. A question shares the
// person and some form of a word with its answer, as those of people do, and nearly every word of it also
// occurs in memories that do not answer it.
func Labelled() (memories []*memory.Memory, questions map[string]string) {
	people := strings.Fields("Alice Bob Carla Deniz Emre Fatima Goran Hana Ivan Julia Kemal Lena Marco Nadia Omar Petra Quentin Rosa Selim Tara")
	topics := []struct{ says, asks string }{
		{"%s plays the %s every evening", "What instrument is %s playing, the %s?"}, {"%s is allergic to %s", "Which allergy to %[2]s does %[1]s have?"},
		{"%s travelled to %s in spring", "Where did %s travel, was it %s?"}, {"%s wants to learn %s next year", "What is %s learning, %s?"},
		{"%s prefers %s for breakfast", "What preference for breakfasts has %s, %s?"}, {"%s works at the %s office", "In which office is %s working, %s?"},
	}
	things := strings.Fields("violin peanuts Lisbon Turkish porridge harbour cello walnuts Oslo Italian toast airport flute shellfish Kyoto Polish fruit station")
	r := rand.New(rand.NewSource(7))
	questions = make(map[string]string)
	at := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	for i, p := range people {
		for j, t := range topics {
			thing := things[(j+6*(i%3))%len(things)]
			m := &memory.Memory{ID: fmt.Sprintf("%s-%d", p, j), Agent: Agent, Type: "fact", Created: at, Updated: at, Content: fmt.Sprintf(t.says, p, thing)}
			at = at.Add(time.Hour)
			memories = append(memories, m)
			questions[fmt.Sprintf(t.asks, p, thing)] = m.ID
			for range 3 { // what is said about the same things without answering
				noise := fmt.Sprintf("%s talked with %s about %s, an office and breakfast", people[r.Intn(len(people))], people[r.Intn(len(people))], things[r.Intn(len(things))])
				memories = append(memories, &memory.Memory{ID: fmt.Sprint("noise", len(memories)), Agent: Agent, Type: "event", Created: at, Updated: at, Content: noise})
			}
		}
	}
	return memories, questions
}
