# SPDX-License-Identifier: MIT
# Tools: userspace/tools/NAME.c is the program NAME, installed.
tools-dir  := userspace/tools
tools-prog := $(patsubst $(tools-dir)/%.c,$(O)/bin/%,$(wildcard $(tools-dir)/*.c))
INSTALL_BIN += $(tools-prog)

$(tools-prog): $(O)/bin/%: $(tools-dir)/%.c $(LIB_A)
	@mkdir -p $(@D)
	$(call say,TOOL,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) $(CFLAGS_COMMON) -MMD -MP -MF $@.d -MT $@ -o $@ $< $(LIB_A) $(LIB_LIBS) -lm
-include $(addsuffix .d,$(tools-prog))

.PHONY: tools
tools: $(tools-prog)
all: tools
