// Package catalog describes the entities of package pii for people: what each is,
// how it is recognized, which words near it count, and where the rule comes from. It
// is the source of docs/entities.md and is no part of the filter.
package catalog

import (
	"strings"

	"github.com/memgate/memgate/filter/pii"
)

// Entry describes one entity.
type Entry struct {
	Entity pii.Entity
	// Where is the country or countries that it belongs to, or "" for all.
	Where string
	// Grammar is how it is written.
	Grammar string
	// Check is how a candidate is validated.
	Check string
	// Context is which words near it count, and whether it is nothing without one.
	Context string
	// Source is the document that the rule comes from.
	Source string
}

// Group is a name by which a policy means several entities at once.
type Group struct {
	Name string
	// Members are the entities that it stands for.
	Members []pii.Entity
}

// Groups returns SECRET and one group for each country that has entities of its own,
// by the prefix of their names, in the order of the entities.
func Groups() []Group {
	var out []Group
	at := map[string]int{}
	for e := range pii.NumEntities {
		name := GroupOf(e)
		if name == "" {
			continue
		}
		n, ok := at[name]
		if !ok {
			n = len(out)
			at[name] = n
			out = append(out, Group{Name: name})
		}
		out[n].Members = append(out[n].Members, e)
	}
	return out
}

// GroupOf returns the name of the group that an entity belongs to, or "".
func GroupOf(e pii.Entity) string {
	name, _, found := strings.Cut(e.String(), "_")
	switch {
	case e.Secret():
		return "SECRET"
	case !found || len(name) != 2 || e == pii.IPAddress:
		return ""
	}
	return name
}

// Markdown returns the page docs/entities.md.
func Markdown() []byte {
	var b strings.Builder
	b.WriteString(`# Entities

<!-- Generated from filter/pii/catalog. Do not edit. -->

What memgate finds in bodies. Names are those of Microsoft Presidio where it has the entity. Every
entity has a score; what stays below 0.5 is not reported. Words up to 48 bytes to the left of a value
raise its score (in JSON the name of a member is left of its value), and words of another subject, such
as order or version, lower it. *Needed* means that a value is nothing without such a word within 40
bytes: its check digit, if there is one, is passed by every tenth number, and redacting those would
destroy more text than it protects. All entities have the action of ` + "`default`" + ` unless a rule names
them or their group, also those that need a word: beside it they are as certain as the others.

A policy can name a group instead of its members: `)
	for i, g := range Groups() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("`" + g.Name + "`")
	}
	b.WriteString(`. A rule for the entity wins over one for
its group, and both over ` + "`default`" + `.

## Personal data

| entity | where | written as | checked by | words near it | source |
| --- | --- | --- | --- | --- | --- |
`)
	for _, x := range Entries {
		if !x.Entity.Secret() {
			row(&b, "`"+x.Entity.String()+"`", or(x.Where, "all"), x.Grammar, x.Check, or(x.Context, "–"), x.Source)
		}
	}
	b.WriteString(`
## Secrets

These are the members of the group ` + "`SECRET`" + `. A value that is recognized as one is never given up for
another entity that overlaps it.

| entity | written as | checked by | source |
| --- | --- | --- | --- |
`)
	for _, x := range Entries {
		if x.Entity.Secret() {
			row(&b, "`"+x.Entity.String()+"`", x.Grammar, x.Check, x.Source)
		}
	}
	return []byte(b.String())
}

func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(c, "|", "\\|") + " ")
	}
	b.WriteString("|\n")
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
