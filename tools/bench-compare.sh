#!/bin/bash
# Compares the benchmarks of a commit with those of this tree:
#
#   tools/bench-compare.sh COMMIT [BENCH [COUNT [BENCHTIME [PACKAGE...]]]]
#
# Both are built first. Then they run in turn, package by package, so that what else the
# machine does meets both; benchstat says what is a difference.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go=${GO:-go}
ref=$1 bench=${2:-.} count=${3:-6} time=${4:-300ms}
shift $(($# < 4 ? $# : 4))
packages=("$@")
[ ${#packages[@]} -gt 0 ] || packages=(. ./lockspace ./engine ./wire)

dir=$(mktemp -d)
trap 'git worktree remove --force "$dir/old" 2>/dev/null || true; rm -rf "$dir"' EXIT
git worktree add --quiet --detach "$dir/old" "$ref"
build() { # TREE NAME
	local i
	for i in "${!packages[@]}"; do
		(cd "$1" && [ -d "${packages[i]}" ] && "$go" test -c -o "$dir/$2.$i" "${packages[i]}") || echo "$2: no ${packages[i]}" >&2
	done
}
build "$dir/old" old
build . new
run() { # TREE NAME NUMBER
	[ -e "$dir/$2.$3" ] || return 0
	(cd "$1/${packages[$3]}" && "$dir/$2.$3" -test.run '^$' -test.bench "$bench" -test.benchmem -test.benchtime "$time") >>"$dir/$2.txt"
}
for _ in $(seq "$count"); do
	for i in "${!packages[@]}"; do
		run "$dir/old" old "$i"
		run . new "$i"
	done
done
"$go" tool -modfile=tools/go.mod benchstat old="$dir/old.txt" new="$dir/new.txt"
