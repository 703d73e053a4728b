package main

import (
	"bytes"
	"io"
	"log"
	"os"

	"sigs.k8s.io/kustomize/kustomize/v5/commands/build"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// rendering is what Kustomize makes of a directory.
type rendering struct {
	YAML string `json:"yaml"`
	// Warnings are what it says beside that, Error why it refuses the directory.
	Warnings string `json:"warnings,omitempty"`
	Error    string `json:"error,omitempty"`
}

// render does what `kubectl kustomize` does, which runs this very command.
func render(directory string) (rendering, error) {
	var output bytes.Buffer
	command := build.NewCmdBuild(filesys.MakeFsOnDisk(), build.MakeHelp("kubectl", "kustomize"), &output)
	command.SetArgs([]string{directory})
	command.SilenceErrors = true
	var refused error
	warnings, err := told(func() { refused = command.Execute() })
	if err != nil {
		return rendering{}, err
	}
	made := rendering{YAML: output.String(), Warnings: warnings}
	if refused != nil {
		made.Error = refused.Error()
	}
	return made, nil
}

// told gives what a function writes to the standard error stream: Kustomize has no other way to warn.
func told(do func()) (string, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return "", err
	}
	said := make(chan []byte)
	go func() {
		read, _ := io.ReadAll(reader)
		said <- read
	}()
	former := os.Stderr
	os.Stderr = writer
	log.SetOutput(writer)
	do()
	os.Stderr = former
	log.SetOutput(former)
	if err := writer.Close(); err != nil {
		return "", err
	}
	return string(<-said), reader.Close()
}
