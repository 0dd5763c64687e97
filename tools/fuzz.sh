#!/bin/sh
# fuzz.sh DIR TARGET TIME: one fuzz target. Go's fuzzer now and then fails at its own
# time limit ("context deadline exceeded") without a failing input: then once more.
set -u
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for try in 1 2; do
	"${GO:-go}" test -run '^$' -fuzz "^$2\$" -fuzztime "$3" -fuzzminimizetime 1x "$1" </dev/null >"$out" 2>&1 && status=0 || status=$?
	cat "$out"
	if [ "$status" -eq 0 ] || grep -q 'Failing input' "$out" || ! grep -q 'context deadline exceeded' "$out"; then
		exit "$status"
	fi
	echo "the fuzzer's own time limit, try $try"
done
exit "$status"
