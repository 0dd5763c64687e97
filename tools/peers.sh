#!/bin/bash
# Measures lockify against its peers: tools/peers.sh [flags of lockbench peers].
#
# Redis and ZooKeeper come from Debian, as programs only: no service of theirs is
# started. etcd and NATS are tools of this module. lockbench starts and ends all of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go=${GO:-go}

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
[ -e /usr/share/java/zookeeper.jar ] || missing+=(zookeeper)
if [ ${#missing[@]} -gt 0 ]; then
	# A runlevel in which nothing starts.
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y --no-install-recommends "${missing[@]}" >&2 ||
		echo "could not install ${missing[*]}: left out" >&2
fi
tool() { "$go" tool -modfile=tools/go.mod -n "$1"; }
etcd=$(tool go.etcd.io/etcd/server/v3)
nats=$(tool github.com/nats-io/nats-server/v2)
exec bin/lockbench peers --etcd "$etcd" --nats "$nats" "$@"
