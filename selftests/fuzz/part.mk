# SPDX-License-Identifier: MIT
# Parsers of what strangers send, and the codec of packed stacks, against bytes that libFuzzer makes up: it looks for new
# ways through the code. NAME.dict has words that it may not find alone. With clang's sanitizers.
fuzz-prog := $(patsubst selftests/fuzz/%_fuzz.c,$(O)/fuzz/%,$(wildcard selftests/fuzz/*_fuzz.c))
$(O)/fuzz/resp: userspace/examples/pubsub/resp_parse.c
$(O)/fuzz/reply: userspace/examples/pubsub/resp_reply.c
$(O)/fuzz/glob: userspace/examples/pubsub/glob.c
$(O)/fuzz/url $(O)/fuzz/robots: userspace/examples/crawler/url.c
$(O)/fuzz/robots: userspace/examples/crawler/robots.c
$(O)/fuzz/html: userspace/examples/crawler/html.c
$(O)/fuzz/response: userspace/examples/crawler/response.c
$(O)/fuzz/codec: userspace/lib/park/codec.c userspace/lib/park/codec_unpack.c
$(fuzz-prog): $(O)/fuzz/%: selftests/fuzz/%_fuzz.c $(wildcard selftests/fuzz/*.h userspace/examples/*/*.h userspace/lib/park/codec*.h)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)clang $(CSTD) -D_GNU_SOURCE -g -O1 $(WARN) -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-Iuserspace/lib -Iuserspace/examples/pubsub -Iuserspace/examples/crawler -o $@ $(filter %.c,$^)

# Each makes up so many inputs; the same for the same SEED.
FUZZ_RUNS ?= 100000
.PHONY: check-parsers
check-parsers: $(fuzz-prog)  ## parsers and the codec against what a fuzzer makes up (SEED=, FUZZ_RUNS= for each)
	@echo "fuzz: seed $(SEED)"
	@O=$(O) SEED=$(SEED) FUZZ_RUNS=$(FUZZ_RUNS) $(RUN_TESTS) -s fuzz -t 3600 \
		$(patsubst $(O)/fuzz/%,"selftests/fuzz/fuzz.sh %",$(fuzz-prog))
check: check-parsers
