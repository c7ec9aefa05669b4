package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"gopkg.in/redis.v5"
)

// Order is a line from whoever steers the peer: see ../README.md for the words.
type Order struct {
	Do      string
	ID      string
	WaitMs  int `json:"wait_ms"`
	Value   string
	Message string
	Seconds int
}

// Event is a line to whoever steers the peer.
type Event struct {
	Event   string  `json:"event"`
	Channel string  `json:"channel,omitempty"`
	Value   *string `json:"value,omitempty"` // the empty string is a value
	Source  string  `json:"source,omitempty"`
	Message string  `json:"message,omitempty"`
	Client  string  `json:"client,omitempty"`
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
	peer     *MemoLock
	orders   *bufio.Reader
	mayRenew bool
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
		switch {
		case order.Do == "return":
			return order.Value, nil
		case order.Do == "fail":
			return "", errors.New(order.Message)
		case order.Do == "renew" && s.mayRenew:
			switch err := renew(order.Seconds); err {
			case nil:
				tell(Event{Event: "renewed"})
			case errLeaseLost:
				tell(Event{Event: "lost"})
			default:
				return "", err
			}
		default:
			return "", fmt.Errorf("a compute does not know `%s`", order.Do)
		}
	}
}

// One order from the outside, and its end.
func (s *Steered) obey(order Order) {
	wait := time.Duration(order.WaitMs) * time.Millisecond
	var value, source string
	var err error
	switch order.Do {
	case "get":
		value, source, err = s.peer.Get(order.ID, wait, s.compute)
	case "external":
		value, source, err = s.peer.GetExternal(order.ID, wait, func() { tell(Event{Event: "triggered"}) })
	case "keep":
		if err = s.peer.Keep(order.ID, order.Value); err == nil {
			tell(Event{Event: "kept"})
			return
		}
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
	style := flag.String("style", "", "go, csharp or renew")
	lockMs := flag.Int("lock-ms", 60000, "")
	ttlMs := flag.Int("ttl-ms", 60000, "")
	flag.Parse()
	if *style != "go" && *style != "csharp" && *style != "renew" {
		fmt.Fprintln(os.Stderr, "--style is go, csharp or renew")
		os.Exit(2)
	}
	options, err := redis.ParseURL(*url)
	if err != nil {
		fmt.Fprintln(os.Stderr, "--url:", err)
		os.Exit(2)
	}
	peer := &MemoLock{
		client:      redis.NewClient(options),
		tag:         *tag,
		lock:        time.Duration(*lockMs) * time.Millisecond,
		ttl:         time.Duration(*ttlMs) * time.Millisecond,
		deletesLock: *style == "csharp",
		tell:        tell,
	}
	if err := peer.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "the subscription:", err)
		os.Exit(1)
	}
	tell(Event{Event: "ready", Client: runtime.Version() + ", redis.v5"})
	steered := Steered{peer, bufio.NewReader(os.Stdin), *style == "renew"}
	for {
		steered.obey(steered.next())
	}
}
