//! The tokens of a request, asked over real sockets: by the provider, by a tokenizer, and by an estimate that says so.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test says what it expects")]

mod stage;

use completiond::proto::completion_service_client::CompletionServiceClient;
use completiond::proto::stream_complete_response::Event;
use completiond::proto::{CompleteRequest, CountSource, CountTokensRequest, CountTokensResponse, TokenParts, tool};
use completiond::proto::{FunctionTool, Tool};
use stage::{Stage, prompt, tcp, within};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// Names whose encodings are known, not known, and priced.
const MODELS: &str = "models:\n  - { id: known, targets: [{ provider: up, model: gpt-4o }], price: { input: 3, output: 15 } }\n  \
                      - { id: new, targets: [{ provider: up, model: gpt-6-unheard-of }] }\n  \
                      - { id: nobodys, targets: [{ provider: up, model: simulator }], price: { input: 3, output: 15 } }\n";
const QUESTION: &str = "Why is the sky blue?";

struct Desk {
    stage: Stage,
    client: CompletionServiceClient<Channel>,
}

impl Desk {
    async fn speaking(protocol: &str, settings: &str) -> Self {
        let stage = Stage::speaking(protocol, settings).await;
        let address = format!("http://{}", tcp(&stage.running.public));
        let client = CompletionServiceClient::new(Endpoint::try_from(address).unwrap().connect_lazy());
        Self { stage, client }
    }

