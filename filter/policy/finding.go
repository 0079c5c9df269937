package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Severity tells whether a finding stops the policy from being used.
type Severity string

// The severities. A policy with an Error is not loaded.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong or unwise in a policy file. Message never
// holds the value of a secret, nor anything that looks like one.
type Finding struct {
	File     string   // as it was named to [Load] or [Parse]
	Line     int      // from 1; 0 when the policy did not come from a file
	Column   int      // from 1; 0 when only the line is known
	Severity Severity // whether the policy can be used nevertheless
	Rule     string   // stable name of the rule, such as "unknown-key"
	Path     string   // the member, such as routes[2].match.path
	Message  string   // one line for an operator
}

// String is the finding as file:line:column: message, in the form that
// editors and CI systems recognize. Warnings say that they are.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(cmp.Or(f.File, "policy"))
	for _, n := range [...]int{f.Line, f.Column} {
		if n == 0 {
			break
		}
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(n))
	}
	b.WriteString(": ")
	if f.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(f.Message)
	return b.String()
}

// Errors is everything that keeps a file from being used, in the order of the
// file. It holds at most 100 findings, the last of which then says how many
// were left out.
type Errors []Finding

const maxFindings = 100

// Error lists all findings, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Findings returns the errors that err, as [Load] and [Parse] return it, is
// made of. An error of another kind becomes a single finding.
func Findings(err error) []Finding {
	switch e := err.(type) {
	case nil:
		return nil
	case Errors:
		return e
	}
	return []Finding{{Severity: Error, Rule: "file", Message: err.Error()}}
}

// place is where a member of the file stands: its key, if it has one, and its
// value.
type place struct{ key, value position }

// position is a line and column, both from 1.
type position struct{ line, column int }

// report collects findings for one file.
type report struct {
	file     string
	findings []Finding
	dropped  int
}

func (r *report) add(at position, severity Severity, rule, path, message string) {
	if len(r.findings) >= 4*maxFindings {
		r.dropped++
		return
	}
	r.findings = append(r.findings, Finding{
		File: r.file, Line: at.line, Column: at.column,
		Severity: severity, Rule: rule, Path: path, Message: message,
	})
}

func (r *report) errorf(at position, rule, path, format string, args ...any) {
	r.add(at, Error, rule, path, fmt.Sprintf(format, args...))
}

// split sorts the findings by position and separates errors from warnings.
func (r *report) split() (Errors, []Finding) {
	sortFindings(r.findings)
	var errs Errors
	var warnings []Finding
	for _, f := range r.findings {
		if f.Severity == Error {
			errs = append(errs, f)
		} else {
			warnings = append(warnings, f)
		}
	}
	if len(warnings) > maxFindings {
		warnings = warnings[:maxFindings]
	}
	if left := len(errs) - maxFindings + r.dropped; left > 0 {
		last := errs[min(len(errs), maxFindings)-1]
		last.Rule, last.Path, last.Message = "more", "", fmt.Sprintf("%d more errors", left+1)
		errs = append(errs[:min(len(errs), maxFindings)-1], last)
	}
	return errs, warnings
}

func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Severity, b.Severity))
	})
}
