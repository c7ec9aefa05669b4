// A small peer of memolock: the contract of 2019 in Go, and nothing else.
//
//	likes:kristoff          the value
//	likes/lock:kristoff     the lock: SET NX with a time-out
//	likes/notif:kristoff    the channel on which the value is published
//
// What it does not have is what its ancestors did not have: it releases no lock when a compute fails, tries
// for no lock again while it waits, and does not look at the lock before it stores. docs/protocol.md says
// how to do better.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"gopkg.in/redis.v5"
)

// EXPIRE takes whole seconds; only the lock's own holder may renew it.
const renewScript = `
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 0
`

var (
	errTimeout   = errors.New("no value in time")
	errLeaseLost = errors.New("the lock is not ours any more")
)

// Renew extends the lock by whole seconds, or says errLeaseLost.
type Renew func(seconds int) error

// MemoLock keeps the promises of one tag.
type MemoLock struct {
	client *redis.Client
	tag    string
	lock   time.Duration
	ttl    time.Duration
	// After success, as a C# MemoLock does; else it is left to its time-out, as the Go one does.
	deletesLock bool
	// Hears what happens, for whoever steers the peer.
	tell func(event Event)

	mu      sync.Mutex
	waiters map[string][]chan string
}

// Start subscribes to the tag's pattern and has it confirmed: from then on nothing is missed.
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

// Get returns the value and where it is from; it waits at most so long for another peer's.
func (m *MemoLock) Get(id string, wait time.Duration, compute func(Renew) (string, error)) (string, string, error) {
	return m.get(id, wait, compute, false)
}

// GetExternal is the same, where `trigger` starts some other program that will Keep the promise.
func (m *MemoLock) GetExternal(id string, wait time.Duration, trigger func()) (string, string, error) {
	work := func(Renew) (string, error) {
		trigger()
		return "", nil
	}
	return m.get(id, wait, work, true)
}

// Keep is what such a program does: store, and then publish. It needs no lock.
func (m *MemoLock) Keep(id, value string) error {
	pipe := m.client.Pipeline()
	pipe.Set(m.tag+":"+id, value, m.ttl)
	pipe.Publish(m.tag+"/notif:"+id, value)
	_, err := pipe.Exec()
	return err
}

func (m *MemoLock) get(id string, wait time.Duration, work func(Renew) (string, error), external bool) (string, string, error) {
	value, err := m.client.Get(m.tag + ":" + id).Result()
	// The empty string is a value; only redis.Nil is a miss.
	if err != redis.Nil {
		return value, "hit", err
	}
	lock, token := m.tag+"/lock:"+id, newToken()
	ours, err := m.client.SetNX(lock, token, m.lock).Result()
	if err != nil {
		return "", "", err
	}
	if ours {
		value, err := work(func(seconds int) error { return m.renew(lock, token, seconds) })
		if err != nil {
			return "", "", err
		}
		if !external {
			return value, "computed", m.fulfil(id, value)
		}
	}
	value, err = m.wait(id, wait)
	return value, "awaited", err
}

func (m *MemoLock) fulfil(id, value string) error {
	pipe := m.client.Pipeline()
	pipe.Set(m.tag+":"+id, value, m.ttl)
	if m.deletesLock {
		pipe.Del(m.tag + "/lock:" + id)
	}
	pipe.Publish(m.tag+"/notif:"+id, value)
	_, err := pipe.Exec()
	return err
}

func (m *MemoLock) renew(lock, token string, seconds int) error {
	renewed, err := m.client.Eval(renewScript, []string{lock}, token, seconds).Result()
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
	defer m.forget(channel, promise)
	// Again, now that we listen: it may have been published a moment ago.
	value, err := m.client.Get(m.tag + ":" + id).Result()
	if err != redis.Nil {
		return value, err
	}
	m.tell(Event{Event: "waiting"})
	select {
	case value := <-promise:
		return value, nil
	case <-time.After(wait):
		return "", errTimeout
	}
}

func (m *MemoLock) forget(channel string, promise chan string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, waiter := range m.waiters[channel] {
		if waiter == promise {
			m.waiters[channel] = append(m.waiters[channel][:i], m.waiters[channel][i+1:]...)
			return
		}
	}
}

func (m *MemoLock) dispatch(pubsub *redis.PubSub) {
	for {
		message, err := pubsub.ReceiveMessage()
		if err != nil {
			m.tell(Event{Event: "failed", Message: err.Error()})
			return
		}
		m.tell(Event{Event: "heard", Channel: message.Channel, Value: &message.Payload})
		m.mu.Lock()
		promises := m.waiters[message.Channel]
		delete(m.waiters, message.Channel)
		m.mu.Unlock()
		for _, promise := range promises {
			promise <- message.Payload
		}
	}
}

func newToken() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return hex.EncodeToString(bytes)
}
