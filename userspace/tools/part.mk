# SPDX-License-Identifier: MIT
# Tools: userspace/tools/NAME.c is the program NAME, installed.
tools-dir  := userspace/tools
tools-prog := $(patsubst $(tools-dir)/%.c,$(O)/bin/%,$(wildcard $(tools-dir)/*.c))
INSTALL_BIN += $(tools-prog)

$(tools-prog): $(O)/bin/%: $(tools-dir)/%.c $(LIB_A)
	@mkdir -p $(@D)
	$(call say,TOOL,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) $(CFLAGS_COMMON) -MMD -MP -MF $@.d -MT $@ -o $@ $(filter %.c,$^) $(LIB_A) $(LIB_LIBS) -lm
# A tool with further sources.
$(O)/bin/gstk-sim: $(wildcard $(tools-dir)/sim/*.c) $(tools-dir)/sim/sim.h
$(O)/bin/gstk-stack: $(wildcard $(tools-dir)/stack/*.c) $(tools-dir)/stack/profile.h
-include $(addsuffix .d,$(tools-prog))

# gstk-stack tells the library's frames from the application's by their names, static functions included.
NM ?= nm
$(O)/gen/library-names.h: $(LIB_A)
	@mkdir -p $(@D)
	$(Q)$(NM) $< 2>/dev/null | awk '$$2 ~ /^[tT]$$/ { sub(/\..*/, "", $$3); print $$3 }' | LC_ALL=C sort -u | \
		sed 's/.*/"&",/' > $@
	$(Q)test -s $@
$(O)/bin/gstk-stack: $(O)/gen/library-names.h
$(O)/bin/gstk-stack: private CPPFLAGS_COMMON += -I$(O)/gen
$(O)/test/lib/stackprof_test: $(O)/bin/gstk-stack
$(O)/test/lib/stackprof_test: private LIB_LIBS += -Wl,-z,lazy
$(O)/test/lib/stackprof_test: CPPFLAGS_COMMON += -DGSTK_STACK='"$(abspath $(O)/bin/gstk-stack)"'

.PHONY: tools
tools: $(tools-prog)
all: tools

# The gdb script and its modules. Where the library is installed gdb finds it by itself (auto-load);
# programs that are linked statically source it.
gdb-script  := $(tools-dir)/greenstk-gdb.py
gdb-modules := $(wildcard $(tools-dir)/greenstk_gdb/*.py)
$(O)/test/lib/gdb_tasks_test $(O)/test/lib/lazy_test $(O)/with_module/lazy_test $(O)/test/lib/lazy_pack_test: CPPFLAGS_COMMON += -DGSTK_GDB_SCRIPT='"$(abspath $(gdb-script))"'

# The checker of kept thread-local addresses, and its modules.
tls-modules := $(wildcard $(tools-dir)/gstk_tlscheck/*.py)
INSTALL_BIN += $(tools-dir)/gstk-tlscheck
install: install-tlscheck
.PHONY: install-tlscheck
install-tlscheck: $(tls-modules)
	install -d $(DESTDIR)$(PREFIX)/share/greenstk/gstk_tlscheck
	install -m 644 $(tls-modules) $(DESTDIR)$(PREFIX)/share/greenstk/gstk_tlscheck/

.PHONY: install-gdb
install: install-gdb
install-gdb: $(gdb-script) $(gdb-modules)
	install -d $(DESTDIR)$(PREFIX)/share/greenstk/greenstk_gdb $(DESTDIR)$(PREFIX)/share/gdb/auto-load$(LIBDIR)
	install -m 644 $(gdb-script) $(DESTDIR)$(PREFIX)/share/greenstk/
	install -m 644 $(gdb-modules) $(DESTDIR)$(PREFIX)/share/greenstk/greenstk_gdb/
	ln -sfr $(DESTDIR)$(PREFIX)/share/greenstk/$(notdir $(gdb-script)) \
		$(DESTDIR)$(PREFIX)/share/gdb/auto-load$(LIBDIR)/$(notdir $(LIB_SO))-gdb.py
