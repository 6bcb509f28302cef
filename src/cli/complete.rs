//! `completiond complete`: one completion, streamed to the terminal.
//!
//! The answer goes to standard output and nothing else does; reasoning, the spinner and the summary go to standard
//! error.

use std::io::{IsTerminal, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use tonic::Streaming;

use super::client::{Connection, ServerArgs};
use super::render::{self, QUIET};
use super::settings::ConfigArgs;
use super::{Exit, json, print, print_json, runtime, tell, usage};
use crate::domain::PicoUsd;
use crate::proto::stream_complete_response::{Event, block_delta::Delta};
use crate::proto::{
    CompleteRequest, CompletionOutcome, ContentBlock, Image, Media, Message, Role, StreamCompleteResponse, Text,
    content_block::Block, media::Source,
};

/// The flags of `completiond complete`.
#[derive(Debug, Args)]
pub(super) struct CompleteArgs {
    #[command(flatten)]
    pub(super) server: ServerArgs,
    /// The prompt; without it, or as `-`, it is read from standard input
    prompt: Vec<String>,
    /// An alias, a model id or `provider/model` [default: the server's]
    #[arg(long, short)]
    model: Option<String>,
    /// The system prompt
    #[arg(long, short)]
    system: Option<String>,
    /// The bound on the answer's tokens, reasoning included [default: the server's]
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    max_tokens: Option<i32>,
    /// The most that the call may cost, in US dollars, such as 0.05; the answer ends where it is reached [default: the
    /// server's]
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<i64>,
    /// What the call is for, such as team=search; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// An image for the prompt: a file, or an address that the provider fetches; may be repeated
    #[arg(long, value_name = "FILE|URL")]
    image: Vec<String>,
    /// When the answer breaks off, begin it anew on another target instead of failing; what was printed is void then, and
    /// a line on standard error says so
    #[arg(long)]
    restart: bool,
    /// Print the whole response as JSON, with the field names of the contract
    #[arg(long)]
    json: bool,
    /// With --json: print each event of the stream as a line of JSON instead
    #[arg(long, requires = "json")]
    stream: bool,
}

/// Reads an amount of US dollars, exactly, in units of 10^-12.
fn dollars(text: &str) -> Result<i64, String> {
    let read = PicoUsd::parse_usd(text).filter(|amount| amount.get() > 0);
    read.map(PicoUsd::get)
        .ok_or_else(|| "write US dollars as a decimal number from 0.000000000001 to 9223372, such as 0.05".to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "it is not KEY=VALUE".to_owned())
}

/// Asks for a completion.
pub(super) fn run(config: &ConfigArgs, args: &CompleteArgs) -> Result<(), Exit> {
    let request = request(args)?;
    runtime()?.block_on(async {
        tokio::select! {
            done = complete(config, args, request) => done,
            // What the call holds is dropped here, and the upstream with it.
            _ = tokio::signal::ctrl_c() => Err(Exit::Interrupted),
        }
    })
}

async fn complete(config: &ConfigArgs, args: &CompleteArgs, request: CompleteRequest) -> Result<(), Exit> {
    let mut connection = Connection::open(&args.server, config).await?;
    let began = Instant::now();
    let request = connection.request(request);
    if args.json && !args.stream {
        let response = connection.client.complete(request).await.map_err(|status| failed(&status))?.into_inner();
        return print_json(&json::of("CompleteResponse", &response));
    }
    let spinner = Spinner::start();
    let events = connection.client.stream_complete(request).await;
    let events = events.inspect_err(|_| spinner.stop()).map_err(|status| failed(&status))?.into_inner();
    if args.stream { print_events(events, &spinner).await } else { print_answer(events, &spinner, began).await }
}

fn failed(status: &tonic::Status) -> Exit {
    let exit = render::exit(status);
    tell(render::failure(status));
    exit
}

async fn print_events(mut events: Streaming<StreamCompleteResponse>, spinner: &Spinner) -> Result<(), Exit> {
    loop {
        let event = events.message().await;
        spinner.stop();
        let Some(event) = event.map_err(|status| failed(&status))? else { return Ok(()) };
        if let Some(value) = json::of("StreamCompleteResponse", &event) {
            print(&format!("{value}\n"))?;
        }
    }
}

async fn print_answer(
    mut events: Streaming<StreamCompleteResponse>,
    spinner: &Spinner,
    began: Instant,
) -> Result<(), Exit> {
    let mut page = Page::default();
    loop {
        let event = match events.message().await {
            Ok(event) => event,
            Err(status) => {
                spinner.stop();
                page.end_line()?;
                return Err(failed(&status));
            }
        };
        match event.map(|event| event.event) {
            Some(Some(Event::BlockStarted(started))) => {
                if let Some(text) = started.block.and_then(|block| beginning(&block)) {
                    spinner.stop();
                    page.write(&text)?;
                }
            }
            Some(Some(Event::BlockDelta(delta))) => {
                spinner.stop();
                page.delta(delta.delta)?;
            }
            Some(Some(Event::Restarted(anew))) => {
                spinner.stop();
                page.end_line()?;
                tell(render::restarted(&anew));
            }
            Some(Some(Event::Completed(outcome))) => page.outcome = Some(*outcome),
            Some(_) => {}
            None => break,
        }
    }
    spinner.stop();
    page.end_line()?;
    let Some(outcome) = page.outcome else {
        tell("the stream ended without its last event: the answer is not complete");
        return Err(Exit::Failed);
    };
    tell(render::summary(&outcome, began.elapsed()));
    Ok(())
}

/// What stands on the terminal so far.
#[derive(Debug, Default)]
struct Page {
    last: Stream,
    ends_in_line: bool,
    outcome: Option<CompletionOutcome>,
}

/// Where the last piece went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stream {
    #[default]
    Nowhere,
    Answer,
    Aside,
}

