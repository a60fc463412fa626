# SPDX-License-Identifier: MIT
# libgreenstk, static and shared, from every source below this folder (one CPU's arch/ only).
# Of the compiler, which may be a cross compiler.
lib-cpu  := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
lib-dir  := userspace/lib
lib-src  := $(wildcard $(addsuffix /*.c,$(addprefix $(lib-dir)/,api wait sched park task window host debug arch))) \
	$(wildcard $(lib-dir)/arch/$(lib-cpu)/*.c $(lib-dir)/arch/$(lib-cpu)/*.S)
lib-obj  := $(patsubst $(lib-dir)/%,$(O)/obj/lib/%.o,$(lib-src))
lib-pobj := $(lib-obj:.o=.pic.o)

lib-cppflags := $(CPPFLAGS_COMMON) -I$(lib-dir) -DGSTK_BUILD -DGSTK_VERSION='"$(VERSION)"'
# -fno-semantic-interposition: calls inside the library are direct, only -Bsymbolic-functions'
# effect at compile time; asynchronous tables, since tasks are unwound at any instruction.
lib-cflags = $(CFLAGS_COMMON) -fvisibility=hidden -fno-semantic-interposition \
	-fasynchronous-unwind-tables -fno-strict-aliasing

$(O)/obj/lib/%.c.o: $(lib-dir)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(lib-cppflags) $(lib-cflags) -MMD -MP -c -o $@ $<
$(O)/obj/lib/%.S.o: $(lib-dir)/%.S
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(lib-cppflags) $(lib-cflags) -MMD -MP -c -o $@ $<
# Initial-exec TLS: a thread-local costs one load, as in the static library.
$(O)/obj/lib/%.c.pic.o: $(lib-dir)/%.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(lib-cppflags) $(lib-cflags) -fPIC -ftls-model=initial-exec -MMD -MP -c -o $@ $<
$(O)/obj/lib/%.S.pic.o: $(lib-dir)/%.S
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(lib-cppflags) $(lib-cflags) -fPIC -MMD -MP -c -o $@ $<

$(LIB_A): $(lib-obj)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)$(AR) rcs $@ $^

$(LIB_SO): $(lib-pobj) $(lib-dir)/greenstk.map
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(lib-cflags) -shared -Wl,-soname,$(@F) -Wl,--version-script=$(lib-dir)/greenstk.map \
		$(if $(SAN),,-Wl$(comma)-z$(comma)defs) -Wl,-z,relro,-z,now -o $@ $(filter %.o,$^) $(LIB_LIBS)
	$(Q)ln -sf $(@F) $(@D)/libgreenstk.so

# An exception may come through it. Not with LTO: that makes one declaration of the assembly it calls out of
# this one and those of files compiled without exceptions, and then believes that nothing comes.
$(addprefix $(O)/obj/lib/sched/annex.c,.o .pic.o): private lib-cflags += -fexceptions -fno-lto
$(addprefix $(O)/obj/lib/wait/once.c,.o .pic.o): private lib-cflags += -fexceptions

-include $(lib-obj:.o=.d) $(lib-pobj:.o=.d)

.PHONY: lib
lib: $(LIB_A) $(LIB_SO)
all: lib
