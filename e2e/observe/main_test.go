// Package observe tests through a real Envoy what operators see of requests:
// logs, metrics, traces and audit events, and what they must not see.
package observe

import (
	"testing"

	"github.com/memgate/memgate/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m, func(harness.T) {}) }
