// Command images packs what `make build` made into container images, without a
// container engine or a registry: memgate and the memory backend on an empty
// base, and the content filter in the form that Istio, Envoy Gateway and Envoy
// fetch. What it writes is an OCI image layout, which `skopeo copy`, `crane push`
// and `oras cp` read. Equal files make equal digests, whenever and wherever it
// runs.
//
// It is a module of its own, so that none of its dependencies gets into memgate's.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	from := flag.String("from", "build", "folder with memgate, memory-backend and memgate.wasm")
	to := flag.String("to", "build/images", "folder for the layout, which is made anew")
	version := flag.String("version", "dev", "version of the images")
	flag.Parse()
	if err := run(*from, *to, *version); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(from, to, version string) error {
	written, err := write(from, to, version)
	for _, w := range written {
		fmt.Printf("%-16s %s\n", w.name, w.digest)
	}
	return err
}
