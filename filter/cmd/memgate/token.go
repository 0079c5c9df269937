package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/identity"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/server"
	"github.com/memgate/memgate/filter/token"
)

// maxTokenInput bounds what is read of a token from standard input, in bytes.
const maxTokenInput = 1 << 20

func tokenVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [TOKEN|-]",
		Short: "Say stage by stage why a token is accepted or refused",
		Long: "Say stage by stage why a token is accepted or refused, by the issuers of the policy and\n" +
			"their keys as they are now. The token is read from standard input unless it is given; it is\n" +
			"never printed, but what it says of issuer, audience, times, subject, tenant, scopes and roles is.\n" +
			"Exit code 0 when it is accepted, 1 when it is refused.\n\n" +
			"With --jwks FILE --signature-only nothing but the signature is checked, of any JWS in compact\n" +
			"form whatever its payload, by the keys of that file: exit code 0 when it is valid, else 1.",
		Example: "  memgate token verify - < token.txt\n" +
			"  memgate token verify --at 2026-05-01T12:00:00Z \"$TOKEN\"\n" +
			"  memgate token verify --jwks keys.json --signature-only \"$JWS\"",
		Args: usage(cobra.MaximumNArgs(1)),
	}
	config := configFlag(cmd)
	at := cmd.Flags().String("at", "", "time of the check, such as 2026-05-01T12:00:00Z; now when empty")
	jwks := cmd.Flags().String("jwks", "", "file with a JWK Set or one JWK, instead of the policy's issuers")
	only := cmd.Flags().Bool("signature-only", false, "check the signature alone, by --jwks")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *only != (*jwks != "") {
			return usageError{errors.New("--jwks and --signature-only belong together: without issuers there are no claims to check")}
		}
		now := time.Now
		if *at != "" {
			fixed, err := time.Parse(time.RFC3339, *at)
			if err != nil {
				return usageError{errors.New("--at wants a time such as 2026-05-01T12:00:00Z")}
			}
			now = func() time.Time { return fixed }
		}
		compact, err := tokenText(cmd.InOrStdin(), args)
		if err != nil {
			return err
		}
		if *only {
			return verifySignature(cmd.OutOrStdout(), *jwks, compact)
		}
		p, _, err := policy.Load(*config)
		if err != nil {
			return err
		}
		verifier, err := server.Tokens(p, now)
		if err != nil {
			return err
		}
		if verifier == nil {
			return fmt.Errorf("%s names no issuers (identity.issuers), so no token is accepted", *config)
		}
		steps, _, refused := verifier.Explain(cmd.Context(), compact)
		if err := printSteps(cmd.OutOrStdout(), steps); err != nil {
			return err
		}
		if refused != nil {
			return errSilent
		}
		return nil
	}
	return cmd
}

// tokenText is the token of the command line or of standard input.
func tokenText(in io.Reader, args []string) (string, error) {
	if len(args) == 1 && args[0] != "-" {
		return args[0], nil
	}
	text, err := io.ReadAll(io.LimitReader(in, maxTokenInput+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxTokenInput {
		return "", errors.New("the token is longer than 1 MiB")
	}
	return strings.Trim(string(text), " \t\r\n"), nil
}

func verifySignature(out io.Writer, path, compact string) error {
	keys, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	err = token.VerifySignature(keys, compact)
	if refusal := (*identity.Error)(nil); errors.As(err, &refusal) {
		fmt.Fprintf(out, "invalid: %s\n", refusal)
		return errSilent
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = fmt.Fprintln(out, "valid")
	return err
}

func printSteps(w io.Writer, steps []token.Step) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	verdicts := map[token.Result]string{token.Passed: "pass", token.Refused: "refuse", token.NotReached: "-"}
	verdict := "valid"
	for _, s := range steps {
		fmt.Fprintf(out, "%s\t%s\t%s\n", s.Stage, verdicts[s.Result], s.Note)
		if s.Result == token.Refused {
			verdict = "refused"
		}
	}
	fmt.Fprintln(out, verdict)
	return out.Flush()
}
