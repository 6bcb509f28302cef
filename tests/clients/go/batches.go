package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"google.golang.org/grpc/codes"

	pb "github.com/completiond/completiond/examples/go/gen/completiond/v1"
)

const many = 300

// A batch is answered in order, and one failure fails itself alone.
func batched(ctx context.Context, client pb.CompletionServiceClient) error {
	request := &pb.BatchCompleteRequest{Requests: []*pb.CompleteRequest{ask("text"), ask("txet"), ask("text")}}
	response, err := client.BatchComplete(ctx, request)
	if err != nil {
		return err
	}
	results := response.GetResults()
	if len(results) != 3 {
		return fmt.Errorf("%d results", len(results))
	}
	if results[0].GetResponse().GetText() != text || results[2].GetResponse().GetText() != text {
		return fmt.Errorf("answers are %v", results)
	}
	if code := codes.Code(results[1].GetStatus().GetCode()); code != codes.NotFound {
		return fmt.Errorf("the failure is %v", results[1])
	}
	return nil
}

// A stream of requests has a result for each, by its name: one goroutine writes while this one reads.
func batchedStream(ctx context.Context, client pb.CompletionServiceClient) error {
	stream, err := client.StreamBatchComplete(ctx)
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() { written <- write(stream) }()
	seen := map[string]bool{}
	for {
		done, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if done.GetResult().GetResponse().GetText() != text {
			return fmt.Errorf("%s: %v", done.GetCustomId(), done.GetResult())
		}
		seen[done.GetCustomId()] = true
	}
	if len(seen) != many {
		return fmt.Errorf("%d results", len(seen))
	}
	return <-written
}

func write(stream pb.CompletionService_StreamBatchCompleteClient) error {
	settings := &pb.BatchSettings{MaxConcurrency: 20}
	said := &pb.StreamBatchCompleteRequest{Message: &pb.StreamBatchCompleteRequest_Settings{Settings: settings}}
	if err := stream.Send(said); err != nil {
		return err
	}
	for number := range many {
		item := &pb.BatchItem{CustomId: strconv.Itoa(number), Request: ask("text")}
		said := &pb.StreamBatchCompleteRequest{Message: &pb.StreamBatchCompleteRequest_Item{Item: item}}
		if err := stream.Send(said); err != nil {
			return err
		}
	}
	return stream.CloseSend()
}
