package main

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Functions are those of Terraform that a module without resources uses here.
var functions = map[string]function.Function{
	"concat":     stdlib.ConcatFunc,
	"contains":   stdlib.ContainsFunc,
	"flatten":    stdlib.FlattenFunc,
	"jsonencode": stdlib.JSONEncodeFunc,
	"keys":       stdlib.KeysFunc,
	"length":     stdlib.LengthFunc,
	"merge":      stdlib.MergeFunc,
	"yamlencode": ctyyaml.YAMLEncodeFunc,
}

// Evaluate returns the outputs of a module without resources. The input is JSON, with a value for each variable.
func (m *module) evaluate(input []byte) (map[string]json.RawMessage, error) {
	variables, err := m.variables(input)
	if err != nil {
		return nil, err
	}
	locals, err := m.localValues(variables)
	if err != nil {
		return nil, err
	}
	outputs := map[string]json.RawMessage{}
	for _, output := range m.blocks("output") {
		value, diagnostics := output.Body.Attributes["value"].Expr.Value(contextOf(variables, locals))
		if diagnostics.HasErrors() {
			return nil, diagnostics
		}
		text, err := ctyjson.SimpleJSONValue{Value: value}.MarshalJSON()
		if err != nil {
			return nil, err
		}
		outputs[output.Labels[0]] = text
	}
	return outputs, nil
}

func contextOf(variables, locals map[string]cty.Value) *hcl.EvalContext {
	return &hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(variables), "local": cty.ObjectVal(locals)},
		Functions: functions,
	}
}

// Variables returns the given values by the types that the module declares.
func (m *module) variables(input []byte) (map[string]cty.Value, error) {
	given := map[string]json.RawMessage{}
	if err := json.Unmarshal(input, &given); err != nil {
		return nil, err
	}
	values := map[string]cty.Value{}
	for _, variable := range m.blocks("variable") {
		name := variable.Labels[0]
		kind, diagnostics := typeexpr.TypeConstraint(variable.Body.Attributes["type"].Expr)
		if diagnostics.HasErrors() {
			return nil, diagnostics
		}
		text, ok := given[name]
		if !ok {
			return nil, fmt.Errorf("no value for variable %s", name)
		}
		value, err := ctyjson.Unmarshal(text, kind)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", name, err)
		}
		values[name] = value
		delete(given, name)
	}
	for name := range given {
		return nil, fmt.Errorf("there is no variable %s", name)
	}
	return values, nil
}

// LocalValues evaluates each local value after those that it refers to.
func (m *module) localValues(variables map[string]cty.Value) (map[string]cty.Value, error) {
	waiting, values := m.locals(), map[string]cty.Value{}
	for len(waiting) > 0 {
		before := len(waiting)
		for name, expression := range waiting {
			if !isReady(expression, values) {
				continue
			}
			value, diagnostics := expression.Value(contextOf(variables, values))
			if diagnostics.HasErrors() {
				return nil, diagnostics
			}
			values[name] = value
			delete(waiting, name)
		}
		if len(waiting) == before {
			return nil, fmt.Errorf("local values refer to each other, or to one that is missing")
		}
	}
	return values, nil
}

func isReady(expression hclsyntax.Expression, values map[string]cty.Value) bool {
	for _, reference := range hclsyntax.Variables(expression) {
		if reference.RootName() != "local" {
			continue
		}
		if _, ok := values[reference[1].(hcl.TraverseAttr).Name]; !ok {
			return false
		}
	}
	return true
}
