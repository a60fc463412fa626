// SPDX-License-Identifier: MIT
// tokio: futures in tasks. One CPU: its current_thread runtime, which is the faster there; more: multi_thread with
// a worker each. It has no unbuffered channel: mpsc of capacity 1 stands in.
use std::fs::read_to_string;
use std::future::Future;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, Notify};
use tokio::task::{yield_now, JoinHandle};
use tokio::time::{sleep, timeout};

static SCALE: AtomicU64 = AtomicU64::new(1 << 32);
static WAIT_SCALE: AtomicU64 = AtomicU64::new(1 << 32);
static ARRIVED: AtomicU64 = AtomicU64::new(0);
static VERIFIED: AtomicU64 = AtomicU64::new(0);
static RAN: AtomicU64 = AtomicU64::new(0);

fn scaled(v: f64, scale: &AtomicU64) -> f64 {
    v * scale.load(Relaxed) as f64 / (1u64 << 32) as f64
}

fn n(v: f64) -> u64 {
    scaled(v, &SCALE).max(1.0) as u64
}

fn emit(name: &str, value: f64, unit: &str) {
    println!("{} {:.6} {}", name, value, unit);
}

fn per(t: Instant, nr: u64) -> f64 {
    t.elapsed().as_nanos() as f64 / nr as f64
}

// RSS and page tables of this process, and its peak RSS, in bytes.
fn memory() -> (f64, f64) {
    let text = read_to_string("/proc/self/status").unwrap();
    let kb = |key: &str| -> f64 {
        let line = text.lines().find(|l| l.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
    };
    (kb("VmRSS:") + kb("VmPTE:"), kb("VmHWM:"))
}

fn runtime() -> Runtime {
    let cpus = std::thread::available_parallelism().unwrap().get();
    let mut b = if cpus == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if cpus > 1 {
        b.worker_threads(cpus);
    }
    b.enable_all().build().unwrap()
}

// On a worker, as a task like the others.
fn run<F>(f: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime().block_on(async { tokio::spawn(f).await.unwrap() })
}

struct Xorshift(u64);
impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545f4914f6cdd1d)
    }
}

fn noise(id: u64) -> Xorshift {
    Xorshift((id + 1).wrapping_mul(0x9e3779b97f4a7c15))
}

fn permutation(nr: usize, seed: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..nr as u32).collect();
    let mut x = noise(seed);
    for i in (1..nr).rev() {
        order.swap(i, (x.next() % (i as u64 + 1)) as usize);
    }
    order
}

async fn yields(tasks: u64, each: u64) -> f64 {
    let gate = Arc::new(Notify::new());
    let before = ARRIVED.load(Relaxed);
    let all: Vec<JoinHandle<()>> = (0..tasks)
        .map(|_| {
            let gate = gate.clone();
            tokio::spawn(async move {
                let open = gate.notified();
                ARRIVED.fetch_add(1, Relaxed);
                open.await;
                for _ in 0..each {
                    yield_now().await;
                }
            })
        })
        .collect();
    while ARRIVED.load(Relaxed) < before + tasks {
        yield_now().await;
    }
    let t = Instant::now();
    gate.notify_waiters();
    for j in all {
        j.await.unwrap();
    }
    per(t, tasks * each)
}

fn yield_(name: &str, tasks: u64) {
    let each = n(4e6) / tasks + 1;
    let ns = run(async move {
        yields(tasks, each / 10 + 1).await;
        yields(tasks, each).await
    });
    emit(name, ns, "ns");
}

fn spawn(name: &str, batch: u64) {
    let reps = n(1e6) / batch + 1;
    let warm = reps / 10 + 1;
    let ns = run(async move {
        let mut t = Instant::now();
        let mut all = Vec::with_capacity(batch as usize);
        for i in 0..warm + reps {
            if i == warm {
                t = Instant::now();
            }
            for _ in 0..batch {
                all.push(tokio::spawn(async {}));
            }
            for j in all.drain(..) {
                j.await.unwrap();
            }
        }
        per(t, reps * batch)
    });
    emit(name, ns, "ns");
}

async fn echo(mut from: mpsc::Receiver<u64>, to: mpsc::Sender<u64>) {
    while let Some(v) = from.recv().await {
        to.send(v + 1).await.unwrap();
    }
}

async fn client(to: mpsc::Sender<u64>, mut from: mpsc::Receiver<u64>) -> f64 {
    let reps = n(1e6);
    let warm = reps / 10 + 1;
    let mut t = Instant::now();
    let mut v = 0;
    for i in 0..warm + reps {
        if i == warm {
            t = Instant::now();
        }
        let was = v;
        to.send(v).await.unwrap();
        v = from.recv().await.unwrap();
        assert!(v == was + 1);
    }
    per(t, reps)
}

