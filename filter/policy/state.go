package policy

import "strings"

// State is where memgate keeps what must outlive its process, or be known to all
// instances: sessions, and what was revoked. Without File and Redis it keeps
// sessions in memory, and nothing can be revoked but keys in their file.
type State struct {
	File         string   `yaml:"file" doc:"a SQLite file, for the instances on one machine; made with mode 0600 where there is none"`
	Redis        Secret   `yaml:"redis" doc:"the Redis that instances share, instead of a file: redis://[user:password@]host:port, or rediss:// for TLS; it may hold a password, so it is env:NAME or file:PATH"`
	Cluster      bool     `yaml:"cluster" doc:"whether it is a Redis Cluster; more of its nodes stand in the URL as ?addr=host:port"`
	Prefix       string   `yaml:"prefix" doc:"what the names of all keys in Redis start with; instances with the same one share their state" default:"memgate"`
	MaxStale     Duration `yaml:"max_stale" doc:"for how long an instance goes on with what it knows when the state does not answer; after that requests with credentials get 503" default:"30s" min:"2s" max:"1h"`
	MaxTokenLife Duration `yaml:"max_token_life" doc:"the longest life of a token of the issuers: for so long a token whose end is not known, and those of a subject, stay revoked" default:"720h" min:"1m" max:"8760h"`
}

// Kept says whether there is a place where state is kept.
func (s *State) Kept() bool { return s.File != "" || s.Redis != "" }

func (l *linter) state() {
	s := &l.p.State
	switch {
	case s.File != "" && s.Redis != "":
		l.err("state.redis", "state", "state is kept in a file or in a Redis; remove one of state.file and state.redis")
	case strings.HasPrefix(s.File, schemeFile), strings.HasPrefix(s.File, schemeEnv):
		l.err("state.file", "state", "is a path and not a reference; write it without %s", s.File[:strings.IndexByte(s.File, ':')+1])
	case s.Redis == "" && s.Cluster:
		l.err("state.cluster", "state", "has no effect without state.redis")
	case s.Redis != "" && (s.Prefix == "" || len(s.Prefix) > 64 || !isRouteName(s.Prefix)):
		l.err("state.prefix", "state", "is made of letters, digits, '.', '_' and '-', 1 to 64 of them")
	}
	sessions := l.p.Identity.Sessions
	switch {
	case sessions == nil:
	case s.Redis != "" && sessions.Key == "" && !l.holds("identity.sessions.key"):
		l.err("identity.sessions", "session-key", "sessions that instances share need a key that is the same for all of them; add key, such as key: env:SESSION_KEY")
	case !s.Kept() && !l.inFile("state") && l.p.Environment == "production":
		l.warn("identity.sessions", "sessions-in-memory", "environment is production, but sessions end with the process and no other instance knows them; add state: { file: state.db }, or { redis: env:REDIS_URL } for several machines")
	}
}

// SessionKey refers to the key of sessions: the one that the policy names, else
// one beside the state file, else none ("").
func (p *Policy) SessionKey() Secret {
	switch s := p.Identity.Sessions; {
	case s == nil:
		return ""
	case s.Key != "":
		return s.Key
	case p.State.File != "":
		return Secret(schemeFile + p.State.File + ".key")
	}
	return ""
}
