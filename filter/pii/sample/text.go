package sample

import (
	"fmt"
	"sort"
	"strings"
)

// Label is where a value of an entity stands in a text, in bytes.
type Label struct {
	Entity     string `json:"entity"`
	Start, End int
}

// Text is a text and what is in it. Near says of which entity it holds a value that
// just fails to be one, if it does.
type Text struct {
	Text   string
	Labels []Label
	Near   string
}

// Names are the entities that there are values of, in order.
func Names() []string {
	var out []string
	for name := range Values {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// writer puts a text together.
type writer struct {
	strings.Builder
	labels []Label
}

func (w *writer) value(entity, value string) {
	start := w.Len()
	w.WriteString(value)
	if entity != "" {
		w.labels = append(w.labels, Label{entity, start, w.Len()})
	}
}

// frames are texts around a value: %L stands for a label of the entity, %V for the
// value, %W for a clean sentence.
var frames = []string{
	"%W %L: %V. %W",
	"%W My %L is %V, thanks.",
	"Hi, the %L you asked for: %V\n\nBest,\nAnna",
	`{"id":17,"%L":"%V","note":"%W"}`,
	`{"messages":[{"role":"user","content":"%W %L %V"}]}`,
	"2026-11-22T08:09:16Z INFO worker-3 %L=%V status=200 took=12ms\n",
	"name;%L;city\nBecker;%V;Lyon\n",
	"%L\t%V\n%W\n",
	"func main() {\n\tconfig := \"%L: %V\"\n\tfmt.Println(config)\n}\n",
	"<p>%W</p><p>%L: <b>%V</b></p>",
	"First name: Ines\n%L: %V\nCity: Porto\n",
	"- %L: %V\n- %W\n",
	"> %W\n> %L %V\n",
	"Der Kunde schreibt: %L: %V. Danke und viele Grüße.",
	"Le client a donné %L : %V, merci de vérifier.",
	"El cliente dice que %L: %V y espera respuesta.",
	"%L – %V; 确认一下。",
}

// clean are sentences without a value, with numbers, dates, versions, amounts and names.
var clean = []string{
	"The committee met on a quiet afternoon and agreed on the plan.", "Order 48213 ships in 3 to 5 days.", "Version 1.14.2 fixed 12 bugs since 2026-10-02.",
	"Room 204 is on the second floor, next to 206 and 208.", "The total was $1,234.56 for 12 items.", "Build 20261122.4 took 00:12:45.",
	"See section 4.2.1.3 of the manual, pages 110-118.", "Commit 9f86d081 changed 214 lines in 7 files.", "She scored 98.6 points, 3.2 more than last year.",
	"Das Treffen ist am 22.11.2026 um 14:30 Uhr.", "La réunion est prévue pour le 3 mars à 10 h.", "El paquete pesa 12,5 kg y mide 30 x 40 cm.",
	"The request 550e8400-e29b-41d4-a716-446655440000 was retried 3 times.", "He moved from 10 Main Street to the country in 1998.", "Set timeout to 30s and retries to 5.",
	"The part number is 4711-0815-99 and the serial SN20391.", "Invoice 2026-000123 was paid on 12/05/2026.", "Lat 37.774929, lon -122.419416, alt 16.",
}

// Clean draws a text without a value.
func (r Rand) Clean() Text {
	var parts []string
	for range 1 + r.IntN(4) {
		parts = append(parts, r.Pick(clean...))
	}
	return Text{Text: strings.Join(parts, r.Pick(" ", "\n"))}
}

// Positive draws a text with one value of the entity.
func (r Rand) Positive(entity string) Text { return r.fill(entity, Values[entity](r), entity) }

// Near draws a text with a value that is none: one of its digits or letters is another,
// or it is part of a longer one. It is only for the entities whose values are checked.
func (r Rand) Near(entity string) Text {
	value := Values[entity](r)
	if r.IntN(4) == 0 {
		value = r.From(digits, 3) + value + r.From(digits, 2)
	} else {
		value = change(r, value)
	}
	t := r.fill("", value, entity)
	t.Near = entity
	return t
}

// change replaces one digit, or a letter when there is none, so that a check of one
// digit fails.
func change(r Rand, value string) string {
	var at []int
	for i, c := range value {
		if c >= '0' && c <= '9' {
			at = append(at, i)
		}
	}
	i := at[r.IntN(len(at))]
	c := value[i]
	for c == value[i] {
		c = digits[r.IntN(10)]
	}
	return value[:i] + string(c) + value[i+1:]
}

// Checked are the entities of which one digit that is another is never a value.
var Checked = []string{"CREDIT_CARD", "IBAN_CODE", "ES_NIF", "ES_NIE", "IT_FISCAL_CODE", "PL_PESEL", "FI_PERSONAL_IDENTITY_CODE", "FR_NIR", "NL_BSN", "IN_AADHAAR", "SG_NRIC_FIN", "AU_ABN", "AU_TFN", "BR_CPF", "UK_NHS"}

func (r Rand) fill(entity, value, labelled string) Text {
	var w writer
	frame := r.Pick(frames...)
	label := r.Label(labelled)
	for {
		i := strings.IndexByte(frame, '%')
		if i < 0 || i+1 >= len(frame) {
			break
		}
		w.WriteString(frame[:i])
		switch frame[i+1] {
		case 'L':
			w.WriteString(label)
		case 'V':
			w.value(entity, value)
		case 'W':
			w.WriteString(r.Pick(clean...))
		default:
			panic(fmt.Sprintf("frame %q", frame))
		}
		frame = frame[i+2:]
	}
	w.WriteString(frame)
	return Text{Text: w.String(), Labels: w.labels}
}

// Set draws texts of all entities: so many with a value of each, half as many that
// just fail to have one, and as many without any.
func Set(seed uint64, each int) []Text {
	r := NewRand(seed)
	var out []Text
	for _, name := range Names() {
		for range each {
			out = append(out, r.Positive(name), r.Clean())
		}
	}
	for _, name := range Checked {
		for range each / 2 {
			out = append(out, r.Near(name))
		}
	}
	return out
}
