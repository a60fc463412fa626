// SPDX-License-Identifier: MIT
// Go: goroutines and channels. GOMAXPROCS follows the affinity that gstk-bench sets.
package main

import (
	"bufio"
	"fmt"
	"math/rand"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var scale = 1.0

func n(v float64) int {
	if v*scale < 1 {
		return 1
	}
	return int(v * scale)
}

func check(ok bool) {
	if !ok {
		panic("check failed")
	}
}

func emit(name string, value float64, unit string) { fmt.Printf("%s %.6f %s\n", name, value, unit) }

func per(d time.Duration, nr int) float64 { return float64(d.Nanoseconds()) / float64(nr) }

// RSS and page tables of this process, and its peak RSS, in bytes.
func memory() (sum, peak uint64) {
	f, err := os.Open("/proc/self/status")
	check(err == nil)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		w := strings.Fields(s.Text())
		if len(w) < 2 {
			continue
		}
		kb, _ := strconv.ParseUint(w[1], 10, 64)
		switch w[0] {
		case "VmRSS:", "VmPTE:":
			sum += kb * 1024
		case "VmHWM:":
			peak = kb * 1024
		}
	}
	return
}

func yields(tasks, each int) float64 {
	var wg, ready sync.WaitGroup
	var start = make(chan bool)
	wg.Add(tasks)
	ready.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			ready.Done()
			<-start
			for k := 0; k < each; k++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	ready.Wait()
	t := time.Now()
	close(start)
	wg.Wait()
	return per(time.Since(t), tasks*each)
}

func yield(tasks int) func(string) {
	return func(name string) {
		each := n(4e6)/tasks + 1
		yields(tasks, each/10+1)
		emit(name, yields(tasks, each), "ns")
	}
}

func spawn(batch int) func(string) {
	return func(name string) {
		reps := n(1e6)/batch + 1
		warm := reps/10 + 1
		var t time.Time
		done := make(chan bool)
		var wg sync.WaitGroup
		for i := 0; i < warm+reps; i++ {
			if i == warm {
				t = time.Now()
			}
			if batch == 1 {
				go func() { done <- true }()
				<-done
				continue
			}
			wg.Add(batch)
			for k := 0; k < batch; k++ {
				go wg.Done()
			}
			wg.Wait()
		}
		emit(name, per(time.Since(t), reps*batch), "ns")
	}
}

func pair(capacity int) func(string) {
	return func(name string) {
		there, back, done := make(chan uint64, capacity), make(chan uint64, capacity), make(chan float64)
		go func() {
			for v := range there {
				back <- v + 1
			}
		}()
		go func() {
			reps := n(1e6)
			warm := reps/10 + 1
			var t time.Time
			var v uint64
			for i := 0; i < warm+reps; i++ {
				if i == warm {
					t = time.Now()
				}
				there <- v
				was := v
				v = <-back
				check(v == was+1)
			}
			close(there)
			done <- per(time.Since(t), reps)
		}()
		emit(name, <-done, "ns")
	}
}

// Each receive with a deadline: a timer that is used again, which is the fast way there.
func pairTimed(name string) {
	there, back, done := make(chan uint64), make(chan uint64), make(chan float64)
	receive := func(c chan uint64, t *time.Timer) (uint64, bool) {
		if !t.Stop() {
			select {
			case <-t.C:
			default:
			}
		}
		t.Reset(10 * time.Second)
		select {
		case v, open := <-c:
			return v, open
		case <-t.C:
			panic("late")
		}
	}
	go func() {
		timer := time.NewTimer(time.Second)
		for v, open := receive(there, timer); open; v, open = receive(there, timer) {
			back <- v + 1
		}
	}()
	go func() {
		timer := time.NewTimer(time.Second)
		reps := n(1e6)
		warm := reps/10 + 1
		var t time.Time
		var v uint64
		for i := 0; i < warm+reps; i++ {
			if i == warm {
				t = time.Now()
			}
			there <- v
			was := v
			v, _ = receive(back, timer)
			check(v == was+1)
		}
		close(there)
		done <- per(time.Since(t), reps)
	}()
	emit(name, <-done, "ns")
}

func pairs(name string) {
	const trips = 10
	nr := n(100000)
	order := rand.New(rand.NewSource(42)).Perm(nr)
	var ready, done sync.WaitGroup
	gate := make(chan bool, nr)
	ready.Add(nr)
	for range order {
		there, back := make(chan uint64), make(chan uint64)
		go func() {
			for v := range there {
				back <- v + 1
			}
		}()
		go func() {
			ready.Done()
			<-gate
			for k := uint64(0); k < trips; k++ {
				there <- k
				check(<-back == k+1)
			}
			close(there)
			done.Done()
		}()
	}
	ready.Wait()
	done.Add(nr)
	t := time.Now()
	for range order {
		gate <- true
	}
	done.Wait()
	emit(name, per(time.Since(t), nr*trips), "ns")
}

