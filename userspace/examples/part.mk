# SPDX-License-Identifier: MIT
# The examples: public headers and the installed library only.
ex-dir     := userspace/examples
ex-obj      = $(patsubst $(ex-dir)/%.c,$(O)/obj/examples/%.o,$(wildcard $(ex-dir)/$(1)/*.c))
# Programs of their own beside the server; all other files of pubsub/ are the server's.
pubsub-main := $(O)/obj/examples/pubsub/server.o
pubsub-load := $(patsubst $(ex-dir)/%.c,$(O)/obj/examples/%.o,$(wildcard $(ex-dir)/pubsub/load*.c))
pubsub-lib  := $(filter-out $(pubsub-main) $(pubsub-load),$(call ex-obj,pubsub))
PUBSUB_A    := $(O)/lib/pubsub.a
# The crawler, and the same source on threads: threads.c has what it takes of the runtime there. Its objects are
# apart from the examples', which gstk-tlscheck reads: a thread does not change threads while it waits.
crawler-obj := $(filter-out %/main.o %/threads.o %/site.o,$(call ex-obj,crawler))
threads-obj := $(patsubst $(O)/obj/examples/crawler/%,$(O)/obj/crawler-threads/%,\
	$(filter-out %/site.o,$(call ex-obj,crawler)))
CRAWLER_A   := $(O)/lib/crawler.a
EXAMPLES    := $(O)/bin/echo $(O)/bin/pubsub $(if $(pubsub-load),$(O)/bin/pubsub-load) \
	$(O)/bin/crawler $(O)/bin/crawler-threads $(O)/bin/crawler-site

$(O)/obj/examples/%.o: $(ex-dir)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) $(CFLAGS_COMMON) -MMD -MP -c -o $@ $<
$(O)/obj/crawler-threads/%.o: $(ex-dir)/crawler/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) -DCRAWLER_THREADS $(CFLAGS_COMMON) -MMD -MP -c -o $@ $<
-include $(patsubst %.o,%.d,$(call ex-obj,pubsub) $(call ex-obj,echo) $(call ex-obj,crawler) $(threads-obj))

$(PUBSUB_A): $(pubsub-lib)
$(CRAWLER_A): $(crawler-obj)
$(PUBSUB_A) $(CRAWLER_A):
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(O)/bin/pubsub: $(pubsub-main) $(PUBSUB_A) $(LIB_A)
$(O)/bin/pubsub-load: LIB_LIBS := -lm
$(O)/bin/pubsub-load: $(pubsub-load)
$(O)/bin/echo: $(call ex-obj,echo) $(LIB_A)
$(O)/bin/crawler: $(O)/obj/examples/crawler/main.o $(CRAWLER_A) $(LIB_A)
$(O)/bin/crawler-threads: $(threads-obj)
$(O)/bin/crawler-threads: LIB_LIBS := -pthread
$(O)/bin/crawler-site: $(O)/obj/examples/crawler/site.o
$(O)/bin/crawler-site: LIB_LIBS :=
$(EXAMPLES):
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(CFLAGS_COMMON) -o $@ $^ $(LIB_LIBS) 

.PHONY: examples
examples: $(EXAMPLES)
all: examples

# Unit tests of the server's parts are in selftests/lib with the others, so that they run in all
# variants; they link these objects too.
pubsub-tests := $(patsubst selftests/lib/%.c,$(O)/test/lib/%,$(wildcard selftests/lib/pubsub_*_test.c selftests/lib/resp_*_test.c))
$(pubsub-tests): $(PUBSUB_A)
$(pubsub-tests): CPPFLAGS_COMMON += -I$(ex-dir)/pubsub
$(pubsub-tests): LIB_LIBS := $(PUBSUB_A) $(LIB_A) $(LIB_LIBS)

# These start the real server, which inherits the variant's environment.
server-tests := $(addprefix $(O)/test/lib/pubsub_,server_test crowd_test upstream_test deep_test)
$(server-tests): $(O)/bin/pubsub
$(server-tests): CPPFLAGS_COMMON += -DPUBSUB_SERVER='"$(abspath $(O)/bin/pubsub)"' -Wno-unused-function
$(O)/test/lib/pubsub_server_test: LIB_LIBS += -lhiredis

$(O)/test/lib/echo_test: | $(O)/bin/echo

# The crawler's parts, and both of its programs against nginx.
crawler-tests := $(patsubst selftests/lib/%.c,$(O)/test/lib/%,$(wildcard selftests/lib/crawler_*_test.c))
$(crawler-tests): $(CRAWLER_A)
$(crawler-tests): CPPFLAGS_COMMON += -I$(ex-dir)/crawler
$(crawler-tests): LIB_LIBS := $(CRAWLER_A) $(LIB_A) $(LIB_LIBS)
$(O)/test/lib/crawler_test: | $(O)/bin/crawler $(O)/bin/crawler-threads $(O)/bin/crawler-site
$(O)/test/lib/crawler_test: CPPFLAGS_COMMON += -DCRAWLER_BIN='"$(abspath $(O)/bin)/"'

.PHONY: demo-pubsub
demo: demo-pubsub  ## the publish/subscribe server with as many subscribers as the machine allows
demo-pubsub: $(O)/bin/pubsub $(O)/bin/pubsub-load
	@$(ex-dir)/pubsub/demo.sh $(O)/bin

.PHONY: demo-crawler
demo: demo-crawler
demo-crawler: $(O)/bin/crawler $(O)/bin/crawler-threads $(O)/bin/crawler-site  ## the web crawler, on tasks and on threads
	@$(ex-dir)/crawler/demo.sh $(O)/bin

# Tools and libraries that know nothing of the server, in each variant of the unit tests.
pubsub-variants := plain $(unit-variants)
.PHONY: check-pubsub $(addprefix check-pubsub-,$(pubsub-variants))
$(addprefix check-pubsub-,$(pubsub-variants)): check-pubsub-%: $(O)/bin/pubsub
	@$(variant-$*) $(RUN_TESTS) -s pubsub -v $* -t 300 "selftests/lib/pubsub_tools.sh $(O)/bin/pubsub"
check-pubsub: $(addprefix check-pubsub-,$(pubsub-variants))  ## redis-cli, redis-benchmark and a Python client
check: check-pubsub
