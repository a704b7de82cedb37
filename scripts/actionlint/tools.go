//go:build tools

// Package actionlint is never compiled: it names the linter, so that go.mod and go.sum pin every byte of it.
package actionlint

import _ "github.com/rhysd/actionlint/cmd/actionlint"
