#!/bin/bash
# Builds a Debian package of lockify:
#
#   tools/package.sh VERSION DIR
#
# and prints its name. Needs Go, dpkg-deb and gzip. Called by make package.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$1 out=$2
go=${GO:-go}
arch=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
umask 022

mkdir -p "$root"/{DEBIAN,etc/lockify,lib/systemd/system} "$out" \
	"$root"/usr/{bin,share/man/man1,share/man/man8,share/doc/lockify} \
	"$root"/usr/share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}

CGO_ENABLED=0 "$go" build -trimpath -ldflags "-s -w -X main.version=$version" -o "$root/usr/bin/" ./cmd/lockifyd ./cmd/lockctl
"$go" test -count=1 -run '^TestManPage$' ./cmd/lockifyd -args -man "$root/usr/share/man/man8" >&2
"$go" test -count=1 -run '^TestManPages$' ./cmd/lockctl -args -man "$root/usr/share/man/man1" >&2
gzip -9n "$root"/usr/share/man/man?/*
lockctl=$root/usr/bin/lockctl
"$lockctl" completion bash >"$root/usr/share/bash-completion/completions/lockctl"
"$lockctl" completion zsh >"$root/usr/share/zsh/vendor-completions/_lockctl"
"$lockctl" completion fish >"$root/usr/share/fish/vendor_completions.d/lockctl.fish"

install -m 0644 deploy/systemd/lockifyd.service "$root/lib/systemd/system/"
install -m 0644 deploy/debian/lockifyd.toml "$root/etc/lockify/"
install -m 0644 README.md docs/reference/*.md "$root/usr/share/doc/lockify/"
install -m 0644 LICENSE "$root/usr/share/doc/lockify/copyright"
install -m 0755 deploy/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
echo /etc/lockify/lockifyd.toml >"$root/DEBIAN/conffiles"
(cd "$root" && find etc lib usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
cat >"$root/DEBIAN/control" <<CONTROL
Package: lockify
Version: $version
Architecture: $arch
Section: admin
Priority: optional
Maintainer: The lockify authors <lockify@example.org>
Depends: passwd
Installed-Size: $(du -sk "$root" | cut -f1)
Homepage: https://github.com/lockify-dlm/lockify
Description: distributed lock manager in user space
 Locks for programs that share storage, as the DLM of the Linux kernel has them:
 six modes, conversions, callbacks, lock value blocks, byte ranges, deadlock
 detection and fencing. This package has the daemon lockifyd, as a service, and
 the tool lockctl.
CONTROL
deb=$out/lockify_${version}_$arch.deb
dpkg-deb --build --root-owner-group -Zgzip "$root" "$deb" >&2
echo "$deb"
