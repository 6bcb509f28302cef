//! `completiond tokens`: how many tokens a prompt has, and what it would cost.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use clap::Args;

use super::client::{Connection, ServerArgs};
use super::render::{self, QUIET};
use super::settings::ConfigArgs;
use super::{Exit, json, print, print_json, runtime, tell, usage};
use crate::proto::{CompleteRequest, CountSource, CountTokensRequest, CountTokensResponse, TokenParts};

/// The flags of `completiond tokens`.
#[derive(Debug, Args)]
pub(super) struct TokensArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// A text, which is counted as a prompt, or a request as JSON (a file whose name ends in .json); `-`: a text on
    /// standard input
    #[arg(value_name = "FILE|-")]
    file: String,
    /// An alias, a model id or `provider/model` [default: the request's, else the server's]
    #[arg(long, short)]
    model: Option<String>,
    /// Print the whole response as JSON, with the field names of the contract
    #[arg(long)]
    json: bool,
}

/// Counts.
pub(super) fn run(config: &ConfigArgs, args: &TokensArgs) -> Result<(), Exit> {
    let request = request(args);
    let counted = runtime()?.block_on(count(config, args, request))?;
    if args.json {
        return print_json(&json::of("CountTokensResponse", &counted));
    }
    print(&text(&counted))
}

async fn count(config: &ConfigArgs, args: &TokensArgs, request: CompleteRequest) -> Result<CountTokensResponse, Exit> {
    let mut connection = Connection::open(&args.server, config).await?;
    let request = connection.request(CountTokensRequest { request: Some(request) });
    let counted = connection.client.count_tokens(request).await.map_err(|status| {
        tell(render::failure(&status));
        render::exit(&status)
    })?;
    Ok(counted.into_inner())
}

fn request(args: &TokensArgs) -> CompleteRequest {
    let text = match read(&args.file) {
        Ok(text) => text,
        Err(error) => usage(&format!(
            "{}: {error}; `-` takes a text from standard input: echo TEXT | completiond tokens -",
            args.file
        )),
    };
    let is_json = Path::new(&args.file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let mut request = if is_json {
        match json::read("CompleteRequest", &text) {
            Ok(request) => request,
            Err(error) => usage(&format!("{} is no request: {error}", args.file)),
        }
    } else {
        CompleteRequest { prompt: text, ..CompleteRequest::default() }
    };
    if let Some(model) = &args.model {
        request.model.clone_from(model);
    }
    request
}

fn read(file: &str) -> std::io::Result<String> {
    if file != "-" {
        return std::fs::read_to_string(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

fn text(counted: &CountTokensResponse) -> String {
    let how = match counted.source() {
        CountSource::Provider => "counted by the provider".to_owned(),
        CountSource::Tokenizer => format!("counted by {}", counted.tokenizer),
        _ if counted.tokenizer.is_empty() => "estimated".to_owned(),
        _ => format!("estimated by {}", counted.tokenizer),
    };
    let CountTokensResponse { provider, model, input_tokens, max_tokens, .. } = counted;
    let mut text = format!("{input_tokens} tokens  {QUIET}at {provider}/{model}, {how}{QUIET:#}\n");
    if let Some(TokenParts { system, tools, messages, media, overhead }) = counted.parts {
        let parts =
            [("system", system), ("tools", tools), ("messages", messages), ("media", media), ("around", overhead)];
        for (name, tokens) in parts.into_iter().filter(|(_, tokens)| *tokens > 0) {
            let _ = writeln!(text, "  {QUIET}{name:<9}{QUIET:#} {tokens}");
        }
    }
    if let (Some(tokens), Some(cost)) = (counted.expected_output_tokens, &counted.expected_cost) {
        let _ = writeln!(text, "about {} USD with an answer as usual, {tokens} tokens", cost.usd);
    }
    if let Some(cost) = &counted.max_cost {
        let _ = writeln!(text, "at most {} USD with an answer of {max_tokens} tokens", cost.usd);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::Cost;

    #[test]
    fn a_count_says_where_how_and_at_what_price() {
        let cost = |usd: &str| Some(Cost { usd: usd.to_owned(), ..Cost::default() });
        let mut counted = CountTokensResponse {
            provider: "up".to_owned(),
            model: "m".to_owned(),
            input_tokens: 19,
            source: CountSource::Tokenizer.into(),
            tokenizer: "o200k_base".to_owned(),
            parts: Some(TokenParts { system: 4, messages: 8, overhead: 7, ..TokenParts::default() }),
            max_tokens: 100,
            expected_output_tokens: Some(20),
            expected_cost: cost("0.001"),
            max_cost: cost("0.01"),
        };
        let plain = |counted: &CountTokensResponse| anstream::adapter::strip_str(&text(counted)).to_string();
        assert_eq!(
            plain(&counted),
            "19 tokens  at up/m, counted by o200k_base\n  system    4\n  messages  8\n  around    7\n\
             about 0.001 USD with an answer as usual, 20 tokens\n\
             at most 0.01 USD with an answer of 100 tokens\n"
        );
        counted.set_source(CountSource::Estimated);
        assert!(plain(&counted).contains("estimated by o200k_base"));
        let told = CountTokensResponse { input_tokens: 3, source: CountSource::Provider.into(), ..Default::default() };
        assert_eq!(plain(&told), "3 tokens  at /, counted by the provider\n");
    }
}
