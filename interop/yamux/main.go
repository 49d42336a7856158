// Command yamux-peer is hashicorp/yamux behind JSON lines: a test tells it what to do on stdin and hears the outcome on
// stdout. One process holds one session, as its listening or its dialling side.
//
// A request {"id":1,"cmd":"ping"} is answered {"id":1,...} or {"id":1,"error":"..."}; {"event":"..."} comes unasked.
// The first byte of every stream says what its acceptor does with the rest:
//
//	E  echoes until the opener's FIN
//	S  reads until the opener's FIN and answers with the SHA-256
//	W  as S, but reads nothing before "release"
//	Q  quits early: reads as many bytes as the next four say (big endian), answers "bye" and closes
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

type request struct {
	ID      int    `json:"id"`
	Cmd     string `json:"cmd"`
	Port    int    `json:"port"`
	Backlog int    `json:"backlog"`
	Hold    bool   `json:"hold"`
	Verb    string `json:"verb"`
	Streams int    `json:"streams"`
	Bytes   int    `json:"bytes"`
}

type answer map[string]interface{}

type peer struct {
	out     sync.Mutex
	session *yamux.Session
	ready   chan struct{} // closed once session is there
	release chan struct{} // closed by "release"
	accept  chan struct{} // closed when streams may be accepted
	written int64         // bytes that Write has taken since the start
}

func main() {
	p := &peer{ready: make(chan struct{}), release: make(chan struct{}), accept: make(chan struct{})}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fmt.Fprintln(os.Stderr, "unreadable request:", err)
			os.Exit(2)
		}
		go func() {
			a, err := p.do(r)
			if err != nil {
				a = answer{"error": err.Error()}
			}
			a["id"] = r.ID
			p.say(a)
		}()
	}
}

func (p *peer) say(a answer) {
	line, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	p.out.Lock()
	defer p.out.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

func (p *peer) do(r request) (answer, error) {
	switch r.Cmd {
	case "listen":
		return p.listen(r)
	case "dial":
		return p.dial(r)
	}
	<-p.ready
	switch r.Cmd {
	case "accept":
		close(p.accept)
		return answer{}, nil
	case "release":
		close(p.release)
		return answer{}, nil
	case "ping":
		took, err := p.session.Ping()
		return answer{"tookMs": float64(took) / float64(time.Millisecond)}, err
	case "goAway":
		return answer{}, p.session.GoAway()
	case "close":
		return answer{}, p.session.Close()
	case "count":
		return answer{"streams": p.session.NumStreams(), "written": atomic.LoadInt64(&p.written)}, nil
	case "echo":
		return p.echo(r)
	case "push":
		return p.push(r)
	case "quit":
		return p.quit(r)
	}
	return nil, fmt.Errorf("unknown command %q", r.Cmd)
}

func config(r request) *yamux.Config {
	c := yamux.DefaultConfig()
	if r.Backlog > 0 {
		c.AcceptBacklog = r.Backlog
	}
	return c
}

func (p *peer) listen(r request) (answer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		listener.Close()
		session, err := yamux.Server(conn, config(r))
		if err != nil {
			panic(err)
		}
		if !r.Hold {
			close(p.accept)
		}
		p.begin(session)
	}()
	return answer{"port": listener.Addr().(*net.TCPAddr).Port}, nil
}

func (p *peer) dial(r request) (answer, error) {
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", r.Port))
	if err != nil {
		return nil, err
	}
	session, err := yamux.Client(conn, config(r))
	if err != nil {
		return nil, err
	}
	close(p.accept)
	p.begin(session)
	return answer{}, nil
}

func (p *peer) begin(session *yamux.Session) {
	p.session = session
	close(p.ready)
	go func() {
		<-session.CloseChan()
		p.say(answer{"event": "closed"})
	}()
	go func() {
		<-p.accept
		for {
			stream, err := session.AcceptStream()
			if err != nil {
				return
			}
			go p.serve(stream)
		}
	}()
}

// serve does what a stream's first byte asks for.
func (p *peer) serve(stream *yamux.Stream) {
	defer stream.Close()
	var verb [1]byte
	if _, err := io.ReadFull(stream, verb[:]); err != nil {
		return
	}
	switch verb[0] {
	case 'E':
		io.Copy(stream, stream)
	case 'W', 'S':
		if verb[0] == 'W' {
			<-p.release
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, stream); err != nil {
			return
		}
		stream.Write(sum.Sum(nil))
	case 'Q':
		var n [4]byte
		if _, err := io.ReadFull(stream, n[:]); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, stream, int64(binary.BigEndian.Uint32(n[:]))); err != nil {
			return
		}
		stream.Write([]byte("bye"))
	default:
		fmt.Fprintf(os.Stderr, "stream %d asks for %q\n", stream.StreamID(), verb)
	}
}