    async fn ask(&self, asked: CompleteRequest, patience: Option<&str>) -> Result<CountTokensResponse, Status> {
        let mut request = Request::new(CountTokensRequest { request: Some(asked) });
        if let Some(patience) = patience {
            request.metadata_mut().insert("grpc-timeout", patience.parse().unwrap());
        }
        let answer = within("tokens are counted", async { self.client.clone().count_tokens(request).await }).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn count(&self, asked: CompleteRequest) -> CountTokensResponse {
        self.ask(asked, None).await.unwrap()
    }

    fn paths(&self) -> Vec<String> {
        self.stage.upstream.received().into_iter().map(|received| received.path).collect()
    }
}

fn of(model: &str, max_tokens: i32) -> CompleteRequest {
    CompleteRequest { model: model.to_owned(), max_tokens: Some(max_tokens), ..prompt(QUESTION) }
}

fn o200k(text: &str) -> i32 {
    tiktoken_rs::o200k_base_singleton().encode_ordinary(text).len().try_into().unwrap()
}

#[tokio::test]
async fn a_public_tokenizer_counts_exactly_and_nobody_is_asked() {
    let desk = Desk::speaking("openai", MODELS).await;
    let asked = CompleteRequest { system: "Be brief.".to_owned(), ..of("known", 100) };
    let count = desk.count(asked).await;
    let (system, messages) = (o200k("Be brief."), o200k(QUESTION));
    let parts = TokenParts { system, messages, overhead: 2 * 4 + 3, ..TokenParts::default() };
    assert_eq!(count.parts, Some(parts));
    assert_eq!(count.input_tokens, system + messages + 11);
    assert_eq!((count.source(), count.tokenizer.as_str()), (CountSource::Tokenizer, "o200k_base"));
    assert_eq!((count.provider.as_str(), count.model.as_str(), count.max_tokens), ("up", "gpt-4o", 100));
    let bound = count.max_cost.unwrap();
    assert_eq!(bound.pico_usd, i64::from(count.input_tokens) * 3_000_000 + 100 * 15_000_000);
    assert!(!bound.estimated);
    assert_eq!((count.expected_output_tokens, count.expected_cost), (None, None));
    assert_eq!(desk.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_known_for_sure_is_an_estimate() {
    let desk = Desk::speaking("openai", MODELS).await;
    let sure = desk.count(of("known", 100)).await;
    let newest = desk.count(of("new", 100)).await;
    assert_eq!(newest.source(), CountSource::Estimated);
    assert_eq!((newest.input_tokens, newest.tokenizer.as_str()), (sure.input_tokens, "o200k_base"));
    assert_eq!(newest.max_cost, None);
    let function = FunctionTool { name: "weather".to_owned(), ..FunctionTool::default() };
    let tools = vec![Tool { tool: Some(tool::Tool::Function(function)), ..Tool::default() }];
    let with_tools = desk.count(CompleteRequest { tools, ..of("known", 100) }).await;
    assert_eq!(with_tools.source(), CountSource::Estimated);
    assert!(with_tools.parts.unwrap().tools > 10);
    let unknown = desk.count(of("nobodys", 100)).await;
    assert_eq!((unknown.source(), unknown.tokenizer.as_str()), (CountSource::Estimated, ""));
    // Four bytes to a token, and what is around them.
    assert_eq!(unknown.input_tokens, 5 + 7);
    let bound = unknown.max_cost.unwrap();
    assert!(bound.estimated && bound.pico_usd >= 12 * 3_000_000 + 100 * 15_000_000, "{bound:?}");
}

#[tokio::test]
async fn answers_teach_how_long_the_next_one_will_be() {
    let desk = Desk::speaking("openai", MODELS).await;
    let wire = desk.stage.wire().await;
    for _ in 0..8 {
        let mut asked = of("nobodys", 1000);
        asked.prompt = format!("{QUESTION} [sim:tokens=20]");
        wire.complete(&asked, &[]).await.expect(Code::Ok, "", "");
    }
    let count = desk.count(of("nobodys", 1000)).await;
    let expected = count.expected_output_tokens.unwrap();
    assert!(expected > 0, "{count:?}");
    let cost = count.expected_cost.unwrap();
    assert_eq!(cost.pico_usd, i64::from(count.input_tokens) * 3_000_000 + i64::from(expected) * 15_000_000);
    assert!(cost.estimated && cost.pico_usd < count.max_cost.unwrap().pico_usd);
    let short = desk.count(of("nobodys", 1)).await;
    assert_eq!(short.expected_output_tokens, Some(1), "no more than may come");
}

#[tokio::test]
async fn a_provider_that_counts_is_asked_for_the_prompt() {
    let desk = Desk::speaking("anthropic", "").await;
    let asked = CompleteRequest { temperature: Some(0.5), stop_sequences: vec!["END".into()], ..of("up/simulator", 9) };
    let count = desk.count(asked).await;
    assert_eq!((count.source(), count.parts, count.tokenizer.as_str()), (CountSource::Provider, None, ""));
    assert_eq!(desk.paths(), ["/v1/messages/count_tokens"]);
    // What the provider counts beforehand is what it reports afterwards.
    let wire = desk.stage.wire().await;
    let mut events = wire.stream(&of("up/simulator", 9), &[]).await;
    let told = loop {
        if let Event::Completed(outcome) = events.event().await {
            break outcome.usage.unwrap().input_tokens;
        }
    };
    assert_eq!(count.input_tokens, told);
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_replaced_by_an_estimate() {
    let desk = Desk::speaking("anthropic", "").await;
    for failure in ["error=overloaded", "status=404", "reset_before_head", "html=200", "connect_refused"] {
        desk.stage.upstream.play([failure]);
        let count = desk.count(of("up/simulator", 9)).await;
        assert_eq!(count.source(), CountSource::Estimated, "{failure}");
        assert!(count.input_tokens > 0 && count.parts.is_some(), "{failure}: {count:?}");
    }
    // One that says nothing is not waited for beyond the caller's own time.
    desk.stage.upstream.play(["silence"]);
    assert_eq!(desk.ask(of("up/simulator", 9), Some("2S")).await.unwrap().source(), CountSource::Estimated);
    // None of this was an attempt: the endpoint is as well as before.
    desk.stage.wire().await.complete(&of("up/simulator", 9), &[]).await.expect(Code::Ok, "", "");
}

#[tokio::test]
async fn a_request_that_no_target_can_take_is_refused_as_for_an_answer() {
    let desk = Desk::speaking("openai", MODELS).await;
    let reason =
        |status: Status| (status.code(), status.get_details_error_info().map(|told| told.reason).unwrap_or_default());
    let refused = desk.ask(of("nowhere", 1), None).await.unwrap_err();
    assert_eq!(reason(refused), (Code::NotFound, "MODEL_NOT_FOUND".to_owned()));
    let refused = desk.ask(CompleteRequest::default(), None).await.unwrap_err();
    assert_eq!(reason(refused), (Code::InvalidArgument, "INVALID_REQUEST".to_owned()));
    let empty = desk.client.clone().count_tokens(CountTokensRequest { request: None }).await.unwrap_err();
    assert_eq!(reason(empty), (Code::InvalidArgument, "INVALID_REQUEST".to_owned()));
    assert_eq!(desk.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn three_megabytes_without_a_space_are_counted() {
    let desk = Desk::speaking("openai", MODELS).await;
    let asked = CompleteRequest { prompt: "ab".repeat(1_500_000), ..of("known", 100) };
    let count = desk.count(asked).await;
    assert_eq!(count.source(), CountSource::Tokenizer);
    assert!(count.input_tokens > 3_000_000 / 128, "{count:?}");
}
