package identity

import "slices"

// Reasons that Extract gives: which credential a request carries cannot be said.
const (
	// ReasonMalformedAuthorization: Authorization is not "scheme SP token68".
	ReasonMalformedAuthorization Reason = "malformed_authorization"
	// ReasonUnsupportedScheme: an Authorization scheme other than Bearer, Token, ApiKey.
	ReasonUnsupportedScheme Reason = "unsupported_scheme"
	// ReasonRepeatedCredential: a credential header that occurs twice or is comma-joined.
	ReasonRepeatedCredential Reason = "repeated_credential"
	// ReasonAmbiguousCredentials: two credentials of which only one may be sent.
	ReasonAmbiguousCredentials Reason = "ambiguous_credentials"
	// ReasonMalformedAPIKeyHeader: X-API-Key is empty or holds other than visible ASCII.
	ReasonMalformedAPIKeyHeader Reason = "malformed_api_key_header"
	// ReasonMalformedSessionHeader: X-Session-Token likewise.
	ReasonMalformedSessionHeader Reason = "malformed_session_header"
	// ReasonNoCredentials: the route wants a credential and there is none.
	ReasonNoCredentials Reason = "no_credentials"
)

// Reasons of package token.
const (
	ReasonTokenTooLong         Reason = "token_too_long"
	ReasonTokenNotCompact      Reason = "token_not_compact"
	ReasonTokenEncrypted       Reason = "token_encrypted"
	ReasonTokenBase64          Reason = "token_base64"
	ReasonTokenHeaderMalformed Reason = "token_header_malformed"
	ReasonTokenClaimsMalformed Reason = "token_claims_malformed"
	ReasonTokenDuplicateMember Reason = "token_duplicate_member"
	ReasonTokenNested          Reason = "token_nested"
	ReasonTokenEmbeddedKey     Reason = "token_embedded_key"
	ReasonTokenCritical        Reason = "token_critical_header"
	ReasonTokenUnencoded       Reason = "token_unencoded_payload"
	ReasonTokenCompressed      Reason = "token_compressed"
	ReasonTokenType            Reason = "token_type"
	ReasonTokenKidMalformed    Reason = "token_kid_malformed"
	ReasonAlgorithmMissing     Reason = "algorithm_missing"
	ReasonAlgorithmNone        Reason = "algorithm_none"
	ReasonAlgorithmSymmetric   Reason = "algorithm_symmetric"
	ReasonAlgorithmNotAllowed  Reason = "algorithm_not_allowed"
	ReasonKeyUnknown           Reason = "key_unknown"
	ReasonKeyAmbiguous         Reason = "key_ambiguous"
	ReasonKeyTypeMismatch      Reason = "key_type_mismatch"
	ReasonKeyUse               Reason = "key_use"
	ReasonKeyWeak              Reason = "key_weak"
	ReasonSignatureLength      Reason = "signature_length"
	ReasonSignatureInvalid     Reason = "signature_invalid"
	ReasonIssuerMissing        Reason = "issuer_missing"
	ReasonIssuerUnknown        Reason = "unknown_issuer"
	ReasonAudienceMissing      Reason = "audience_missing"
	ReasonAudienceMismatch     Reason = "audience_mismatch"
	ReasonExpiryMissing        Reason = "expiry_missing"
	ReasonTokenExpired         Reason = "token_expired"
	ReasonTokenNotYetValid     Reason = "token_not_yet_valid"
	ReasonTokenIssuedInFuture  Reason = "token_issued_in_future"
	ReasonSubjectInvalid       Reason = "subject_invalid"
	ReasonScopesInvalid        Reason = "scopes_invalid"
	ReasonRolesInvalid         Reason = "roles_invalid"
	ReasonTenantMissing        Reason = "tenant_missing"
	ReasonTenantInvalid        Reason = "tenant_invalid"
	// ReasonTenantUnmapped: the issuer's map of tenants does not have the claim's value.
	ReasonTenantUnmapped Reason = "tenant_unmapped"
	// ReasonKeysUnavailable: no keys of the issuer are at hand, or only such as are too
	// old to be trusted (503).
	ReasonKeysUnavailable Reason = "keys_unavailable"
)

