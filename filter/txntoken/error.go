package txntoken

import "errors"

// Reason is the typed reason for which a token is refused, for operators.
type Reason string

// The reasons for which Verify refuses a token.
const (
	ReasonMissing        Reason = "txn_token_missing"
	ReasonRepeated       Reason = "txn_token_repeated"
	ReasonTooLong        Reason = "txn_token_too_long"
	ReasonMalformed      Reason = "txn_token_malformed"
	ReasonAlgorithm      Reason = "txn_token_algorithm"
	ReasonType           Reason = "txn_token_type"
	ReasonHeader         Reason = "txn_token_header"
	ReasonKeyUnknown     Reason = "txn_token_key_unknown"
	ReasonSignature      Reason = "txn_token_signature"
	ReasonIssuer         Reason = "txn_token_issuer"
	ReasonAudience       Reason = "txn_token_audience"
	ReasonExpired        Reason = "txn_token_expired"
	ReasonLifetime       Reason = "txn_token_lifetime"
	ReasonIssuedInFuture Reason = "txn_token_issued_in_future"
	// ReasonKeysUnavailable: no keys are at hand, or only such as are too old.
	ReasonKeysUnavailable Reason = "txn_token_keys_unavailable"
)

// Error is a refusal. Err holds details for operators, never the token, and may be nil.
type Error struct {
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

// IsUnavailable says whether err means that the token cannot be judged now (answer 503)
// rather than that it is wrong (answer 401).
func IsUnavailable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == ReasonKeysUnavailable
}

func refuse(r Reason, err error) error { return &Error{Reason: r, Err: err} }
