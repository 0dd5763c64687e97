// Package etcdtest runs real etcd servers for tests.
//
//	tools/go.mod --- go tool -n ---> etcd, built once, in Go's build cache
//	test         --- Start      ---> a server of its own, on loopback
//
// The server is a tool: it is in the module of the tools, which says its version, so
// that it is the same everywhere and lockify's own module has nothing of it. (Debian's
// etcd-server is of 3.4, and would have to be installed.) Building it takes a minute or
// two on two cores; `make etcd` does it beforehand.
//
// Where it cannot be built a test is skipped, but with CI in the environment it fails.
//
// Only tests import this package.
package etcdtest
