package main

import (
	"context"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	pb "github.com/completiond/completiond/examples/go/gen/completiond/v1"
)

// useTool offers a tool, runs what the model calls, and asks again with the results.
func useTool(ctx context.Context, client pb.CompletionServiceClient, request *pb.CompleteRequest) error {
	weather := &pb.Tool{Tool: &pb.Tool_Function{Function: &pb.FunctionTool{
		Name:           "weather",
		Description:    "The weather in a city.",
		ParametersJson: `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`,
	}}}
	question := &pb.Message{Role: pb.Role_ROLE_USER, Content: []*pb.ContentBlock{words("What is the weather in Bern?")}}
	turns := []*pb.Message{question}
	first, err := client.Complete(ctx, &pb.CompleteRequest{Model: request.GetModel(), Messages: turns, Tools: []*pb.Tool{weather}})
	if err == nil && first.GetOutcome().GetSimulated() {
		// A model decides by itself; the simulator calls what a line asks for.
		question.Content = append(question.Content, words("\nsim: tool=weather"))
		first, err = client.Complete(ctx, &pb.CompleteRequest{Model: request.GetModel(), Messages: turns, Tools: []*pb.Tool{weather}})
	}
	if err != nil {
		return err
	}

	results := &pb.Message{Role: pb.Role_ROLE_TOOL}
	for _, block := range first.GetMessage().GetContent() {
		call := block.GetToolCall()
		if call == nil {
			continue
		}
		fmt.Printf("the model calls %s(%s)\n", call.GetName(), call.GetArgumentsJson())
		result := &pb.ToolResult{ToolCallId: call.GetId(), Content: []*pb.ContentBlock{words("rain, 12 degrees")}}
		results.Content = append(results.Content, &pb.ContentBlock{Block: &pb.ContentBlock_ToolResult{ToolResult: result}})
	}
	if len(results.GetContent()) == 0 {
		fmt.Printf("the model calls nothing: %s\n\n", first.GetText())
		return nil
	}

	// The model's message goes back as it came, provider_state included.
	turns = append(turns, first.GetMessage(), results)
	last, err := client.Complete(ctx, &pb.CompleteRequest{Model: request.GetModel(), Messages: turns, Tools: []*pb.Tool{weather}})
	if err != nil {
		return err
	}
	fmt.Printf("%s\n\n", last.GetText())
	return nil
}

// fail asks for a model that does not exist and prints what the status carries.
func fail(ctx context.Context, client pb.CompletionServiceClient, _ *pb.CompleteRequest) error {
	_, err := client.Complete(ctx, &pb.CompleteRequest{Model: "no-such-model", Prompt: "Hello"})
	refusal := status.Convert(err)
	fmt.Printf("%s: %s\n", refusal.Code(), refusal.Message())
	for _, detail := range refusal.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			fmt.Println("  reason:", detail.GetReason())
		case *pb.FailureDetail:
			fmt.Println("  call:", detail.GetId())
		}
	}
	if err == nil {
		return fmt.Errorf("a model that does not exist answered")
	}
	return nil
}

func words(text string) *pb.ContentBlock {
	return &pb.ContentBlock{Block: &pb.ContentBlock_Text{Text: &pb.Text{Text: text}}}
}
