// A client: a whole answer, a stream, a tool round trip, and a failure with its details.
//
//	./generate.sh && go run . "Why is the sky blue?"
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/completiond/completiond/examples/go/gen/completiond/v1"
)

func main() {
	server := flag.String("server", "127.0.0.1:50051", "where completiond listens")
	model := flag.String("model", "", "an alias, a model or provider/model; empty: the server's default")
	flag.Parse()
	prompt := "Why is the sky blue?"
	if flag.NArg() > 0 {
		prompt = flag.Arg(0)
	}

	channel, err := grpc.NewClient(*server, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	client := pb.NewCompletionServiceClient(channel)

	// The context's deadline travels with each call: the server and the provider stop working when it has passed.
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	request := &pb.CompleteRequest{Model: *model, Prompt: prompt}
	for _, step := range []func(context.Context, pb.CompletionServiceClient, *pb.CompleteRequest) error{
		complete, stream, useTool, fail,
	} {
		if err := step(ctx, client, request); err != nil {
			log.Fatal(err)
		}
	}
}

func complete(ctx context.Context, client pb.CompletionServiceClient, request *pb.CompleteRequest) error {
	response, err := client.Complete(ctx, request)
	if err != nil {
		return err
	}
	outcome := response.GetOutcome()
	fmt.Println(response.GetText())
	fmt.Printf("-- %s of %s, %d tokens\n\n", outcome.GetModel(), outcome.GetProvider(), outcome.GetUsage().GetTotalTokens())
	return nil
}

func stream(ctx context.Context, client pb.CompletionServiceClient, request *pb.CompleteRequest) error {
	events, err := client.StreamComplete(ctx, request)
	if err != nil {
		return err
	}
	for {
		event, err := events.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fmt.Print(event.GetBlockDelta().GetText())
		if anew := event.GetRestarted(); anew != nil {
			// Only where restart_on_interruption is set: everything that came before is void.
			fmt.Printf("\n-- it broke off and begins anew: %s of %s\n", anew.GetModel(), anew.GetProvider())
		}
		if outcome := event.GetCompleted(); outcome != nil {
			fmt.Printf("\n-- %s\n\n", outcome.GetFinishReason())
		}
	}
}
