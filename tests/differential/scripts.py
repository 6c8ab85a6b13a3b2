# SPDX-License-Identifier: Apache-2.0
"""The exchanges that both brokers are put through."""
import scripts_conf  # noqa: F401
import scripts_form  # noqa: F401
import scripts_more  # noqa: F401
import scripts_random  # noqa: F401
import scripts_session  # noqa: F401
import scripts_subscribe  # noqa: F401
from script import CONFS, SCRIPTS  # noqa: F401
