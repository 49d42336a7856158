package main

import (
	"errors"
	"io"
	"log"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// A gate is the library's own transport with a door that can be closed to some members: nothing is sent to them any more,
// neither packets nor streams. Closed on both sides, it divides the network.
type gate struct {
	memberlist.Transport

	mutex  sync.Mutex
	closed map[string]bool // by port
}

var errCut = errors.New("cut off")

// openGate listens on any port of host.
func openGate(host string) (*gate, int, error) {
	config := &memberlist.NetTransportConfig{BindAddrs: []string{host}, Logger: log.New(io.Discard, "", 0)}
	var err error
	for tries := 0; tries < 10; tries++ { // the port the kernel picks for TCP may be taken for UDP
		var transport *memberlist.NetTransport
		if transport, err = memberlist.NewNetTransport(config); err == nil {
			return &gate{Transport: transport}, transport.GetAutoBindPort(), nil
		}
	}
	return nil, 0, err
}

// cut closes the door to members at these ports, and opens it to all others.
func (g *gate) cut(ports []int) {
	closed := map[string]bool{}
	for _, port := range ports {
		closed[strconv.Itoa(port)] = true
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.closed = closed
}

func (g *gate) isClosedTo(addr string) bool {
	_, port, _ := net.SplitHostPort(addr)
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.closed[port]
}

func (g *gate) WriteTo(packet []byte, addr string) (time.Time, error) {
	if g.isClosedTo(addr) {
		return time.Now(), nil // lost on the way, without a word
	}
	return g.Transport.WriteTo(packet, addr)
}

func (g *gate) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	if g.isClosedTo(addr) {
		return nil, errCut
	}
	return g.Transport.DialTimeout(addr, timeout)
}
