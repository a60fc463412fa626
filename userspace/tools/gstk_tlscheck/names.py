# SPDX-License-Identifier: MIT
"""
Functions known by name. PARKS is a claim about the library: --list-parking over libgreenstk.a finds the
same by following its calls to the switch, and a test compares the two.
"""

# Public functions in which a task may leave its thread, with the number of their arguments.
PARKS = {
    "gstk_accept": 3, "gstk_accept_until": 4, "gstk_blocking": 3, "gstk_blocking_copy": 4,
    "gstk_blocking_copy_until": 5, "gstk_blocking_until": 4, "gstk_call_on_stack": 4, "gstk_chan_recv": 2,
    "gstk_chan_recv_until": 3, "gstk_chan_send": 2, "gstk_chan_send_until": 3, "gstk_check": 0,
    "gstk_cond_wait": 2, "gstk_cond_wait_until": 3, "gstk_connect": 3,
    "gstk_connect_until": 4, "gstk_ctx_switch": 3, "gstk_ctx_switch_ontop": 4, "gstk_dial": 2,
    "gstk_event_wait": 1, "gstk_event_wait_until": 2,
    "gstk_file_open": 4, "gstk_file_read": 4, "gstk_file_readv": 4, "gstk_file_sync": 2, "gstk_file_write": 4,
    "gstk_file_writev": 4, "gstk_join": 2, "gstk_join_until": 3,
    "gstk_mutex_lock": 1, "gstk_mutex_lock_until": 2, "gstk_once_run": 3, "gstk_poll": 3,
    "gstk_poll_foreign": 3, "gstk_read": 3, "gstk_read_until": 4, "gstk_readv": 3, "gstk_readv_until": 4,
    "gstk_recv": 4, "gstk_recv_until": 5, "gstk_recvmsg": 3, "gstk_recvmsg_until": 4, "gstk_rwlock_read_lock": 1, "gstk_rwlock_read_lock_until": 2,
    "gstk_rwlock_write_lock": 1, "gstk_rwlock_write_lock_until": 2, "gstk_scope_end": 1, "gstk_select": 3,
    "gstk_sem_wait": 1, "gstk_sem_wait_until": 2, "gstk_send": 4, "gstk_send_until": 5, "gstk_sendmsg": 3, "gstk_sendmsg_until": 4, "gstk_sleep": 1,
    "gstk_sleep_until": 1, "gstk_waitgroup_wait": 1, "gstk_waitgroup_wait_until": 2, "gstk_write": 3,
    "gstk_write_all": 3, "gstk_write_all_until": 4, "gstk_write_until": 4, "gstk_writev": 3,
    "gstk_writev_until": 4, "gstk_yield": 0,
}

# They run tasks from the calling thread's own stack, and come back to it there.
KEEPS_THREAD = {"gstk__worker_loop", "gstk_main", "gstk_run_once", "gstk_shutdown"}

# A switch can be reached from it, but is not: it never waits.
NEVER_WAITS = {"gstk_chan_try_send"}

# It parks where the function that it is given does.
CALLS_BACK = {"gstk_call_on_stack"}

# What libgreenstk-preload puts in their places (-p).
PRELOAD_PARKS = set("""
    __poll_chk __ppoll_chk __pread64_chk __pread_chk __read_chk __recv_chk __recvfrom_chk accept accept4
    clock_nanosleep connect creat creat64 epoll_pwait epoll_pwait2 epoll_wait fdatasync flock fsync
    getaddrinfo gethostbyname gethostbyname2 gethostbyname2_r gethostbyname_r getnameinfo lockf lockf64
    nanosleep open open64 openat openat64 __open_2 __open64_2 __openat_2 __openat64_2 poll ppoll pread
    pread64 preadv preadv64 pselect pthread_barrier_wait pthread_clockjoin_np pthread_cond_clockwait
    pthread_cond_timedwait pthread_cond_wait pthread_join pthread_mutex_clocklock pthread_mutex_lock
    pthread_mutex_timedlock pthread_rwlock_clockrdlock pthread_rwlock_clockwrlock pthread_rwlock_rdlock
    pthread_rwlock_timedrdlock pthread_rwlock_timedwrlock pthread_rwlock_wrlock pthread_timedjoin_np
    pwrite pwrite64 pwritev pwritev64 read readv recv recvfrom recvmmsg recvmsg select sem_clockwait
    sem_timedwait sem_wait send sendmmsg sendmsg sendto sleep usleep wait wait3 wait4 waitid waitpid write
    writev fcntl fcntl64 close
""".split())

# They return an address that belongs to the calling thread; what it is of.
THREAD_ADDRESS = {
    "__errno_location": "errno", "___errno_location": "errno", "__h_errno_location": "h_errno",
    "__tls_get_addr": None, "___tls_get_addr": None, "__emutls_get_address": None,
    "pthread_self": "pthread_self()",
    "__res_state": "_res",
    "__cxa_get_globals": "C++ exceptions", "__cxa_get_globals_fast": "C++ exceptions",
}

NO_RETURN = set("""
    abort exit _exit _Exit quick_exit __stack_chk_fail __assert_fail __assert_perror_fail __chk_fail
    __fortify_fail __cxa_throw __cxa_rethrow __cxa_bad_cast __cxa_throw_bad_array_new_length
    __cxa_call_unexpected _Unwind_Resume longjmp _longjmp siglongjmp __longjmp_chk pthread_exit err errx
    verr verrx gstk_exit gstk_ctx_leave _ZSt9terminatev __clang_call_terminate
""".split())
