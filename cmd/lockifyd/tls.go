package main

import (
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/internal/secure"
)

// checkTLS checks that what the network reaches is by TLS, unless told otherwise.
func (l *loader) checkTLS(add func(key, format string, args ...any)) {
	c := &l.cfg
	if c.tls.Given() {
		for i, file := range []string{c.tls.Cert, c.tls.Key, c.tls.CA} {
			if file == "" {
				add([]string{"tls_cert", "tls_key", "tls_ca"}[i], "missing; want a file: tls_cert, tls_key and tls_ca go together")
			}
		}
		if c.where["transport"] != "" && c.transport != "plain" {
			add("transport", "got %q, which has no TLS; want plain, or none of tls_cert, tls_key and tls_ca", c.transport)
		}
		return
	}
	if c.plaintext {
		return
	}
	const want = "which others on the network can reach, and without TLS whoever does so is taken for a %s; want tls_cert, tls_key and tls_ca, an address of the loopback interface, or allow_plaintext_network (--allow-plaintext-network) as well"
	if c.listen != "" && !address.Local(c.listen) {
		add("listen", "got %q, "+want, c.listen, "node")
	}
	for _, addr := range c.clients {
		if !address.Local(addr) {
			add("clients", "got %q, "+want, addr, "client")
		}
	}
}

// warnDenied says that nobody can use an address. A node is started all the same: others
// may be of use.
func (d *daemon) warnDenied() {
	if d.cfg.policy().Opens() {
		return
	}
	for _, addr := range d.cfg.clients {
		if !address.Local(addr) {
			d.log.Warn("clients that come from other machines are denied everything: there is no [[access]] rule with certificates, see docs/security.md", "clients", addr)
		}
	}
}

// openTLS reads the certificates, if there are any.
func (d *daemon) openTLS() (err error) {
	if !d.cfg.tls.Given() {
		return nil
	}
	self := secure.Identity{Cluster: d.cfg.cluster, Node: d.cfg.id}
	if d.secure, err = secure.OpenNode(d.cfg.tls, self, d.log); err == nil {
		d.transport = node.SecureTransport(d.secure, d.log)
	}
	return err
}