fn pair(name: &str, _: u64) {
    let ns = run(async {
        let ((there, at), (back, from)) = (mpsc::channel(1), mpsc::channel(1));
        tokio::spawn(echo(at, back));
        tokio::spawn(client(there, from)).await.unwrap()
    });
    emit(name, ns, "ns");
}

// Each receive with a deadline.
fn pair_timed(name: &str, _: u64) {
    const PATIENCE: Duration = Duration::from_secs(10);
    let ns = run(async {
        let ((there, mut at), (back, mut from)) = (mpsc::channel::<u64>(1), mpsc::channel::<u64>(1));
        tokio::spawn(async move {
            while let Some(v) = timeout(PATIENCE, at.recv()).await.unwrap() {
                back.send(v + 1).await.unwrap();
            }
        });
        let client = tokio::spawn(async move {
            let reps = n(1e6);
            let (mut t, mut v) = (Instant::now(), 0);
            for i in 0..reps / 10 + 1 + reps {
                if i == reps / 10 + 1 {
                    t = Instant::now();
                }
                there.send(v).await.unwrap();
                let was = v;
                v = timeout(PATIENCE, from.recv()).await.unwrap().unwrap();
                assert!(v == was + 1);
            }
            per(t, reps)
        });
        client.await.unwrap()
    });
    emit(name, ns, "ns");
}

// A runtime on each of two threads.
fn pinned(name: &str, _: u64) {
    let ((there, at), (back, from)) = (mpsc::channel(1), mpsc::channel(1));
    let one = || Builder::new_current_thread().build().unwrap();
    let other = std::thread::spawn(move || one().block_on(echo(at, back)));
    let ns = one().block_on(client(there, from));
    other.join().unwrap();
    emit(name, ns, "ns");
}

fn pairs(name: &str, _: u64) {
    const TRIPS: u64 = 10;
    let nr = n(1e5);
    let ns = run(async move {
        let mut gates: Vec<Arc<Notify>> = Vec::new();
        let mut all = Vec::new();
        for _ in 0..nr {
            let ((there, at), (back, mut from)) = (mpsc::channel(1), mpsc::channel(1));
            let gate = Arc::new(Notify::new());
            gates.push(gate.clone());
            tokio::spawn(echo(at, back));
            all.push(tokio::spawn(async move {
                ARRIVED.fetch_add(1, Relaxed);
                gate.notified().await;
                for k in 0..TRIPS {
                    there.send(k).await.unwrap();
                    assert!(from.recv().await == Some(k + 1));
                }
            }));
        }
        while ARRIVED.load(Relaxed) < nr {
            yield_now().await;
        }
        let t = Instant::now();
        for i in permutation(nr as usize, 42) {
            gates[i as usize].notify_one();
        }
        for j in all {
            j.await.unwrap();
        }
        per(t, nr * TRIPS)
    });
    emit(name, ns, "ns");
}

fn ring(name: &str, nr: u64) {
    let ns = run(async move {
        let (first, mut at) = mpsc::channel::<u64>(1);
        for _ in 1..nr {
            let (to, next) = mpsc::channel(1);
            tokio::spawn(echo(at, to));
            at = next;
        }
        let laps = n(2e6) / nr + 1;
        let warm = laps / 10 + 1;
        let mut t = Instant::now();
        let mut v = 0;
        for lap in 0..warm + laps {
            if lap == warm {
                t = Instant::now();
            }
            first.send(v + 1).await.unwrap();
            v = at.recv().await.unwrap();
        }
        assert!(v == (warm + laps) * nr);
        per(t, laps * nr)
    });
    emit(name, ns, "ns");
}

async fn sum(first: u64, leaves: u64) -> u64 {
    let child: Vec<JoinHandle<u64>> = (0..10).map(|i| node(first + i * leaves / 10, leaves / 10)).collect();
    let mut s = 0;
    for c in child {
        s += c.await.unwrap();
    }
    s
}

fn node(first: u64, leaves: u64) -> JoinHandle<u64> {
    if leaves == 1 {
        return tokio::spawn(async move { first });
    }
    tokio::spawn(sum(first, leaves))
}

async fn chan_sum(parent: mpsc::Sender<u64>, first: u64, leaves: u64) {
    let (to, mut from) = mpsc::channel(10);
    for i in 0..10 {
        chan_node(to.clone(), first + i * leaves / 10, leaves / 10);
    }
    let mut s = 0;
    for _ in 0..10 {
        s += from.recv().await.unwrap();
    }
    parent.send(s).await.unwrap();
}

