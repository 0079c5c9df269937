package main

import (
	"github.com/proxy-wasm/proxy-wasm-go-sdk/proxywasm"

	"github.com/memgate/memgate/wasm/inspect"
)

// poisonPath is for the access log wasm.memgate.poison.
var poisonPath = []string{"memgate.poison"}

// reportScore tells the access log how a body was scored.
func (s *stream) reportScore(b *inspect.Body) {
	var room [32]string
	outcome, rules := b.Outcome(room[:0])
	if outcome == "" {
		return
	}
	s.plugin.statistics.add("memgate.poison."+outcome, 1)
	for _, id := range rules {
		s.plugin.statistics.add("memgate.poison.rule."+id, 1)
	}
	if err := proxywasm.SetProperty(poisonPath, b.AppendScore(nil)); err != nil {
		proxywasm.LogError("memgate: the score of a body cannot be logged: " + err.Error())
	}
}
