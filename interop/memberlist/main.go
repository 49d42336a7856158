// Command memberlist-peer is hashicorp/memberlist behind JSON lines: a test tells it what to do on stdin and hears the
// outcome on stdout. One process is one member.
//
// A request {"id":1,"cmd":"members"} is answered {"id":1,...} or {"id":1,"error":"..."}; what the library's delegates
// hear comes unasked as {"event":"join|leave|update|message|conflict",...}.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

type request struct {
	ID       int      `json:"id"`
	Cmd      string   `json:"cmd"`
	Name     string   `json:"name"`
	Key      string   `json:"key"` // base64, empty: plaintext
	Label    string   `json:"label"`
	Meta     string   `json:"meta"`
	Targets  []string `json:"targets"`
	To       string   `json:"to"`
	Text     string   `json:"text"`
	Reliable bool     `json:"reliable"`
	Op       string   `json:"op"`    // install, use or remove, of a key
	Ports    []int    `json:"ports"` // of members that are cut off

	RetransmitMult          int `json:"retransmitMult"`
	SuspicionMult           int `json:"suspicionMult"`
	SuspicionMaxTimeoutMult int `json:"suspicionMaxTimeoutMult"`
	ProbeIntervalMs         int `json:"probeIntervalMs"`
	ProbeTimeoutMs          int `json:"probeTimeoutMs"`
	GossipIntervalMs        int `json:"gossipIntervalMs"`
	PushPullIntervalMs      int `json:"pushPullIntervalMs"`
}

type answer map[string]interface{}

type peer struct {
	out  sync.Mutex
	list *memberlist.Memberlist
	ring *memberlist.Keyring
	gate *gate

	metaLock sync.Mutex
	meta     string
}

func main() {
	p := &peer{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			fmt.Fprintln(os.Stderr, "unreadable request:", err)
			os.Exit(2)
		}
		a, err := p.do(r)
		if a == nil {
			a = answer{}
		}
		if err != nil {
			a["error"] = err.Error()
		}
		a["id"] = r.ID
		p.say(a)
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
	case "open":
		return p.open(r)
	case "join":
		joined, err := p.list.Join(r.Targets)
		return answer{"joined": joined}, err
	case "members":
		members := []answer{}
		for _, node := range p.list.Members() {
			members = append(members, describe(node))
		}
		return answer{"members": members}, nil
	case "updateMeta":
		p.metaLock.Lock()
		p.meta = r.Meta
		p.metaLock.Unlock()
		return nil, p.list.UpdateNode(5 * time.Second)
	case "send":
		for _, node := range p.list.Members() {
			if node.Name != r.To {
				continue
			}
			if r.Reliable {
				return nil, p.list.SendReliable(node, []byte(r.Text))
			}
			return nil, p.list.SendBestEffort(node, []byte(r.Text))
		}
		return nil, fmt.Errorf("%s is no member", r.To)
	case "key":
		return nil, p.key(r)
	case "cut":
		p.gate.cut(r.Ports)
		return nil, nil
	case "leave":
		return nil, p.list.Leave(5 * time.Second)
	case "shutdown":
		return nil, p.list.Shutdown()
	}
	return nil, fmt.Errorf("unknown command %q", r.Cmd)
}

func (p *peer) open(r request) (answer, error) {
	c := memberlist.DefaultLocalConfig()
	c.Name = r.Name
	gate, port, err := openGate("127.0.0.1")
	if err != nil {
		return nil, err
	}
	p.gate = gate
	c.Transport = gate
	c.BindAddr, c.BindPort = "127.0.0.1", port
	c.AdvertiseAddr, c.AdvertisePort = "127.0.0.1", port
	c.EnableCompression = true
	c.RetransmitMult = r.RetransmitMult
	c.SuspicionMult = r.SuspicionMult
	c.SuspicionMaxTimeoutMult = r.SuspicionMaxTimeoutMult
	c.ProbeInterval = time.Duration(r.ProbeIntervalMs) * time.Millisecond
	c.ProbeTimeout = time.Duration(r.ProbeTimeoutMs) * time.Millisecond
	c.GossipInterval = time.Duration(r.GossipIntervalMs) * time.Millisecond
	c.PushPullInterval = time.Duration(r.PushPullIntervalMs) * time.Millisecond
	c.Delegate, c.Events, c.Conflict = p, p, p
	c.LogOutput = os.Stderr
	if r.Key != "" {
		key, err := base64.StdEncoding.DecodeString(r.Key)
		if err != nil {
			return nil, err
		}
		ring, err := memberlist.NewKeyring(nil, key)
		if err != nil {
			return nil, err
		}
		p.ring, c.Keyring = ring, ring
	}
	if r.Label != "" {
		if err := label(c, r.Label); err != nil {
			return nil, err
		}
	}
	p.meta = r.Meta
	list, err := memberlist.Create(c)
	if err != nil {
		return nil, err
	}
	p.list = list
	return answer{"port": list.LocalNode().Port}, nil
}

func (p *peer) key(r request) error {
	if p.ring == nil {
		return errors.New("this member has no keys")
	}
	key, err := base64.StdEncoding.DecodeString(r.Key)
	if err != nil {
		return err
	}
	switch r.Op {
	case "install":
		return p.ring.AddKey(key)
	case "use":
		return p.ring.UseKey(key)
	case "remove":
		return p.ring.RemoveKey(key)
	}
	return fmt.Errorf("unknown operation %q", r.Op)
}

func describe(n *memberlist.Node) answer {
	return answer{"name": n.Name, "host": n.Addr.String(), "port": n.Port, "meta": string(n.Meta)}
}

func (p *peer) NodeMeta(limit int) []byte {
	p.metaLock.Lock()
	defer p.metaLock.Unlock()
	return []byte(p.meta)
}

func (p *peer) NotifyMsg(payload []byte) {
	p.say(answer{"event": "message", "text": string(payload)})
}

func (p *peer) GetBroadcasts(overhead, limit int) [][]byte { return nil }
func (p *peer) LocalState(join bool) []byte                { return nil }
func (p *peer) MergeRemoteState(state []byte, join bool)   {}
func (p *peer) NotifyJoin(n *memberlist.Node)              { p.tell("join", n) }
func (p *peer) NotifyLeave(n *memberlist.Node)             { p.tell("leave", n) }
func (p *peer) NotifyUpdate(n *memberlist.Node)            { p.tell("update", n) }

func (p *peer) NotifyConflict(existing, other *memberlist.Node) {
	p.say(answer{"event": "conflict", "name": existing.Name, "port": existing.Port, "otherPort": other.Port})
}

func (p *peer) tell(event string, n *memberlist.Node) {
	a := describe(n)
	a["event"] = event
	p.say(a)
}
