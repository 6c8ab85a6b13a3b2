#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every numbered statement of MQTT has a test, and docs/conformance.md says which; docs/differences.md is of today."""
import subprocess
import sys

import tree

codes = [subprocess.run([sys.executable, '-B', 'tools/' + tool, '--check'], cwd=tree.ROOT).returncode
         for tool in ('conformance.py', 'differences.py')]
sys.exit(max(codes))
