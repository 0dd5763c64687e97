#!/bin/bash
# Boots systemd as process 1 of namespaces of their own, on a copy of this machine's root that
# vanishes with them, and has it install, run, watch, upgrade, stop, remove and purge the
# package:
#
#   deploy/systemd/test.sh DEB NEWER-DEB
#
# As root, on a Debian with systemd, whatever is process 1 there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ "${3:-}" = inside ]; then # in the namespaces: what becomes process 1
	deb=$1 newer=$2 base=$4
	mount --make-rprivate /
	copy=$base/copy root=$base/copy/root
	mount -t tmpfs tmpfs "$copy"
	mkdir "$copy"/{upper,work,root}
	mount -t overlay -o "lowerdir=/,upperdir=$copy/upper,workdir=$copy/work" overlay "$root"
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" 2>/dev/null || {
		mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
		mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	}
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	for d in null zero full random urandom tty; do
		touch "$root/dev/$d"
		mount --bind "/dev/$d" "$root/dev/$d"
	done
	ln -s /proc/self/fd "$root/dev/fd"
	mkdir "$root/dev/shm" "$root/dev/pts"
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
	cp "$deb" "$root/run/old.deb"
	cp "$newer" "$root/run/new.deb"
	cp "$here/booted.sh" "$root/run/booted.sh"
	rm -f "$root/var/lib/man-db/auto-update" # it takes seconds each time
	echo 3f6a1c0e5d7b49a28c1e0f9d8b7a6c5d >"$root/etc/machine-id"
	rm -f "$root"/etc/systemd/system/*.wants/* # nothing of this machine's own
	cat >"$root/etc/systemd/system/booted.service" <<-UNIT
		[Unit]
		Wants=dbus.service
		After=multi-user.target dbus.service
		SuccessAction=exit-force
		FailureAction=exit-force
		[Service]
		Type=oneshot
		ExecStart=/bin/bash /run/booted.sh
		StandardOutput=file:/run/out
		StandardError=file:/run/out
	UNIT
	ip link set lo up
	touch "$root/run/out"
	mount --bind "$base/out" "$root/run/out"
	cd "$root"
	pivot_root . mnt # not only chroot: systemd makes its own namespaces from the root of this one
	umount -l /mnt
	exec /usr/bin/env -i container=lockify PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --unit=booted.service --show-status=no --log-target=null
fi

deb=$(realpath "$1") newer=$(realpath "$2")
unified=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$unified" ] || { echo "systemd/test.sh: no cgroup2 is mounted"; exit 1; }
base=$(mktemp -d)
mkdir "$base/copy"
: >"$base/out"
cg=$unified/lockify-$$
mkdir "$cg"
cleanup() {
	find "$cg" -depth -type d -exec rmdir {} + 2>/dev/null || true
	rm -rf "$base"
}
trap cleanup EXIT
status=0
(
	echo "$BASHPID" >"$cg/cgroup.procs"
	exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child "$0" "$deb" "$newer" inside "$base"
) || status=$?
cat "$base/out" 2>/dev/null || true
exit "$status"
