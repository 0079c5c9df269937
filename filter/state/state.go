// Package state keeps what must outlive a process, or be known to several at once:
// sessions ([session.Backend]) and what was revoked ([revocation.Log]). It is in a SQLite
// file that the processes of one machine share ([File]), or in a Redis ([Redis]).
//
// No secret is in it: a session is named by what is safe to log, and sealed.
//
// The package takes its clock as an argument and never logs.
package state

import (
	"time"

	"github.com/memgate/memgate/filter/revocation"
	"github.com/memgate/memgate/filter/session"
)

// State is a place where state is kept.
type State interface {
	session.Backend
	revocation.Log
	Close() error
}

var (
	_ State = (*File)(nil)
	_ State = (*Redis)(nil)
)

// pageSize is how many revocations are read at once.
const pageSize = 5000

// ended and changed are what is told of a session.
func ended(id string, now time.Time) revocation.Entry {
	return revocation.Entry{Kind: revocation.KindSession, ID: id, Until: now.Add(revocation.Told), Made: now}
}

func changed(id string, now time.Time) revocation.Entry {
	return revocation.Entry{Kind: revocation.KindSessionChanged, ID: id, Until: now.Add(revocation.Told), Made: now}
}
