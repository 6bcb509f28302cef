// Checks with grpc-go and generated code. Each check is a line of the output, `ok NAME` or `FAILED NAME: why`;
// `cancelled MODEL SECONDS` says when a call was cancelled, for who can see the upstream's side of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/completiond/completiond/examples/go/gen/completiond/v1"
)

const text = "The sky is blue because air scatters short waves more than long ones."

type check struct {
	name string
	run  func(context.Context, pb.CompletionServiceClient) error
}

func main() {
	transport, err := transportCredentials()
	if err != nil {
		fmt.Println("FAILED go: credentials:", err)
		os.Exit(1)
	}
	channel, err := grpc.NewClient(flag.Arg(0), grpc.WithTransportCredentials(transport))
	if err != nil {
		fmt.Println("FAILED go: a channel:", err)
		os.Exit(1)
	}
	client := pb.NewCompletionServiceClient(channel)
	checks := []check{
		{"a text", whole("text", 1)},
		{"gzip in both directions", whole("real/long", 40, grpc.UseCompressor(gzip.Name))},
		{"zstd in both directions", whole("real/long", 40, grpc.UseCompressor(zstdName))},
		{"a text as a stream", streamed},
		{"a batch", batched},
		{"a batch as a stream", batchedStream},
		{"a tool round trip", toolRoundTrip},
		{"an error with its details decoded", limited},
		{"an unknown model", unknownModel},
		{"a deadline", deadline},
		{"a stream cancelled on the way", cancelled},
		{"health", func(ctx context.Context, _ pb.CompletionServiceClient) error { return health(ctx, channel) }},
	}
	failed := false
	for _, check := range checks {
		ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
		if err := check.run(ctx, client); err != nil {
			fmt.Printf("FAILED go: %s: %v\n", check.name, err)
			failed = true
		} else {
			fmt.Printf("ok go: %s\n", check.name)
		}
		stop()
	}
	if failed {
		os.Exit(1)
	}
}

func ask(model string) *pb.CompleteRequest {
	return &pb.CompleteRequest{Model: model, Prompt: "Why is the sky blue?"}
}

// whole asks for the upstream's text, which a model may say several times.
func whole(model string, times int, options ...grpc.CallOption) func(context.Context, pb.CompletionServiceClient) error {
	return func(ctx context.Context, client pb.CompletionServiceClient) error {
		response, err := client.Complete(ctx, ask(model), options...)
		if err != nil {
			return err
		}
		outcome := response.GetOutcome()
		if response.GetText() != strings.Repeat(text, times) || outcome.GetFinishReason() != pb.FinishReason_FINISH_REASON_STOP {
			return fmt.Errorf("found %v", response)
		}
		if outcome.GetUsage().GetTotalTokens() != 21 || outcome.GetProvider() != "real" {
			return fmt.Errorf("found %v", outcome)
		}
		return nil
	}
}

// fold reads a stream to its end and checks its envelope.
func fold(stream grpc.ServerStreamingClient[pb.StreamCompleteResponse]) (string, *pb.CompletionOutcome, error) {
	said := ""
	var outcome *pb.CompletionOutcome
	for number := int64(0); ; number++ {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if outcome == nil {
				return said, nil, errors.New("the stream ended without completed")
			}
			return said, outcome, nil
		}
		if err != nil {
			return said, nil, err
		}
		if event.GetSequence() != number || outcome != nil {
			return said, nil, fmt.Errorf("event %d: %v", number, event)
		}
		if event.GetRestarted() != nil {
			said = ""
		}
		said += event.GetBlockDelta().GetText()
		outcome = event.GetCompleted()
	}
}

func streamed(ctx context.Context, client pb.CompletionServiceClient) error {
	stream, err := client.StreamComplete(ctx, ask("text"))
	if err != nil {
		return err
	}
	said, outcome, err := fold(stream)
	if err != nil {
		return err
	}
	if said != text || outcome.GetFinishReason() != pb.FinishReason_FINISH_REASON_STOP {
		return fmt.Errorf("found %q, %v", said, outcome)
	}
	return nil
}

func words(text string) *pb.ContentBlock {
	return &pb.ContentBlock{Block: &pb.ContentBlock_Text{Text: &pb.Text{Text: text}}}
}

