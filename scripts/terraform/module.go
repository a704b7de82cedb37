package main

import (
	"os"
	"path/filepath"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A module is the configuration in one directory.
type module struct {
	directory string
	files     map[string][]byte
	bodies    []*hclsyntax.Body
}

// Load parses every file of a directory.
func load(directory string) (*module, error) {
	paths, err := filepath.Glob(filepath.Join(directory, "*.tf"))
	if err != nil {
		return nil, err
	}
	found := &module{directory: directory, files: map[string][]byte{}}
	parser := hclparse.NewParser()
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file, diagnostics := parser.ParseHCL(text, path)
		if diagnostics.HasErrors() {
			return nil, diagnostics
		}
		found.files[path] = text
		found.bodies = append(found.bodies, file.Body.(*hclsyntax.Body))
	}
	return found, nil
}

// Blocks returns the blocks of a type at the top, such as variable.
func (m *module) blocks(kind string) []*hclsyntax.Block {
	var blocks []*hclsyntax.Block
	for _, body := range m.bodies {
		for _, block := range body.Blocks {
			if block.Type == kind {
				blocks = append(blocks, block)
			}
		}
	}
	return blocks
}

// Locals returns the expression of each local value.
func (m *module) locals() map[string]hclsyntax.Expression {
	locals := map[string]hclsyntax.Expression{}
	for _, block := range m.blocks("locals") {
		for name, attribute := range block.Body.Attributes {
			locals[name] = attribute.Expr
		}
	}
	return locals
}
