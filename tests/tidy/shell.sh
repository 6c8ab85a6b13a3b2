#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All shell scripts parse, and satisfy shellcheck where it is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
mapfile -t files < <(git ls-files -co --exclude-standard '*.sh' .ci/run 2>/dev/null ||
    find tools tests .ci -name '*.sh' -o -name run)
[ ${#files[@]} -gt 0 ]
for file in "${files[@]}"; do
    bash -n "$file"
done
if command -v shellcheck >/dev/null; then
    shellcheck --severity=warning "${files[@]}"
fi
echo "${#files[@]} scripts"
