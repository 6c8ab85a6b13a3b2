#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/conformance.md.

    conformance.py            write it
    conformance.py --check    is it up to date, and does every statement have a test? Exit code 1 if not
    conformance.py --missing  print the statements without a test
"""
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "conformance"))
sys.dont_write_bytecode = True
import statements  # noqa: E402


def main():
    found, faults = statements.coverage()
    path = os.path.join(ROOT, "docs", "conformance.md")
    text = statements.document(found)
    missing = ["%s %s has no test" % key for key in statements.missing(found)]
    if "--missing" in sys.argv:
        print("\n".join(missing))
        sys.exit(0)
    if "--check" in sys.argv:
        with open(path, encoding="utf-8") as f:
            if f.read() != text:
                faults.append("docs/conformance.md is out of date: run tools/conformance.py")
        faults += missing
    else:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    print("\n".join(faults + ["%d statements, %d faults" % (sum(statements.COUNTS.values()), len(faults))]))
    sys.exit(1 if faults else 0)


main()
