package server

import (
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/memgate/memgate/filter/policy"
	"github.com/memgate/memgate/filter/redisconn"
)

// redisURL reads the URL of a Redis that the member key of p refers to. It can
// hold a password.
func redisURL(p *policy.Policy, ref policy.Secret, key string) (string, error) {
	url, err := p.Resolve(ref)
	if err != nil {
		return "", fmt.Errorf("%s: %w", key, err)
	}
	return string(url), nil
}

// openRedis returns a client of the Redis that the member key of p refers to.
// It connects when it is first used. hook, which is told of what it is asked, may be nil.
func openRedis(p *policy.Policy, ref policy.Secret, key string, cluster bool, hook redis.Hook) (redis.UniversalClient, error) {
	url, err := redisURL(p, ref, key)
	if err != nil {
		return nil, err
	}
	client, err := redisconn.Open(url, cluster)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", key, ref, err)
	}
	if hook != nil {
		client.AddHook(hook)
	}
	return client, nil
}

// warnPlain logs when what goes to a Redis can be read on the way.
func (s *Server) warnPlain(url, key string) {
	if !redisconn.Secure(url) {
		s.log.Warn("the connection to Redis is not encrypted; use rediss://", "key", key)
	}
}
