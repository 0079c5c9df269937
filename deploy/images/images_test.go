package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const root = "../.."

// build links the binaries as the Makefile does, into a folder of its own.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, b := range []struct{ out, from, system, architecture, mode string }{
		{"memgate", "./filter/cmd/memgate", "linux", "amd64", "-buildmode=exe"},
		{"memory-backend", "./memory-backend/cmd/memory-backend", "linux", "amd64", "-buildmode=exe"},
		{"memgate.wasm", "./wasm", "wasip1", "wasm", "-buildmode=c-shared"},
	} {
		cmd := exec.Command("go", "build", "-trimpath", b.mode, "-ldflags=-s -w", "-o", filepath.Join(dir, b.out), b.from)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOOS="+b.system, "GOARCH="+b.architecture, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir
}

// TestReproducible: two builds, at other times and in other folders, make the
// same layout, byte for byte.
func TestReproducible(t *testing.T) {
	var first map[string]string
	for range 2 {
		from, to := build(t), t.TempDir()
		old := time.Now().Add(-time.Hour)
		if first == nil {
			if err := os.Chtimes(filepath.Join(from, "memgate"), old, old); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := write(from, to, "test"); err != nil {
			t.Fatal(err)
		}
		files := make(map[string]string)
		err := filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			files[strings.TrimPrefix(path, to)] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = files
			continue
		}
		if len(files) != len(first) || len(files) < 10 {
			t.Errorf("%d files and %d", len(first), len(files))
		}
		for path, text := range files {
			if first[path] != text {
				t.Errorf("%s differs between two builds", path)
			}
		}
	}
}

// TestImages serves the layout as a registry does, and fetches each image by its
// digest.
func TestImages(t *testing.T) {
	from, to := build(t), t.TempDir()
	made, err := write(from, to, "test")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	index, err := layout.ImageIndexFromPath(to)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 3 || len(manifest.Manifests) != 6 {
		t.Fatalf("%d images, %d manifests", len(made), len(manifest.Manifests))
	}
	for _, d := range manifest.Manifests {
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		repository, _, _ := strings.Cut(d.Annotations[refName], ":")
		ref, err := name.NewDigest(host + "/" + repository + "@" + d.Digest.String())
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Write(ref, img); err != nil {
			t.Fatalf("%s: %v", d.Annotations[refName], err)
		}
	}
	for _, m := range made {
		t.Run(m.name, func(t *testing.T) {
			ref, err := name.NewDigest(host + "/" + m.name + "@" + m.digest.String())
			if err != nil {
				t.Fatal(err)
			}
			img, err := remote.Image(ref)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Image(img); err != nil {
				t.Error(err)
			}
			check(t, m.name, from, img)
			checkSBOM(t, ref)
			other := host + "/" + m.name + "@sha256:" + strings.Repeat("0", 64)
			if ref, err = name.NewDigest(other); err != nil {
				t.Fatal(err)
			}
			if _, err := remote.Image(ref); err == nil {
				t.Error("another digest is served, too")
			}
		})
	}
}

// check reads an image as those do who run it: a container engine, or a mesh's
// fetcher of filters, which takes plugin.wasm out of the last layer of an image
// with the media types of OCI.
func check(t *testing.T, of, from string, img v1.Image) {
	t.Helper()
	if kind, err := img.MediaType(); err != nil || kind != types.OCIManifestSchema1 {
		t.Errorf("media type %s %v", kind, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	if kind, err := layers[0].MediaType(); err != nil || kind != types.OCILayer {
		t.Errorf("a layer of type %s %v", kind, err)
	}
	compressed, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := gzip.NewReader(compressed)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for archive := tar.NewReader(unpacked); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode&0o022 != 0 || h.Mode&0o6000 != 0 {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
		if files[h.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
	source := map[string]string{"memgate-wasm": "memgate.wasm"}[of]
	file, folders := "plugin.wasm", 0
	if source == "" {
		source, file = of, of
		if config.Config.User != user || config.Config.Entrypoint[0] != "/"+of || config.OS != "linux" || config.Architecture != "amd64" {
			t.Errorf("configured as %+v for %s/%s", config.Config, config.OS, config.Architecture)
		}
	}
	if of == "memory-backend" {
		folders = 2
	}
	want, err := os.ReadFile(filepath.Join(from, source))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1+folders || !bytes.Equal(files[file], want) {
		t.Errorf("%d files, and %d bytes of %s, want %d", len(files), len(files[file]), file, len(want))
	}
}

// checkSBOM finds what refers to the image, as the registry tells.
func checkSBOM(t *testing.T, of name.Digest) {
	t.Helper()
	list, err := remote.Referrers(of)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := list.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%v %v", manifest, err)
	}
	img, err := remote.Image(of.Context().Digest(manifest.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatal(len(layers), err)
	}
	raw, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	var d spdx
	if err := json.NewDecoder(raw).Decode(&d); err != nil {
		t.Fatal(err)
	}
	versions := make(map[string]string)
	for _, p := range d.Packages {
		versions[p.Name] = p.Version
	}
	if d.Version != "SPDX-2.3" || !strings.HasPrefix(versions["stdlib"], "1.") || len(d.Relationships) != len(d.Packages) {
		t.Errorf("%s of Go %q, %d packages, %d relationships", d.Version, versions["stdlib"], len(d.Packages), len(d.Relationships))
	}
	needs := map[string]string{"memgate": "github.com/lestrrat-go/jwx/v3", "memory-backend": "modernc.org/sqlite",
		"memgate-wasm": "github.com/proxy-wasm/proxy-wasm-go-sdk"}[of.Context().RepositoryStr()]
	// Without authorities of its own, an image on an empty base trusts nobody's
	// certificate.
	if roots := "golang.org/x/crypto/x509roots/fallback"; of.Context().RepositoryStr() != "memgate-wasm" && versions[roots] == "" {
		t.Errorf("%s is not in %v", roots, versions)
	}
	if versions[needs] == "" {
		t.Errorf("%s is not in %v", needs, versions)
	}
}

// A binary that needs a library is not packed: nothing could load it.
func TestRefuses(t *testing.T) {
	from := t.TempDir()
	if _, err := write(from, t.TempDir(), "test"); err == nil {
		t.Error("nothing was built, and images are made")
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(from, "memgate"), self[:len(self)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := write(from, t.TempDir(), "test"); err == nil {
		t.Error("half a binary is packed")
	}
}