func ring(nr int) func(string) {
	return func(name string) {
		link := make([]chan uint64, nr)
		for i := range link {
			link[i] = make(chan uint64)
		}
		for i := 1; i < nr; i++ {
			go func(in, out chan uint64) {
				for v := range in {
					out <- v + 1
				}
			}(link[i], link[(i+1)%nr])
		}
		done := make(chan float64)
		go func() {
			laps := n(2e6)/nr + 1
			warm := laps/10 + 1
			var t time.Time
			var v uint64
			for lap := 0; lap < warm+laps; lap++ {
				if lap == warm {
					t = time.Now()
				}
				link[1] <- v + 1
				v = <-link[0]
			}
			check(v == uint64((warm+laps)*nr))
			done <- per(time.Since(t), laps*nr)
		}()
		emit(name, <-done, "ns")
	}
}

func node(parent chan uint64, first, leaves uint64) {
	if leaves == 1 {
		parent <- first
		return
	}
	leaves /= 10
	c := make(chan uint64)
	for i := uint64(0); i < 10; i++ {
		go node(c, first+i*leaves, leaves)
	}
	var sum uint64
	for i := 0; i < 10; i++ {
		sum += <-c
	}
	parent <- sum
}

func skynet(name string) {
	leaves := uint64(1000000)
	for float64(leaves) > float64(n(1e6))*1.01 && leaves > 10 {
		leaves /= 10
	}
	m0, _ := memory()
	c := make(chan uint64)
	t := time.Now()
	go node(c, 0, leaves)
	check(<-c == leaves*(leaves-1)/2)
	emit(name, float64(time.Since(t).Nanoseconds())/1e6, "ms")
	_, peak := memory()
	emit(name+".peak", float64(int64(peak)-int64(m0))/(1<<20), "MiB")
}

func fill(buf []byte, id uint64) {
	x := (id + 1) * 0x9e3779b97f4a7c15
	for i := range buf {
		x ^= x >> 12
		x ^= x << 25
		x ^= x >> 27
		buf[i] = byte(x * 0x2545f4914f6cdd1d >> 56)
	}
}

func same(buf []byte, id uint64) bool {
	x := (id + 1) * 0x9e3779b97f4a7c15
	for i := range buf {
		x ^= x >> 12
		x ^= x << 25
		x ^= x >> 27
		if buf[i] != byte(x*0x2545f4914f6cdd1d>>56) {
			return false
		}
	}
	return true
}

var arrived, verified int64

//go:noinline
func waitHere(c chan bool) { atomic.AddInt64(&arrived, 1); <-c }

// Arrays of fixed size stay on the goroutine's stack.
func hold128(id uint64, c chan bool) {
	var b [128]byte
	fill(b[:], id)
	waitHere(c)
	check(same(b[:], id))
	atomic.AddInt64(&verified, 1)
}
func hold900(id uint64, c chan bool) {
	var b [900]byte
	fill(b[:], id)
	waitHere(c)
	check(same(b[:], id))
	atomic.AddInt64(&verified, 1)
}
func hold4000(id uint64, c chan bool) {
	var b [4000]byte
	fill(b[:], id)
	waitHere(c)
	check(same(b[:], id))
	atomic.AddInt64(&verified, 1)
}
func hold16200(id uint64, c chan bool) {
	var b [16200]byte
	fill(b[:], id)
	waitHere(c)
	check(same(b[:], id))
	atomic.AddInt64(&verified, 1)
}

func hold(fn func(uint64, chan bool), tasks float64) func(string) {
	return func(name string) {
		nr := n(tasks)
		c := make(chan bool)
		runtime.GC()
		m0, _ := memory()
		for i := 0; i < nr; i++ {
			go fn(uint64(i), c)
		}
		for atomic.LoadInt64(&arrived) < int64(nr) {
			time.Sleep(time.Millisecond)
		}
		runtime.GC()
		time.Sleep(time.Duration(float64(2*time.Second) * waitScale))
		m1, _ := memory()
		emit(name, float64(int64(m1)-int64(m0))/float64(nr), "bytes")
		close(c)
		for atomic.LoadInt64(&verified) < int64(nr) {
			time.Sleep(time.Millisecond)
		}
	}
}

var ran int64

//go:noinline
func wakeLoop(c chan bool, buf []byte) {
	for range c {
		buf[0]++
		buf[len(buf)-1]++
		atomic.AddInt64(&ran, 1)
	}
}

