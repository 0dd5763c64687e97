#!/bin/bash
# Installs, runs, upgrades, removes and purges the package on a copy of this machine's
# root that vanishes with the namespaces it is in:
#
#   unshare --mount --net --pid --fork deploy/debian/test.sh DEB NEWER-DEB DIR
#
# As root. In DIR is a socket "notify", where the caller listens as systemd does.
set -euo pipefail
deb=$1 newer=$2 dir=$3

if [ "${4:-}" != inside ]; then
	# What is written goes to memory: upper is no overlay itself, whatever / is.
	mount --make-rprivate /
	base=$(mktemp -d)
	mount -t tmpfs tmpfs "$base"
	mkdir "$base"/{upper,work,root}
	mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$base/root"
	mount -t proc proc "$base/root/proc"
	mount --rbind /dev "$base/root/dev"
	mount -t tmpfs tmpfs "$base/root/run"
	mount -t tmpfs tmpfs "$base/root/tmp"
	mkdir "$base/root/tmp/test"
	mount --bind "$dir" "$base/root/tmp/test"
	cp "$deb" "$base/root/tmp/old.deb"
	cp "$newer" "$base/root/tmp/new.deb"
	cp "$0" "$base/root/tmp/test.sh"
	ip link set lo up
	status=0
	chroot "$base/root" /tmp/test.sh /tmp/old.deb /tmp/new.deb /tmp/test inside || status=$?
	umount -l "$base"
	rmdir "$base"
	exit "$status"
fi

say() { printf '== %s\n' "$*"; }
fail() {
	printf 'FAILED: %s\n' "$*"
	exit 1
}
unit=/lib/systemd/system/lockifyd.service

# start runs the daemon as the unit says, and waits until it is ready.
start() {
	# shellcheck disable=SC2046 # the words of the command
	set -- $(sed -n 's/^ExecStart=//p' $unit)
	install -d -o lockify -g lockify -m 0755 /run/lockify
	install -d -o lockify -g lockify -m 0700 /var/lib/lockify
	rm -f /tmp/said && mkfifo /tmp/said && exec 3<>/tmp/said
	(
		umask "$(sed -n 's/^UMask=//p' $unit)"
		export NOTIFY_SOCKET=$dir/notify WATCHDOG_USEC=10000000
		exec setpriv --reuid lockify --regid lockify --init-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
	) >/tmp/said 2>/tmp/log &
	daemon=$!
	read -r -t 30 -u 3 line || {
		cat /tmp/log
		fail "no ready line of the daemon"
	}
	say "$line"
}

# stop ends it as systemd does.
stop() {
	kill "$daemon"
	wait "$daemon" || fail "the daemon ended with status $?"
}

say "install"
dpkg -i "$deb"
[ "$(stat -c '%U:%G %a' /etc/lockify)" = "root:lockify 750" ] || fail "/etc/lockify is $(stat -c '%U:%G %a' /etc/lockify)"
lockifyd --config /etc/lockify/lockifyd.toml --check-config | tail -1
if command -v systemd-analyze >/dev/null; then
	systemd-analyze verify $unit || fail "the unit is not good"
fi
if command -v man >/dev/null; then
	man -P cat lockctl-lock >/dev/null || fail "no manual page"
	man -P cat lockifyd >/dev/null || fail "no manual page"
fi
bash -c '. /usr/share/bash-completion/completions/lockctl && complete -p lockctl' >/dev/null

say "start"
start
useradd --groups lockify member
useradd stranger
as() { setpriv --reuid "$1" --regid "$1" --init-groups "${@:2}"; }
as member lockctl lock storage job -- echo "a member of the group lockify has the lock"
if as stranger lockctl lock storage job --timeout 1s -- true 2>/dev/null; then
	fail "who is not in the group lockify gets a lock"
fi
lockctl status

say "upgrade"
echo 'idle_after = "11s"' >>/etc/lockify/lockifyd.toml
dpkg -i "$newer"
kill -0 "$daemon" || fail "the upgrade has ended the daemon before the new one was there"
stop
start
# Not by a pipe to grep -q: who ends it at the first match fails the writer.
lockifyd --config /etc/lockify/lockifyd.toml --check-config >/tmp/config
grep -q '^idle_after *11s' /tmp/config || fail "the configuration was changed"
as member lockctl lock storage job -- true
stop

say "remove"
dpkg -r lockify
[ -f /etc/lockify/lockifyd.toml ] || fail "remove has taken the configuration"
[ -d /var/lib/lockify ] || fail "remove has taken the data"
[ ! -e /usr/bin/lockifyd ] || fail "remove has left lockifyd"

say "install again, purge"
dpkg -i "$newer"
dpkg --purge lockify
! getent passwd lockify || fail "purge has left the user"
! getent group lockify || fail "purge has left the group"
left=$(find / -xdev \( -name '*lockify*' -o -name '*lockctl*' \) -cnewer "$deb" -not -path '/tmp/*' -not -path '/var/cache/man/*' -not -path '/proc/*' -not -path '/root/*')
[ -z "$left" ] || fail "purge has left $left"
say "all is well"
