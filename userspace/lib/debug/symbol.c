// SPDX-License-Identifier: MIT
#include "debug/symbol.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_SECTION ((uint64_t)1 << 28)

/* A part of the file, copied: the file may be truncated while we look. */
static char *read_part(int fd, uint64_t offset, uint64_t bytes)
{
	uint64_t done = 0;
	char *p;

	if (!bytes || bytes > MAX_SECTION)
		return NULL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	while (done < bytes) {
		ssize_t n = pread(fd, p + done, bytes - done, (off_t)(offset + done));

		if (n <= 0) {
			munmap(p, bytes);
			return NULL;
		}
		done += (uint64_t)n;
	}
	return p;
}

static void load(struct gstk__symbol_object *o)
{
	const ElfW(Shdr) *sections, *table = NULL;
	ElfW(Ehdr) header;
	int fd = open(*o->path ? o->path : "/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t bytes;

	if (fd < 0)
		return;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG) ||
	    header.e_shentsize != sizeof(*sections))
		goto out;
	bytes = (uint64_t)header.e_shnum * sizeof(*sections);
	sections = (const ElfW(Shdr) *)read_part(fd, header.e_shoff, bytes);
	if (!sections)
		goto out;
	for (unsigned int i = 0; i < header.e_shnum; i++)
		if (sections[i].sh_type == SHT_SYMTAB || (sections[i].sh_type == SHT_DYNSYM && !table))
			table = &sections[i];
	if (table && table->sh_link < header.e_shnum && table->sh_entsize == sizeof(ElfW(Sym))) {
		const ElfW(Shdr) *names = &sections[table->sh_link];

		o->syms_bytes = table->sh_size;
		o->names_bytes = names->sh_size;
		o->syms = read_part(fd, table->sh_offset, table->sh_size);
		o->names = read_part(fd, names->sh_offset, names->sh_size);
		if (o->names && o->names[o->names_bytes - 1]) /* must end in a zero */
			o->names[o->names_bytes - 1] = 0;
	}
	munmap((void *)sections, bytes);
out:
	close(fd);
}

static struct gstk__symbol_object *object_of(struct gstk__symbols *s, uintptr_t pc)
{
	struct gstk__symbol_object *o;
	struct dl_find_object found;

	for (unsigned int i = 0; i < s->nr; i++)
		if (pc >= s->object[i].start && pc < s->object[i].end)
			return &s->object[i];
	if (s->nr == GSTK__SYMBOL_OBJECTS || _dl_find_object((void *)pc, &found))
		return NULL;
	o = &s->object[s->nr++];
	o->start = (uintptr_t)found.dlfo_map_start;
	o->end = (uintptr_t)found.dlfo_map_end;
	o->bias = found.dlfo_link_map->l_addr;
	o->path = found.dlfo_link_map->l_name ? found.dlfo_link_map->l_name : "";
	load(o);
	return o;
}

static void search(const struct gstk__symbol_object *o, struct gstk__symbol *out)
{
	uint64_t nr = o->syms_bytes / sizeof(ElfW(Sym)), at = out->pc - o->bias, best = 0;
	const ElfW(Sym) *sym = (const ElfW(Sym) *)o->syms;

	if (!o->syms || !o->names)
		return;
	for (uint64_t i = 0; i < nr; i++) {
		unsigned int type = sym[i].st_info & 0xf;

		if ((type != STT_FUNC && type != STT_NOTYPE && type != STT_GNU_IFUNC) || !sym[i].st_shndx ||
		    sym[i].st_name >= o->names_bytes || !o->names[sym[i].st_name])
			continue;
		if (sym[i].st_value > at || at - sym[i].st_value >= sym[i].st_size ||
		    (out->name && sym[i].st_value < best))
			continue;
		best = sym[i].st_value;
		out->name = o->names + sym[i].st_name;
		out->offset = at - best;
	}
}

const struct gstk__symbol *gstk__symbol_find(struct gstk__symbols *s, uintptr_t pc)
{
	struct gstk__symbol *c = &s->cache[(pc * 0x9e3779b97f4a7c15u) >> 54];
	struct gstk__symbol_object *o;

	if (c->pc == pc)
		return c;
	*c = (struct gstk__symbol){ .pc = pc };
	o = object_of(s, pc);
	if (!o)
		return c;
	c->object = *o->path ? o->path : "program";
	c->object_offset = pc - o->bias;
	search(o, c);
	return c;
}

void gstk__symbols_free(struct gstk__symbols *s)
{
	for (unsigned int i = 0; i < s->nr; i++) {
		if (s->object[i].syms)
			munmap(s->object[i].syms, s->object[i].syms_bytes);
		if (s->object[i].names)
			munmap(s->object[i].names, s->object[i].names_bytes);
	}
	memset(s, 0, sizeof(*s));
}
