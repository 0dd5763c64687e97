#!/bin/bash
# What test.sh has systemd do once it has booted.
set -euo pipefail
export SYSTEMD_COLORS=0 SYSTEMD_PAGER=cat DEBIAN_FRONTEND=noninteractive
say() { printf '== %s\n' "$*"; }
trap 'echo "FAILED at line $LINENO: $BASH_COMMAND"; systemctl status --no-pager --lines=0 lockifyd || true; tail -n 20 /run/lockifyd.log' ERR
fail() {
	printf 'FAILED: %s\n' "$*"
	tail -n 20 /run/lockifyd.log
	exit 1
}
of() { systemctl show --property="$1" --value lockifyd; }
as() { setpriv --reuid "$1" --regid "$1" --init-groups "${@:2}"; }

# await LIMIT COMMAND... tries it ten times a second.
await() {
	local tries=$(($1 * 10))
	shift
	until "$@"; do
		((tries-- > 0)) || fail "not in time: $*"
		sleep 0.1
	done
}

say "process 1 is $(cat /proc/1/comm), $(systemctl --version | head -1), $(systemctl is-system-running || true)"
mkdir -p /etc/systemd/system/lockifyd.service.d
printf '[Service]\nStandardError=append:/run/lockifyd.log\n' >/etc/systemd/system/lockifyd.service.d/log.conf

say "install: it is enabled, and starts"
dpkg -i /run/old.deb
systemctl start lockifyd # which waits until it is ready
[ "$(systemctl is-active lockifyd) $(systemctl is-enabled lockifyd) $(of Type)" = "active enabled notify" ] || fail "it is $(systemctl is-active lockifyd)"
[ "$(ps -o user= -p "$(of MainPID)")" = lockify ] || fail "its user is $(ps -o user= -p "$(of MainPID)")"
say "status: $(of StatusText), watchdog $(of WatchdogUSec), instance of pid $(of MainPID)"
useradd --groups lockify member
as member lockctl lock storage job -- echo "a member of the group lockify has the lock"
[ "$(stat -c '%U:%G %a' /var/lib/lockify /run/lockify | tr '\n' ' ')" = "lockify:lockify 700 lockify:lockify 755 " ] || fail "directories: $(stat -c '%n %U:%G %a' /var/lib/lockify /run/lockify)"

say "what the unit takes away is away"
if grep -v "systemd" /run/lockifyd.log | grep 'level=\(WARN\|ERROR\)'; then fail "the unit takes away what it needs"; fi
pid=$(of MainPID)
grep -E '^(CapBnd|NoNewPrivs|Seccomp):' "/proc/$pid/status" | tr '\n\t' '  ' && echo
grep -q '^CapBnd:.0*$' "/proc/$pid/status" || fail "it has capabilities"
grep -q '^Seccomp:.2$' "/proc/$pid/status" || fail "no filter of system calls"
nsenter -t "$pid" -m sh -c 'touch /etc/x 2>/dev/null || touch /usr/x 2>/dev/null' && fail "it may write to /etc or /usr"
systemd-analyze security lockifyd --no-pager | tail -1
exposure=$(systemd-analyze security lockifyd --no-pager | sed -n 's/.*Overall exposure level for lockifyd.service: \([0-9]*\).*/\1/p')
[ "$exposure" -lt 2 ] || fail "exposure $exposure, want below 2"

say "reload"
sed -i '$a log_level = "debug"' /etc/lockify/lockifyd.toml
systemctl reload lockifyd
[ "$(of MainPID)" = "$pid" ] || fail "reload has started it anew"
await 5 grep -q 'msg=reloaded' /run/lockifyd.log

say "watchdog: it is stopped, and started anew"
sed -i '$a listen = "127.0.0.1:7540"\nnew_cluster = true\nlease = "500ms"' /etc/lockify/lockifyd.toml
systemctl restart lockifyd
sed -i '/^new_cluster/d' /etc/lockify/lockifyd.toml # for the first start alone
[ "$(of WatchdogUSec)" = 2s ] || fail "the watchdog's time is $(of WatchdogUSec), not the 2 s that it wants"
pid=$(of MainPID)
kill -STOP "$pid"
another() { [ "$(of NRestarts)" = 1 ] && [ "$(systemctl is-active lockifyd)" = active ]; }
await 15 another
[ "$(of MainPID)" != "$pid" ] || fail "the same process"
as member lockctl lock storage job -- true

say "killed, it is started anew"
kill -KILL "$(of MainPID)"
again() { [ "$(of NRestarts)" = 2 ] && [ "$(systemctl is-active lockifyd)" = active ]; }
await 15 again

say "upgrade"
pid=$(of MainPID)
dpkg -i /run/new.deb
upgraded() { [ "$(of MainPID)" != "$pid" ] && [ "$(systemctl is-active lockifyd)" = active ]; }
await 15 upgraded
[ "$(of Result)" = success ] || fail "it ended with $(of Result)"
as member lockctl lock storage job -- true

say "a wrong configuration is tried once"
echo 'id_after = 1' >>/etc/lockify/lockifyd.toml
if systemctl restart lockifyd 2>/dev/null; then fail "it starts"; fi
await 3 [ "$(of ActiveState) $(of ExecMainStatus)" = "failed 78" ]
sed -i '$d' /etc/lockify/lockifyd.toml
systemctl start lockifyd

say "stop"
systemctl stop lockifyd
[ "$(of ActiveState) $(of Result)" = "inactive success" ] || fail "it is $(of ActiveState), $(of Result)"
[ ! -e /run/lockify ] || fail "/run/lockify is left"
systemctl start lockifyd

say "remove ends it, purge takes its data and user"
dpkg -r lockify
[ "$(systemctl is-active lockifyd || true)" != active ] || fail "it goes on"
dpkg -i /run/new.deb
back() { [ "$(systemctl is-active lockifyd) $(systemctl is-enabled lockifyd)" = "active enabled" ]; }
await 15 back
dpkg --purge lockify
[ ! -e /var/lib/lockify ] || fail "purge has left its data"
if getent passwd lockify; then fail "purge has left the user"; fi
say "all is well"
