package rights

import "github.com/memgate/memgate/memory-backend/memory"

// RecordKinds returns the kinds of all records that are kept beside memories, for whoever moves a tenant.
func RecordKinds() []string {
	return []string{memory.RecordAccess, consentKind, recordKind, expiryKind}
}
