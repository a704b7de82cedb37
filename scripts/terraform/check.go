package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Check returns what is not formatted in a module, and its names that nothing declares.
func check(directory string) ([]string, error) {
	module, err := load(directory)
	if err != nil {
		return nil, err
	}
	var problems []string
	for path, text := range module.files {
		if !bytes.Equal(hclwrite.Format(text), text) {
			problems = append(problems, path+" is not formatted: run terraform fmt or tofu fmt")
		}
	}
	declared := module.declared()
	for _, body := range module.bodies {
		problems = append(problems, undeclared(body, declared)...)
	}
	for _, call := range module.blocks("module") {
		found, err := module.wrongArguments(call)
		if err != nil {
			return nil, err
		}
		problems = append(problems, found...)
	}
	return problems, nil
}

// Declared returns the addresses of everything that a module declares, such as var.namespace.
func (m *module) declared() map[string]bool {
	names := map[string]bool{}
	for name := range m.locals() {
		names["local."+name] = true
	}
	for kind, prefix := range map[string]string{"variable": "var.", "module": "module.", "resource": "", "data": "data."} {
		for _, block := range m.blocks(kind) {
			names[prefix+strings.Join(block.Labels, ".")] = true
		}
	}
	return names
}

// Undeclared returns the references in a body whose addresses are not declared.
func undeclared(body *hclsyntax.Body, declared map[string]bool) []string {
	var problems []string
	for _, attribute := range body.Attributes {
		for _, reference := range hclsyntax.Variables(attribute.Expr) {
			if address := addressOf(reference); address != "" && !declared[address] {
				problems = append(problems, fmt.Sprintf("%s: nothing declares %s", reference.SourceRange(), address))
			}
		}
	}
	for _, block := range body.Blocks {
		// The types of variables and the versions of providers are no references.
		if block.Type == "terraform" {
			continue
		}
		if block.Type == "variable" {
			copied := *block.Body
			copied.Attributes = hclsyntax.Attributes{}
			problems = append(problems, undeclared(&copied, declared)...)
			continue
		}
		problems = append(problems, undeclared(block.Body, declared)...)
	}
	return problems
}

// AddressOf returns what a reference names; empty for count, each and the like.
func addressOf(reference hcl.Traversal) string {
	parts := []string{reference.RootName()}
	for _, step := range reference[1:] {
		name, ok := step.(hcl.TraverseAttr)
		if !ok {
			break
		}
		parts = append(parts, name.Name)
	}
	length := 2
	switch parts[0] {
	case "count", "each", "path", "self", "terraform":
		return ""
	case "data":
		length = 3
	}
	if len(parts) < length {
		return strings.Join(parts, ".")
	}
	return strings.Join(parts[:length], ".")
}

// WrongArguments compares the arguments of a call of a local module with its variables, and its used outputs.
func (m *module) wrongArguments(call *hclsyntax.Block) ([]string, error) {
	source, diagnostics := call.Body.Attributes["source"].Expr.Value(nil)
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	directory := source.AsString()
	switch {
	case filepath.IsAbs(directory):
	case strings.HasPrefix(directory, "."):
		directory = filepath.Join(m.directory, directory)
	default:
		return nil, nil // It is elsewhere.
	}
	called, err := load(directory)
	if err != nil {
		return nil, err
	}
	var problems []string
	variables := map[string]bool{"source": true}
	for _, variable := range called.blocks("variable") {
		name := variable.Labels[0]
		variables[name] = true
		if call.Body.Attributes[name] == nil && variable.Body.Attributes["default"] == nil {
			problems = append(problems, fmt.Sprintf("%s: %s is missing", call.Range(), name))
		}
	}
	for name, attribute := range call.Body.Attributes {
		if !variables[name] {
			problems = append(problems, fmt.Sprintf("%s: %s has no variable %s", attribute.Range(), source.AsString(), name))
		}
	}
	outputs := map[string]bool{}
	for _, output := range called.blocks("output") {
		outputs["module."+call.Labels[0]+"."+output.Labels[0]] = true
	}
	for _, body := range m.bodies {
		for _, used := range usedOutputs(body, call.Labels[0]) {
			if !outputs[used] {
				problems = append(problems, fmt.Sprintf("%s: %s is no output", call.Range(), used))
			}
		}
	}
	return problems, nil
}

// UsedOutputs returns the outputs of a called module that a body refers to.
func usedOutputs(body *hclsyntax.Body, call string) []string {
	var used []string
	for _, attribute := range body.Attributes {
		for _, reference := range hclsyntax.Variables(attribute.Expr) {
			if reference.RootName() != "module" || len(reference) < 3 || addressOf(reference) != "module."+call {
				continue
			}
			if name, ok := reference[2].(hcl.TraverseAttr); ok {
				used = append(used, "module."+call+"."+name.Name)
			}
		}
	}
	for _, block := range body.Blocks {
		used = append(used, usedOutputs(block.Body, call)...)
	}
	return used
}
