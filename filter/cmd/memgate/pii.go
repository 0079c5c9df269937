package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/authz"
	"github.com/memgate/memgate/filter/pii"
	"github.com/memgate/memgate/filter/policy"
)

// maxText bounds one text that is scanned as a whole: standard input, or one
// line of it with --format ndjson.
const maxText = 64 << 20

// finding is how a finding is printed. Offsets count Unicode code points.
type finding struct {
	Entity string  `json:"entity"`
	Start  int     `json:"start"`
	End    int     `json:"end"`
	Score  float32 `json:"score"`
}

func piiCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pii",
		Short: "Find or rewrite personal data and secrets in text",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(piiScanCommand(), piiRedactCommand(), piiOpenCommand(), piiKeyCommand())
	return cmd
}

func piiScanCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Print what is found in standard input",
		Long: "Print what is found in standard input: entity, start, end (in Unicode code points) and\n" +
			"score, one finding a line. With --format ndjson each input line is {\"text\": \"...\"} and\n" +
			"each output line {\"findings\": [...]}.",
		Args: usage(cobra.NoArgs),
	}
	format := cmd.Flags().String("format", "text", "text or ndjson")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch *format {
		case "text":
			return scanText(cmd.InOrStdin(), cmd.OutOrStdout())
		case "ndjson":
			return scanLines(cmd.InOrStdin(), cmd.OutOrStdout())
		}
		return usageError{errors.New("--format is text or ndjson")}
	}
	return cmd
}

func scanText(in io.Reader, out io.Writer) error {
	text, err := io.ReadAll(io.LimitReader(in, maxText+1))
	if err != nil {
		return err
	}
	if len(text) > maxText {
		return fmt.Errorf("standard input is larger than %d bytes; cut it, or use --format ndjson", maxText)
	}
	w := bufio.NewWriter(out)
	for _, f := range scan(text) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%.2f\n", f.Entity, f.Start, f.End, f.Score)
	}
	return w.Flush()
}

func scanLines(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), maxText)
	w := bufio.NewWriter(out)
	encoder := json.NewEncoder(w)
	for n := 1; lines.Scan(); n++ {
		var line struct {
			Text *string `json:"text"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Text == nil {
			return errors.Join(fmt.Errorf("line %d is not {\"text\": \"...\"}", n), w.Flush())
		}
		if err := encoder.Encode(map[string][]finding{"findings": scan([]byte(*line.Text))}); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), w.Flush())
}

// scan never returns nil, so that no finding is printed as [] and not as null.
func scan(text []byte) []finding {
	found := pii.Scan(nil, text)
	pii.CodePoints(text, found)
	out := make([]finding, 0, len(found))
	for _, f := range found {
		out = append(out, finding{f.Entity.String(), f.Start, f.End, f.Score})
	}
	return out
}

func piiRedactCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "redact",
		Short: "Rewrite standard input by a policy",
		Long: "Rewrite standard input as the content filter would by the policy's pii.request rules, or\n" +
			"pii.response with --response. Without a policy file each finding is redacted. The action\n" +
			"hash and pseudonymize need --tenant. A finding whose action is block ends it with exit code 1.",
		Args: usage(cobra.NoArgs),
	}
	config := cmd.Flags().StringP("config", "c", "", "policy file; without it everything is redacted")
	response := cmd.Flags().Bool("response", false, "apply the rules for responses")
	format := cmd.Flags().String("format", "text", "text, json or ndjson")
	tenant := cmd.Flags().String("tenant", "", "tenant whose key the actions hash and pseudonymize use")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		formats := map[string]pii.Format{"text": pii.Text, "json": pii.JSON, "ndjson": pii.NDJSON}
		kind, ok := formats[*format]
		if !ok {
			return usageError{errors.New("--format is text, json or ndjson")}
		}
		rules, key, keys, err := redaction(*config, *response, *tenant)
		if err != nil {
			return err
		}
		rewriter := pii.NewRewriter(pii.Config{
			Format: kind, Policy: rules, HashKey: key, MaxDepth: 256, Lenient: *response,
		})
		rewriter.SetPseudonyms(keys, false)
		return rewrite(cmd.InOrStdin(), cmd.OutOrStdout(), rewriter)
	}
	return cmd
}

// redaction returns the rules of a policy file and the keys of a tenant.
func redaction(path string, response bool, tenant string) (pii.Policy, []byte, *pii.Pseudonyms, error) {
	if path == "" {
		var all pii.Policy
		for e := range all.Actions {
			all.Actions[e] = pii.Redact
		}
		return all, nil, nil, nil
	}
	p, _, err := policy.Load(path)
	if err != nil {
		return pii.Policy{}, nil, nil, err
	}
	body, err := p.Content(&policy.Route{})
	if err != nil {
		return pii.Policy{}, nil, nil, err
	}
	rules := body.Request
	if response {
		rules = body.Response
	}
	rules.PII.Custom = body.Custom
	if !rules.Hashes() && !rules.Pseudonymizes() {
		return rules.PII, nil, nil, nil
	}
	if tenant == "" {
		return pii.Policy{}, nil, nil, usageError{errors.New("the policy's actions hash and pseudonymize need --tenant")}
	}
	var key []byte
	var keys *pii.Pseudonyms
	if rules.Hashes() {
		master, err := p.Resolve(p.PII.Key)
		if err != nil {
			return pii.Policy{}, nil, nil, err
		}
		key = authz.TenantKey(master, tenant)
	}
	if rules.Pseudonymizes() {
		if keys, err = authz.Pseudonyms(p, tenant); err != nil {
			return pii.Policy{}, nil, nil, err
		}
	}
	return rules.PII, key, keys, nil
}

func rewrite(in io.Reader, out io.Writer, rewriter *pii.Rewriter) error {
	w := bufio.NewWriter(out)
	chunk, rewritten := make([]byte, 64<<10), []byte(nil)
	for {
		n, err := in.Read(chunk)
		var failed error
		if rewritten, failed = rewriter.Write(rewritten[:0], chunk[:n]); failed != nil {
			return errors.Join(failed, w.Flush())
		}
		if _, err := w.Write(rewritten); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	rewritten, err := rewriter.Close(rewritten[:0])
	if err != nil {
		return errors.Join(err, w.Flush())
	}
	if _, err := w.Write(rewritten); err != nil {
		return err
	}
	return w.Flush()
}
