// Command check-compose loads a compose file as Docker Compose itself does, without an engine: schema, interpolation,
// references between services, volumes and configs.
//
//	go run . COMPOSE_FILE ENV_FILE
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if err := check(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: check-compose COMPOSE_FILE ENV_FILE")
	}
	options, err := cli.NewProjectOptions(args[:1], cli.WithEnvFiles(args[1]), cli.WithDotEnv)
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	fmt.Printf("compose-go: %d services, %d volumes, %d configs\n",
		len(project.Services), len(project.Volumes), len(project.Configs))
	return nil
}
