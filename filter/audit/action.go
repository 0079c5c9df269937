package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"
)

// What an [Action] does.
const (
	Create = "create"
	Revoke = "revoke"
)

// Action is what an operator did beside all requests, such as revoking a key. It never holds
// a secret. Strings are cut to [MaxString] bytes when it is written to a log.
type Action struct {
	// UID tells it from all others.
	UID string `json:"uid"`
	// Time is when it was done.
	Time time.Time `json:"time"`
	// Action is what was done: [Create] or [Revoke].
	Action string `json:"action"`
	// Object is the sort of what it was done to (key, session, token, subject, key-subject,
	// peer), and ID its name, which is no secret.
	Object string `json:"object"`
	ID     string `json:"object_id"`
	// Replaces is the ID of what a new object stands in for.
	Replaces string `json:"replaces,omitempty"`
	// Tenant, Subject and Issuer are those of the object, as far as it has them.
	Tenant  string `json:"tenant,omitempty"`
	Subject string `json:"subject,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	// Effective is from when on it counts, where that is later than Time.
	Effective time.Time `json:"effective,omitzero"`
	// Operator is the user of the operating system who did it, SudoUser who became that
	// user by sudo, as sudo says, and Host the machine.
	Operator string `json:"operator"`
	SudoUser string `json:"sudo_user,omitempty"`
	Host     string `json:"host,omitempty"`
}

// maxAction bounds an action in JSON.
const maxAction = 16 << 10

var errAction = errors.New("audit: not an action")

func (a *Action) valid() bool {
	return validUID(a.UID) && !a.Time.IsZero() && (a.Action == Create || a.Action == Revoke) && a.Object != "" && a.ID != "" && a.Operator != ""
}

// validUID takes what is safe in the name of a file.
func validUID(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return len(s) >= 16 && len(s) <= 64
}

func parseAction(b []byte) (*Action, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	a := new(Action)
	if d.Decode(a) != nil || !a.valid() {
		return nil, errAction
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errAction
	}
	return a, nil
}

// managing is the start of an event of OCSF's class Entity Management (3004, in category 3).
const managing = `,"category_uid":3,"class_uid":3004,"activity_id":`

// activity is OCSF's activity_id of the class Entity Management.
func (a *Action) activity() int64 {
	switch a.Action {
	case Create:
		return 1
	case Revoke:
		return 4 // what OCSF calls Delete
	}
	return 99
}

// AppendJSON appends the action as it stands in a log, as one JSON object without a line end
// and without the number that entries of a log have.
func (a *Action) AppendJSON(dst []byte) []byte { return a.appendLine(dst, -1) }

// appendLine appends the action as one JSON object without a line end, as an event of OCSF's
// class Entity Management. What memgate says of it stands in the member unmapped, under the
// names that Action has in JSON. The number of the entry is left out when it is below zero.
func (a *Action) appendLine(dst []byte, sequence int64) []byte {
	dst = appendMetadata(dst, sequence, a.Tenant)
	dst = append(dst, managing...)
	dst = strconv.AppendInt(dst, a.activity(), 10)
	dst = append(dst, `,"type_uid":`...)
	dst = strconv.AppendInt(dst, 300400+a.activity(), 10)
	dst = append(dst, `,"severity_id":1,"time":`...)
	dst = strconv.AppendInt(dst, a.Time.UnixMilli(), 10)
	dst = append(dst, `,"status_id":1,"action_id":1,"actor":{"user":{"name":`...)
	dst = appendString(dst, a.Operator)
	dst = append(dst, `},"app_name":"memgate"},"entity":{"type":`...)
	dst = appendString(dst, a.Object)
	dst = appendMember(dst, "uid", a.ID)
	dst = append(dst, `},"unmapped":{"time":"`...)
	dst = a.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, '"')
	dst = appendMember(dst, "action_uid", a.UID)
	dst = appendMember(dst, "action", a.Action)
	dst = appendMember(dst, "object", a.Object)
	dst = appendMember(dst, "object_id", a.ID)
	dst = appendMember(dst, "replaces", a.Replaces)
	dst = appendMember(dst, "tenant", a.Tenant)
	dst = appendMember(dst, "subject", a.Subject)
	dst = appendMember(dst, "issuer", a.Issuer)
	if !a.Effective.IsZero() {
		dst = appendMember(dst, "effective", a.Effective.UTC().Format(time.RFC3339Nano))
	}
	dst = appendMember(dst, "operator", a.Operator)
	dst = appendMember(dst, "sudo_user", a.SudoUser)
	dst = appendMember(dst, "host", a.Host)
	return append(dst, '}', '}')
}
