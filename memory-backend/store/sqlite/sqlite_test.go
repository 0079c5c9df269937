package sqlite_test

import (
	"testing"

	"github.com/memgate/memgate/memory-backend/memory"
	"github.com/memgate/memgate/memory-backend/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) memory.Store { return open(t) })
}
