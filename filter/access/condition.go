package access

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/memgate/memgate/filter/identity"
)

// Limits of a condition.
const (
	// MaxCondition is the length of a condition's text in bytes.
	MaxCondition = 4096
	// conditionCost bounds one evaluation, in CEL's units: about one for each
	// operation and each element or ten characters that it looks at.
	conditionCost = 10_000
	// checkEvery is after how many steps of a loop the context is looked at.
	checkEvery = 100
)

// Condition is a rule in the Common Expression Language over the principal, the
// request and the route. It is checked when it is compiled: a member that is
// misspelt or compared with a value of another type is an error then and not
// at a request. It is safe for concurrent use.
type Condition struct{ program cel.Program }

// Facts are what a condition can look at besides the principal.
type Facts struct {
	Method string            // of the request
	Params map[string]string // of the path's template
	Route  string            // name of the route
}

// The variables of a condition, by the names that the tags give.
type (
	principalVariable struct {
		Kind    string   `cel:"kind"`
		Subject string   `cel:"subject"`
		Tenant  string   `cel:"tenant"`
		Scopes  []string `cel:"scopes"`
		Issuer  string   `cel:"issuer"`
		ID      string   `cel:"id"`
		Agent   string   `cel:"agent"`
	}
	requestVariable struct {
		Method string            `cel:"method"`
		Params map[string]string `cel:"params"`
	}
	routeVariable struct {
		Name string `cel:"name"`
	}
)

// environment is made once: it is immutable, and costs milliseconds.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		ext.NativeTypes(
			reflect.TypeFor[principalVariable](), reflect.TypeFor[requestVariable](), reflect.TypeFor[routeVariable](),
			ext.ParseStructTag("cel"),
		),
		ext.Strings(),
		cel.Variable("principal", cel.ObjectType("access.principalVariable")),
		cel.Variable("request", cel.ObjectType("access.requestVariable")),
		cel.Variable("route", cel.ObjectType("access.routeVariable")),
	)
})

// Compile checks and compiles a condition. Its error is one line that points at
// the first thing that is wrong.
func Compile(text string) (*Condition, error) {
	if len(text) > MaxCondition {
		return nil, fmt.Errorf("a condition has at most %d bytes", MaxCondition)
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	for _, issue := range issues.Errors() {
		// On one line, unlike CEL's own text, for findings and logs.
		message, _, _ := strings.Cut(issue.Message, "\n")
		return nil, fmt.Errorf("at line %d, column %d: %s", issue.Location.Line(), issue.Location.Column()+1, message)
	}
	if err := issues.Err(); err != nil {
		return nil, err
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("a condition is true or false, and this is of type %s", ast.OutputType())
	}
	program, err := env.Program(ast, cel.CostLimit(conditionCost), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, err
	}
	return &Condition{program}, nil
}

// Holds says by a nil error that the condition is true. When it is false, or
// cannot be decided (a parameter that is not there, too much work), the
// principal may not do what it asks for.
func (c *Condition) Holds(ctx context.Context, p *identity.Principal, f Facts) error {
	out, _, err := c.program.ContextEval(ctx, map[string]any{
		"principal": &principalVariable{
			Kind: string(p.Kind), Subject: p.Subject, Tenant: p.Tenant, Scopes: p.Scopes,
			Issuer: p.Issuer, ID: p.ID, Agent: p.Agent,
		},
		"request": &requestVariable{Method: f.Method, Params: f.Params},
		"route":   &routeVariable{Name: f.Route},
	})
	if err != nil {
		return identity.Forbidden(identity.ReasonConditionFailed, err)
	}
	if holds, ok := out.Value().(bool); !ok || !holds {
		return identity.Forbidden(identity.ReasonCondition, errNotMet)
	}
	return nil
}

var errNotMet = errors.New("the route's condition is false")
