# SPDX-License-Identifier: MIT
# A part adds its files: INSTALL_BIN (programs), INSTALL_MAN (pages), or a rule "install: my-rule".
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
INSTALL_MAN += $(wildcard Documentation/man/*.[1-9])

.PHONY: install-lib install-man install-bin
install: install-lib install-man install-bin

install-lib: $(LIB_A) $(LIB_SO)
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/greenstk
	install -m 644 $(LIB_A) $(DESTDIR)$(LIBDIR)/
	install -m 755 $(LIB_SO) $(DESTDIR)$(LIBDIR)/
	ln -sf $(notdir $(LIB_SO)) $(DESTDIR)$(LIBDIR)/libgreenstk.so
	$(if $(DESTDIR),,@ldconfig 2>/dev/null || echo "libgreenstk: run ldconfig as root, or programs do not find it")
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|; s|@LIBS_PRIVATE@|$(strip $(LIB_LIBS))|' \
		userspace/lib/greenstk.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/greenstk.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/greenstk.pc
	install -m 644 include/greenstk.h include/greenstk.hpp $(DESTDIR)$(INCLUDEDIR)/
	install -m 644 $(wildcard include/greenstk/*.h) $(DESTDIR)$(INCLUDEDIR)/greenstk/
	$(if $(wildcard include/uapi/linux/*.h),install -d $(DESTDIR)$(INCLUDEDIR)/linux && \
		install -m 644 include/uapi/linux/*.h $(DESTDIR)$(INCLUDEDIR)/linux/)

install-bin: $(INSTALL_BIN)
	$(if $(INSTALL_BIN),install -d $(DESTDIR)$(PREFIX)/bin && \
		install -m 755 $(INSTALL_BIN) $(DESTDIR)$(PREFIX)/bin/)

# A page that documents several functions (its NAME line) is installed under each name.
install-man: $(INSTALL_MAN)
	$(if $(INSTALL_MAN),scripts/install-man.sh $(DESTDIR)$(MANDIR) $(INSTALL_MAN))