func wakes(tasks float64, total float64) func(string) {
	return func(name string) {
		nr := n(tasks)
		cs := make([]chan bool, nr)
		for i := range cs {
			cs[i] = make(chan bool, 1)
			go func(c chan bool, id uint64) {
				var buf [900]byte
				fill(buf[:], id)
				wakeLoop(c, buf[:])
			}(cs[i], uint64(i))
		}
		order := rand.New(rand.NewSource(7)).Perm(nr)
		lap := func() {
			for i := 0; i < nr; i += 64 {
				want := atomic.LoadInt64(&ran)
				for k := i; k < i+64 && k < nr; k++ {
					cs[order[k]] <- true
					want++
				}
				for atomic.LoadInt64(&ran) < want {
					runtime.Gosched()
				}
			}
		}
		lap()
		laps := n(total)/nr + 1
		t := time.Now()
		for i := 0; i < laps; i++ {
			lap()
		}
		emit(name, per(time.Since(t), laps*nr), "ns")
	}
}

func crowd(name string) {
	nr := n(1e6)
	c := make(chan bool)
	t0 := time.Now()
	for i := 0; i < nr; i++ {
		go func() {
			atomic.AddInt64(&arrived, 1)
			<-c
			atomic.AddInt64(&verified, 1)
		}()
	}
	for atomic.LoadInt64(&arrived) < int64(nr) {
		time.Sleep(100 * time.Microsecond)
	}
	t1 := time.Now()
	close(c)
	for atomic.LoadInt64(&verified) < int64(nr) {
		time.Sleep(100 * time.Microsecond)
	}
	t2 := time.Now()
	emit(name, float64(t2.Sub(t0).Nanoseconds())/1e6, "ms")
	emit(name+".create", float64(t1.Sub(t0).Nanoseconds())/1e6, "ms")
	emit(name+".wake", float64(t2.Sub(t1).Nanoseconds())/1e6, "ms")
}

// A blocking Read needs a buffer before there is anything to read: each connection has its own,
// small, as programs that care do.
func serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err == nil)
	fmt.Printf("listening %d\n", l.Addr().(*net.TCPAddr).Port)
	for {
		c, err := l.Accept()
		check(err == nil)
		go func() {
			buf := make([]byte, 256)
			for {
				k, err := c.Read(buf)
				if err != nil {
					c.Close()
					return
				}
				if _, err = c.Write(buf[:k]); err != nil {
					c.Close()
					return
				}
			}
		}()
	}
}

var waitScale = 1.0

var cases = []struct {
	name string
	run  func(string)
}{
	{"yield.2", yield(2)}, {"yield.10000", yield(10000)},
	{"spawn.join", spawn(1)}, {"spawn.batch", spawn(1000)},
	{"chan.unbuffered.1worker", pair(0)}, {"chan.unbuffered.2workers", pair(0)}, {"chan.timed", pairTimed},
	{"chan.buffered.1worker", pair(1)}, {"call.cross_task", pair(0)},
	{"chan.pairs.evicted", pairs},
	{"ring.503", ring(503)}, {"ring.1000", ring(1000)},
	{"skynet.1e6", skynet}, {"skynet.1e6.chan", skynet},
	{"memory.128.copied", hold(hold128, 1e5)}, {"memory.900.copied", hold(hold900, 1e5)},
	{"memory.4000.copied", hold(hold4000, 1e5)}, {"memory.16200.copied", hold(hold16200, 1e5)},
	{"memory.128.copied.1e6", hold(hold128, 1e6)}, {"memory.900.copied.1e6", hold(hold900, 1e6)},
	{"memory.128.default", hold(hold128, 1e5)}, {"memory.128.default.1e6", hold(hold128, 1e6)},
	{"wake.resident", wakes(1000, 2e6)}, {"active.10000", wakes(10000, 2e6)},
	{"wake.evicted.1e6", wakes(1e6, 1e6)}, {"wake.all.1e6", crowd},
}

func main() {
	a := os.Args[1:]
	for i := 0; i < len(a); i++ {
		switch {
		case a[i] == "--list":
			for _, c := range cases {
				fmt.Println(c.name)
			}
			fmt.Println("serve.echo")
			return
		case i+1 == len(a):
		case a[i] == "--scale":
			i++
			scale, _ = strconv.ParseFloat(a[i], 64)
		case a[i] == "--wait-scale":
			i++
			waitScale, _ = strconv.ParseFloat(a[i], 64)
		case a[i] == "--serve":
			serve()
		case a[i] == "--one":
			for _, c := range cases {
				if c.name == a[i+1] {
					c.run(c.name)
					return
				}
			}
		}
	}
	fmt.Fprintln(os.Stderr, "usage: --list | [--scale F] [--wait-scale F] --one NAME | --serve echo")
	os.Exit(2)
}
