package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/memgate/memgate/filter/apikey"
	"github.com/memgate/memgate/filter/audit"
	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/server"
)

// recorder leaves what a command does for the policy's audit log. The process that writes
// the log takes it from there. Where the log is standard output, which is not that of this
// process, the lines go to out.
type recorder struct {
	spool *audit.Spool // nil when there is no file of a log
	deny  bool         // what cannot be recorded is not to happen
	out   io.Writer    // nil when there is no log at all
}

// recorderOf returns the recorder of a command with a policy.
func recorderOf(cmd *cobra.Command, p *policy.Policy) recorder {
	r := recorder{spool: server.ActionsOf(p), deny: p.Audit.OnFailure == "deny"}
	if p.Audit.Mode != policy.ModeOff {
		r.out = cmd.ErrOrStderr()
	}
	return r
}

// ready says why what grants something must not be done: it could not be recorded. What
// takes something away is done all the same.
func (r recorder) ready() error {
	if r.spool == nil || !r.deny {
		return nil
	}
	if err := r.spool.Ready(); err != nil {
		return fmt.Errorf("nothing was done, as the audit log could not tell of it (audit.on_failure): %w", err)
	}
	return nil
}

// did records actions. They have been done, whatever the error is.
func (r recorder) did(actions ...audit.Action) error {
	if r.spool == nil && r.out == nil {
		return nil
	}
	for i := range actions {
		a := &actions[i]
		a.UID, a.Time = rand.Text(), time.Now().UTC()
		a.Operator, a.SudoUser = operator(), os.Getenv("SUDO_USER")
		a.Host, _ = os.Hostname()
		var err error
		if r.spool != nil {
			err = r.spool.Put(a)
		} else {
			_, err = r.out.Write(append(a.AppendJSON(nil), '\n'))
		}
		if err != nil {
			return fmt.Errorf("it was done, but the audit log will not tell of it: %w", err)
		}
	}
	return nil
}

// operator is the user of the operating system who runs this process.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid()) // of a container, which need not have names
}

// made and ended are what becomes of a key.
func made(r apikey.Record) audit.Action {
	return audit.Action{Action: audit.Create, Object: "key", ID: r.ID, Tenant: r.Tenant, Subject: r.Subject}
}

func ended(r apikey.Record) audit.Action {
	return audit.Action{Action: audit.Revoke, Object: "key", ID: r.ID, Tenant: r.Tenant, Subject: r.Subject, Effective: r.Revoked}
}

// revoked is what an entry does.
func revoked(e *revocation.Entry) audit.Action {
	a := audit.Action{Action: audit.Revoke, Object: string(e.Kind), ID: e.ID, Tenant: e.Tenant, Issuer: e.Issuer}
	if e.Kind == revocation.KindSubject || e.Kind == revocation.KindKeySubject {
		a.Subject = e.ID
	}
	return a
}
