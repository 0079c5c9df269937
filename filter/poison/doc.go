// Package poison scores text by how much it looks like an attempt to plant instructions
// in what a language model will read later: a memory, a document, a message.
//
// Text is read once, in pieces of any size, into words: without regard to case, accents,
// characters that do not show, look-alikes of other scripts, and the escapes of URLs,
// HTML and string literals. Rules are sequences of words with bounded gaps, marks of chat
// templates, and characters that hide something. What is encoded as base64 or hexadecimal
// is decoded once and read the same way. Each [Rule] that holds brings its weight, once,
// and the weights of rules that hold near each other are the score.
//
// Time is linear in the length of the text and memory is constant. What is found does not
// depend on how the text was cut. A score is a signal and no proof: docs/poisoning.md says
// what such rules cannot do.
package poison