// Reasons for which a token that is bound to its sender (RFC 9449, RFC 8705) is refused:
// first the token's, then the proof's. A proof is refused with the reasons of its JWS
// (token_base64, algorithm_none, signature_invalid and so on) only as the detail of
// ReasonProofMalformed, ReasonProofAlgorithm, ReasonProofKey and ReasonProofSignature.
const (
	// ReasonConfirmation: "cnf" is malformed, or names no method that is checked here.
	ReasonConfirmation Reason = "confirmation_unsupported"
	// ReasonSenderUnconstrained: the issuer or the route wants a token that is bound to
	// its sender, and the credential is not.
	ReasonSenderUnconstrained Reason = "sender_unconstrained"
	// ReasonProofDowngrade: a token that is bound to a key came as Bearer.
	ReasonProofDowngrade Reason = "dpop_token_as_bearer"
	// ReasonProofUnbound: a token that is bound to no key came with the scheme DPoP.
	ReasonProofUnbound Reason = "dpop_token_unbound"
	// ReasonProofMissing and ReasonProofRepeated: not exactly one DPoP header.
	ReasonProofMissing   Reason = "dpop_proof_missing"
	ReasonProofRepeated  Reason = "dpop_proof_repeated"
	ReasonProofMalformed Reason = "dpop_proof_malformed"
	ReasonProofType      Reason = "dpop_proof_type"
	ReasonProofAlgorithm Reason = "dpop_proof_algorithm"
	// ReasonProofKey: "jwk" is missing, private, weak or of another type than "alg".
	ReasonProofKey       Reason = "dpop_proof_key"
	ReasonProofSignature Reason = "dpop_proof_signature"
	ReasonProofMethod    Reason = "dpop_proof_method"
	ReasonProofURL       Reason = "dpop_proof_url"
	ReasonProofTime      Reason = "dpop_proof_time"
	// ReasonProofToken: "ath" is not the hash of the token.
	ReasonProofToken Reason = "dpop_proof_token"
	// ReasonProofBinding: the proof's key is not the one that the token is bound to.
	ReasonProofBinding Reason = "dpop_proof_binding"
	ReasonProofReplay  Reason = "dpop_proof_replayed"
	// ReasonProofNonce: the proof has no nonce, or not one that was given out lately, and the
	// issuer's tokens need one.
	ReasonProofNonce Reason = "dpop_proof_nonce"
	// ReasonProofUnavailable: whether a proof was used before cannot be said (503).
	ReasonProofUnavailable Reason = "dpop_replay_unavailable"
	// ReasonCertificateMissing and ReasonCertificateMismatch: the peer has no certificate,
	// or another one than the token is bound to.
	ReasonCertificateMissing  Reason = "certificate_missing"
	ReasonCertificateMismatch Reason = "certificate_mismatch"
)

// Reasons of package apikey.
const (
	ReasonAPIKeyMalformed Reason = "api_key_malformed"
	ReasonAPIKeyChecksum  Reason = "api_key_checksum"
	// ReasonAPIKeyEnvironment: the key is for another environment, as it says itself.
	ReasonAPIKeyEnvironment Reason = "api_key_environment"
	ReasonAPIKeyUnknown     Reason = "api_key_unknown"
	ReasonAPIKeyExpired     Reason = "api_key_expired"
	ReasonAPIKeyRevoked     Reason = "api_key_revoked"
	// ReasonAPIKeysUnavailable: whether there is such a key cannot be said now (503).
	ReasonAPIKeysUnavailable Reason = "api_keys_unavailable"
)

// Reasons of package session.
const (
	ReasonSessionMalformed Reason = "session_malformed"
	ReasonSessionUnknown   Reason = "session_unknown"
	ReasonSessionExpired   Reason = "session_expired"
	// ReasonSessionRevoked: the session was ended before its time.
	ReasonSessionRevoked Reason = "session_revoked"
	// ReasonSessionMismatch: a session token beside a credential of another subject or
	// tenant (401).
	ReasonSessionMismatch Reason = "session_mismatch"
	// ReasonSessionRefused: a session cannot be issued to this caller (403).
	ReasonSessionRefused Reason = "session_refused"
	// ReasonSessionCapacity: no more sessions can be kept (503).
	ReasonSessionCapacity Reason = "session_capacity"
)

// Reasons of package mesh.
const (
	// ReasonPeerMalformed: the peer's name is no SPIFFE ID, or its certificate none of one.
	ReasonPeerMalformed Reason = "peer_malformed"
	// ReasonPeerAmbiguous: the peer's certificate has several URIs.
	ReasonPeerAmbiguous Reason = "peer_ambiguous"
	// ReasonPeerUnknown: the policy does not name the peer's SPIFFE ID.
	ReasonPeerUnknown Reason = "peer_unknown"
	ReasonPeerExpired Reason = "peer_expired"
	// ReasonPeerRevoked: the peer's SPIFFE ID was revoked.
	ReasonPeerRevoked Reason = "peer_revoked"
	// ReasonPeerMismatch: beside a credential there is a peer of another tenant, or none
	// that the policy names.
	ReasonPeerMismatch Reason = "peer_mismatch"
)

