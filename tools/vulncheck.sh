#!/bin/bash
# Looks for known vulnerabilities in what lockify calls, built by the toolchain that go.mod names:
#
#	tools/vulncheck.sh PACKAGE...
#
# The database is $GOVULNDB, https://vuln.go.dev, or, where that cannot be reached, made from its
# source, which is a module: golang.org/x/vulndb. Status 0: none was found, or there is no
# database, which is said; else something was found, or went wrong.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go=${GO:-go}
export GOTOOLCHAIN
GOTOOLCHAIN=$(awk '$1 == "toolchain" { print $2 }' go.mod)

check() { $go tool -modfile=tools/go.mod govulncheck "$@" 2>&1; }

unreachable() { grep -q 'govulncheck: fetching vulnerabilities: Get ' <<<"$said"; }

# make_db makes a database in the directory $made, and says of when.
make_db() {
	local dir version
	cd "$made" &&
		read -r version dir < <($go mod download -json golang.org/x/vulndb@latest |
			awk -F '"' '$2 == "Version" { v = $4 } $2 == "Dir" { print v, $4 }') &&
		$go run "golang.org/x/vulndb/cmd/indexdb@$version" -vulns "$dir/data/osv" -out "$made/db" &&
		echo "database: golang.org/x/vulndb@$version"
}

said=$(check ${GOVULNDB:+-db "$GOVULNDB"} "$@")
status=$?
if [ "$status" -ne 0 ] && unreachable && [ -z "${GOVULNDB:-}" ]; then
	made=$(mktemp -d)
	trap 'rm -rf "$made"' EXIT
	if log=$(make_db 2>&1); then
		printf '%s\n' "${log##*$'\n'}"
		said=$(check -db "file://$made/db" "$@")
		status=$?
	else
		said+=$'\n'$log
	fi
fi
if [ "$status" -ne 0 ] && unreachable; then
	printf 'NOT DONE: govulncheck, the database of vulnerabilities cannot be reached:\n%s\n' "$said"
	exit 0
fi
printf '%s\n' "$said"
exit "$status"
