# SPDX-License-Identifier: MIT
# The module: see selftests/vm for the kernels it is built and run on (make kmod).
KDIR    ?= /lib/modules/$(shell uname -r)/build
DKMSDIR ?= /usr/src
.PHONY: module kmod-static kmod-abi install-kmod

module: ## greenstk.ko for the running kernel (KDIR=another)
	$(MAKE) -C $(KDIR) M=$(abspath kmod) modules

# Without a kernel at hand: the layout of the ABI, the pure part, the example.
kmod-abi: | $(O)
	scripts/kmod-abi.sh $(O)/kmod-abi
	scripts/kmod-example.sh $(O)/kmod-abi
test-quick: kmod-abi
$(O):
	@mkdir -p $@

kmod-static: kmod-abi kmod ## sparse, checkpatch, undefined symbols of the module
	@$(VM_ENV) $(RUN_TESTS) -s kmod-static -t 900 "scripts/kmod-symbols.sh $(KERNELS:%=$(O)/kmod-%/greenstk.ko)" \
		"scripts/kmod-sparse.sh $(O) $(KERNELS)" scripts/kmod-checkpatch.sh
ifeq ($(FAST),)
check: kmod-static
endif

install-kmod:    ## the module for DKMS, its udev rule and modules-load file: outside of PREFIX, so not in "install"
	install -d $(DESTDIR)$(DKMSDIR)/greenstk-$(VERSION)/kmod/compat \
		$(DESTDIR)$(DKMSDIR)/greenstk-$(VERSION)/include/uapi/linux \
		$(DESTDIR)/usr/lib/udev/rules.d $(DESTDIR)/usr/lib/modules-load.d
	install -m 644 kmod/*.[ch] kmod/Kbuild $(DESTDIR)$(DKMSDIR)/greenstk-$(VERSION)/kmod/
	install -m 644 kmod/compat/*.h $(DESTDIR)$(DKMSDIR)/greenstk-$(VERSION)/kmod/compat/
	install -m 644 kmod/dkms.conf $(DESTDIR)$(DKMSDIR)/greenstk-$(VERSION)/
	install -m 644 include/uapi/linux/greenstk.h \
		$(DESTDIR)$(DKMSDIR)/greenstk-$(VERSION)/include/uapi/linux/
	install -m 644 kmod/packaging/70-greenstk.rules $(DESTDIR)/usr/lib/udev/rules.d/
	install -m 644 kmod/packaging/greenstk.conf $(DESTDIR)/usr/lib/modules-load.d/
