// SPDX-License-Identifier: MIT
#include "preload.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct preload_originals preload_originals;

/* The runtime's own code, when it is a library of its own: it means the originals. */
static struct {
	uintptr_t from, bytes;
} runtime;

/* Some names have an old version beside the one that programs are linked with today. */
static void *find(const char *name)
{
	void *p = NULL;

#ifdef __x86_64__
	if (!strncmp(name, "pthread_cond_", 13))
		p = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
#endif
	if (!p)
		p = dlsym(RTLD_NEXT, name);
	if (!p) {
		fprintf(stderr, "greenstk-preload: no %s in this libc\n", name);
		abort();
	}
	return p;
}

void preload_find_originals(void)
{
#define X(name) __atomic_store_n((void **)&preload_originals.name, find(#name), __ATOMIC_RELAXED);
	PRELOAD_ORIGINALS(X)
#undef X
}

static int note_runtime(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t self = (uintptr_t)arg;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || self - from >= p->p_memsz)
			continue;
		/* Linked into the same file as this one, nothing tells it from the application. */
		if ((uintptr_t)&preload_is_green - from >= p->p_memsz) {
			runtime.from = from;
			runtime.bytes = p->p_memsz;
		}
		return 1;
	}
	return 0;
}

static __thread uint32_t tid __attribute__((tls_model("initial-exec")));

NOINLINE uint32_t preload_tid(void)
{
	if (!tid)
		tid = (uint32_t)gettid();
	return tid;
}

static pid_t pid;

bool preload_owns_memory(void)
{
	return getpid() == pid;
}

/* The thread has called vfork(): it may be in the child, with all memory of its parent, this included. */
static __thread bool vforked __attribute__((tls_model("initial-exec")));

/* For what is below only. */
void *preload_vfork(void) __attribute__((used));

void *preload_vfork(void)
{
	vforked = true;
	return (void *)real(vfork);
}

static NOINLINE bool in_vfork_child(void)
{
	if (!preload_owns_memory())
		return true;
	vforked = false;
	return false;
}

/* It returns twice, so nothing may be between it and its caller: found, then jumped to. */
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
	".globl vfork\n"
	".type vfork, @function\n"
	"vfork:\n"
	".cfi_startproc\n"
	"	endbr64\n"
	"	subq $8, %rsp\n"
	".cfi_adjust_cfa_offset 8\n"
	"	call preload_vfork\n"
	"	addq $8, %rsp\n"
	".cfi_adjust_cfa_offset -8\n"
	"	jmp *%rax\n"
	".cfi_endproc\n"
	".size vfork, . - vfork\n"
	".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
	".globl vfork\n"
	".type vfork, %function\n"
	"vfork:\n"
	".cfi_startproc\n"
	"	hint #34\n" /* bti c */
	"	stp x29, x30, [sp, #-16]!\n"
	".cfi_adjust_cfa_offset 16\n"
	".cfi_rel_offset x29, 0\n"
	".cfi_rel_offset x30, 8\n"
	"	bl preload_vfork\n"
	"	ldp x29, x30, [sp], #16\n"
	".cfi_adjust_cfa_offset -16\n"
	".cfi_restore x29\n"
	".cfi_restore x30\n"
	"	mov x16, x0\n"
	"	br x16\n"
	".cfi_endproc\n"
	".size vfork, . - vfork\n"
	".popsection\n");
#endif

static void forked(void)
{
	tid = 0;
	pid = getpid();
}

static __attribute__((constructor)) void begin(void)
{
	preload_find_originals();
	/* dlsym: the address in the library, not that of a stub here. */
	dl_iterate_phdr(note_runtime, dlsym(RTLD_DEFAULT, "gstk_self") ?: (void *)&gstk_self);
	pid = getpid();
	pthread_atfork(NULL, NULL, forked);
	setenv("GREENSTK_PRIVATE_TASKS", "1", 0);
}

/* The calling thread's signal stack, as last seen. */
static __thread struct {
	uintptr_t from, bytes;
	bool known;
} signal_stack __attribute__((tls_model("initial-exec")));

NOINLINE bool preload_is_green(const void *from)
{
	stack_t ss;

	if ((uintptr_t)from - runtime.from < runtime.bytes)
		return false;
	if (__builtin_expect(vforked, 0) && in_vfork_child())
		return false;
	if (!signal_stack.known) {
		signal_stack.bytes = 0;
		if (!real(sigaltstack)(NULL, &ss) && !(ss.ss_flags & SS_DISABLE)) {
			signal_stack.from = (uintptr_t)ss.ss_sp;
			signal_stack.bytes = ss.ss_size;
		}
		signal_stack.known = true;
	}
	return (uintptr_t)__builtin_frame_address(0) - signal_stack.from >= signal_stack.bytes;
}

EXPORT int sigaltstack(const stack_t *ss, stack_t *old)
{
	signal_stack.known = false;
	return real(sigaltstack)(ss, old);
}

NOINLINE int preload_errno(void)
{
	return errno;
}

NOINLINE int preload_fail(int err)
{
	errno = err;
	return -1;
}
