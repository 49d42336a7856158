// Command bench does with hashicorp/memberlist what bench/lib/gossip-load.ts does with ours, so that numbers of one run
// stand side by side. It reads one request as JSON from stdin and writes one answer to stdout.
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	_ "unsafe" // for linkname: what is measured is the library's own code, not a copy of it

	"github.com/hashicorp/memberlist"
)

//go:linkname decode github.com/hashicorp/memberlist.decode
func decode(buf []byte, out any) error

//go:linkname encode github.com/hashicorp/memberlist.encode
func encode(msgType uint8, in any, newTimeFormat bool) (*bytes.Buffer, error)

// The messages as the library declares them; its codec goes by the names of the fields.
type ping struct {
	SeqNo      uint32
	Node       string
	SourceAddr []byte `codec:",omitempty"`
	SourcePort uint16 `codec:",omitempty"`
	SourceNode string `codec:",omitempty"`
}
type indirectPing struct {
	SeqNo      uint32
	Target     []byte
	Port       uint16
	Node       string
	Nack       bool
	SourceAddr []byte `codec:",omitempty"`
	SourcePort uint16 `codec:",omitempty"`
	SourceNode string `codec:",omitempty"`
}
type ack struct {
	SeqNo   uint32
	Payload []byte
}
type nack struct{ SeqNo uint32 }
type accusation struct {
	Incarnation uint32
	Node        string
	From        string
}
type alive struct {
	Incarnation uint32
	Node        string
	Addr        []byte
	Port        uint16
	Meta        []byte
	Vsn         []uint8
}

type request struct {
	Do       string
	Ms       int               // codec: how long each loop runs
	Messages map[string]string // codec: hex by kind
	Members  int               // packets, idle
	Key      string            // packets: hex, or empty
	Fill     []string          // packets: hex, read before anything is measured
	Warm     int               // packets: how many are read before that
	Count    int               // packets
	Packets  []string          // packets: hex, in turn
	Payload  int               // packets: bytes of a message that is sent
	Seconds  int               // idle
	Rounds   int               // idle: how often so many seconds are measured
}

