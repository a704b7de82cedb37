// Checks and evaluates modules of Terraform with the libraries that Terraform and OpenTofu read them with, without a
// provider. It is built once by tool.ts.
//
//	check DIRECTORY...     prints what is not formatted, and names that nothing declares; exits with 1 if there is any
//	evaluate DIRECTORY     reads variables as JSON, and prints the module's outputs as JSON
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/hashicorp/hcl/v2"
)

func main() {
	if len(os.Args) < 3 {
		fail(fmt.Errorf("usage: check DIRECTORY... | evaluate DIRECTORY"))
	}
	switch os.Args[1] {
	case "check":
		var problems []string
		for _, directory := range os.Args[2:] {
			found, err := check(directory)
			if err != nil {
				fail(err)
			}
			problems = append(problems, found...)
		}
		for _, problem := range problems {
			fmt.Fprintln(os.Stderr, problem)
		}
		if len(problems) > 0 {
			os.Exit(1)
		}
	case "evaluate":
		module, err := load(os.Args[2])
		if err != nil {
			fail(err)
		}
		input, err := io.ReadAll(os.Stdin)
		if err != nil {
			fail(err)
		}
		outputs, err := module.evaluate(input)
		if err != nil {
			fail(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(outputs); err != nil {
			fail(err)
		}
	default:
		fail(fmt.Errorf("unknown command %s", os.Args[1]))
	}
}

func fail(err error) {
	if diagnostics, ok := err.(hcl.Diagnostics); ok {
		for _, diagnostic := range diagnostics {
			fmt.Fprintln(os.Stderr, diagnostic)
		}
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}
