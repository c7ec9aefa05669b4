package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"sync"
	"time"

	"gopkg.in/redis.v5"
)

// Order is a line from whoever steers the peer: see ../README.md for the words.
type Order struct {
	Do       string
	ID       string
	WaitMs   int `json:"wait_ms"`
	Halt     string
	Value    string
	Message  string
	Seconds  float64
	Callers  int
	DawdleMs float64 `json:"dawdle_ms"`
}

// Event is a line to whoever steers the peer.
type Event struct {
	Event   string         `json:"event"`
	ID      string         `json:"id,omitempty"`
	Channel string         `json:"channel,omitempty"`
	Value   *string        `json:"value,omitempty"` // the empty string is a value
	Source  string         `json:"source,omitempty"`
	Step    string         `json:"step,omitempty"`
	Message string         `json:"message,omitempty"`
	Client  string         `json:"client,omitempty"`
	Ends    map[string]int `json:"ends,omitempty"`
}

var printing sync.Mutex

func tell(event Event) {
	line, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(line))
}

// Steered is a peer that does what it is told.
type Steered struct {
	peer   *MemoLock
	orders *bufio.Reader
}

func (s *Steered) next() Order {
	line, err := s.orders.ReadBytes('\n')
	if err != nil {
		// Whoever steered us is gone.
		os.Exit(0)
	}
	var order Order
	if err := json.Unmarshal(line, &order); err != nil {
		panic(err)
	}
	return order
}

// A compute that does what it is told, and takes as long as that takes.
func (s *Steered) compute(renew Renew) (string, error) {
	tell(Event{Event: "computing"})
	for {
		order := s.next()
		switch order.Do {
		case "return":
			return order.Value, nil
		case "fail":
			return "", errors.New(order.Message)
		case "renew":
			switch err := renew(order.Seconds); err {
			case nil:
				tell(Event{Event: "renewed"})
			case errLeaseLost:
				tell(Event{Event: "lost"})
			default:
				tell(Event{Event: "refused", Message: err.Error()})
			}
		default:
			return "", fmt.Errorf("a compute does not know `%s`", order.Do)
		}
	}
}

// Stops at the step that the order names, until it is told to go on.
func (s *Steered) halt(order Order) Halt {
	return func(step string) error {
		if order.Halt != step {
			return nil
		}
		tell(Event{Event: "halted", Step: step})
		if s.next().Do != "go" {
			return errors.New("it is halted")
		}
		return nil
	}
}

// Many callers of one id, which dawdle between their steps; says in the end how often they ended in which way.
func (s *Steered) crowd(order Order) {
	ends, mu, callers := map[string]int{}, sync.Mutex{}, sync.WaitGroup{}
	dawdle := func(string) error {
		time.Sleep(time.Duration(rand.Float64() * order.DawdleMs * float64(time.Millisecond)))
		return nil
	}
	value := func(Renew) (string, error) { return order.Value, nil }
	for i := 0; i < order.Callers; i++ {
		callers.Add(1)
		go func() {
			defer callers.Done()
			dawdle("begin")
			_, end, err := s.peer.Get(order.ID, wait(order), value, dawdle)
			if err == errTimeout {
				end = "timeout"
			} else if err != nil {
				end = err.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			ends[end]++
		}()
	}
	callers.Wait()
	tell(Event{Event: "crowd", ID: order.ID, Ends: ends})
}

func wait(order Order) time.Duration {
	return time.Duration(order.WaitMs) * time.Millisecond
}

// One order from the outside, and its end.
func (s *Steered) obey(order Order) {
	var value, source string
	var err error
	switch order.Do {
	case "get":
		value, source, err = s.peer.Get(order.ID, wait(order), s.compute, s.halt(order))
	case "external":
		triggered := func() { tell(Event{Event: "triggered"}) }
		value, source, err = s.peer.GetExternal(order.ID, wait(order), triggered, s.halt(order))
	case "keep":
		if err = s.peer.Keep(order.ID, order.Value); err == nil {
			tell(Event{Event: "kept"})
			return
		}
	case "crowd":
		// Apart, so that many can be under way.
		go s.crowd(order)
		return
	default:
		err = fmt.Errorf("a peer does not know `%s`", order.Do)
	}
	switch err {
	case nil:
		tell(Event{Event: "value", Value: &value, Source: source})
	case errTimeout:
		tell(Event{Event: "timeout"})
	default:
		tell(Event{Event: "failed", Message: err.Error()})
	}
}

func main() {
	url := flag.String("url", "", "")
	tag := flag.String("tag", "", "")
	style := flag.String("style", "", "go or csharp")
	lockMs := flag.Int("lock-ms", 60000, "")
	ttlMs := flag.Int("ttl-ms", 60000, "")
	flag.Parse()
	if *style != "go" && *style != "csharp" {
		fmt.Fprintln(os.Stderr, "--style is go or csharp")
		os.Exit(2)
	}
	options, err := redis.ParseURL(*url)
	if err != nil {
		fmt.Fprintln(os.Stderr, "--url:", err)
		os.Exit(2)
	}
	// A crowd of callers is not to wait for connections.
	options.PoolSize = 100
	peer := &MemoLock{
		client: redis.NewClient(options),
		tag:    *tag,
		lock:   time.Duration(*lockMs) * time.Millisecond,
		ttl:    time.Duration(*ttlMs) * time.Millisecond,
		style:  *style,
		tell:   tell,
	}
	if err := peer.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "the subscription:", err)
		os.Exit(1)
	}
	tell(Event{Event: "ready", Client: runtime.Version() + ", redis.v5"})
	steered := Steered{peer, bufio.NewReader(os.Stdin)}
	for {
		steered.obey(steered.next())
	}
}
