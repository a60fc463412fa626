#!/bin/bash
# SPDX-License-Identifier: MIT
# Documentation/rejected.rst names every note of rejected.d/, and no other.
set -u -o pipefail
export LC_ALL=C
cd Documentation || exit 2
diff <(ls rejected.d/ | grep '\.rst$' | sort) <(grep -oP '(?<=rejected\.d/)[\w.-]+\.rst' rejected.rst | sort -u) |
	sed -n 's/^</not named in rejected.rst:/p; s/^>/named there, but gone:/p' | { ! grep .; }
