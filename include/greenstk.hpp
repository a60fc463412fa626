// SPDX-License-Identifier: MIT
/*
 * The C interface for C++: objects that clean up after themselves, errors as std::system_error, and
 * exceptions that travel from a task to who joins it. Header only, C++17.
 */
#ifndef GREENSTK_HPP
#define GREENSTK_HPP

#include <cerrno>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include <greenstk.h>

namespace greenstk {

/** Throws std::system_error for a negative errno; passes on anything else. */
inline int check(int result, const char *what = "greenstk")
{
	if (result < 0)
		throw std::system_error(-result, std::generic_category(), what);
	return result;
}

/**
 * For its life the calling task is not late, and not cancelled by what was asked of it before: for destructors that have
 * to wait. A cancel that comes meanwhile is seen by the next wait; again() puts it off, too. Outside a task it does nothing.
 */
class shield {
public:
	shield() : deadline_(gstk_deadline_get()), canceled_(gstk_cancel_clear())
	{
		if (gstk_self())
			gstk_deadline_set(GSTK_NEVER);
	}
	~shield()
	{
		if (!gstk_self())
			return;
		gstk_deadline_set(deadline_);
		if (canceled_)
			gstk_cancel(gstk_self());
	}
	shield(const shield &) = delete;
	shield &operator=(const shield &) = delete;
	/** Whether a wait that returned @result was cancelled, and is to be begun again. */
	bool again(int result)
	{
		bool canceled = result == -ECANCELED && gstk_cancel_clear();

		canceled_ = canceled_ || canceled;
		return canceled;
	}

private:
	uint64_t deadline_;
	bool canceled_;
};

/** A gstk_mutex for std::lock_guard, std::unique_lock and std::scoped_lock. Not in a shared window. */
class mutex {
public:
	constexpr mutex() = default;
	mutex(const mutex &) = delete;
	mutex &operator=(const mutex &) = delete;
	void lock() { check(gstk_mutex_lock(&m_), "gstk_mutex_lock"); }
	void unlock() { gstk_mutex_unlock(&m_); }
	bool try_lock()
	{
		int r = gstk_mutex_try_lock(&m_);

		return r != -EBUSY && check(r, "gstk_mutex_try_lock") == 0;
	}
	gstk_mutex *native() { return &m_; }

private:
	gstk_mutex m_ = GSTK_MUTEX_INIT;
};

/** A channel of a type whose bytes may be copied. */
template <typename T> class channel {
	static_assert(std::is_trivially_copyable_v<T>, "messages are copied as bytes");

public:
	explicit channel(size_t capacity = 0) { check(gstk_chan_create(&c_, sizeof(T), capacity), "gstk_chan_create"); }
	~channel() { gstk_chan_destroy(c_); }
	channel(const channel &) = delete;
	channel &operator=(const channel &) = delete;
	/** False: it is closed. */
	bool send(const T &value, uint64_t deadline_ns = GSTK_NEVER)
	{
		int r = gstk_chan_send_until(c_, &value, deadline_ns);

		return r != -EPIPE && check(r, "gstk_chan_send") == 0;
	}
	/** Nothing: it is closed and empty. */
	std::optional<T> recv(uint64_t deadline_ns = GSTK_NEVER)
	{
		T value;
		int r = gstk_chan_recv_until(c_, &value, deadline_ns);

		if (r == -EPIPE)
			return std::nullopt;
		check(r, "gstk_chan_recv");
		return value;
	}
	void close() { gstk_chan_close(c_); }
	gstk_chan *native() { return c_; }

private:
	gstk_chan *c_ = nullptr;
};

/**
 * A task that runs a callable. join() throws what the callable threw; the destructor cancels and joins, however often the
 * caller is cancelled meanwhile, and where that is refused (somebody else joins it) it is std::terminate(): the callable
 * would go on without what it works on. GSTK_DETACHED is refused for the same reason. One that was joined, or moved from,
 * has no task: join() throws, cancel() does nothing.
 */
class task {
public:
	template <typename F, typename = std::enable_if_t<std::is_invocable_v<std::decay_t<F> &>>>
	explicit task(F &&f, const char *name = nullptr, uint32_t flags = 0)
		: job_(std::make_unique<job_of<std::decay_t<F>>>(std::forward<F>(f)))
	{
		gstk_spawn_opts opts{};

		if (flags & GSTK_DETACHED)
			check(-EINVAL, "greenstk::task: GSTK_DETACHED; gstk_spawn() is for tasks that nobody joins");
		opts.size = sizeof(opts);
		opts.name = name;
		opts.flags = flags;
		check(gstk_spawn(&t_, run, job_.get(), &opts), "gstk_spawn");
	}
	task(task &&o) noexcept : t_(std::exchange(o.t_, nullptr)), job_(std::move(o.job_)) {}
	task &operator=(task &&) = delete;
	~task()
	{
		if (!t_)
			return;
		gstk_cancel(t_);
		shield s;
		int r;

		do
			r = gstk_join(t_, nullptr);
		while (s.again(r));
		if (r && r != -ESRCH) /* that: it ended with its runtime */
			std::terminate();
	}
	void cancel()
	{
		if (t_)
			gstk_cancel(t_);
	}
	/** A cancel or timeout of the caller throws, and leaves it joinable. */
	void join(uint64_t deadline_ns = GSTK_NEVER)
	{
		if (!t_)
			check(-EINVAL, "greenstk::task::join: there is no task: it was joined before, or moved elsewhere");
		check(gstk_join_until(t_, nullptr, deadline_ns), "gstk_join");
		t_ = nullptr;
		if (job_->error)
			std::rethrow_exception(std::exchange(job_->error, nullptr));
	}
	gstk_task *native() { return t_; }

private:
	struct job {
		std::exception_ptr error;
		virtual void call() = 0;
		virtual ~job() = default;
	};
	template <typename F> struct job_of final : job {
		F f;
		template <typename G> explicit job_of(G &&g) : f(std::forward<G>(g)) {}
		void call() override { f(); }
	};
	static void *run(void *arg)
	{
		job *j = static_cast<job *>(arg);

		try {
			j->call();
		} catch (...) {
			j->error = std::current_exception();
		}
		return nullptr;
	}

