package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/server"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify and search the audit log",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(auditVerifyCommand(), auditQueryCommand(), auditKeyCommand())
	return cmd
}

// auditPolicy loads the policy whose audit log is meant.
func auditPolicy(path string) (*policy.Policy, error) {
	p, _, err := policy.Load(path)
	return p, err
}

// auditFiles are the files of the log: those that were named, or all of the log
// at the one path that was named or that the policy names.
func auditFiles(config string, args []string) (logs, checkpoints []string, err error) {
	if len(args) > 1 || len(args) == 1 && strings.HasSuffix(args[0], audit.CheckpointSuffix) {
		logs, checkpoints = audit.Split(args)
		return logs, checkpoints, nil
	}
	path := ""
	if len(args) == 1 {
		path = args[0]
	} else {
		p, err := auditPolicy(config)
		if err != nil {
			return nil, nil, err
		}
		if p.Audit.File == "-" {
			return nil, nil, errors.New("the policy's audit lines go to standard output; name the files")
		}
		path = p.Path(p.Audit.File)
	}
	logs, checkpoints, err = audit.Files(path)
	if err == nil && len(logs)+len(checkpoints) == 0 {
		err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return logs, checkpoints, err
}

// auditVerifier is the verifier key that was given, in a file or itself, or that
// belongs to the policy's key.
func auditVerifier(config, given string) (string, error) {
	if given == "" {
		p, err := auditPolicy(config)
		if err != nil {
			return "", err
		}
		key, err := audit.LoadKey(server.AuditKeyPath(p))
		return key.Verifier, err
	}
	if path, ok := strings.CutPrefix(given, "@"); ok {
		text, err := os.ReadFile(path)
		return strings.TrimSpace(string(text)), err
	}
	return given, nil
}

func auditVerifyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [FILE...]",
		Short: "Check that the audit log is as it was written",
		Long: "Check that the audit log is as it was written, and print what is not: lines that were\n" +
			"changed, taken out, put in or put elsewhere, a tail that is missing, checkpoints that are\n" +
			"forged. One FILE stands for a log with all its rotated files and checkpoints, several for\n" +
			"themselves; without FILE it is the log of the policy. Exit code 0 when nothing is wrong.",
		Example: "  memgate audit verify\n" +
			"  memgate audit verify --key \"$(memgate audit key)\" /var/log/memgate/audit.log",
	}
	config := configFlag(cmd)
	key := cmd.Flags().String("key", "", "verifier key as 'memgate audit key' prints it, or @FILE; that of the policy when empty")
	pruned := cmd.Flags().Bool("pruned", false, "the oldest files were deleted on purpose")
	kept := cmd.Flags().StringArray("checkpoints", nil, "file of checkpoints that were kept elsewhere; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		verifier, err := auditVerifier(*config, *key)
		if err != nil {
			return err
		}
		logs, checkpoints, err := auditFiles(*config, args)
		if err != nil {
			return err
		}
		r, err := audit.Verify(audit.Verification{
			Logs: logs, Checkpoints: append(checkpoints, *kept...), Verifier: verifier, Pruned: *pruned,
		})
		if err != nil {
			return err
		}
		return printReport(cmd, r)
	}
	return cmd
}

func printReport(cmd *cobra.Command, r *audit.Report) error {
	out := cmd.OutOrStdout()
	for _, p := range r.Problems {
		fmt.Fprintln(out, p)
	}
	if r.More > 0 {
		fmt.Fprintf(out, "and %d more\n", r.More)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(out, "note:", n)
	}
	if !r.OK() {
		fmt.Fprintf(out, "FAILED: the log is not as it was written (%d entries, %d checkpoints read)\n", r.Entries, r.Checkpoints)
		return errSilent
	}
	_, err := fmt.Fprintf(out, "OK: %d entries from %d on, signed up to %d by %d checkpoints, the last of %s\n",
		r.Entries, r.First, r.Signed, r.Checkpoints, r.Last.UTC().Format(time.RFC3339))
	return err
}

func auditKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print the key that verifies the log's checkpoints; it is no secret",
		Args:  usage(cobra.NoArgs),
	}
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		verifier, err := auditVerifier(*config, "")
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w; memgate makes it when it opens the log for the first time", err)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), verifier)
		return err
	}
	return cmd
}

func auditQueryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "query [FILE...]",
		Short: "Print the events of the audit log that match",
		Long: "Print the events of the audit log that match all that is asked for, oldest first. One FILE\n" +
			"stands for a log with all its rotated files, several for themselves; without FILE it is\n" +
			"the log of the policy. The log is not verified: see 'memgate audit verify'.",
		Example: "  memgate audit query --request-id 7c0e6d1f-8a54-4a09-9f0c-5a3f3f0c0b11\n" +
			"  memgate audit query --tenant acme --decision deny --since 24h --format table",
	}
	config := configFlag(cmd)
	var f audit.Filter
	flags := cmd.Flags()
	since := flags.String("since", "", "from then on: a time (RFC 3339), a date, or how long ago (24h)")
	until := flags.String("until", "", "before then, written likewise")
	flags.StringVar(&f.Tenant, "tenant", "", "tenant")
	flags.StringVar(&f.Subject, "subject", "", "subject")
	flags.StringVar(&f.Principal, "principal", "", "id of the credential")
	flags.StringVar(&f.Decision, "decision", "", "allow, deny or error")
	flags.StringVar(&f.Stage, "stage", "", "stage that decided")
	flags.StringVar(&f.Reason, "reason", "", "typed reason")
	flags.StringVar(&f.Route, "route", "", "name of the route")
	flags.StringVar(&f.RequestID, "request-id", "", "request id")
	flags.StringVar(&f.Refusal, "refusal", "", "problem with which the content filter refused")
	flags.BoolVar(&f.Actions, "actions", false, "only what operators did by command, such as revoking a key")
	flags.StringVar(&f.Operator, "operator", "", "only what this user of the operating system did by command")
	status := flags.String("status", "", "status, such as 403 or 4xx")
	format := flags.String("format", "json", "json (one line each, as in the log) or table")
	limit := flags.Int("limit", 0, "stop after that many; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		now := time.Now()
		if f.Since, err = parseWhen(*since, now); err != nil {
			return usageError{fmt.Errorf("--since: %w", err)}
		}
		if f.Until, err = parseWhen(*until, now); err != nil {
			return usageError{fmt.Errorf("--until: %w", err)}
		}
		if f.Status, err = parseStatus(*status); err != nil {
			return usageError{fmt.Errorf("--status: %w", err)}
		}
		if *format != "json" && *format != "table" {
			return usageError{errors.New("--format must be json or table")}
		}
		logs, _, err := auditFiles(*config, args)
		if err != nil {
			return err
		}
		return printEvents(cmd, logs, f, *format == "table", *limit)
	}
	return cmd
}

// tableRows is after how many rows a table is printed, so that it needs no more
// memory.
const tableRows = 1000

func printEvents(cmd *cobra.Command, logs []string, f audit.Filter, table bool, limit int) error {
	out := cmd.OutOrStdout()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if table {
		fmt.Fprintln(w, "TIME\tSTATUS\tDECISION\tSTAGE\tREASON\tMETHOD\tROUTE\tTENANT\tSUBJECT\tREQUEST ID")
	}
	n := 0
	skipped, err := audit.Query(logs, f, func(line []byte, r *audit.Record) error {
		var err error
		if table {
			if r.Action != "" {
				r.Decision, r.Method, r.Route, r.Reason = r.Action, r.Operator, r.Object+" "+visible(r.ObjectID), ""
			}
			reason := r.Reason
			if r.Refusal != "" {
				reason = r.Refusal
			}
			_, err = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Time.UTC().Format("2006-01-02T15:04:05.000Z"), r.Status, r.Decision,
				dash(r.Stage), dash(reason), visible(r.Method), dash(r.Route), dash(visible(r.Tenant)), dash(visible(r.Subject)), visible(r.RequestID))
		} else {
			_, err = out.Write(append(line, '\n'))
		}
		if n++; err == nil && n == limit {
			err = audit.ErrStop
		}
		if table && err == nil && n%tableRows == 0 {
			err = w.Flush()
		}
		return err
	})
	if table {
		err = errors.Join(err, w.Flush())
	}
	if skipped > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d lines are no events; memgate audit verify says more\n", skipped)
	}
	return err
}

// visible keeps what a client chose from changing a terminal or a table.
func visible(s string) string {
	return strings.Trim(strconv.QuoteToGraphic(s), `"`)
}

// parseWhen reads a time, a date, or how long before now; the zero time when text
// is empty.
func parseWhen(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05", time.DateOnly} {
		if when, err := time.Parse(layout, text); err == nil {
			return when, nil
		}
	}
	return time.Time{}, errors.New("must be a time such as 2031-05-06T14:00:00Z, a date, or a length of time such as 24h")
}

func parseStatus(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	if hundred, ok := strings.CutSuffix(strings.ToLower(text), "xx"); ok && len(hundred) == 1 {
		text = hundred
	} else if len(text) != 3 {
		text = ""
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 5 && (n < 100 || n > 599) {
		return 0, errors.New("must be a status such as 403, or 4xx")
	}
	return n, nil
}
