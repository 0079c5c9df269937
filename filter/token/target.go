package token

import (
	"net"
	"net/url"
	"strings"
)

// maxTarget bounds the URLs that are compared, in bytes.
const maxTarget = 8 << 10

// targetURL brings the URL of a request into the form in which two of them are compared:
// without query and fragment (RFC 9449, section 4.3), scheme and host in lower case, no
// default port, no dot segments, percent-encoding only where it is needed and in upper
// case (RFC 3986, sections 6.2.2 and 6.2.3). A URL that could be read in two ways is
// refused.
func targetURL(raw string) (string, bool) {
	if len(raw) > maxTarget || strings.ContainsAny(raw, "\\\t\r\n ") {
		return "", false
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "https" && scheme != "http" {
		return "", false
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.HasSuffix(u.Host, ":") {
		port = ""
	}
	if scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		port = ""
	}
	switch {
	case port != "":
		host = net.JoinHostPort(host, port)
	case strings.IndexByte(host, ':') >= 0:
		host = "[" + host + "]"
	}
	path, ok := normalPath(u.EscapedPath())
	return scheme + "://" + host + path, ok
}

// normalPath decodes what needs no encoding, writes the rest in upper case and removes dot
// segments (RFC 3986, section 5.2.4).
func normalPath(escaped string) (string, bool) {
	b := make([]byte, 0, len(escaped)+1)
	for i := 0; i < len(escaped); i++ {
		c := escaped[i]
		if c != '%' {
			b = append(b, c)
			continue
		}
		if i+2 >= len(escaped) {
			return "", false
		}
		hi, lo := unhex(escaped[i+1]), unhex(escaped[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		i += 2
		if c = byte(hi<<4 | lo); unreserved(c) {
			b = append(b, c)
		} else {
			const digits = "0123456789ABCDEF"
			b = append(b, '%', digits[hi], digits[lo])
		}
	}
	var out []string
	segments := strings.Split(strings.TrimPrefix(string(b), "/"), "/")
	for i, s := range segments {
		last := i == len(segments)-1
		switch s {
		case ".", "..":
			if s == ".." && len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	return "/" + strings.Join(out, "/"), true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
