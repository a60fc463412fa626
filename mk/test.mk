# SPDX-License-Identifier: MIT
# How a part runs its tests:
#   check: check-foo
#   check-foo: $(O)/test/foo_test | $(KSELFTEST)
#   	$(RUN_TESTS) -s foo $(O)/test/foo_test
# The runner reads TAP, counts test cases, and leaves the counts in $(RESULTS), from which
# `make check` and .ci/run take their totals. See scripts/run-tests.sh for its options.
RESULTS   := $(TOP_O)/results
KSELFTEST := $(CACHE)/kselftest/kselftest_harness.h
RUN_TESTS  = RESULTS=$(abspath $(RESULTS)) LOGS=$(abspath $(TOP_O)/logs) scripts/run-tests.sh
# For a program written with the harness; -isystem keeps our warnings out of the kernel's headers.
KSELFTEST_CPPFLAGS := -isystem $(CACHE)/kselftest -include selftests/patience.h

$(KSELFTEST):
	@scripts/kselftest.sh $(@D)

# Claim checks: scripts that keep what is said true. A part adds its own: CLAIMS += path/check-x.sh
CLAIMS = scripts/check-headers.sh "scripts/check-layers.sh $(O)/obj/lib" \
	scripts/check-state.sh "scripts/check-cet.sh $(O)" scripts/check-tested.sh scripts/check-snippets.sh scripts/check-install.sh "scripts/check-symbols.sh $(LIB_SO)" "scripts/check-returns.sh $(LIB_SO)" scripts/check-tree.sh "scripts/check-docs.sh $(O)"
.PHONY: claims
claims: all     ## checks of the claims that documents and layers make
	@$(RUN_TESTS) -s claims $(CLAIMS)
test-quick: claims
.PHONY: claims-plants
claims-plants: all ## those checks see what they are for
	@$(RUN_TESTS) -s claims -v plants scripts/check-claims.sh
test-quick: claims-plants

.PHONY: check-clone format
check-clone:    ## make quick in a fresh clone of what is committed
	@$(RUN_TESTS) -s clone -t 600 scripts/check-clone.sh
# The test machine works in a fresh clone already.
check: $(if $(CI),,check-clone)
format:         ## clang-format on FILES=
	clang-format -i $(FILES)