// Reasons of package revocation. A session is refused with them for the credential that it
// was issued to.
const (
	ReasonTokenRevoked Reason = "token_revoked"
	// ReasonSubjectRevoked: all tokens of the subject, or all keys that stand for it, that
	// were issued until some time were revoked, and this is one of them or does not say when
	// it was issued.
	ReasonSubjectRevoked Reason = "subject_revoked"
	// ReasonStateUnavailable: what was revoked, or whether a session exists, cannot be
	// said now (503).
	ReasonStateUnavailable Reason = "state_unavailable"
)

// Reasons of packages tenant and access.
const (
	ReasonTenantMismatch    Reason = "tenant_mismatch"
	ReasonAgentMismatch     Reason = "agent_mismatch"
	ReasonInsufficientScope Reason = "insufficient_scope"
	// ReasonCondition: the route's condition is false. ReasonConditionFailed: it could
	// not be decided, which counts as false.
	ReasonCondition       Reason = "condition_not_met"
	ReasonConditionFailed Reason = "condition_failed"
)

// ReasonInternal stands for an error that has no typed reason.
const ReasonInternal Reason = "internal"

var allReasons = [...]Reason{
	ReasonMalformedAuthorization, ReasonUnsupportedScheme, ReasonRepeatedCredential,
	ReasonAmbiguousCredentials, ReasonMalformedAPIKeyHeader, ReasonMalformedSessionHeader,
	ReasonNoCredentials,
	ReasonTokenTooLong, ReasonTokenNotCompact, ReasonTokenEncrypted, ReasonTokenBase64,
	ReasonTokenHeaderMalformed, ReasonTokenClaimsMalformed, ReasonTokenDuplicateMember,
	ReasonTokenNested, ReasonTokenEmbeddedKey, ReasonTokenCritical, ReasonTokenUnencoded,
	ReasonTokenCompressed, ReasonTokenType, ReasonTokenKidMalformed, ReasonAlgorithmMissing,
	ReasonAlgorithmNone, ReasonAlgorithmSymmetric, ReasonAlgorithmNotAllowed, ReasonKeyUnknown,
	ReasonKeyAmbiguous, ReasonKeyTypeMismatch, ReasonKeyUse, ReasonKeyWeak,
	ReasonSignatureLength, ReasonSignatureInvalid, ReasonIssuerMissing, ReasonIssuerUnknown,
	ReasonAudienceMissing, ReasonAudienceMismatch, ReasonExpiryMissing, ReasonTokenExpired,
	ReasonTokenNotYetValid, ReasonTokenIssuedInFuture, ReasonSubjectInvalid, ReasonScopesInvalid, ReasonRolesInvalid,
	ReasonTenantMissing, ReasonTenantInvalid, ReasonTenantUnmapped, ReasonKeysUnavailable,
	ReasonConfirmation, ReasonSenderUnconstrained, ReasonProofDowngrade, ReasonProofUnbound, ReasonProofMissing,
	ReasonProofRepeated, ReasonProofMalformed, ReasonProofType, ReasonProofAlgorithm, ReasonProofKey,
	ReasonProofSignature, ReasonProofMethod, ReasonProofURL, ReasonProofTime, ReasonProofToken,
	ReasonProofBinding, ReasonProofReplay, ReasonProofNonce, ReasonProofUnavailable, ReasonCertificateMissing, ReasonCertificateMismatch,
	ReasonAPIKeyMalformed, ReasonAPIKeyChecksum, ReasonAPIKeyEnvironment, ReasonAPIKeyUnknown, ReasonAPIKeyExpired,
	ReasonAPIKeyRevoked, ReasonAPIKeysUnavailable,
	ReasonSessionMalformed, ReasonSessionUnknown, ReasonSessionExpired, ReasonSessionRevoked, ReasonSessionMismatch,
	ReasonSessionRefused, ReasonSessionCapacity,
	ReasonPeerMalformed, ReasonPeerAmbiguous, ReasonPeerUnknown, ReasonPeerExpired, ReasonPeerRevoked, ReasonPeerMismatch,
	ReasonTokenRevoked, ReasonSubjectRevoked, ReasonStateUnavailable,
	ReasonTenantMismatch, ReasonAgentMismatch, ReasonInsufficientScope, ReasonCondition, ReasonConditionFailed,
	ReasonInternal,
}

// Reasons returns every reason that exists, so that a host can bound and document its
// metric labels.
func Reasons() []Reason { return slices.Clone(allReasons[:]) }