// pattern yields bytes that repeat only after a long time, so that a lost or doubled frame changes the sum.
type pattern struct {
	state uint64
	left  int
}

func (g *pattern) Read(into []byte) (int, error) {
	if g.left == 0 {
		return 0, io.EOF
	}
	if len(into) > g.left {
		into = into[:g.left]
	}
	for i := range into {
		if i%8 == 0 { // xorshift64
			g.state ^= g.state << 13
			g.state ^= g.state >> 7
			g.state ^= g.state << 17
		}
		into[i] = byte(g.state >> (8 * uint(i%8)))
	}
	g.left -= len(into)
	return len(into), nil
}

// echo has streams opened, all of them before any goes on, and checks that r.Bytes come back on each.
func (p *peer) echo(r request) (answer, error) {
	var open, done sync.WaitGroup
	open.Add(r.Streams)
	done.Add(r.Streams)
	failures := make(chan error, r.Streams)
	started := time.Now()
	for n := 0; n < r.Streams; n++ {
		go func(seed uint64) {
			defer done.Done()
			failures <- p.echoOne(seed, r.Bytes, &open)
		}(uint64(n + 1))
	}
	done.Wait()
	close(failures)
	for err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return answer{"tookMs": time.Since(started).Milliseconds()}, nil
}

func (p *peer) echoOne(seed uint64, size int, open *sync.WaitGroup) error {
	stream, err := p.session.OpenStream()
	if err != nil {
		open.Done()
		return err
	}
	defer stream.Close()
	var back [1]byte
	_, err = stream.Write([]byte{'E', '?'})
	if err == nil {
		_, err = io.ReadFull(stream, back[:])
	}
	open.Done()
	if err != nil {
		return err
	}
	open.Wait() // every stream has been answered, none has been closed
	sent, got := sha256.New(), sha256.New()
	failed := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(stream, io.TeeReader(&pattern{seed, size}, sent), make([]byte, 65536))
		failed <- err
	}()
	if _, err := io.CopyN(got, stream, int64(size)); err != nil {
		return fmt.Errorf("stream %d: %v", stream.StreamID(), err)
	}
	if err := <-failed; err != nil {
		return fmt.Errorf("stream %d: %v", stream.StreamID(), err)
	}
	if hex.EncodeToString(sent.Sum(nil)) != hex.EncodeToString(got.Sum(nil)) {
		return fmt.Errorf("stream %d: %d bytes came back changed", stream.StreamID(), size)
	}
	return nil
}

// push writes r.Bytes to one stream, closes it for writing, and says which sum they had. The acceptor's answer is not
// awaited: after Close a Go stream reads nothing more.
func (p *peer) push(r request) (answer, error) {
	stream, err := p.session.OpenStream()
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := stream.Write([]byte(r.Verb)); err != nil {
		return nil, err
	}
	from := &pattern{42, r.Bytes}
	block := make([]byte, 65536)
	for {
		n, err := from.Read(block)
		if err == io.EOF {
			break
		}
		sum.Write(block[:n])
		if _, err := stream.Write(block[:n]); err != nil {
			return nil, err
		}
		atomic.AddInt64(&p.written, int64(n))
	}
	return answer{"sha256": hex.EncodeToString(sum.Sum(nil))}, stream.Close()
}

// quit opens r.Streams streams whose acceptors leave after r.Bytes while more is still being written to them.
func (p *peer) quit(r request) (answer, error) {
	failures := make(chan error, r.Streams)
	for n := 0; n < r.Streams; n++ {
		go func() { failures <- p.quitOne(r.Bytes) }()
	}
	for n := 0; n < r.Streams; n++ {
		if err := <-failures; err != nil {
			return nil, err
		}
	}
	return answer{}, nil
}

func (p *peer) quitOne(size int) error {
	stream, err := p.session.OpenStream()
	if err != nil {
		return err
	}
	head := []byte{'Q', 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[1:], uint32(size))
	if _, err := stream.Write(head); err != nil {
		return err
	}
	stopped := make(chan struct{})
	go func() { // until the window is used up, or our own Close says enough
		io.Copy(stream, &pattern{7, 16 * 1024 * 1024})
		close(stopped)
	}()
	text, err := io.ReadAll(stream)
	if err != nil {
		return err
	}
	if string(text) != "bye" {
		return errors.New("instead of bye came " + string(text))
	}
	stream.Close()
	<-stopped
	return nil
}
