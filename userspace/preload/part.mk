# SPDX-License-Identifier: MIT
# libgreenstk-preload: the interposed libc, over the public headers and the shared library. The archive
# is for programs that are linked with libgreenstk.a: it goes into them as a whole.
preload-dir := userspace/preload
preload-src := $(wildcard $(preload-dir)/*.c)
preload-obj := $(patsubst $(preload-dir)/%.c,$(O)/obj/preload/%.o,$(preload-src))

# Inside tasks, so: unwindable at any instruction. The compiler must not know what read() does.
preload-cflags = $(CFLAGS_COMMON) -fPIC -fvisibility=hidden -fno-builtin -fasynchronous-unwind-tables -U_FORTIFY_SOURCE

$(O)/obj/preload/%.o: $(preload-dir)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS_COMMON) $(preload-cflags) -MMD -MP -c -o $@ $<
-include $(preload-obj:.o=.d)

$(PRELOAD_A): $(preload-obj)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

# The names have no version of their own, so they stand for every version of the original.
$(PRELOAD_SO): $(preload-obj) $(LIB_SO)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(preload-cflags) -shared -Wl,-soname,$(@F) $(if $(SAN),,-Wl$(comma)-z$(comma)defs) -Wl,-z,relro,-z,now \
		-Wl,-rpath,'$$ORIGIN' -o $@ $(preload-obj) $(LIB_SO) -ldl -pthread

.PHONY: preload install-preload
preload: $(PRELOAD_SO) $(PRELOAD_A)
all: preload

install: install-preload
install-preload: $(PRELOAD_SO) $(PRELOAD_A)
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 644 $(PRELOAD_A) $(DESTDIR)$(LIBDIR)/
	install -m 755 $(PRELOAD_SO) $(DESTDIR)$(LIBDIR)/
	sed -e 's|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' $(preload-dir)/greenstk-preload.pc.in \
		>$(DESTDIR)$(LIBDIR)/pkgconfig/greenstk-preload.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/greenstk-preload.pc
