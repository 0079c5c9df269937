package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/content"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/poison"
	"github.com/memgate/memgate/filter/policy"
)

// explainBody says how the texts of a body are scored on a route, and whether the body
// is refused for it. Nothing of the body is in the step.
func explainBody(in io.Reader, file, contentType string, p *policy.Policy, route string) (authz.Step, bool, error) {
	step := authz.Step{Stage: authz.StagePoison}
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return step, false, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxText+1))
	if err != nil {
		return step, false, err
	}
	if len(text) > maxText {
		return step, false, fmt.Errorf("the body is larger than %d bytes", maxText)
	}
	var rules content.Policy
	for i := range p.Routes {
		if p.Routes[i].Name == route {
			if rules, err = p.Content(&p.Routes[i]); err != nil {
				return step, false, err
			}
		}
	}
	set, err := poison.Compile(rules.Request.Poison)
	if err != nil {
		return step, false, err
	}
	if rules.Request.Poison.Action == poison.Off {
		step.Verdict, step.Note = authz.Off, "texts of this route are not scored"
		return step, false, nil
	}
	format, readable := rules.Request.Decide(contentType)
	if readable != content.Inspect {
		return step, false, fmt.Errorf("bodies of the type %s are not read on this route", contentType)
	}
	scanner := poison.NewScanner(set)
	cfg := pii.Config{Format: format, MaxDepth: rules.Request.MaxDepth, Part: content.PartFormat, OtherParts: true, Texts: scanner}
	rewriter := pii.NewRewriter(cfg)
	if boundary, ok := content.Boundary(contentType); ok {
		rewriter.SetBoundary(boundary)
	}
	if _, err = rewriter.Write(nil, text); err == nil {
		_, err = rewriter.Close(nil)
	}
	if err != nil {
		return step, false, fmt.Errorf("the body: %w", err)
	}
	verdict := scanner.Verdict()
	step.Verdict, step.Note = authz.Pass, fmt.Sprintf("score %d", verdict.Score)
	if held := verdict.Rules(nil); len(held) > 0 {
		step.Note += ": " + strings.Join(held, ", ")
	}
	action := set.Action(verdict)
	switch {
	case action == poison.Off:
	case rules.Modes.Poison == content.Shadow:
		step.Verdict, step.Note = authz.WouldDeny, step.Note+"; "+action.String()
	case action == poison.Refuse:
		step.Verdict = authz.Deny
		return step, true, nil
	default:
		step.Note += "; goes on in quarantine"
	}
	return step, false, nil
}
