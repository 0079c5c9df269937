package pii

// maxContext is how many bytes left of a value are searched for words that speak for
// or against it; for a value that is nothing without such a word, nearContext.
const (
	maxContext  = 48
	nearContext = 32
)

// mostCertain bounds what words can raise a score to: below that of an e-mail address,
// in which a number may stand.
const mostCertain = 0.94

// adjust raises or lowers a score by the nearest word on the left of b[start] that
// says something about the entity.
func adjust(b []byte, start int, e Entity, score float32) float32 {
	edge := max(start-maxContext, 0)
	if score < Threshold {
		edge = max(start-nearContext, 0)
	}
	end := start
	number := false // the word on the right is number, as in: my number is
	for end > edge {
		if !wordByte(b[end-1]) {
			end--
			continue
		}
		s := end - 1
		for s > edge && wordByte(b[s-1]) && !(kind[b[s]]&isUpper != 0 && kind[b[s-1]]&isLower != 0) {
			s--
		}
		if s == edge && s > 0 && wordByte(b[s-1]) {
			break // cut off
		}
		w := b[s:end]
		if number && e == PhoneNumber && possessive(w) {
			return min(score+0.35, max(score, mostCertain))
		}
		number = string(w) == "number"
		switch speaks(w, e) {
		case 2:
			return min(score+0.35, max(score, mostCertain))
		case 1:
			return min(score+0.25, max(score, mostCertain))
		case -1:
			if e == IPAddress {
				return max(score-0.35, 0)
			}
			return max(score-0.25, 0)
		}
		end = s
	}
	return score
}

// possessive says whether w says whose number it is.
func possessive(w []byte) bool {
	switch string(w) {
	case "my", "My", "his", "His", "her", "Her", "your", "Your", "their", "Their", "our", "Our":
		return true
	}
	return false
}

func wordByte(c byte) bool { return kind[c]&isLetter != 0 || c >= 0x80 }

// speaks says whether the word w speaks for the entity (2), perhaps does (1), speaks
// against it (-1), or says nothing about it.
func speaks(w []byte, e Entity) int {
	const longest = 16
	if len(w) < 2 || len(w) > longest {
		return 0
	}
	var l [longest]byte
	for k, c := range w {
		l[k] = lower(c)
	}
	switch s := string(l[:len(w)]); s {
	case "phone", "phones", "telephone", "tel", "telefon", "teléfono", "telefono", "téléphone", "tél", "fone", "fon",
		"mobile", "mobil", "móvil", "movil", "celular", "cellphone", "fax",
		"dial", "sms", "whatsapp", "hotline", "landline", "voicemail", "callback", "msisdn", "rufnummer", "电话", "手机", "電話", "携帯", "전화", "телефон":
		return is(e == PhoneNumber)
	case "call", "calls", "called", "calling", "ring", "text", "contact", "reach", "portable", "handy", "cell":
		return is(e == PhoneNumber) / 2
	case "ssn", "ssns", "social", "security", "ss", "tin", "taxpayer", "itin":
		return is(e == USSSN)
	case "card", "cards", "credit", "debit", "visa", "mastercard", "amex", "discover", "maestro", "jcb", "diners", "pan", "cc",
		"creditcard", "payment", "tarjeta", "karte", "kreditkarte", "carte", "cartão":
		return is(e == CreditCard)
	case "ip", "ips", "ipv", "ipaddress", "address", "host", "hosts", "server", "gateway", "subnet", "dns", "ping", "addr", "client",
		"router", "localhost", "remote", "network":
		return is(e == IPAddress)
	case "iban", "account", "konto", "bank", "swift", "bic":
		return is(e == IBANCode)
	case "version", "versions", "release", "build", "firmware", "ver", "section", "chapter", "upgrade", "upgraded", "oid",
		"clause", "paragraph":
		if e == IPAddress {
			return -1
		}
	case "order", "orders", "invoice", "ticket", "tracking", "sku", "isbn", "serial", "part", "case", "reference", "ref",
		"transaction", "product", "item", "model", "id", "uuid", "hash", "commit", "timestamp", "doi", "issn", "ean", "upc":
		if e == PhoneNumber || e == USSSN || e == CreditCard {
			return -1
		}
	}
	return 0
}

func is(yes bool) int {
	if yes {
		return 2
	}
	return 0
}