impl Page {
    fn delta(&mut self, delta: Option<Delta>) -> Result<(), Exit> {
        match delta {
            Some(Delta::Text(text) | Delta::ToolInput(text)) => self.write(&text),
            Some(Delta::Reasoning(text)) => self.aside(&text),
            _ => Ok(()),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Exit> {
        self.turn_to(Stream::Answer, text)?;
        // What a model says may hold escape sequences that no terminal shall obey.
        print(&if std::io::stdout().is_terminal() { harmless(text) } else { text.to_owned() })
    }

    fn aside(&mut self, text: &str) -> Result<(), Exit> {
        if std::io::stderr().is_terminal() {
            self.turn_to(Stream::Aside, text)?;
            let mut err = anstream::stderr().lock();
            let _ = std::io::Write::write_fmt(&mut err, format_args!("{QUIET}{}{QUIET:#}", harmless(text)));
        }
        Ok(())
    }

    fn turn_to(&mut self, stream: Stream, text: &str) -> Result<(), Exit> {
        if self.last != stream {
            self.end_line()?;
        }
        self.last = stream;
        if !text.is_empty() {
            self.ends_in_line = !text.ends_with('\n');
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), Exit> {
        if std::mem::take(&mut self.ends_in_line) {
            match self.last {
                Stream::Aside => tell(""),
                Stream::Answer | Stream::Nowhere => print("\n")?,
            }
        }
        Ok(())
    }
}

/// What a block begins with: a call's name, for its arguments follow.
fn beginning(block: &ContentBlock) -> Option<String> {
    match block.block.as_ref()? {
        Block::Text(text) => Some(text.text.clone()).filter(|text| !text.is_empty()),
        Block::ToolCall(call) => Some(format!("\n{} ", call.name)),
        _ => None,
    }
}

fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// Turns on standard error until the first words come; no one but a terminal sees it.
#[derive(Debug)]
struct Spinner(ProgressBar);

impl Spinner {
    fn start() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    fn stop(&self) {
        if !self.0.is_finished() {
            self.0.finish_and_clear();
        }
    }
}

fn request(args: &CompleteArgs) -> Result<CompleteRequest, Exit> {
    let prompt = prompt(&args.prompt)?;
    let images = args.image.iter().map(|image| picture(image)).collect::<Result<Vec<_>, _>>()?;
    let mut request = CompleteRequest {
        model: args.model.clone().unwrap_or_default(),
        system: args.system.clone().unwrap_or_default(),
        max_tokens: args.max_tokens,
        max_cost_pico_usd: args.max_cost,
        labels: args.label.iter().cloned().collect(),
        restart_on_interruption: args.restart,
        ..CompleteRequest::default()
    };
    if images.is_empty() {
        request.prompt = prompt;
    } else {
        let text = Block::Text(Text { text: prompt, ..Text::default() });
        let content = images.into_iter().chain([text]);
        let content = content.map(|block| ContentBlock { block: Some(block), ..ContentBlock::default() }).collect();
        request.messages = vec![Message { role: Role::User.into(), content, ..Message::default() }];
    }
    Ok(request)
}

fn prompt(words: &[String]) -> Result<String, Exit> {
    if !words.is_empty() && words != ["-"] {
        return Ok(words.join(" "));
    }
    if words.is_empty() && std::io::stdin().is_terminal() {
        usage("a prompt is missing: completiond complete \"Why is the sky blue?\"");
    }
    let mut prompt = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut prompt) {
        usage(&format!("the prompt cannot be read from standard input: {error}"));
    }
    match prompt.trim().is_empty() {
        true => usage("the prompt on standard input is empty"),
        false => Ok(prompt),
    }
}

fn picture(image: &str) -> Result<Block, Exit> {
    if image.contains("://") {
        let media = Media { source: Some(Source::Uri(image.to_owned())), ..Media::default() };
        return Ok(Block::Image(Image { media: Some(media), ..Image::default() }));
    }
    let data = match std::fs::read(Path::new(image)) {
        Ok(data) => data,
        Err(error) => usage(&format!("--image {image}: {error}")),
    };
    let Some(mime_type) = mime_type(&data) else {
        usage(&format!("--image {image}: is no PNG, JPEG, GIF or WebP image"));
    };
    let media = Media { source: Some(Source::Data(data.into())), mime_type: mime_type.to_owned() };
    Ok(Block::Image(Image { media: Some(media), ..Image::default() }))
}

/// The media type that an image's first bytes tell.
fn mime_type(data: &[u8]) -> Option<&'static str> {
    match data {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_first_bytes() {
        let cases: [(&[u8], Option<&str>); 6] = [
            (b"\x89PNG\r\n", Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8", Some("image/webp")),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(mime_type(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn escape_sequences_of_a_model_do_not_reach_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\tb\nc\u{9b}"), "a[2J\tb\nc");
    }
}
