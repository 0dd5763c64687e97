#!/bin/bash
# kernel.sh: prints the directory of a kernel and an initramfs for blockdev/nvme/kerneltest,
# which it makes of Debian's packages if it is not there yet: nothing but qemu is
# installed, the rest is unpacked. It stays in the user's cache; remove it to have it
# made of newer packages. Needs a Debian 12 with apt on amd64.
set -euo pipefail
die() { echo "kernel.sh: $*" >&2; exit 1; }

if ! command -v qemu-system-x86_64 >/dev/null; then
	[ "$(id -u)" -eq 0 ] || die "no qemu-system-x86_64 in PATH; install the package qemu-system-x86, or run this as root"
	{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends qemu-system-x86; } >&2
fi

script=$(sha256sum "${BASH_SOURCE[0]}")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lockify/kernel
out=$cache/${script:0:16}
if [ -e "$out/initrd" ]; then
	echo "$out"
	exit
fi

mkdir -p "$cache"
work=$(mktemp -d "$cache/new.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$work/debs" "$root"/{dev,proc,sys,tmp,mnt,etc,run}

# linux-image-amd64 stands for the newest kernel's package.
image() { apt-cache depends linux-image-amd64 2>/dev/null | sed -n '0,/Depends: linux-image-/s/.*Depends: \(linux-image-.*\)/\1/p'; }
if [ -z "$(image)" ] && [ "$(id -u)" -eq 0 ]; then
	apt-get -qq update >&2
fi
kernel=$(image)
[ -n "$kernel" ] || die "apt knows no linux-image-amd64; run apt-get update on a Debian machine"
packages=(
	"$kernel" busybox-static nvme-cli e2fsprogs
	libc6 libnvme1 libjson-c5 zlib1g libssl3 libdbus-1-3 libsystemd0 libcap2 libgcrypt20 libgpg-error0
	liblz4-1 liblzma5 libzstd1 libblkid1 libcom-err2 libext2fs2 libss2 libuuid1
)
(cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download "${packages[@]}") >&2 ||
	die "apt-get download has failed; if packages were not found, run apt-get update"

mkdir "$work/kernel"
for deb in "$work"/debs/*.deb; do
	case $deb in
	*/linux-image-*) dpkg-deb -x "$deb" "$work/kernel" ;;
	*) dpkg-deb -x "$deb" "$root" ;;
	esac
done
rm -rf "$root"/usr/share "$root"/usr/lib/x86_64-linux-gnu/{gconv,engines-3,ossl-modules}
mv "$root"/usr/lib/x86_64-linux-gnu/* "$root/lib/x86_64-linux-gnu/"
mkdir -p "$root/usr/bin" "$root/usr/sbin"
for applet in $("$root/bin/busybox" --list | grep -vx busybox); do
	ln -sf busybox "$root/bin/$applet"
done

# Only the modules that are needed, with what they need.
version=$(cd "$work/kernel/lib/modules" && echo *)
"$root/bin/busybox" depmod -b "$work/kernel" "$version"
modules=/lib/modules/$version
mkdir -p "$root$modules"
cp "$work/kernel$modules"/modules.{builtin,order} "$root$modules/"
need() {
	local line file
	line=$(grep -E "(^|/)$1\.ko:" "$work/kernel$modules/modules.dep") || die "$kernel has no module $1"
	for file in ${line/:/}; do
		mkdir -p "$root$modules/$(dirname "$file")"
		cp -n "$work/kernel$modules/$file" "$root$modules/$file"
	done
}
for m in virtio_pci virtio_net virtio_console nvme-tcp nvmet-tcp brd ext4 crc32c_generic crc32c-intel; do
	need "$m"
done
"$root/bin/busybox" depmod -b "$root" "$version"

# The guest does what comes through a virtio port, a line at a time, and answers with
# what it printed and a line with its status.
cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
for m in virtio_pci virtio_net virtio_console crc32c_generic crc32c-intel nvme-tcp nvmet-tcp ext4; do modprobe $m; done
modprobe brd rd_nr=2 rd_size=16384
mount -t configfs config /sys/kernel/config
ip link set lo up
ip link set eth0 up
ip addr add 10.0.2.15/24 dev eth0
mkdir -p /etc/nvme
echo root:x:0:0:root:/:/bin/sh >/etc/passwd
exec 3<>/dev/vport1p1 # virtio0 is the network
while :; do
	while read -r line <&3; do
		sh -c "$line" </dev/null >&3 2>&1 3>&-
		printf '\n:%d:\n' $? >&3
	done
	sleep 0.1 # nobody is at the other end yet
done
INIT
chmod +x "$root/init"

for program in usr/sbin/nvme sbin/mke2fs sbin/e2fsck; do
	if missing=$("$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" --list "$root/$program" 2>&1 | grep -v "$root" | grep '=>'); then
		die "$program has not all libraries: $missing"
	fi
done
cp "$work/kernel/boot/vmlinuz-$version" "$work/vmlinuz"
(cd "$root" && find . | ./bin/busybox cpio -o -H newc) >"$work/initrd" 2>/dev/null
rm -rf "$work/debs" "$work/kernel" "$root"
rm -rf "$out"
mv "$work" "$out"
echo "$out"
