// Package deploy has what lockify is installed and run with, and the tests of it:
//
//	systemd/     the unit of lockifyd
//	debian/      what tools/package.sh makes a package of: configuration, scripts
//	kubernetes/  a cluster of three in Kubernetes
//	prometheus/  alert rules, and cases for them
//	grafana/     a dashboard
//
//	make test-package --- tools/package.sh --> .deb --> an overlay over this machine's root,
//	in namespaces of its own: install, start, lock, upgrade, remove, purge (debian/test.sh)
//
//	make test-systemd --- the same package, and the same kind of copy, but with systemd as
//	process 1 of it (systemd/test.sh), which does all that (systemd/booted.sh), and whose
//	watchdog finds a daemon that is stopped
//
// There is no code here, only tests.
package deploy
