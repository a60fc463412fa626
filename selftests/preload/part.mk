# SPDX-License-Identifier: MIT
# Each selftests/preload/*_test.c in three ways: the preloaded library, the same at link time, and the
# archive with the static runtime in one program. Suites of foreign libraries: where these are.
preload-suites := $(patsubst selftests/preload/%.c,%,$(wildcard selftests/preload/*_test.c))
# suite, header, libraries
define preload-foreign
preload-libs-$(1) := $(3)
ifeq ($(wildcard $(2) /usr/include/*/$(2) /usr/include/$(2)),)
preload-suites := $$(filter-out $(1),$$(preload-suites))
preload-left-out += $(1)
endif
endef
$(eval $(call preload-foreign,hiredis_test,hiredis/hiredis.h,-lhiredis))
$(eval $(call preload-foreign,curl_test,curl/curl.h,-lcurl))
$(eval $(call preload-foreign,pq_test,postgresql/libpq-fe.h,-isystem /usr/include/postgresql -lpq))
PRELOAD_LIMIT  ?= 300
PRELOAD_T      := $(O)/test/preload
preload-prog   := $(foreach way,preloaded linked static,$(preload-suites:%=$(PRELOAD_T)/$(way)/%))
preload-shared := -L$(O)/lib -Wl,-rpath,$(abspath $(O)/lib)
preload-compile = $(Q)$(CC) $(CPPFLAGS_COMMON) $(KSELFTEST_CPPFLAGS) -MMD -MP -MF $@.d -MT $@ $(CFLAGS_COMMON) \
	-Wno-missing-prototypes -Wno-unused-function -o $@ $(filter %.c,$^)

$(PRELOAD_T)/preloaded/%: selftests/preload/%.c $(LIB_SO) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(preload-compile) $(preload-libs-$*) $(preload-shared) -lgreenstk -pthread
$(PRELOAD_T)/linked/%: selftests/preload/%.c $(PRELOAD_SO) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(preload-compile) $(preload-shared) -Wl,--push-state,--no-as-needed -lgreenstk-preload -Wl,--pop-state \
		$(preload-libs-$*) -lgreenstk -pthread
$(PRELOAD_T)/static/%: selftests/preload/%.c $(PRELOAD_A) $(LIB_A) | $(KSELFTEST)
	@mkdir -p $(@D)
	$(call say,TEST,$@)
	$(preload-compile) -Wl,--whole-archive $(PRELOAD_A) -Wl,--no-whole-archive $(preload-libs-$*) $(LIB_A) $(LIB_LIBS) -ldl
-include $(addsuffix .d,$(preload-prog))

preload-wrap-preloaded := -w "env LD_PRELOAD=$(abspath $(PRELOAD_SO))"
.PHONY: check-preload check-preload-evict check-preload-programs $(addprefix check-preload-,preloaded linked static)
$(addprefix check-preload-,preloaded linked static): check-preload-%: $(preload-prog) $(PRELOAD_SO)
	@$(RUN_TESTS) -s preload -v $* -t $(PRELOAD_LIMIT) $(preload-wrap-$*) $(filter $(PRELOAD_T)/$*/%,$(preload-prog))
# Tasks that share windows leave them at each wait.
check-preload-evict: $(preload-prog) $(PRELOAD_SO)
	@GREENSTK_FORCE_EVICT=1 $(RUN_TESTS) -s preload -v force-evict -t $(PRELOAD_LIMIT) $(preload-wrap-preloaded) \
		$(filter $(PRELOAD_T)/preloaded/%,$(preload-prog))
check-preload-programs: $(PRELOAD_SO)
	@$(RUN_TESTS) -s preload -v programs "selftests/preload/programs.sh $(PRELOAD_SO)"
check-preload: check-preload-programs check-preload-preloaded check-preload-linked check-preload-static check-preload-evict  ## the interposed libc, and real libraries over it
	@echo "suites left out for want of their library: $(or $(preload-left-out),none)"
check: check-preload
build-check: $(preload-prog)
