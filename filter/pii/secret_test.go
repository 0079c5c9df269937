package pii

import (
	"encoding/base64"
	"strings"
	"testing"
)

// Secrets are put together here, so that scanners for secrets find none in the source.

const alnum62 = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0dF" + "xR5uL7oI3kJ9hG1fD2sA4qW6eT8yU0iO"

func fake(prefix string, n int) string { return prefix + strings.Repeat(alnum62, 5)[:n] }

func b64url(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

var (
	awsKey    = "AKIA" + "IOSFODNN7" + "EXAMPLE"
	jwtHeader = b64url(`{"alg":"RS256","typ":"JWT"}`)
	jwtToken  = jwtHeader + "." + b64url(`{"sub":"1234567890","name":"John Doe"}`) + "." + strings.Repeat("a_-9", 20)
)

func pemBlock(label string, lines int) string {
	var b strings.Builder
	b.WriteString("-----BEGIN " + label + "-----\n")
	for range lines {
		b.WriteString(strings.Repeat("MIIEvQ+/", 8) + "\n")
	}
	b.WriteString("Zm9v=\n-----END " + label + "-----")
	return b.String()
}

// secrets are values that must be found whole in any surroundings.
var secrets = []struct {
	entity Entity
	value  string
}{
	{AWSAccessKey, awsKey}, {AWSAccessKey, "ASIA" + "Y34FZKBOKMUTVV7A"},
	{GitHubToken, fake("gh"+"p_", 36)}, {GitHubToken, fake("gh"+"o_", 36)}, {GitHubToken, fake("gh"+"u_", 36)}, {GitHubToken, fake("gh"+"s_", 36)},
	{GitHubToken, fake("gh"+"r_", 76)}, {GitHubToken, fake("github_"+"pat_11ABCDEFG0", 12) + "_" + fake("", 59)},
	{SlackToken, "xox" + "b-123456789012-1234567890123-" + fake("", 24)}, {SlackToken, "xox" + "p-1234567890-1234567890-1234567890-" + strings.Repeat("ab12", 8)},
	{SlackToken, "xap" + "p-1-A0123456789-1234567890123-" + strings.Repeat("ab12", 16)}, {SlackToken, "xox" + "e.xox" + "p-1-" + fake("", 160)},
	{StripeKey, fake("sk_"+"live_51", 97)}, {StripeKey, fake("sk_"+"test_", 24)}, {StripeKey, fake("rk_"+"live_", 24)}, {StripeKey, fake("rk_"+"test_", 99)},
	{StripeKey, fake("wh"+"sec_", 32)},
	{OpenAIKey, fake("s"+"k-", 20) + "T3BlbkFJ" + fake("", 20)}, {OpenAIKey, fake("s"+"k-proj-", 64) + "_T3BlbkFJ-" + fake("", 64)},
	{OpenAIKey, fake("s"+"k-svcacct-", 60)},
	{AnthropicKey, fake("s"+"k-ant-api03-", 93) + "AA"}, {AnthropicKey, fake("s"+"k-ant-admin01-", 40) + "-" + fake("_", 40)},
	{JWT, jwtToken},
	{JWT, jwtHeader + "." + b64url(`{"sub":"`+strings.Repeat("x", 5000)+`"}`) + "." + strings.Repeat("s", 86)},
	{JWT, b64url(`{"alg":"dir","enc":"A128GCM"}`) + "..AxY8DCtDaGlsbGljb3RoZQ.KDlTtXchhZTGufMYmOYGS4.U0m_YmjN04DJvceFICbCVQ"},
	{JWT, b64url(`{"alg":"RSA-OAEP","enc":"A128GCM"}`) + "." + fake("", 90) + "." + fake("", 16) + "." + fake("", 70) + "." + fake("", 22)},
	{JWT, b64url(`{"alg":"none"}`) + "." + b64url(`{"sub":"x"}`) + "."},
	{PrivateKey, pemBlock("PRIVATE "+"KEY", 3)}, {PrivateKey, pemBlock("RSA PRIVATE "+"KEY", 50)}, {PrivateKey, pemBlock("EC PRIVATE "+"KEY", 0)},
	{PrivateKey, pemBlock("OPENSSH PRIVATE "+"KEY", 200)}, {PrivateKey, pemBlock("ENCRYPTED PRIVATE "+"KEY", 4)},
	{PrivateKey, strings.Replace(pemBlock("RSA PRIVATE "+"KEY", 9), "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0011223344\n\n", 1)},
	{PrivateKey, strings.Replace(pemBlock("PGP PRIVATE "+"KEY BLOCK", 9), "-----\n", "-----\nVersion: GnuPG v2\nComment: mine, joe@example.com\n\n", 1)},
	{PrivateKey, strings.ReplaceAll(pemBlock("PRIVATE "+"KEY", 5), "\n", `\n`)},
	{PrivateKey, strings.ReplaceAll(pemBlock("PRIVATE "+"KEY", 5), "\n", "\r\n    ")},
	{PrivateKey, "-----BEGIN PRIVATE " + "KEY-----\nMIIE...\n-----END PRIVATE " + "KEY-----"},
}

func TestSecrets(t *testing.T) {
	for _, s := range secrets {
		for _, around := range [][2]string{{"", ""}, {"key ", " here"}, {`{"k":"`, `"}`}, {"token=", "\n"}, {"用", "的"}, {"(", ")"}, {"see ", ", and"}, {`\n`, `\n`}} {
			text := around[0] + s.value + around[1]
			got := Scan(nil, []byte(text))
			if len(got) != 1 || got[0].Entity != s.entity || text[got[0].Start:got[0].End] != s.value {
				t.Errorf("%s in %q: got %+v", s.entity, text, got)
			}
		}
	}
}

func TestSecretEndsBeforeSentence(t *testing.T) {
	for _, s := range secrets {
		if s.value[len(s.value)-1] == '.' {
			continue
		}
		text := "It is " + s.value + ". Then"
		got := Scan(nil, []byte(text))
		if len(got) != 1 || text[got[0].Start:got[0].End] != s.value {
			t.Errorf("%s in %q: got %+v", s.entity, text, got)
		}
	}
}

func TestNoSecret(t *testing.T) {
	for _, s := range []string{
		"AKIA", "AKIAIOSFODNN7EXAMPL", "xAKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLEX", "AKIAiosfodnn7example", "ASIAN FOOD",
		"gh" + "p_short", "x" + fake("gh"+"p_", 36), "github_" + "pat_short", "gh" + "x_" + fake("", 36),
		"xox" + "b-", "xox" + "b-a-b-c-d-e-f-g-h-i-j-k-l", "sk_" + "live_", "task_" + "live_" + fake("", 24), "sk_" + "nope_" + fake("", 24),
		"task-" + fake("", 48), "sk-learn-pipeline-with-many-words-in-a-name-2", "sk-" + "ant-hill", "disk-" + fake("", 48), "s" + "k-proj-rose",
		"eyJ", "eyJhbGciOiJub25lIn0", "eyJhbGciOiJub25lIn0.", "eyJxxxxxxxxxxxxxxxxxxxx.yyyyyyyy.zzzzzzzz", "x" + jwtToken, jwtHeader + ".a",
		"-----BEGIN CERTIFICATE-----\nMIIEvQ+/MIIEvQ+/MIIEvQ+/\n-----END CERTIFICATE-----",
		"-----BEGIN PUBLIC KEY-----\nMIIEvQ+/MIIEvQ+/MIIEvQ+/\n-----END PUBLIC KEY-----",
		"-----BEGIN PRIVATE " + "KEY----- is how a key begins", "----------", "-----BEGIN", "pk_" + "live_" + fake("", 24),
	} {
		if got := Scan(nil, []byte(s)); len(got) != 0 {
			t.Errorf("Scan(%q) = %+v", s, got)
		}
	}
}

// A key whose end is missing is still taken out as far as it goes.
func TestTruncatedKey(t *testing.T) {
	block := pemBlock("PRIVATE "+"KEY", 3)
	body := block[:strings.Index(block, "Zm9v")-1]
	text := "a " + body + "\nand prose goes on"
	got := Scan(nil, []byte(text))
	if len(got) != 1 || text[got[0].Start:got[0].End] != body {
		t.Errorf("got %+v, want one finding of %d bytes", got, len(body))
	}
}
