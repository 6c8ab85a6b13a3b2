#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every numbered statement of MQTT has a test, and docs/conformance.md says which."""
import subprocess
import sys

import tree

sys.exit(subprocess.run([sys.executable, '-B', 'tools/conformance.py', '--check'], cwd=tree.ROOT).returncode)