fn chan_node(parent: mpsc::Sender<u64>, first: u64, leaves: u64) {
    if leaves == 1 {
        tokio::spawn(async move { parent.send(first).await.unwrap() });
    } else {
        tokio::spawn(chan_sum(parent, first, leaves));
    }
}

fn skynet(name: &str, by_chan: u64) {
    let mut leaves = 1_000_000;
    while leaves as f64 > n(1e6) as f64 * 1.01 && leaves > 10 {
        leaves /= 10;
    }
    let (m0, _) = memory();
    let ms = run(async move {
        let t = Instant::now();
        let s = if by_chan == 1 {
            let (to, mut from) = mpsc::channel(1);
            chan_node(to, 0, leaves);
            from.recv().await.unwrap()
        } else {
            node(0, leaves).await.unwrap()
        };
        assert!(s == leaves * (leaves - 1) / 2);
        per(t, 1_000_000)
    });
    emit(name, ms, "ms");
    emit(&format!("{}.peak", name), (memory().1 - m0) / (1 << 20) as f64, "MiB");
}

// Each task holds bytes of its own across a wait three calls deeper; all of it is in one future.
async fn wait_here(gate: &Notify) {
    let open = gate.notified();
    ARRIVED.fetch_add(1, Relaxed);
    open.await;
}

async fn wait_deeper(gate: &Notify, a: u64) -> u64 {
    wait_here(gate).await;
    a + 1
}

async fn wait_deep(gate: &Notify, a: u64) -> u64 {
    let b = wait_deeper(gate, a * 3).await;
    b - a
}

async fn hold<const N: usize>(gate: &'static Notify, id: u64) {
    let mut buf = [0u8; N];
    let mut x = noise(id);
    buf.fill_with(|| (x.next() >> 56) as u8);
    assert!(wait_deep(gate, id).await == id * 2 + 1);
    let mut x = noise(id);
    assert!(buf.iter().all(|b| *b == (x.next() >> 56) as u8));
    VERIFIED.fetch_add(1, Relaxed);
}

async fn held<F, T>(name: String, nr: u64, task: F)
where
    F: Fn(&'static Notify, u64) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let gate: &'static Notify = Box::leak(Box::new(Notify::new()));
    let (m0, _) = memory();
    for i in 0..nr {
        tokio::spawn(task(gate, i));
        if i % 256 == 255 {
            yield_now().await;
        }
    }
    while ARRIVED.load(Relaxed) < nr {
        sleep(Duration::from_millis(1)).await;
    }
    sleep(Duration::from_secs_f64(scaled(2.0, &WAIT_SCALE))).await;
    emit(&name, (memory().0 - m0) / nr as f64, "bytes");
    gate.notify_waiters();
    while VERIFIED.load(Relaxed) < nr {
        sleep(Duration::from_millis(1)).await;
    }
}

fn memory_of<const N: usize>(name: &str, tasks: u64) {
    let (name, nr) = (name.to_string(), n(tasks as f64));
    run(async move { held(name, nr, hold::<N>).await });
}

fn wakes(name: &str, tasks: u64) {
    let (nr, total) = (n(tasks as f64) as usize, n(2e6));
    let ns = run(async move {
        let all: &'static [Notify] = (0..nr).map(|_| Notify::new()).collect::<Vec<_>>().leak();
        let stop: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        for (i, w) in all.iter().enumerate() {
            tokio::spawn(async move {
                let mut buf = [0u8; 900];
                let mut x = noise(i as u64);
                buf.fill_with(|| (x.next() >> 56) as u8);
                loop {
                    w.notified().await;
                    if stop.load(Relaxed) {
                        break;
                    }
                    buf[0] = buf[0].wrapping_add(1);
                    buf[899] = buf[899].wrapping_add(1);
                    RAN.fetch_add(1, Relaxed);
                }
                let mut x = noise(i as u64);
                assert!(buf.iter().enumerate().all(|(k, b)| (x.next() >> 56) as u8 == *b || k == 0 || k == 899));
            });
            if i % 64 == 63 {
                yield_now().await;
            }
        }
        let order = permutation(nr, 7);
        let laps = total / nr as u64 + 1;
        let mut t = Instant::now();
        for lap in 0..laps + 1 {
            if lap == 1 {
                t = Instant::now();
            }
            for some in order.chunks(64) {
                let want = RAN.load(Relaxed) + some.len() as u64;
                for i in some {
                    all[*i as usize].notify_one();
                }
                while RAN.load(Relaxed) < want {
                    yield_now().await;
                }
            }
        }
        let ns = per(t, laps * nr as u64);
        stop.store(true, Relaxed);
        all.iter().for_each(|w| w.notify_one());
        ns
    });
    emit(name, ns, "ns");
}

