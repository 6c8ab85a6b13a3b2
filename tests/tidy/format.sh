#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All C files are as `make fmt` leaves them. Other versions of clang-format write other text: only version 14 is asked.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v clang-format-14 >/dev/null; then
    echo "skipped: clang-format-14 is missing"
    exit 77
fi
mapfile -t files < <(git ls-files -co --exclude-standard '*.c' '*.h' 2>/dev/null ||
    find apps include src tests -name '*.[ch]')
[ ${#files[@]} -gt 0 ]
clang-format-14 --dry-run -Werror "${files[@]}"
echo "${#files[@]} files"
