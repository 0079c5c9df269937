package main

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is who runs in the images: nobody in particular, and not root.
const user = "65532:65532"

// refName is the annotation by which tools know images of a layout (OCI image
// spec, annotations).
const refName = "org.opencontainers.image.ref.name"

// image is one of those that are made.
type image struct {
	name, source string // the file that it is made of
	file         string // the file's path in the image
	folders      []string
	command      []string
}

// images are all of them. The filter's is the compat variant of the Wasm image
// specification: a single tar+gzip layer with plugin.wasm in it.
var images = []image{
	{name: "memgate", source: "memgate", file: "memgate", command: []string{"serve", "--config", "/etc/memgate/memgate.yaml"}},
	{name: "memory-backend", source: "memory-backend", file: "memory-backend", command: []string{"serve"},
		// A new volume takes over the owner and mode of the folder below it.
		folders: []string{"var/lib/memory-backend", "var/lib/memory-backend-key"}},
	{name: "memgate-wasm", source: "memgate.wasm", file: "plugin.wasm"},
}

// written is an image in the layout.
type written struct {
	name   string
	digest v1.Hash
}

// write makes the layout of all images, each with its SBOM beside it.
func write(from, to, version string) ([]written, error) {
	if err := os.RemoveAll(to); err != nil {
		return nil, err
	}
	path, err := layout.Write(to, empty.Index)
	if err != nil {
		return nil, err
	}
	var all []written
	for _, i := range images {
		raw, err := os.ReadFile(filepath.Join(from, i.source))
		if err != nil {
			return all, fmt.Errorf("%w; run make build first", err)
		}
		img, err := i.build(raw, version)
		if err != nil {
			return all, fmt.Errorf("%s: %w", i.name, err)
		}
		list, err := i.sbom(img, raw, version)
		if err != nil {
			return all, fmt.Errorf("%s: SBOM: %w", i.name, err)
		}
		name := i.name + ":" + version
		if err := path.AppendImage(img, layout.WithAnnotations(map[string]string{refName: name})); err != nil {
			return all, err
		}
		if err := path.AppendImage(list, layout.WithAnnotations(map[string]string{refName: name + ".spdx"})); err != nil {
			return all, err
		}
		digest, err := img.Digest()
		if err != nil {
			return all, err
		}
		all = append(all, written{i.name, digest})
	}
	return all, nil
}

// build makes the image of a file.
func (i *image) build(raw []byte, version string) (v1.Image, error) {
	archive, err := i.tar(raw)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{CreatedBy: "memgate images"}}); err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config.Labels = map[string]string{"org.opencontainers.image.version": version, "org.opencontainers.image.licenses": "Apache-2.0"}
	config.OS, config.Architecture = "wasip1", "wasm"
	if i.command != nil {
		if config.OS, config.Architecture, err = platform(raw); err != nil {
			return nil, err
		}
		config.Config.User = user
		config.Config.Entrypoint = []string{"/" + i.file}
		config.Config.Cmd = i.command
	}
	return mutate.ConfigFile(img, config)
}

// tar is the only layer: the file, and empty folders of the user.
func (i *image) tar(raw []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	mode := int64(0o755)
	if i.command == nil {
		mode = 0o644
	}
	err := w.WriteHeader(&tar.Header{Name: i.file, Mode: mode, Size: int64(len(raw)), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR})
	if err == nil {
		_, err = w.Write(raw)
	}
	for _, f := range i.folders {
		err = errors.Join(err, w.WriteHeader(&tar.Header{Name: f + "/", Mode: 0o700, Uid: 65532, Gid: 65532, Typeflag: tar.TypeDir, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}))
	}
	return out.Bytes(), errors.Join(err, w.Close())
}

// platform says for what a Go binary was built. It has to be static: there is
// nothing in the image that it could be linked with.
func platform(raw []byte) (system, architecture string, err error) {
	info, err := buildinfo.Read(bytes.NewReader(raw))
	if err != nil {
		return "", "", err
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["GOOS"] != "linux" || settings["CGO_ENABLED"] != "0" {
		return "", "", fmt.Errorf("not a static binary for Linux: GOOS=%s CGO_ENABLED=%s", settings["GOOS"], settings["CGO_ENABLED"])
	}
	return settings["GOOS"], settings["GOARCH"], nil
}

// attach makes an artifact that refers to an image (OCI image spec 1.1).
func attach(to v1.Image, kind string, document []byte) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.MediaType(kind))
	img, err := mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(document, types.MediaType(kind))})
	if err != nil {
		return nil, err
	}
	size, err := to.Size()
	if err != nil {
		return nil, err
	}
	digest, err := to.Digest()
	if err != nil {
		return nil, err
	}
	subject := mutate.Subject(img, v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: size, Digest: digest})
	out, ok := subject.(v1.Image)
	if !ok {
		return nil, errors.New("an artifact is no image")
	}
	return out, nil
}
