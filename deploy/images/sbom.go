package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"runtime/debug"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// spdxType is the media type of an SBOM (SPDX 2.3 as JSON).
const spdxType = "application/spdx+json"

type spdx struct {
	Version       string         `json:"spdxVersion"`
	License       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []spdxPackage  `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID       string        `json:"SPDXID"`
	Name     string        `json:"name"`
	Version  string        `json:"versionInfo,omitempty"`
	Location string        `json:"downloadLocation"`
	Analyzed bool          `json:"filesAnalyzed"`
	Sums     []checksum    `json:"checksums,omitempty"`
	Refs     []externalRef `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type externalRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// sbom lists what is linked into the file of an image: the toolchain wrote it
// there.
func (i *image) sbom(img v1.Image, raw []byte, version string) (v1.Image, error) {
	info, err := modules(raw)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	hash := hex.EncodeToString(sum[:])
	const root = "SPDXRef-image"
	d := spdx{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: i.name + "-" + version,
		Namespace: "https://github.com/memgate/memgate/spdx/" + i.name + "/" + hash,
		// The same files make the same document.
		Creation: creation{"1970-01-01T00:00:00Z", []string{"Tool: memgate-images"}},
		Packages: []spdxPackage{{ID: root, Name: i.name, Version: version, Location: "NOASSERTION", Sums: []checksum{{"SHA256", hash}}}},
		Relationships: []relationship{
			{"SPDXRef-DOCUMENT", "DESCRIBES", root},
		},
	}
	add := func(name, version string) {
		id := "SPDXRef-" + reference(name)
		d.Packages = append(d.Packages, spdxPackage{ID: id, Name: name, Version: version, Location: "NOASSERTION",
			Refs: []externalRef{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + name + "@" + version}}})
		d.Relationships = append(d.Relationships, relationship{root, "CONTAINS", id})
	}
	add("stdlib", strings.TrimPrefix(info.GoVersion, "go"))
	deps := slices.Clone(info.Deps)
	slices.SortFunc(deps, func(a, b *debug.Module) int { return strings.Compare(a.Path, b.Path) })
	for _, m := range deps {
		if m.Replace != nil {
			m = m.Replace
		}
		add(m.Path, m.Version)
	}
	document, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return nil, err
	}
	return attach(img, spdxType, document)
}

// modules reads what a file was built of. The toolchain's reader knows no Wasm,
// where the same text stands between the same marks.
func modules(raw []byte) (*debug.BuildInfo, error) {
	info, err := buildinfo.Read(bytes.NewReader(raw))
	if err == nil {
		return info, nil
	}
	begin, _ := hex.DecodeString("3077af0c9274080241e1c107e6d618e6")
	end, _ := hex.DecodeString("f932433186182072008242104116d8f2")
	_, rest, ok := bytes.Cut(raw, begin)
	text, _, closed := bytes.Cut(rest, end)
	if !ok || !closed {
		return nil, err
	}
	if info, err = debug.ParseBuildInfo(string(text)); err != nil {
		return nil, err
	}
	if at := bytes.Index(raw, []byte("go1.")); info.GoVersion == "" && at >= 0 {
		length := bytes.IndexFunc(raw[at+4:], func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		info.GoVersion = string(raw[at : at+4+max(length, 0)])
	}
	return info, nil
}

// reference is a name as SPDX takes it in its ids.
func reference(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, name)
}