func toolRoundTrip(ctx context.Context, client pb.CompletionServiceClient) error {
	weather := &pb.Tool{Tool: &pb.Tool_Function{Function: &pb.FunctionTool{
		Name:           "weather",
		ParametersJson: `{"type":"object","properties":{"city":{"type":"string"}}}`,
	}}}
	question := &pb.Message{Role: pb.Role_ROLE_USER, Content: []*pb.ContentBlock{words("The weather in Bern?")}}
	request := &pb.CompleteRequest{Model: "text", Messages: []*pb.Message{question}, Tools: []*pb.Tool{weather}}
	first, err := client.Complete(ctx, request)
	if err != nil {
		return err
	}
	call := first.GetMessage().GetContent()[0].GetToolCall()
	if call.GetName() != "weather" || call.GetArgumentsJson() != `{"city": "Bern"}` {
		return fmt.Errorf("found %v", first)
	}
	result := &pb.ToolResult{ToolCallId: call.GetId(), Content: []*pb.ContentBlock{words("rain")}}
	answer := &pb.Message{
		Role:    pb.Role_ROLE_TOOL,
		Content: []*pb.ContentBlock{{Block: &pb.ContentBlock_ToolResult{ToolResult: result}}},
	}
	request.Messages = append(request.Messages, first.GetMessage(), answer)
	last, err := client.Complete(ctx, request)
	if err != nil {
		return err
	}
	if last.GetText() != "The tool said: rain" {
		return fmt.Errorf("found %v", last)
	}
	return nil
}

// detail is the detail of type D of a status.
func detail[D proto.Message](err error) (D, error) {
	var none D
	for _, each := range status.Convert(err).Details() {
		if found, ok := each.(D); ok {
			return found, nil
		}
	}
	return none, fmt.Errorf("no %T in %v", none, err)
}

func refused(err error, code codes.Code, reason string) error {
	if status.Code(err) != code {
		return fmt.Errorf("found %v, expected %s", err, code)
	}
	about, missing := detail[*errdetails.ErrorInfo](err)
	if missing != nil {
		return missing
	}
	if about.GetReason() != reason || about.GetDomain() != "completiond" {
		return fmt.Errorf("found %v, expected %s", about, reason)
	}
	return nil
}

func limited(ctx context.Context, client pb.CompletionServiceClient) error {
	_, err := client.Complete(ctx, ask("limited"))
	if wrong := refused(err, codes.ResourceExhausted, "PROVIDER_RATE_LIMITED"); wrong != nil {
		return wrong
	}
	retry, missing := detail[*errdetails.RetryInfo](err)
	if missing != nil {
		return missing
	}
	if retry.GetRetryDelay().AsDuration() != 7*time.Second {
		return fmt.Errorf("found %v", retry)
	}
	failure, missing := detail[*pb.FailureDetail](err)
	if missing != nil {
		return missing
	}
	if failure.GetId() == "" || len(failure.GetAttempts()) == 0 {
		return fmt.Errorf("found %v", failure)
	}
	return nil
}

func unknownModel(ctx context.Context, client pb.CompletionServiceClient) error {
	_, err := client.Complete(ctx, ask("txet"))
	return refused(err, codes.NotFound, "MODEL_NOT_FOUND")
}

func deadline(ctx context.Context, client pb.CompletionServiceClient) error {
	begun := time.Now()
	short, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	_, err := client.Complete(short, ask("silent"))
	took := time.Since(begun)
	if status.Code(err) != codes.DeadlineExceeded || took < 900*time.Millisecond || took > 1500*time.Millisecond {
		return fmt.Errorf("after %s: %v", took, err)
	}
	return nil
}

func cancelled(ctx context.Context, client pb.CompletionServiceClient) error {
	mine, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.StreamComplete(mine, ask("endless"))
	if err != nil {
		return err
	}
	for said := ""; said == ""; {
		event, err := stream.Recv()
		if err != nil {
			return err
		}
		said = event.GetBlockDelta().GetText()
	}
	fmt.Printf("cancelled endless %.6f\n", float64(time.Now().UnixNano())/1e9)
	cancel()
	for {
		if _, err := stream.Recv(); err != nil {
			if status.Code(err) != codes.Canceled {
				return fmt.Errorf("found %v", err)
			}
			return nil
		}
	}
}

func health(ctx context.Context, channel *grpc.ClientConn) error {
	request := &grpc_health_v1.HealthCheckRequest{Service: "completiond.v1.CompletionService"}
	response, err := grpc_health_v1.NewHealthClient(channel).Check(ctx, request)
	if err != nil {
		return err
	}
	if response.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("found %v", response)
	}
	return nil
}
