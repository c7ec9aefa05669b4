// A small peer that does what the two clients of 2019 do, in Go, with their faults.
//
//	likes:kristoff          the value
//	likes/lock:kristoff     the lock: SET NX with a time-out
//	likes/notif:kristoff    the channel on which the value is published
//
// The styles are `go` and `csharp`, after the languages of the two clients. Where they differ the code says which
// does what. docs/protocol.md says how to do better.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"gopkg.in/redis.v5"
)

// EXPIRE takes whole seconds; only the lock's own holder may renew it.
const renewScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
  return 1
end
return 0
`

var (
	errTimeout   = errors.New("no value in time")
	errLeaseLost = errors.New("the lock is not ours any more")
)

// Renew extends the lock by seconds, or says errLeaseLost.
type Renew func(seconds float64) error

// Halt is called between two steps, for whoever steers the peer.
type Halt func(step string) error

// MemoLock keeps the promises of one tag.
type MemoLock struct {
	client *redis.Client
	tag    string
	lock   time.Duration
	// Zero is for ever.
	ttl   time.Duration
	style string
	// Hears what happens, for whoever steers the peer.
	tell func(event Event)

	mu      sync.Mutex
	waiters map[string][]chan string
}

// Start subscribes to the tag's pattern and has it confirmed: from then on nothing is missed. The tag is not escaped: one
// with glob characters is another pattern.
func (m *MemoLock) Start() error {
	m.waiters = map[string][]chan string{}
	pubsub, err := m.client.PSubscribe(m.tag + "/notif:*")
	if err != nil {
		return err
	}
	if _, err := pubsub.Receive(); err != nil {
		return err
	}
	go m.dispatch(pubsub)
	return nil
}

// Get returns the value and where it is from; it waits at most so long for another peer's. If the compute fails, the
// lock stays.
func (m *MemoLock) Get(id string, wait time.Duration, compute func(Renew) (string, error), halt Halt) (string, string, error) {
	return m.get(id, wait, compute, halt, false)
}

// GetExternal is the same, where `trigger` starts some other program that will Keep the promise.
func (m *MemoLock) GetExternal(id string, wait time.Duration, trigger func(), halt Halt) (string, string, error) {
	work := func(Renew) (string, error) {
		trigger()
		return "", nil
	}
	return m.get(id, wait, work, halt, true)
}

// Keep is what such a program does: store, and then publish. It needs no lock.
func (m *MemoLock) Keep(id, value string) error {
	pipe := m.client.Pipeline()
	pipe.Set(m.tag+":"+id, value, m.ttl)
	pipe.Publish(m.tag+"/notif:"+id, value)
	_, err := pipe.Exec()
	return err
}

func (m *MemoLock) get(id string, wait time.Duration, work func(Renew) (string, error), halt Halt, external bool) (string, string, error) {
	value, err := m.read(id)
	// The empty string is a value; only redis.Nil is a miss.
	if err != redis.Nil {
		return value, "hit", err
	}
	if err := halt("missed"); err != nil {
		return "", "", err
	}
	lock, token := m.tag+"/lock:"+id, newToken()
	ours, err := m.client.SetNX(lock, token, m.lock).Result()
	if err != nil {
		return "", "", err
	}
	if ours {
		value, err := work(func(seconds float64) error { return m.renew(lock, token, seconds) })
		if err != nil {
			return "", "", err
		}
		if !external {
			return value, "computed", m.fulfil(id, value)
		}
	} else if err := halt("refused"); err != nil {
		return "", "", err
	}
	value, err = m.wait(id, wait)
	return value, "awaited", err
}

func (m *MemoLock) read(id string) (string, error) {
	value, err := m.client.Get(m.tag + ":" + id).Result()
	return m.text(value), err
}

// C# reads payloads as UTF-8, and what is none is replaced. Go does not mind.
func (m *MemoLock) text(value string) string {
	if m.style == "csharp" {
		return strings.ToValidUTF8(value, "\uFFFD")
	}
	return value
}

// Whoever has the lock by now: the value is stored, and C# deletes the lock.
func (m *MemoLock) fulfil(id, value string) error {
	pipe := m.client.Pipeline()
	pipe.Set(m.tag+":"+id, value, m.ttl)
	if m.style == "csharp" {
		pipe.Del(m.tag + "/lock:" + id)
	}
	pipe.Publish(m.tag+"/notif:"+id, value)
	_, err := pipe.Exec()
	return err
}

func (m *MemoLock) renew(lock, token string, seconds float64) error {
	// C# passes a fraction as it is. Go passes a Duration, which counts nanoseconds, as seconds.
	argument := strconv.FormatFloat(seconds, 'f', -1, 64)
	if m.style == "go" {
		argument = strconv.FormatInt(int64(seconds*float64(time.Second)), 10)
	}
	renewed, err := m.client.Eval(renewScript, []string{lock}, token, argument).Result()
	if err == nil && renewed != int64(1) {
		return errLeaseLost
	}
	return err
}

func (m *MemoLock) wait(id string, wait time.Duration) (string, error) {
	channel, promise := m.tag+"/notif:"+id, make(chan string, 1)
	m.mu.Lock()
	m.waiters[channel] = append(m.waiters[channel], promise)
	m.mu.Unlock()
	// Again, now that we listen: it may have been published a moment ago.
	value, err := m.read(id)
	if err != redis.Nil && (err != nil || m.style == "go") {
		m.unsubscribe(channel, promise)
		return value, err
	}
	if err == nil {
		// C# looks for its waiters under the id, and they stand under the channel: none is woken, not even this one.
		m.resolve(id, value)
	}
	m.tell(Event{Event: "waiting"})
	select {
	case value := <-promise:
		return value, nil
	case <-time.After(wait):
		// In C# the waiter stays where it is, and nobody minds.
		m.unsubscribe(channel, promise)
		return "", errTimeout
	}
}

// Go takes the waiter out of the list, and then writes past the end of the shorter list.
func (m *MemoLock) unsubscribe(channel string, promise chan string) {
	if m.style != "go" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, waiter := range m.waiters[channel] {
		if waiter == promise {
			m.tell(Event{Event: "panicked"})
			os.Exit(2)
		}
	}
}

func (m *MemoLock) resolve(channel, value string) {
	m.mu.Lock()
	promises := m.waiters[channel]
	delete(m.waiters, channel)
	m.mu.Unlock()
	for _, promise := range promises {
		promise <- value
	}
}

func (m *MemoLock) dispatch(pubsub *redis.PubSub) {
	for {
		message, err := pubsub.ReceiveMessage()
		if err != nil {
			m.tell(Event{Event: "failed", Message: err.Error()})
			return
		}
		value := m.text(message.Payload)
		m.resolve(message.Channel, value)
		// Afterwards: what is told has come to all who waited.
		m.tell(Event{Event: "heard", Channel: message.Channel, Value: &value})
	}
}

func newToken() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return hex.EncodeToString(bytes)
}
