package sample

import (
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
)

func init() {
	for name, f := range secretValues {
		Values[name] = f
	}
}

// token returns what draws a prefix and n letters behind it. The prefix comes in two
// parts, so that scanners for secrets find none in this file.
func token(a, b, letters string, n int) func(Rand) string {
	return func(r Rand) string { return a + b + withDigit(r, letters, n) }
}

// withDigit draws n letters, among them a digit.
func withDigit(r Rand, letters string, n int) string {
	s := until(func() string { return r.From(letters, n) }, func(s string) bool { return strings.ContainsAny(s, digits) })
	return strings.TrimRight(strings.TrimLeft(s, "-_"), "-_") + r.From("abcdef0123456789", n-len(strings.TrimRight(strings.TrimLeft(s, "-_"), "-_")))
}

var secretValues = map[string]func(Rand) string{
	"AWS_ACCESS_KEY": func(r Rand) string { return r.Pick("AK", "AS") + "IA" + r.From(capitals+"234567", 16) },
	"GITHUB_TOKEN":   func(r Rand) string { return r.Pick(token("gh", "p_", base62, 36)(r), token("gh", "s_", base62, 36)(r)) },
	"SLACK_TOKEN": func(r Rand) string {
		return "xo" + "xb-" + r.Digits(12) + "-" + r.Digits(12) + "-" + r.From(base62, 24)
	},
	"STRIPE_KEY": func(r Rand) string {
		return r.Pick(token("sk_", "live_", base62, 24)(r), token("rk_", "live_", base62, 99)(r))
	},
	"OPENAI_KEY":    token("sk-", "proj-", base64url, 120),
	"ANTHROPIC_KEY": token("sk-", "ant-api03-", base64url, 93),
	"GITLAB_TOKEN":  token("gl", "pat-", base64url, 20),
	"GOOGLE_KEY": func(r Rand) string {
		return r.Pick(token("AI", "za", base64url, 35)(r), token("GOC", "SPX-", base64url, 28)(r))
	},
	"ALIBABA_KEY":        token("LT", "AI5t", base62, 18),
	"DATABRICKS_TOKEN":   token("da", "pi", hexDigits, 32),
	"DIGITALOCEAN_TOKEN": token("do", "p_v1_", hexDigits, 64),
	"NPM_TOKEN":          token("np", "m_", base62, 36),
	"PYPI_TOKEN":         token("py", "pi-AgEIcHlwaS5vcmc", base64url, 120),
	"RUBYGEMS_KEY":       token("ruby", "gems_", hexDigits, 48),
	"DOCKER_TOKEN":       token("dck", "r_pat_", base64url, 27),
	"HUGGINGFACE_TOKEN":  token("h", "f_", base62, 34),
	"GROQ_KEY":           token("g", "sk_", base62, 52),
	"XAI_KEY":            token("x", "ai-", base62, 80),
	"PERPLEXITY_KEY":     token("pp", "lx-", base62, 48),
	"NVIDIA_KEY":         token("nv", "api-", base64url, 64),
	"REPLICATE_TOKEN":    token("r", "8_", base62, 37),
	"GRAFANA_TOKEN":      func(r Rand) string { return token("gl", "sa_", base62, 32)(r) + "_" + r.From(hexDigits, 8) },
	"SHOPIFY_TOKEN":      token("sh", "pat_", hexDigits, 32),
	"SQUARE_TOKEN":       token("sq", "0csp-", base64url, 43),
	"SENDGRID_KEY":       func(r Rand) string { return token("S", "G.", base64url, 22)(r) + "." + withDigit(r, base64url, 43) },
	"MAILGUN_KEY":        token("ke", "y-", hexDigits, 32),
	"TWILIO_KEY":         func(r Rand) string { return r.Pick("S"+"K", "A"+"C") + r.From(hexDigits, 32) },
	"TELEGRAM_TOKEN":     func(r Rand) string { return "1" + r.Digits(9) + ":A" + "A" + r.From(base62, 33) },
	"ATLASSIAN_TOKEN":    token("ATA", "TT3xFfGF0", base64url, 180),
	"LINEAR_KEY":         token("lin", "_api_", base62, 40),
	"NOTION_TOKEN":       token("nt", "n_", base62, 46),
	"POSTMAN_KEY":        func(r Rand) string { return token("PM", "AK-", hexDigits, 24)(r) + "-" + r.From(hexDigits, 34) },
	"NEWRELIC_KEY":       token("NR", "AK-", capitals+digits, 27),
	"SENTRY_TOKEN":       token("sn", "tryu_", hexDigits, 64),
	"SUPABASE_TOKEN":     token("sb", "p_", hexDigits, 40),
	"PLANETSCALE_TOKEN":  token("psc", "ale_tkn_", base62, 43),
	"VAULT_TOKEN":        token("hv", "s.", base62, 90),
	"DOPPLER_TOKEN":      token("dp", ".pt.", base62, 43),
	"PULUMI_TOKEN":       token("pu", "l-", hexDigits, 40),
	"TAILSCALE_KEY":      func(r Rand) string { return token("tsk", "ey-auth-", base62, 16)(r) + "-" + r.From(base62, 32) },
	"FIGMA_TOKEN":        token("fi", "gd_", base64url, 40),
	"AGE_KEY":            token("AGE-SEC", "RET-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
	"JWT":                jwt,
	"PRIVATE_KEY":        privateKey,
	"AZURE_KEY":          func(r Rand) string { return withDigit(r, base62, 86) + "==" },
	"CONNECTION_STRING": func(r Rand) string {
		return r.Pick("postgres", "mysql", "mongodb+srv", "redis", "amqp") + "://" + r.From(small, 6) + ":" + withDigit(r, base62, 12) + "@" + r.From(small, 7) + ".example.com:" + r.Pick("5432", "6379", "27017")
	},
	"GENERIC_SECRET": func(r Rand) string { return withDigit(r, base62, 24+r.IntN(20)) },
}

func address(r Rand) string {
	return r.Pick("http", "https") + "://" + r.From(small, 5) + ":" + withDigit(r, base62, 10) + "@" + r.From(small, 6) + ".example.com"
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func jwt(r Rand) string {
	return encode(`{"alg":"RS256","kid":"`+r.From(base62, 8)+`"}`) + "." + encode(`{"sub":"`+r.From(base62, 12)+`","exp":1790000000}`) + "." + strings.Trim(r.From(base64url, 86), "-_") + "aa"
}

func privateKey(r Rand) string {
	label := r.Pick("", "RSA ", "EC ") + "PRIVATE " + "KEY-----"
	var b strings.Builder
	for range 4 + r.IntN(10) {
		b.WriteString(r.From(base62+"+/", 64) + "\n")
	}
	return "-----BEGIN " + label + "\n" + b.String() + "-----END " + label
}

// wallet draws an address of Bitcoin, old or new, or of Ethereum.
func wallet(r Rand) string {
	switch r.IntN(3) {
	case 0:
		return "0x" + r.From(hexDigits, 40)
	case 1:
		const letters = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
		raw := make([]byte, 21)
		for i := range raw[1:] {
			raw[i+1] = byte(r.IntN(256))
		}
		raw[1] |= 1
		first := sha256.Sum256(raw)
		second := sha256.Sum256(first[:])
		n := new(big.Int).SetBytes(append(raw, second[:4]...))
		out := ""
		for n.Sign() > 0 {
			var m big.Int
			n.DivMod(n, big.NewInt(58), &m)
			out = string(letters[m.Int64()]) + out
		}
		return "1" + out
	}
	const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	data := []int{0}
	for range 32 {
		data = append(data, r.IntN(32))
	}
	check := 1
	for _, v := range append(append([]int{3, 3, 0, 2, 3}, data...), 0, 0, 0, 0, 0, 0) {
		top := check >> 25
		check = check&0x1ffffff<<5 ^ v
		for i, g := range []int{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				check ^= g
			}
		}
	}
	check ^= 1
	for i := range 6 {
		data = append(data, check>>(5*(5-i))&31)
	}
	out := "bc1"
	for _, v := range data {
		out += string(letters[v])
	}
	return out
}
