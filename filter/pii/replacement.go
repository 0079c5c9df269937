package pii

// AppendReplacement appends what stands in place of value, which f found, under the
// policy. The result is ASCII without quotes, backslashes and control characters.
func (p *Policy) AppendReplacement(dst []byte, f Finding, value []byte, hashKey []byte) []byte {
	if f.Entity >= NumEntities || p.Actions[f.Entity] == Allow {
		return append(dst, value...)
	}
	dst = append(dst, '[')
	dst = append(dst, f.Entity.String()...)
	return append(dst, ']')
}
