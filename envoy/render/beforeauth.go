package render

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/memgate/memgate/filter/policy"
)

const (
	// addressesCounted is how many client addresses Envoy counts at once. The one
	// that was not seen for longest is forgotten for another.
	addressesCounted = 100_000
	// leastFill is the shortest time in which Envoy refills a bucket.
	leastFill = 50 * time.Millisecond
	// clientNetwork is the least of IPv6 that one client has.
	clientNetwork = 64
)

// beforeAuth limits what each client address may send before anyone looks at a
// credential, so that guessing is slow and costs the authz service nothing. The
// address is the one that Envoy takes from the connection and the hops that it
// trusts. Envoy's worker threads count together, several Envoys do not.
func beforeAuth(r *policy.Rate) *localv3.LocalRateLimit {
	always := &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100}}
	return &localv3.LocalRateLimit{
		StatPrefix:     "before_auth",
		FilterEnabled:  always,
		FilterEnforced: always,
		RateLimits: []*routev3.RateLimit{{Actions: []*routev3.RateLimit_Action{{
			ActionSpecifier: &routev3.RateLimit_Action_MaskedRemoteAddress_{MaskedRemoteAddress: &routev3.RateLimit_Action_MaskedRemoteAddress{
				V4PrefixMaskLen: u32(32), V6PrefixMaskLen: u32(clientNetwork),
			}},
		}}}},
		Descriptors: []*ratelimitv3.LocalRateLimitDescriptor{{
			// Without a value, each address has a bucket of its own.
			Entries:     []*ratelimitv3.RateLimitDescriptor_Entry{{Key: "masked_remote_address"}},
			TokenBucket: tokenBucket(r),
		}},
		MaxDynamicDescriptors:          u32(addressesCounted),
		RateLimitedAsResourceExhausted: true,
		EnableRetryAfterHeader:         true,
	}
}

// tokenBucket is a rate as Envoy counts it. A rate that refills more often than
// Envoy does gets more at a time; rounding is against the caller.
func tokenBucket(r *policy.Rate) *typev3.TokenBucket {
	burst := r.Burst
	if burst == 0 {
		burst = r.Limit
	}
	interval := (r.Per-1)/time.Duration(r.Limit) + 1
	fill := uint32((leastFill-1)/interval + 1)
	return &typev3.TokenBucket{
		MaxTokens:     uint32(burst),
		TokensPerFill: u32(int(fill)),
		FillInterval:  durationpb.New(interval * time.Duration(fill)),
	}
}
