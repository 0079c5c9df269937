// Package harness runs the system, or parts of it, around a real Envoy for the
// end-to-end suites.
//
// A suite is a folder below e2e with one package of tests. It starts what all of
// its tests share once, in TestMain, because Envoy takes a second or more to
// compile the filter:
//
//	var stack *harness.Stack
//
//	func TestMain(m *testing.M) {
//		harness.Main(m, func(t harness.T) { stack = harness.StartStack(t, nil) })
//	}
//
// There are two things to start:
//
//   - [StartStack]: everything, as processes: Envoy, memgate, the memory backend
//     and an issuer of tokens, under the repository's memgate.yaml with other
//     addresses. A suite about a concern uses this.
//   - [StartWasm]: Envoy and the filter alone. The authz service ([FakeMemgate])
//     decides as a test says, by default as the request's [PolicyHeader] and
//     [MetadataHeader] say, so that tests can share it and run side by side; the
//     upstream ([Upstream]) answers as [AnswerHeader] says. A suite about the
//     filter or about Envoy's configuration uses this. [FakeMemgate.Entry] is the
//     access log's entry of a request.
//
// Who configures the Envoy of both is for the environment to say ([Edge]): memgate
// itself, or a mesh. What a test needs and not each of them has it says by [Needs]
// or [OnlyOn].
//
// [StartEnvoy] runs one more Envoy, with any bootstrap; [WasmEdge.Bootstrap] is
// one to change.
//
// [Do] sends a request and reads the response whole; [Raw] sends what no client
// library would. [Upstream.Received] is a request as the upstream got it, found
// by the x-request-id of the response, nil if it never came. [Eventually] waits
// for what another process does in its own time; nothing else waits.
//
// Rules that all of this keeps: binaries are built from the working tree into
// build/e2e, and only when something changed. Everything listens on loopback, on
// ports that Envoy or the system chooses. Processes are ended by their id when
// the test ends, and their logs are shown only if it failed. Envoy is $ENVOY, or
// on PATH, or in .tools/bin, where tools/envoy.sh puts it.
package harness
