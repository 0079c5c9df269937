package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/server"
	"github.com/memgate/memgate/filter/session"
	kept "github.com/memgate/memgate/filter/state"
	"github.com/memgate/memgate/filter/token"
)

const (
	// stateTimeout is for how long a command waits for the state.
	stateTimeout = 10 * time.Second
	// expiryLeeway is added to the end of a token, more than any issuer is forgiven.
	expiryLeeway = 5 * time.Minute
	// listed is how many sessions are shown.
	listed = 10_000
)

func revokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Revoke sessions, API keys, tokens, subjects and peers before their time",
		Long: "Revoke sessions, API keys, tokens, subjects and peers before their time, in the policy's state. Every running memgate\n" +
			"that shares it refuses them within a second, and what was issued to them. A revocation is not\n" +
			"taken back.",
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(revokeSessionCommand(), revokeKeyCommand(), revokeTokenCommand(), revokeSubjectCommand(), revokeListCommand())
	return cmd
}

// withState runs work with the state of the policy file at path.
func withState(cmd *cobra.Command, path string, work func(context.Context, *policy.Policy, kept.State) error) error {
	p, _, err := policy.Load(path)
	if err != nil {
		return err
	}
	opened, err := server.OpenState(p, time.Now)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), stateTimeout)
	defer cancel()
	return errors.Join(work(ctx, p, opened), opened.Close())
}

// revoke adds the entries that make says, and says so.
func revoke(cmd *cobra.Command, config string, entries func(*policy.Policy) ([]revocation.Entry, error)) error {
	return withState(cmd, config, func(ctx context.Context, p *policy.Policy, opened kept.State) error {
		all, err := entries(p)
		if err != nil {
			return err
		}
		for i := range all {
			all[i].Made = time.Now().UTC().Truncate(time.Millisecond)
			if err := all[i].Valid(); err != nil {
				return usageError{err}
			}
		}
		if err := opened.Add(ctx, all...); err != nil {
			return err
		}
		var did []audit.Action
		for i := range all {
			did = append(did, revoked(&all[i]))
		}
		if err := recorderOf(cmd, p).did(did...); err != nil {
			return err
		}
		for i := range all {
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s is revoked%s\n", nameOf(&all[i]), until(all[i].Until)); err != nil {
				return err
			}
		}
		return nil
	})
}

// nameOf says what e revokes.
func nameOf(e *revocation.Entry) string {
	switch e.Kind {
	case revocation.KindSubject:
		return fmt.Sprintf("subject %s of %s", e.ID, e.Issuer)
	case revocation.KindKeySubject:
		return fmt.Sprintf("subject %s of the API keys of %s", e.ID, e.Tenant)
	}
	return string(e.Kind) + " " + e.ID
}

func until(t time.Time) string {
	if t.IsZero() {
		return " for good"
	}
	return ", which is kept until " + t.UTC().Format(time.RFC3339)
}

func revokeSessionCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "session ID", Short: "End a session", Args: usage(cobra.ExactArgs(1))}
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !session.ValidID(args[0]) {
			return usageError{errors.New("that is not the id of a session; 'memgate session list' shows them")}
		}
		return withState(cmd, *config, func(ctx context.Context, p *policy.Policy, opened kept.State) error {
			ended, err := opened.End(ctx, args[0])
			if err != nil {
				return err
			}
			if len(ended) == 0 {
				return fmt.Errorf("no session has the id %s; 'memgate session list' shows them", args[0])
			}
			if err := recorderOf(cmd, p).did(audit.Action{Action: audit.Revoke, Object: "session", ID: args[0]}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "session %s has ended\n", args[0])
			return err
		})
	}
	return cmd
}

func revokeKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key ID",
		Short: "Revoke an API key in all instances, whatever their key files say",
		Long: "Revoke an API key in all instances, whatever their key files say. The key file is left as it is:\n" +
			"'memgate key revoke' changes that.",
		Args: usage(cobra.ExactArgs(1)),
	}
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return revoke(cmd, *config, func(*policy.Policy) ([]revocation.Entry, error) {
			return []revocation.Entry{{Kind: revocation.KindKey, ID: args[0]}}, nil
		})
	}
	return cmd
}

// issuerFlag adds the flag that names the issuer of what is revoked.
func issuerFlag(cmd *cobra.Command) *string {
	issuer := cmd.Flags().String("issuer", "", "issuer of it, as in identity.issuers; needed if there are several")
	_ = cmd.RegisterFlagCompletionFunc("issuer", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		path, _ := cmd.Flags().GetString("config")
		p, _, err := policy.Load(path)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return issuers(p), cobra.ShellCompDirectiveNoFileComp
	})
	return issuer
}

func issuers(p *policy.Policy) (names []string) {
	for i := range p.Identity.Issuers {
		names = append(names, p.Identity.Issuers[i].Issuer)
	}
	return names
}

