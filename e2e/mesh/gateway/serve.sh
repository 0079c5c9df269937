#!/bin/sh
# serve.sh BINARY ENVOY DIR: runs Envoy Gateway outside a cluster, with the objects
# in DIR/objects, and the Envoys that it starts. All that it writes stays in DIR.
#
# Envoy Gateway gives each Envoy paths and names that exist in its own containers
# only: authorities in /certs, and a name of a Service for the server of Wasm
# filters. They are made here in a root folder of their own, which needs a private
# mount namespace (unshare --mount), and leaves the machine's as it is.
set -eu
binary=$1 envoy=$2 dir=$3

mkdir -p "$dir/objects" "$dir/tree" "$dir/data/envoy-versions/1.40.0/bin"
# The version that the objects name, as it would have been downloaded.
ln -sf "$envoy" "$dir/data/envoy-versions/1.40.0/bin/envoy"

export HOME="$dir"
"$binary" certgen --local --config-home "$dir/config" >"$dir/certgen.log" 2>&1 || { cat "$dir/certgen.log"; exit 1; }

mount -t tmpfs tree "$dir/tree"
for path in /*; do
  if [ -L "$path" ]; then
    cp -P "$path" "$dir/tree$path"
  elif [ -d "$path" ]; then
    mkdir "$dir/tree$path"
    mount --rbind "$path" "$dir/tree$path"
  fi
done
mkdir -p "$dir/tree/certs"
cp "$dir/config/certs/envoy/ca.crt" "$dir/tree/certs/ca.crt"
{
  cat /etc/hosts
  echo 127.0.0.1 envoy-gateway.envoy-gateway-system.svc.cluster.local
} >"$dir/hosts"
mount --bind "$dir/hosts" "$dir/tree/etc/hosts"

# What Envoy Gateway serves Envoys with, as a secret of its namespace.
file() { base64 "$dir/config/certs/envoy/$1" | tr -d '\n'; }
cat >"$dir/objects/envoy-gateway.yaml" <<EOF
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: eg }
spec: { controllerName: gateway.envoyproxy.io/gatewayclass-controller }
---
apiVersion: v1
kind: Secret
metadata: { name: envoy, namespace: envoy-gateway-system }
type: kubernetes.io/tls
data:
  ca.crt: $(file ca.crt)
  tls.crt: $(file tls.crt)
  tls.key: $(file tls.key)
EOF
cat >"$dir/config.yaml" <<EOF
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: { controllerName: gateway.envoyproxy.io/gatewayclass-controller }
provider:
  type: Custom
  custom:
    resource: { type: File, file: { paths: ["$dir/objects"] } }
    infrastructure:
      type: Host
      host: { configHome: "$dir/config", dataHome: "$dir/data", stateHome: "$dir/state", runtimeDir: "$dir/run" }
extensionApis: { enableBackend: true, enableLua: true, enableEnvoyPatchPolicy: true }
logging: { level: { default: info } }
EOF
exec chroot "$dir/tree" "$binary" server --config-path "$dir/config.yaml"