func main() {
	var r request
	if err := json.NewDecoder(os.Stdin).Decode(&r); err != nil {
		log.Fatal(err)
	}
	var answer any
	switch r.Do {
	case "codec":
		answer = codec(r)
	case "packets":
		answer = packets(r)
	case "idle":
		answer = idle(r)
	default:
		log.Fatalf("nothing is called %q", r.Do)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		log.Fatal(err)
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func unhex(texts ...string) [][]byte {
	var all [][]byte
	for _, text := range texts {
		b, err := hex.DecodeString(text)
		must(err)
		all = append(all, b)
	}
	return all
}

// measure runs turn over and over for ms milliseconds: turns per second, bytes allocated per turn.
func measure(ms int, turn func()) (perSecond, bytesEach float64) {
	for i := 0; i < 1000; i++ {
		turn()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, turns := time.Now(), 0
	for time.Since(began) < time.Duration(ms)*time.Millisecond {
		for i := 0; i < 200; i++ {
			turn()
		}
		turns += 200
	}
	seconds := time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	return float64(turns) / seconds, float64(after.TotalAlloc-before.TotalAlloc) / float64(turns)
}

type codecAnswer struct {
	DecodePerSecond float64 `json:"decodePerSecond"`
	EncodePerSecond float64 `json:"encodePerSecond"`
	DecodeBytes     float64 `json:"decodeBytes"`
	EncodeBytes     float64 `json:"encodeBytes"`
}

func codec(r request) any {
	answers := map[string]codecAnswer{}
	for kind, text := range r.Messages {
		message := unhex(text)[0]
		var fresh func() any
		switch kind {
		case "ping":
			fresh = func() any { return new(ping) }
		case "indirectPing":
			fresh = func() any { return new(indirectPing) }
		case "ack":
			fresh = func() any { return new(ack) }
		case "nack":
			fresh = func() any { return new(nack) }
		case "suspect", "dead":
			fresh = func() any { return new(accusation) }
		case "alive":
			fresh = func() any { return new(alive) }
		default:
			log.Fatalf("no message is called %q", kind)
		}
		var a codecAnswer
		a.DecodePerSecond, a.DecodeBytes = measure(r.Ms, func() { must(decode(message[1:], fresh())) })
		value := fresh()
		must(decode(message[1:], value))
		a.EncodePerSecond, a.EncodeBytes = measure(r.Ms, func() {
			_, err := encode(message[0], value, false)
			must(err)
		})
		answers[kind] = a
	}
	return answers
}

// sink is a network that hands over what it is given and counts what is sent.
type sink struct {
	in   chan *memberlist.Packet
	sent atomic.Int64
}

func (s *sink) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return net.IPv4(10, 0, 0, 1).To4(), 7946, nil
}
func (s *sink) WriteTo(b []byte, addr string) (time.Time, error) {
	s.sent.Add(1)
	return time.Now(), nil
}
func (s *sink) PacketCh() <-chan *memberlist.Packet { return s.in }
func (s *sink) StreamCh() <-chan net.Conn           { return nil }
func (s *sink) Shutdown() error                     { return nil }
func (s *sink) DialTimeout(string, time.Duration) (net.Conn, error) {
	return nil, fmt.Errorf("no streams here")
}

var from = &net.UDPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 7946}

func (s *sink) feed(buf []byte) {
	// Layers are opened in place: each packet is a buffer of its own, as from a socket.
	s.in <- &memberlist.Packet{Buf: append([]byte(nil), buf...), From: from, Timestamp: time.Now()}
}

func packets(r request) any {
	s := &sink{in: make(chan *memberlist.Packet)}
	c := memberlist.DefaultLANConfig()
	c.Name, c.Transport, c.LogOutput = "bench", s, io.Discard
	c.ProbeInterval, c.GossipInterval, c.PushPullInterval = 0, 0, 0
	c.HandoffQueueDepth = 1 << 16
	if r.Key != "" {
		c.SecretKey = unhex(r.Key)[0]
	}
	list, err := memberlist.Create(c)
	must(err)
	for _, buf := range unhex(r.Fill...) {
		s.feed(buf)
	}
	deadline := time.Now().Add(30 * time.Second)
	for list.NumMembers() != r.Members+1 {
		if time.Now().After(deadline) {
			log.Fatalf("%d members of %d", list.NumMembers(), r.Members+1)
		}
		time.Sleep(time.Millisecond)
	}
	all := unhex(r.Packets...)
	answered := s.sent.Load()
	run := func(count int) {
		for i := 0; i < count; i++ {
			s.feed(all[i%len(all)])
		}
		answered += int64(count)
		for s.sent.Load() < answered { // each is a ping
			runtime.Gosched()
		}
	}
	run(r.Warm)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	run(r.Count)
	inSeconds := time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	inBytes := float64(after.TotalAlloc-before.TotalAlloc) / float64(r.Count)

	var to *memberlist.Node
	for _, node := range list.Members() {
		if node.Name == "n0" {
			to = node
		}
	}
	payload := make([]byte, r.Payload)
	for i := range payload {
		payload[i] = byte(i * 7)
	}
	runtime.ReadMemStats(&before)
	began = time.Now()
	for i := 0; i < r.Count; i++ {
		must(list.SendBestEffort(to, payload))
	}
	outSeconds := time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	return map[string]float64{
		"inPerSecond": float64(r.Count) / inSeconds, "inBytes": inBytes,
		"outPerSecond": float64(r.Count) / outSeconds,
		"outBytes":     float64(after.TotalAlloc-before.TotalAlloc) / float64(r.Count),
	}
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func idle(r request) any {
	var first string
	for i := 0; i < r.Members; i++ {
		c := memberlist.DefaultLANConfig()
		c.Name, c.LogOutput = fmt.Sprintf("n%d", i), io.Discard
		c.BindAddr, c.BindPort, c.AdvertiseAddr, c.AdvertisePort = "127.0.0.1", 0, "127.0.0.1", 0
		list, err := memberlist.Create(c)
		must(err)
		if i == 0 {
			first = list.LocalNode().Address()
		} else {
			_, err = list.Join([]string{first})
			must(err)
		}
	}
	time.Sleep(5 * time.Second)
	var rounds []float64
	for i := 0; i < r.Rounds; i++ {
		before := cpuSeconds()
		time.Sleep(time.Duration(r.Seconds) * time.Second)
		rounds = append(rounds, cpuSeconds()-before)
	}
	return map[string][]float64{"cpuSeconds": rounds}
}
