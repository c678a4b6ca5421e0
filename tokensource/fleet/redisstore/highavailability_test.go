// SPDX-License-Identifier: Apache-2.0

package redisstore_test

import (
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pismoauth/pismoauth/tokensource/fleet"
	"github.com/pismoauth/pismoauth/tokensource/fleet/fleettest"
	"github.com/pismoauth/pismoauth/tokensource/fleet/redisstore"
)

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.addr)
	return port
}

// A replica is promoted again and again, under load.
func TestStore_FollowsSentinel(t *testing.T) {
	t.Parallel()
	master := startRedis(t)
	if master == nil {
		return
	}
	second := startRedis(t, "--replicaof", "127.0.0.1 "+master.port())
	monitor := "sentinel monitor main 127.0.0.1 " + master.port() + " 1\n" +
		"sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 2000\n"
	sentinel := startRedis(t, write(t, monitor), "--sentinel")

	const failovers, count, cached = 5, 5, 20
	e := &endpoint{}
	replicas := make([]replica, count)
	for i := range replicas {
		store := newStore(t, redisstore.Config{Addr: []string{sentinel.addr}, SentinelMaster: "main"})
		replicas[i] = newReplica(t, e, store)
		for n := range cached {
			get(t, replicas[i].Source, 1000+n)
		}
	}
	stop := startLoad(t, replicas, cached)
	fresh := 10_000
	leader, other := master, second
	for range failovers {
		awaitTrue(t, "the other server follows", func() bool {
			return strings.Contains(other.cli(t, "INFO", "replication"), "master_link_status:up")
		})
		awaitTrue(t, "the failover begins", func() bool {
			out, err := exec.CommandContext(t.Context(), "redis-cli", "-p", sentinel.port(), "SENTINEL", "FAILOVER", "main").CombinedOutput()
			return err == nil && strings.HasPrefix(string(out), "OK")
		})
		awaitTrue(t, "the other server leads", func() bool {
			for _, r := range replicas {
				fresh++
				get(t, r.Source, fresh)
			}
			return strings.Contains(sentinel.cli(t, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"), other.port())
		})
		leader.cli(t, "REPLICAOF", "127.0.0.1", other.port()) // The sentinel does that too, but some seconds later.
		leader, other = other, leader
		for _, r := range replicas {
			awaitNil(t, func() error {
				fresh++
				get(t, r.Source, fresh)
				return r.issuer.Status().LastError
			})
		}
		calls := e.calls.Load()
		fresh++
		var all sync.WaitGroup
		for _, r := range replicas {
			all.Go(func() { get(t, r.Source, fresh) })
		}
		all.Wait()
		if n := e.calls.Load() - calls; n != 1 {
			t.Errorf("after a failover, %d replicas issued %d tokens for an account, want 1", count, n)
		}
	}
	stop()
}

// startNode starts a server of a cluster. The port of its bus is 10,000 higher.
func startNode(t *testing.T) *server {
	t.Helper()
	for {
		s := startRedis(t, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "15000", "--cluster-port", "0")
		if s == nil {
			return nil
		}
		if port, _ := strconv.Atoi(s.port()); port < 55_000 {
			return s
		}
		s.kill()
	}
}

// clusterPermissions are those that the page names for a cluster.
var clusterPermissions = strings.Fields("resetkeys ~pismo:* -@all +eval +evalsha +get +set +pttl +del +cluster|slots")

func TestStore_KeepsTheContractInACluster(t *testing.T) {
	t.Parallel()
	var servers []*server
	var addrs []string
	var config redisstore.Config
	for range 3 {
		s := startNode(t)
		if s == nil {
			return
		}
		servers, addrs = append(servers, s), append(addrs, s.addr)
		config = s.allow(t, clusterPermissions)
	}
	args := slices.Concat([]string{"--cluster", "create"}, addrs, []string{"--cluster-yes"})
	if out, err := exec.CommandContext(t.Context(), "redis-cli", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, s := range servers {
		awaitTrue(t, "the cluster is whole", func() bool {
			return strings.Contains(s.cli(t, "CLUSTER", "INFO"), "cluster_state:ok")
		})
	}
	config.Addr, config.Database = addrs, 0
	store := newStore(t, config)
	awaitNil(t, func() error { return useAll(t, store) })
	fleettest.Run(t, func(t *testing.T) fleet.Store { return store })

	// Names are in slots of all servers.
	for n := range 50 {
		if _, err := store.Claim(t.Context(), "p1:"+strconv.Itoa(n), fleet.Ask{Owner: "a"}); err != nil {
			t.Error(err)
		}
	}
}

// awaitTrue waits until happened returns true.
func awaitTrue(t *testing.T, what string, happened func() bool) {
	t.Helper()
	awaitNil(t, func() error {
		if happened() {
			return nil
		}
		return errNotYet(what)
	})
}

type errNotYet string

func (e errNotYet) Error() string { return "not yet: " + string(e) }
