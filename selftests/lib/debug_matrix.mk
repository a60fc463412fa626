# SPDX-License-Identifier: MIT
# The unwinder's reference.
$(O)/test/lib/cfi_test: LIB_LIBS += -lunwind
