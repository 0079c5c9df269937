package harness

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// RedisCluster is a Redis Cluster of a test's own: some masters that share the slots, and
// replicas of all of them.
type RedisCluster struct {
	Nodes []*Redis // the masters, and then their replicas in the same order
	URL   string   // with all masters

	t       T
	masters int
}

// slots is how many a cluster has.
const slots = 16384

// StartRedisCluster runs a Redis Cluster until the test ends; see [StartRedis]. Each
// master has as many replicas, none or one. A node keeps nothing but who it is.
func StartRedisCluster(t SkipT, masters, replicas int) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t, masters: masters}
	dir, first := t.TempDir(), ""
	for i := range masters * (1 + replicas) {
		_, bus, _ := net.SplitHostPort(FreeAddress(t))
		c.Nodes = append(c.Nodes, StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", bus,
			"--cluster-config-file", filepath.Join(dir, strconv.Itoa(i)+".conf"), "--cluster-node-timeout", "1000",
			"--cluster-require-full-coverage", "no", "--repl-diskless-sync-delay", "0"))
		if i == 0 {
			first = bus
			continue
		}
		host, port, _ := net.SplitHostPort(c.Nodes[0].Addr)
		c.Nodes[i].Command("CLUSTER", "MEET", host, port, first)
	}
	var query []string
	for i, n := range c.Nodes[:masters] {
		n.Command("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/masters), strconv.Itoa((i+1)*slots/masters-1))
		query = append(query, "addr="+n.Addr)
	}
	c.URL = c.Nodes[0].URL + "?" + strings.Join(query[1:], "&")
	Eventually(t, func() error {
		for _, n := range c.Nodes {
			if info := n.Command("CLUSTER", "INFO"); !strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(len(c.Nodes))) ||
				!strings.Contains(info, "cluster_size:"+strconv.Itoa(masters)) || !strings.Contains(info, "cluster_state:ok") {
				return errors.New("the cluster is not ready:\n" + info)
			}
		}
		return nil
	})
	for i, n := range c.Nodes[masters:] {
		master := c.Nodes[i%masters]
		n.Command("CLUSTER", "REPLICATE", master.Command("CLUSTER", "MYID"))
	}
	for _, n := range c.Nodes[masters:] {
		Eventually(t, func() error {
			if info := n.Command("INFO", "replication"); !strings.Contains(info, "master_link_status:up") {
				return errors.New("the replica has no copy yet:\n" + info)
			}
			return nil
		})
	}
	return c
}

// Of returns the master that has the slot of a key, as the cluster was started.
func (c *RedisCluster) Of(key string) *Redis {
	c.t.Helper()
	var slot int
	if _, err := fmt.Sscanf(c.Nodes[0].Command("CLUSTER", "KEYSLOT", key), ":%d", &slot); err != nil {
		c.t.Fatalf("CLUSTER KEYSLOT: %v", err)
	}
	for i, n := range c.Nodes[:c.masters] {
		if slot < (i+1)*slots/c.masters {
			return n
		}
	}
	panic("a slot beyond the last")
}
