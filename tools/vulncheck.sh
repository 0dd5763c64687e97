#!/bin/bash
# Looks for known vulnerabilities in what lockify calls:
#
#	tools/vulncheck.sh PACKAGE...
#
# Status 0: none, or the database (https://vuln.go.dev, or $GOVULNDB) cannot be reached, which
# is said; else something was found, or went wrong.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
said=$("${GO:-go}" tool -modfile=tools/go.mod govulncheck ${GOVULNDB:+-db "$GOVULNDB"} "$@" 2>&1)
status=$?
if [ "$status" -ne 0 ] && grep -q 'govulncheck: fetching vulnerabilities: Get ' <<<"$said"; then
	printf 'NOT DONE: govulncheck, the database of vulnerabilities cannot be reached:\n%s\n' "$said"
	exit 0
fi
printf '%s\n' "$said"
exit "$status"
