// Command serf-bench leaves members of a hashicorp/serf pool alone and tells what processor time they take: the work of
// bench/lib/gossip-load.ts, "idle" with a serf. One request as JSON on stdin, one answer on stdout.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"syscall"
	"time"

	"github.com/hashicorp/serf/serf"
)

type request struct {
	Members int `json:"members"`
	Seconds int `json:"seconds"`
	Rounds  int `json:"rounds"`
}

func main() {
	var r request
	must(json.NewDecoder(os.Stdin).Decode(&r))
	must(json.NewEncoder(os.Stdout).Encode(map[string][]float64{"cpuSeconds": idle(r)}))
}

func idle(r request) []float64 {
	first := ""
	for i := 0; i < r.Members; i++ {
		c := serf.DefaultConfig()
		c.NodeName, c.LogOutput = fmt.Sprintf("n%d", i), io.Discard
		c.Tags = map[string]string{"role": "bench"}
		m := c.MemberlistConfig
		m.LogOutput = io.Discard
		m.BindAddr, m.BindPort, m.AdvertiseAddr, m.AdvertisePort = "127.0.0.1", 0, "127.0.0.1", 0
		one, err := serf.Create(c)
		must(err)
		if i == 0 {
			first = one.Memberlist().LocalNode().Address()
		} else {
			_, err = one.Join([]string{first}, false)
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
	return rounds
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
