// Package mesh tests what only a mesh has of what is rendered for meshes, behind the
// build tag mesh. The suites of the other folders run through the same Envoys
// (tools/test-mesh.sh).
package mesh
