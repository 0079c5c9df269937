package main

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/problem"
	"github.com/memgate/memgate/filter/server"
)

// explainID stands for the request id that Envoy would give.
const explainID = "00000000-0000-4000-8000-000000000000"

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain --method METHOD --path PATH [--header 'Name: value']... [--body FILE]",
		Short: "Show what each stage would decide on a request, and why",
		Long: "Show what each stage would decide on a request, and why, by the policy file and the keys\n" +
			"it names. Issuers' keys are fetched as the service does. What only the running service\n" +
			"knows is not consulted: how much of a rate is used up, and which sessions live.\n" +
			"\"would deny\" is a stage in shadow: the request goes on.\n" +
			"With --body, how the texts of a request's body are scored, and by which rules.\n" +
			"Exit code 0 when the request would be let through, else 1.",
		Example: "  memgate explain --method POST --path /api/v2/agents/helper/remember \\\n" +
			"    --header \"Authorization: Bearer $MEMGATE_TOKEN\"",
		Args: usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	method := cmd.Flags().StringP("method", "X", "GET", "method")
	path := cmd.Flags().String("path", "/", "path, with its query, as on the wire, or the whole URL, which a DPoP proof needs")
	peer := cmd.Flags().String("peer", "", "name in the certificate of the peer, such as its SPIFFE ID, as Envoy verified it")
	lines := cmd.Flags().StringArrayP("header", "H", nil, "request header, 'Name: value'; may be repeated")
	body := cmd.Flags().String("body", "", "file with the request's body, - for standard input")
	contentType := cmd.Flags().String("content-type", "application/json", "how the body is read")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		request := &authz.Request{ID: explainID, Method: *method, Path: *path, Peer: *peer}
		if u, err := url.Parse(*path); err == nil && u.Host != "" {
			request.Scheme, request.Host, request.Path = u.Scheme, u.Host, u.RequestURI()
		}
		for _, line := range *lines {
			name, value, ok := strings.Cut(line, ":")
			if !ok || name == "" {
				return usageError{fmt.Errorf("--header wants 'Name: value'")}
			}
			request.Add(name, strings.TrimSpace(value))
		}
		p, _, err := policy.Load(*config)
		if err != nil {
			return err
		}
		chain, done, err := server.Chain(cmd.Context(), p, time.Now, rand.Reader)
		if err != nil {
			return err
		}
		defer done()
		decision, steps := chain.Explain(cmd.Context(), request)
		if *body != "" && decision.Allowed {
			step, refuses, err := explainBody(cmd.InOrStdin(), *body, *contentType, p, decision.Route)
			if err != nil {
				return err
			}
			steps = append(steps, step)
			if refuses {
				decision = &authz.Decision{Stage: step.Stage, Status: problem.SuspectedPoisoning.Status, Problem: problem.SuspectedPoisoning}
			}
		}
		return printExplanation(cmd, decision, steps)
	}
	return cmd
}

func printExplanation(cmd *cobra.Command, d *authz.Decision, steps []authz.Step) error {
	out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, step := range steps {
		fmt.Fprintf(out, "%s\t%s\t%s\n", step.Stage, step.Verdict, step.Note)
	}
	switch {
	case d.Allowed:
		fmt.Fprintf(out, "%s\tpass\t\n", authz.StageAllow)
		for _, h := range d.Upstream {
			value := h.Value
			if h.Name == authz.HeaderTxnToken || h.Name != authz.HeaderTenant && h.Name != authz.HeaderSubject && h.Name != authz.HeaderRequestID {
				value = "(not shown)"
			}
			fmt.Fprintf(out, "\tsets\t%s: %s\n", h.Name, value)
		}
		fmt.Fprintf(out, "\tremoves\t%s\n", strings.Join(d.Remove, ", "))
		fmt.Fprintf(out, "\tcontent policy\t%s\n", d.Content)
	default:
		fmt.Fprintf(out, "answer\t%d\t%s\n", d.Status, d.Problem.Title)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if d.Allowed || d.Reason == authz.ReasonPreflight {
		return nil
	}
	return errSilent
}