	gstk_task *t_ = nullptr;
	std::unique_ptr<job> job_;
};

/**
 * A gstk_scope: the first exception of one of its tasks cancels the others, and end() throws it. What gstk_scope_end()
 * refuses (another task's, or one was begun later) end() throws and leaves as it was; in the destructor, behind which
 * its tasks would go on with what is gone, it is std::terminate(). After its end() a scope takes no more tasks: spawn() and
 * end() throw, cancel() does nothing.
 */
class scope {
public:
	explicit scope(uint64_t deadline_ns = GSTK_NEVER) : state_(std::make_unique<state>())
	{
		check(gstk_scope_begin(&s_, deadline_ns), "gstk_scope_begin");
	}
	scope(const scope &) = delete;
	scope &operator=(const scope &) = delete;
	~scope()
	{
		if (!s_)
			return;
		gstk_scope_cancel(s_, -ECANCELED);
		shield s;
		over();
		if (s_)
			std::terminate();
	}
	template <typename F> void spawn(F &&f, const gstk_spawn_opts *opts = nullptr)
	{
		using job = job_of<std::decay_t<F>>;

		has_begun("greenstk::scope::spawn: the scope has ended");
		auto j = std::make_unique<job>(job{ std::forward<F>(f), state_.get() });

		check(gstk_scope_spawn(s_, run<job>, j.get(), opts), "gstk_scope_spawn");
		j.release();
	}
	void cancel()
	{
		if (s_)
			gstk_scope_cancel(s_, -ECANCELED);
	}
	void end()
	{
		has_begun("greenstk::scope::end: the scope has ended");

		int r = over();

		if (!s_ && state_->error)
			std::rethrow_exception(std::exchange(state_->error, nullptr));
		check(r, "gstk_scope_end");
	}
	gstk_scope *native() { return s_; }

private:
	struct state {
		mutex lock;
		std::exception_ptr error;
	};
	template <typename F> struct job_of {
		F f;
		state *s;
	};
	void has_begun(const char *what)
	{
		if (!s_)
			check(-EINVAL, what);
	}
	/* -EPERM, and it was not a task's failure: nothing happened. */
	int over()
	{
		int failure = gstk_scope_error(s_), r = gstk_scope_end(s_);

		if (r != -EPERM || failure == r)
			s_ = nullptr;
		return r;
	}
	template <typename J> static int run(void *arg)
	{
		std::unique_ptr<J> j(static_cast<J *>(arg));

		try {
			j->f();
			return 0;
		} catch (...) {
			shield s;

			while (s.again(gstk_mutex_lock(j->s->lock.native())))
				;
			if (!j->s->error)
				j->s->error = std::current_exception();
			gstk_mutex_unlock(j->s->lock.native());
			return -ECANCELED;
		}
	}

	std::unique_ptr<state> state_;
	gstk_scope *s_ = nullptr;
};

} // namespace greenstk

#endif
