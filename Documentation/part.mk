# SPDX-License-Identifier: MIT
# Section 3 comes from the public headers; sections 1, 4 and 7 are written by hand in man/.
man3-headers := $(sort $(wildcard include/greenstk/*.h))
# A header of one CPU is included by another header and documents nothing by itself.
man3-pages   := $(patsubst include/greenstk/%.h,$(O)/man/greenstk-%.3,$(filter-out %-x86_64.h %-aarch64.h,$(man3-headers)))
INSTALL_MAN  += $(man3-pages)
CLAIMS       += "scripts/check-man.sh $(O)/man" scripts/check-rejected.sh

$(man3-pages) &: scripts/man-pages.sh $(man3-headers)
	$(call say,MAN,$(O)/man)
	$(Q)scripts/man-pages.sh $(O)/man $(VERSION) $(man3-headers)

.PHONY: man
man: $(man3-pages)  ## man pages of the public functions, from the headers
all: man
