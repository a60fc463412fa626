# SPDX-License-Identifier: MIT
# Packages install themselves the first time. A stamp is an (empty) included makefile, so make
# brings it up to date before it looks at anything else, and reads everything again after that.
goals := $(or $(MAKECMDGOALS),all)
ifneq ($(filter-out clean help deps,$(goals)),)
deps-groups := build
ifneq ($(filter quick unit check check-% test-%,$(goals)),)
deps-groups += test
endif
ifneq ($(filter check check-valgrind check-asan check-tsan check-parsers,$(goals)),)
deps-groups += sanitizers
endif
ifneq ($(filter check aarch64 check-aarch64,$(goals)),)
deps-groups += aarch64
endif
ifneq ($(filter demo demo-%,$(goals)),)
deps-groups += demo
endif
ifneq ($(filter bench,$(goals)),)
deps-groups += $(if $(filter-out 0,$(PEERS)),peers)
endif
ifneq ($(filter vm vm-% kmod fuzz check-kernel% check-lib-kernel% check-fuzz-% check-debug-kernel check-mutations check-mm check-kselftest \
	$(if $(FAST),,check),$(goals)),)
deps-groups += vm
endif
deps-stamp := $(TOP_O)/.deps/$(subst $(eval) ,-,$(strip $(deps-groups))).mk

$(deps-stamp): scripts/deps.sh
	@mkdir -p $(@D)
	@scripts/deps.sh $(deps-groups)
	@echo '# $(deps-groups): present' >$@

include $(deps-stamp)
endif

deps:           ## install every dependency (Debian, as root)
	scripts/deps.sh build test sanitizers aarch64 vm peers demo docs
