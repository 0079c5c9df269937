package cases

import (
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/problem"
)

// custom are cases of what a policy adds to the entities, and of what it allows.
func custom() []Case {
	rules, err := pii.NewCustom(pii.CustomConfig{
		Rules: []pii.CustomRule{
			{Name: "PROJECT", Words: []string{"Blue Heron"}},
			{Name: "STAFF", Patterns: []string{`EMP-\d{4}`}, Prefixes: []string{"staff_"}},
		},
		Allow: []string{"support@example.com"},
	})
	if err != nil {
		panic(err)
	}
	with := func(action pii.Action) *content.Policy {
		p := Policy()
		p.Custom = rules
		p.Request.PII.Actions[pii.Custom] = action
		p.Response.PII.Actions[pii.Custom] = action
		return p
	}
	hides := Policy()
	for _, b := range []*content.Body{&hides.Request, &hides.Response} {
		b.Redact = []string{"ssn", "card", "results[].phone"}
	}
	return []Case{
		{
			Name: "members that are always redacted", Policy: hides,
			Body:     `{"content":"ann@example.com","SSN":17,"card":{"holder":"Ann","valid":[12,"30"],"note":null}}`,
			Upstream: `{"content":"[EMAIL_ADDRESS]","SSN":"[REDACTED]","card":{"holder":"[REDACTED]","valid":["[REDACTED]","[REDACTED]"],"note":null}}`,
			Answer:   Answer{Body: `{"results":[{"phone":"unlisted","ok":true}]}`}, Client: `{"results":[{"phone":"[REDACTED]","ok":true}]}`,
			Findings: "EMAIL_ADDRESS=1,CUSTOM=5",
		},
		{
			Name: "an answer that cannot be read, where members are always redacted", Policy: hides,
			Body: `{}`, Upstream: `{}`, Answer: Answer{Body: `{"ssn":17,}`}, Withheld: &problem.ResponseUninspectable,
			Findings: "CUSTOM=1",
		},
		{
			Name: "custom values", Policy: with(pii.Redact),
			Body:     `{"content":"blue heron: EMP-0042, staff_ann7, ann@example.com"}`,
			Upstream: `{"content":"[PROJECT]: [STAFF], [STAFF], [EMAIL_ADDRESS]"}`,
			Answer:   Answer{Body: `{"ok":"EMP-0042"}`}, Client: `{"ok":"[STAFF]"}`,
			Findings: "EMAIL_ADDRESS=1,CUSTOM=4",
		},
		{
			Name: "an allowed value", Policy: with(pii.Redact),
			Body:     `{"content":"Support@example.com or ann@example.com"}`,
			Upstream: `{"content":"Support@example.com or [EMAIL_ADDRESS]"}`,
			Answer:   Answer{Body: `{"ok":true}`}, Client: `{"ok":true}`,
			Findings: "EMAIL_ADDRESS=1",
		},
		{Name: "a custom value that is blocked", Policy: with(pii.Block), Body: `{"content":"Blue Heron"}`, Refusal: &problem.BlockedPII, Findings: "CUSTOM=1"},
	}
}
