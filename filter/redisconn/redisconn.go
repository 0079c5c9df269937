// Package redisconn makes the connections to Redis that memgate's parts use, from a URL
// that an operator wrote. It knows nothing of what is kept there.
//
// It neither logs nor connects by itself: a client connects when it is first used, asks
// once, and waits no longer than the context of each command says.
package redisconn

import (
	"errors"
	"net/netip"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// dialTimeout bounds what has no context of its own, such as connections that are
	// made ahead of need.
	dialTimeout = time.Second
	idleConns   = 4
	// slotsEvery is how often a cluster that is in use is asked who has which slots. A
	// node that has ended tells nobody who took its place.
	slotsEvery = time.Second
)

// ErrURL is returned for a URL that is not that of a Redis. It does not tell more, as the
// URL can hold a password.
var ErrURL = errors.New("not the URL of a Redis; write it as redis://[user:password@]host:port, or rediss:// for TLS")

// Open reads the URL of a Redis: redis://, or rediss:// for TLS with a certificate that
// the system's authorities vouch for. With cluster it is one node of a Redis Cluster, and
// may name more by addr=host:port in its query. The time limits and retries in the URL
// have no say. The error is [ErrURL].
func Open(address string, cluster bool) (redis.UniversalClient, error) {
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if cluster {
		o, err := redis.ParseClusterURL(address)
		if err != nil || o.TLSConfig != nil && o.TLSConfig.InsecureSkipVerify {
			return nil, ErrURL
		}
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled = -1, 1, true
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, dialTimeout, dialTimeout
		o.MinIdleConns, o.DisableIdentity, o.MaintNotificationsConfig = idleConns, true, quiet
		o.ClusterStateReloadInterval = slotsEvery
		return redis.NewClusterClient(o), nil
	}
	o, err := redis.ParseURL(address)
	if err != nil || o.TLSConfig != nil && o.TLSConfig.InsecureSkipVerify {
		return nil, ErrURL
	}
	o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled = -1, 1, true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = dialTimeout, dialTimeout, dialTimeout
	o.MinIdleConns, o.DisableIdentity, o.MaintNotificationsConfig = idleConns, true, quiet
	return redis.NewClient(o), nil
}

// Secure reports whether the URL of a Redis is one with TLS, or of a socket or a loopback
// address of this machine.
func Secure(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "rediss", "unix":
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}
