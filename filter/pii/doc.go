// Package pii finds personal data and secrets in text and rewrites what it finds.
//
// The detectors make one pass over the bytes without regular expressions and
// without allocation. Each has a trigger (a byte that is rare in prose), a
// grammar of bounded length, a validator (checksum, ranges, tables) and a score
// between 0 and 1, which words nearby on the left raise or lower; what scores
// below Threshold is not reported. Findings never overlap and come in the order
// of the text. What is found depends on the text alone, never on how it was cut
// into calls.
//
// Entities are named as Microsoft Presidio names them, where it has them.
package pii
