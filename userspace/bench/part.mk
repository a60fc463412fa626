# SPDX-License-Identifier: MIT
# gstk-bench: every userspace/bench/*.c, linked with the static library; and the peers, each a
# program of its own in $(O)/bin/peers, built only where its packages are.
bench-dir := userspace/bench
bench-src := $(wildcard $(bench-dir)/*.c)
bench-obj := $(patsubst $(bench-dir)/%.c,$(O)/obj/bench/%.o,$(bench-src))

$(O)/obj/bench/%.o: $(bench-dir)/%.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_COMMON) -I$(bench-dir) $(CFLAGS_COMMON) -MMD -MP -c -o $@ $<

$(O)/bin/gstk-bench: $(bench-obj) $(LIB_A)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_COMMON) -o $@ $(bench-obj) $(LIB_A) $(LIB_LIBS) -lm

# What its resp.* measure is the example server.
$(O)/bin/gstk-bench: | $(O)/bin/pubsub

# These look below the public headers; codec.c at real stacks that another program collects.
$(O)/obj/bench/codec.o $(O)/obj/bench/image.o: CPPFLAGS_COMMON += -Iuserspace/lib
$(O)/bin/codec-corpus: $(addprefix selftests/lib/,codec_corpus_main.c codec_corpus.c codec_corpus.h)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_COMMON) $(CFLAGS_COMMON) -o $@ $(filter %.c,$^) -lresolv -pthread
$(O)/bin/gstk-bench: | $(O)/bin/codec-corpus
# What was not chosen is measured, too.
$(O)/bin/gstk-bench: LIB_LIBS := $(LIB_LIBS) -llz4

-include $(bench-obj:.o=.d)

# make bench BENCH="chan.* ring.*" PEERS=1 JSON=out.json ROUNDS=9
BENCH   ?= default
ROUNDS  ?= 5
JSON    ?= $(TOP_O)/bench.json
bench-peers := $(if $(filter-out 0,$(PEERS)),$(O)/bin/peers)
.PHONY: bench check-bench bench-build bench-peers bench-table
bench: bench-build $(if $(bench-peers),bench-peers)  ## name value unit a line (BENCH=patterns, PEERS=1, ROUNDS=, JSON=)
	@mkdir -p $(dir $(JSON))
	TIMING_LOCK='$(TIMING_LOCK)' $(O)/bin/gstk-bench --rounds $(ROUNDS) --json $(JSON) \
		$(addprefix --peers ,$(bench-peers)) $(foreach b,$(BENCH),'$(b)')
# Documentation/results.rst, between its marks, from the last run (or JSON=file of another).
bench-table:  ## rewrite the table of Documentation/results.rst from JSON=
	perl $(bench-dir)/table.pl $(JSON) $(bench-dir)/targets.txt Documentation/results.rst
bench-build: $(O)/bin/gstk-bench

# Each benchmark runs to its end and emits results: a hundredth of the work, no lock, no figures.
check-bench: bench-build  ## every benchmark still runs
	$(O)/bin/gstk-bench --rounds 1 --scale 0.01 --wait-scale 0.02 --lock '' all >$(O)/check-bench.txt
	@awk 'NF != 3 { print "not name value unit: " $$0; bad = 1 } END { print NR " results"; exit bad }' $(O)/check-bench.txt
check: check-bench


# Peers. The file name is the prefix of their results: boost.fiber.chan.unbuffered.1worker.
# Each line of the table: program, source, command and libraries; a probe says what is missing.
peer-dir := $(bench-dir)/peers
peer-progs := epoll
peer-progs += $(if $(wildcard /usr/include/st.h),st)
peer-progs += $(if $(wildcard /usr/include/uv.h),libuv)
peer-progs += $(if $(wildcard /usr/include/boost/context/detail/fcontext.hpp),boost.context)
peer-progs += $(if $(wildcard /usr/include/boost/fiber/all.hpp),boost.fiber)
peer-progs += $(if $(shell command -v go),go)
peer-progs += $(if $(shell command -v redis-server),redis)
# Crates as Debian packages them: no registry, no network.
crates     := /usr/share/cargo/registry
peer-progs += $(if $(wildcard $(crates)/tokio-1.*),$(if $(shell command -v cargo),tokio))
peer-bin := $(addprefix $(O)/bin/peers/,$(strip $(peer-progs)))
peer-flags := -D_GNU_SOURCE -O2 -g -Wall -Wextra -Wno-unused-parameter

bench-peers: $(peer-bin)
	@for p in epoll st libuv boost.context boost.fiber go redis tokio; do \
		case ' $(strip $(peer-progs)) ' in *" $$p "*) ;; *) echo "peer $$p: its packages are not here, left out";; esac; done

$(O)/bin/peers/epoll: $(peer-dir)/epoll.c $(peer-dir)/peer.h
	$(call say,PEER,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(peer-flags) -o $@ $<
$(O)/bin/peers/st: $(peer-dir)/st.c $(peer-dir)/peer.h
	$(call say,PEER,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(peer-flags) -o $@ $< -lst
$(O)/bin/peers/libuv: $(peer-dir)/libuv.c $(peer-dir)/peer.h
	$(call say,PEER,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(peer-flags) -o $@ $< -luv
$(O)/bin/peers/redis: $(peer-dir)/redis.c $(peer-dir)/peer.h
	$(call say,PEER,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(peer-flags) -o $@ $<
$(O)/bin/peers/boost.context: $(peer-dir)/boost_context.cc $(peer-dir)/peer.h
	$(call say,PEER,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(peer-flags) -o $@ $< -lboost_context
$(O)/bin/peers/boost.fiber: $(peer-dir)/boost_fiber.cc $(peer-dir)/peer.h
	$(call say,PEER,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(peer-flags) -DNDEBUG -o $@ $< -lboost_fiber -lboost_context -pthread
$(O)/bin/peers/go: $(peer-dir)/go.go
	$(call say,PEER,$@)
	@mkdir -p $(@D)
	$(Q)GO111MODULE=off GOFLAGS= GOCACHE=$(abspath $(O)/obj/go-cache) go build -o $@ $<

tokio-obj := $(O)/obj/tokio
define tokio_manifest
[package]
name = "peer"
version = "0.0.0"
edition = "2021"
[[bin]]
name = "tokio"
path = "$(abspath $(peer-dir)/tokio.rs)"
[dependencies]
tokio = { version = "1", features = ["rt-multi-thread", "net", "sync", "time", "io-util"] }
[profile.release]
lto = true
codegen-units = 1
panic = "abort"
endef
$(O)/bin/peers/tokio: export tokio_manifest := $(tokio_manifest)
$(O)/bin/peers/tokio: $(peer-dir)/tokio.rs
	$(call say,PEER,$@)
	@mkdir -p $(@D) $(tokio-obj)
	@printf '%s\n' "$$tokio_manifest" >$(tokio-obj)/Cargo.toml
	$(Q)cargo build -q --release --offline --manifest-path $(tokio-obj)/Cargo.toml --target-dir $(tokio-obj)/target \
		--config 'source.crates-io.replace-with="debian"' --config 'source.debian.directory="$(crates)"'
	$(Q)cp $(tokio-obj)/target/release/tokio $@

# libcurl two ways; on demand: make bench-curl ROUNDS=9 DELAY=100 (ms that the server takes)
$(O)/bin/peers/curl: $(peer-dir)/curl.c $(peer-dir)/http_server.h $(PRELOAD_SO)
	$(call say,PEER,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(peer-flags) -Iinclude -o $@ $< -L$(O)/lib -Wl,-rpath,$(abspath $(O)/lib) -Wl,--push-state,--no-as-needed \
		-lgreenstk-preload -Wl,--pop-state -lcurl -lgreenstk
.PHONY: bench-curl
bench-curl: $(O)/bin/peers/curl  ## blocking libcurl in tasks beside a libcurl-multi program
	@flock '$(TIMING_LOCK)' $< 500 $(ROUNDS) $(DELAY)

all: bench-build
