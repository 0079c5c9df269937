package identity

import "errors"

// Class says how a refusal is answered.
type Class uint8

// The classes of refusals and the HTTP status that each is answered with. The zero value
// is the strict one: not authenticated.
const (
	// ClassUnauthenticated (401): the credential is missing, wrong, expired or unknown.
	ClassUnauthenticated Class = iota
	// ClassMalformed (400): the request's credential headers cannot be read without
	// guessing.
	ClassMalformed
	// ClassForbidden (403): the caller is known and may not do this.
	ClassForbidden
	// ClassUnavailable (503): the credential cannot be judged now.
	ClassUnavailable
)

// Reason is the typed reason of a refusal, for operators: it is a metric label and an
// audit field, and is never shown to the caller.
type Reason string

// Error is a refusal with its typed reason. Err holds details for operators, may be nil,
// and never holds a credential.
type Error struct {
	Class  Class
	Reason Reason
	Err    error
}

// Error returns the reason and, where there are any, the details.
func (e *Error) Error() string {
	if e.Err == nil {
		return string(e.Reason)
	}
	return string(e.Reason) + ": " + e.Err.Error()
}

// Unwrap returns the details.
func (e *Error) Unwrap() error { return e.Err }

// Unauthenticated returns a refusal of ClassUnauthenticated. err may be nil.
func Unauthenticated(r Reason, err error) *Error {
	return &Error{Class: ClassUnauthenticated, Reason: r, Err: err}
}

// Malformed returns a refusal of ClassMalformed. err may be nil.
func Malformed(r Reason, err error) *Error {
	return &Error{Class: ClassMalformed, Reason: r, Err: err}
}

// Forbidden returns a refusal of ClassForbidden. err may be nil.
func Forbidden(r Reason, err error) *Error {
	return &Error{Class: ClassForbidden, Reason: r, Err: err}
}

// Unavailable returns a refusal of ClassUnavailable. err may be nil.
func Unavailable(r Reason, err error) *Error {
	return &Error{Class: ClassUnavailable, Reason: r, Err: err}
}

// ClassOf returns how err is answered. An error that is no *Error was not expected and
// is answered as ClassUnavailable: closed, and not blamed on the caller.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return ClassUnavailable
}

// ReasonOf returns the typed reason of err, or ReasonInternal when it has none.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ReasonInternal
}

// IsMalformed says whether err is to be answered with 400.
func IsMalformed(err error) bool { return err != nil && ClassOf(err) == ClassMalformed }

// IsUnauthenticated says whether err is to be answered with 401.
func IsUnauthenticated(err error) bool { return err != nil && ClassOf(err) == ClassUnauthenticated }

// IsForbidden says whether err is to be answered with 403.
func IsForbidden(err error) bool { return err != nil && ClassOf(err) == ClassForbidden }

// IsUnavailable says whether err is to be answered with 503.
func IsUnavailable(err error) bool { return err != nil && ClassOf(err) == ClassUnavailable }
