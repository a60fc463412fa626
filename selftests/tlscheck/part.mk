# SPDX-License-Identifier: MIT
# The checker of kept thread-local addresses: on samples, and over what is built here.
CLAIMS += "scripts/check-tls.sh $(O)"

.PHONY: check-tlscheck
check-tlscheck: $(LIB_A) $(PRELOAD_SO) $(if $(SAN),,check-lto)  ## gstk-tlscheck finds what is bad in samples, by every compiler
	@$(RUN_TESTS) -s tlscheck -t 600 "selftests/tlscheck/run.sh $(O)/tlscheck $(LIB_A)"
check: $(if $(SAN),,check-tlscheck)