fn crowd(name: &str, _: u64) {
    let nr = n(1e6);
    let (all, create) = run(async move {
        let gate: &'static Notify = Box::leak(Box::new(Notify::new()));
        let t = Instant::now();
        for _ in 0..nr {
            tokio::spawn(async move {
                wait_here(gate).await;
                VERIFIED.fetch_add(1, Relaxed);
            });
        }
        while ARRIVED.load(Relaxed) < nr {
            sleep(Duration::from_micros(100)).await;
        }
        let create = per(t, 1_000_000);
        gate.notify_waiters();
        while VERIFIED.load(Relaxed) < nr {
            sleep(Duration::from_micros(100)).await;
        }
        (per(t, 1_000_000), create)
    });
    emit(name, all, "ms");
    emit(&format!("{}.create", name), create, "ms");
    emit(&format!("{}.wake", name), all - create, "ms");
}

// A buffer is lent to a connection only while there is something to read.
async fn talk(mut c: tokio::net::TcpStream) -> std::io::Result<()> {
    c.set_nodelay(true)?;
    loop {
        c.ready(Interest::READABLE).await?;
        let mut buf = [0u8; 256];
        match c.try_read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(k) => match c.try_write(&buf[..k]) {
                Ok(done) if done == k => (),
                Ok(done) => c.write_all(&buf[done..k].to_vec()).await?,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => c.write_all(&buf[..k].to_vec()).await?,
                Err(e) => return Err(e),
            },
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => (),
            Err(e) => return Err(e),
        }
    }
}

fn serve() {
    runtime().block_on(async {
        let l = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("listening {}", l.local_addr().unwrap().port());
        std::io::stdout().flush().unwrap();
        loop {
            let (c, _) = l.accept().await.unwrap();
            tokio::spawn(talk(c));
        }
    });
}

type Case = (&'static str, fn(&str, u64), u64);
const CASES: &[Case] = &[
    ("yield.2", yield_, 2),
    ("yield.10000", yield_, 10000),
    ("spawn.join", spawn, 1),
    ("spawn.batch", spawn, 1000),
    ("chan.unbuffered.1worker", pair, 0),
    ("chan.unbuffered.2workers", pair, 0),
    ("chan.timed", pair_timed, 0),
    ("chan.pinned.2workers", pinned, 0),
    ("chan.buffered.1worker", pair, 0),
    ("call.cross_task", pair, 0),
    ("chan.pairs.evicted", pairs, 0),
    ("ring.503", ring, 503),
    ("ring.1000", ring, 1000),
    ("skynet.1e6", skynet, 0),
    ("skynet.1e6.chan", skynet, 1),
    ("memory.128.copied", memory_of::<128>, 100_000),
    ("memory.900.copied", memory_of::<900>, 100_000),
    ("memory.4000.copied", memory_of::<4000>, 100_000),
    ("memory.16200.copied", memory_of::<16200>, 100_000),
    ("memory.128.copied.1e6", memory_of::<128>, 1_000_000),
    ("memory.900.copied.1e6", memory_of::<900>, 1_000_000),
    ("memory.128.default", memory_of::<128>, 100_000),
    ("memory.128.default.1e6", memory_of::<128>, 1_000_000),
    ("wake.resident", wakes, 1000),
    ("active.10000", wakes, 10000),
    ("wake.evicted.1e6", wakes, 1_000_000),
    ("wake.all.1e6", crowd, 0),
];

fn main() {
    let fixed = |s: &str| (s.parse::<f64>().unwrap() * (1u64 << 32) as f64) as u64;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(|s| s.as_str()).collect();
    let mut rest = &args[..];
    loop {
        match rest {
            ["--list"] => {
                CASES.iter().for_each(|c| println!("{}", c.0));
                println!("serve.echo");
                return;
            }
            ["--scale", f, tail @ ..] => {
                SCALE.store(fixed(f), Relaxed);
                rest = tail;
            }
            ["--wait-scale", f, tail @ ..] => {
                WAIT_SCALE.store(fixed(f), Relaxed);
                rest = tail;
            }
            ["--serve", "echo"] => return serve(),
            ["--one", name] => {
                if let Some(c) = CASES.iter().find(|c| c.0 == *name) {
                    return c.1(name, c.2);
                }
                break;
            }
            _ => break,
        }
    }
    eprintln!("usage: --list | [--scale F] [--wait-scale F] --one NAME | --serve echo");
    std::process::exit(2);
}