// issuerOf is the policy's issuer that is named, or its only one.
func issuerOf(p *policy.Policy, name string) (string, error) {
	names := issuers(p)
	switch {
	case len(names) == 0:
		return "", errors.New("the policy has no issuers, so no token is accepted anyway")
	case name == "" && len(names) == 1:
		return names[0], nil
	case name == "":
		return "", usageError{fmt.Errorf("--issuer is needed: one of %s", strings.Join(names, ", "))}
	case !slices.Contains(names, name):
		return "", usageError{fmt.Errorf("the policy has no issuer %s, but %s", name, strings.Join(names, ", "))}
	}
	return name, nil
}

func revokeTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token ID|-",
		Short: "Revoke a token by its jti, or one on standard input",
		Long: "Revoke a token by its jti, or by the principal that its audit lines have, or with - the token on\n" +
			"standard input, of which nothing is verified. Sessions that were issued to it end with it.",
		Example: "  memgate revoke token 5b0c2f3e --issuer https://idp.example.com\n  memgate revoke token - < token.txt",
		Args:    usage(cobra.ExactArgs(1)),
	}
	config, issuer := configFlag(cmd), issuerFlag(cmd)
	expires := cmd.Flags().String("expires", "", "when the token expires, such as 2026-05-01T12:00:00Z; after state.max_token_life when empty")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var end time.Time
		if *expires != "" {
			var err error
			if end, err = time.Parse(time.RFC3339, *expires); err != nil {
				return usageError{errors.New("--expires wants a time such as 2026-05-01T12:00:00Z")}
			}
		}
		id, from := args[0], *issuer
		if id == "-" {
			compact, err := tokenText(cmd.InOrStdin(), args)
			if err != nil {
				return err
			}
			if from, id, end, err = token.Name(compact); err != nil {
				return fmt.Errorf("that is no token: %w", err)
			}
		}
		return revoke(cmd, *config, func(p *policy.Policy) ([]revocation.Entry, error) {
			name, err := issuerOf(p, from)
			if err != nil {
				return nil, err
			}
			if end.IsZero() {
				end = time.Now().Add(time.Duration(p.State.MaxTokenLife))
			}
			// Its sessions may outlive it.
			end = end.Add(expiryLeeway + sessionLife(p))
			return []revocation.Entry{{Kind: revocation.KindToken, Issuer: name, ID: id, Until: end.UTC().Truncate(time.Millisecond)}}, nil
		})
	}
	return cmd
}

// sessionLife is for how long what was issued to a token can outlive it.
func sessionLife(p *policy.Policy) time.Duration {
	if p.Identity.Sessions == nil {
		return 0
	}
	return max(session.MaxLife, time.Duration(p.Identity.Sessions.TTL))
}

func revokeListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List what is revoked", Args: usage(cobra.NoArgs)}
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withState(cmd, *config, func(ctx context.Context, _ *policy.Policy, opened kept.State) error {
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(out, "KIND\tID\tISSUER OR TENANT\tISSUED UNTIL\tREVOKED\tKEPT UNTIL")
			now := time.Now()
			for after, more := "", true; more; {
				page, err := opened.Read(ctx, after, 0)
				if err != nil {
					return err
				}
				for _, e := range page.Entries {
					told := e.Kind == revocation.KindSession || e.Kind == revocation.KindSessionChanged
					if !told && (e.Until.IsZero() || now.Before(e.Until)) {
						fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Kind, e.ID, dash(e.Issuer+e.Tenant), moment(e.Before), moment(e.Made), moment(e.Until))
					}
				}
				after, more = page.Next, page.More
			}
			return out.Flush()
		})
	}
	return cmd
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func sessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "session",
		Short: "List the sessions in the policy's state",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List the sessions, without their tokens",
		Args:  usage(cobra.NoArgs),
	}
	config := configFlag(list)
	tenant := list.Flags().String("tenant", "", "only those of a tenant")
	list.RunE = func(cmd *cobra.Command, _ []string) error {
		return withState(cmd, *config, func(ctx context.Context, p *policy.Policy, opened kept.State) error {
			if p.Identity.Sessions == nil {
				return errors.New("the policy has no identity.sessions")
			}
			store, err := server.Sessions(p, opened, time.Now, rand.Reader)
			if err != nil {
				return err
			}
			all, err := store.All(ctx, listed)
			if err != nil {
				return err
			}
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(out, "ID\tTENANT\tSUBJECT\tAGENT\tSTARTED\tEXPIRES\tSCOPES")
			for _, s := range all {
				if *tenant == "" || s.Tenant == *tenant {
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Tenant, s.Subject, s.Agent, moment(s.Started), moment(s.Expires), dash(strings.Join(s.Scopes, " ")))
				}
			}
			return out.Flush()
		})
	}
	cmd.AddCommand(list)
	return cmd
}
