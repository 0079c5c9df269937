package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Record is an event as it is read from a log.
type Record struct {
	Time            time.Time         `json:"time"`
	RequestID       string            `json:"request_id"`
	Route           string            `json:"route"`
	Method          string            `json:"method"`
	Tenant          string            `json:"tenant"`
	Subject         string            `json:"subject"`
	Kind            string            `json:"kind"`
	Principal       string            `json:"principal"`
	Decision        string            `json:"decision"`
	Stage           string            `json:"stage"`
	Reason          string            `json:"reason"`
	Shadow          []string          `json:"shadow"`
	Opened          uint64            `json:"opened_pseudonyms"`
	Status          int               `json:"status"`
	DurationMS      float64           `json:"duration_ms"`
	BytesReceived   int64             `json:"bytes_received"`
	BytesSent       int64             `json:"bytes_sent"`
	Findings        map[string]uint64 `json:"findings"`
	Refusal         string            `json:"refusal"`
	SpoofedHeaders  []string          `json:"spoofed_headers"`
	ResponseFlags   []string          `json:"response_flags"`
	ResponseDetails string            `json:"response_details"`

	// What follows is that of an Action.
	ActionUID string    `json:"action_uid"`
	Action    string    `json:"action"`
	Object    string    `json:"object"`
	ObjectID  string    `json:"object_id"`
	Replaces  string    `json:"replaces"`
	Issuer    string    `json:"issuer"`
	Effective time.Time `json:"effective"`
	Operator  string    `json:"operator"`
	SudoUser  string    `json:"sudo_user"`
	Host      string    `json:"host"`
}

// Filter selects events; what is zero selects all.
type Filter struct {
	Since, Until time.Time // from Since on, before Until
	Tenant       string
	Subject      string
	Principal    string
	Decision     string
	Stage        string
	Reason       string
	Route        string
	RequestID    string
	Refusal      string
	// Actions selects what operators did alone, and Operator what one of them did.
	Actions  bool
	Operator string
	// Status is a status, or with a value from 1 to 5 all statuses of that
	// hundred.
	Status int
}

// Match reports whether f selects r.
func (f *Filter) Match(r *Record) bool {
	for _, pair := range [...][2]string{
		{f.Tenant, r.Tenant}, {f.Subject, r.Subject}, {f.Principal, r.Principal}, {f.Decision, r.Decision}, {f.Stage, r.Stage},
		{f.Reason, r.Reason}, {f.Route, r.Route}, {f.RequestID, r.RequestID}, {f.Refusal, r.Refusal}, {f.Operator, r.Operator},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	switch {
	case f.Actions && r.Action == "":
		return false
	case !f.Since.IsZero() && r.Time.Before(f.Since), !f.Until.IsZero() && !r.Time.Before(f.Until):
		return false
	case f.Status >= 1 && f.Status <= 5:
		return r.Status/100 == f.Status
	case f.Status != 0:
		return r.Status == f.Status
	}
	return true
}

// text is what a line that f selects must hold, so that most lines need not be
// decoded; empty when that cannot be said.
func (f *Filter) text() []byte {
	for _, s := range [...]string{f.RequestID, f.Principal, f.Subject, f.Tenant, f.Reason, f.Route, f.Operator} {
		if s != "" && len(s) < MaxString {
			quoted := appendString(nil, s)
			return quoted
		}
	}
	if f.Actions {
		return []byte(`"action_uid":"`)
	}
	return nil
}

// ErrStop ends a query early.
var ErrStop = errors.New("audit: stop")

// Query reads logs in the order of their entries and calls found for each event
// that f selects, with its line, which is valid during the call. It stops at an
// error of found; [ErrStop] is none. Lines that are no events are counted and
// passed over. Memory does not grow with the log.
func Query(logs []string, f Filter, found func(line []byte, r *Record) error) (skipped int, err error) {
	logs, err = order(logs)
	if err != nil {
		return 0, err
	}
	must := f.text()
	for _, name := range logs {
		n, err := queryFile(name, &f, must, found)
		skipped += n
		if errors.Is(err, ErrStop) {
			return skipped, nil
		}
		if err != nil {
			return skipped, err
		}
	}
	return skipped, nil
}

func queryFile(name string, f *Filter, must []byte, found func([]byte, *Record) error) (skipped int, err error) {
	file, err := openReader(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := readLine(r)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return skipped, nil // a line that is not ended is being written
		case err != nil:
			return skipped, fmt.Errorf("%s: %w", name, err)
		}
		if must != nil && !bytes.Contains(line, must) {
			continue
		}
		var event struct {
			Unmapped *Record `json:"unmapped"`
		}
		if json.Unmarshal(line, &event) != nil || event.Unmapped == nil {
			skipped++
			continue
		}
		if !f.Match(event.Unmapped) {
			continue
		}
		if err := found(line, event.Unmapped); err != nil {
			return skipped, err
		}
	}
}
