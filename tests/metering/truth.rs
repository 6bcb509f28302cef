//! A thousand streams at an upstream that knows what it made: what is reported is the truth where the provider has told
//! it, and near to it and marked elsewhere; nothing is lost and nothing is there twice.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use completiond::proto::stream_complete_response::block_delta::Delta;
use completiond::proto::stream_complete_response::{BlockDelta, Event};
use completiond::proto::{Usage, UsageSource};
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use crate::stage::eventually;
use crate::support::{self, PROTOCOLS, Server, ask};
use crate::upstream::Knowing;

/// How many streams there are over both protocols.
const STREAMS: u32 = 1000;
/// How many of them run at a time.
const AT_ONCE: usize = 12;
/// How far the sum of estimates of one kind may be from the truth, in percent. `docs/usage.md` names it.
const MOST_OFF: f64 = 10.0;

/// What is written to the log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Listens to the whole process: workers are threads of their own.
    fn listen() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let layer = tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::INFO);
        tracing::subscriber::set_global_default(layer.with_writer(move || writer.clone()).finish()).unwrap();
        log
    }

    /// The lines of calls that have ended, by their ids.
    fn calls(&self) -> BTreeMap<String, Value> {
        let written = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ended = lines.filter(|line| line["message"] == "call ended");
        ended.map(|line| (line["id"].as_str().unwrap().to_owned(), line)).collect()
    }
}

/// How a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Complete,
    Cut,
    /// Its caller leaves when it has all that was made.
    Cancelled,
    /// Its caller leaves while more is on the way, which nobody here can have seen.
    Left,
}

/// What is reported about a call.
#[derive(Debug)]
struct Told {
    source: UsageSource,
    input: u32,
    output: u32,
    attempts: usize,
}

impl Told {
    fn of(usage: &Usage, attempts: usize) -> Self {
        let count = |tokens: i32| u32::try_from(tokens).unwrap();
        Self { source: usage.source(), input: count(usage.input_tokens), output: count(usage.output_tokens), attempts }
    }

    fn of_line(line: &Value) -> Self {
        let count = |key: &str| u32::try_from(line[key].as_u64().unwrap()).unwrap();
        let source = UsageSource::from_str_name(&format!("USAGE_SOURCE_{}", line["usage_source"].as_str().unwrap()));
        let attempts = usize::try_from(line["attempts"].as_u64().unwrap()).unwrap();
        Self { source: source.unwrap(), input: count("input_tokens"), output: count("output_tokens"), attempts }
    }
}

/// One call: its name at the upstream, how it shall end, and what is asked.
struct Call {
    name: String,
    end: End,
    prompt: String,
    /// After so many messages its caller leaves.
    leaves: usize,
}

impl Call {
    fn new(number: u32, dice: &mut StdRng) -> Self {
        let name = format!("call-{number}");
        let tokens = dice.random_range(40..160);
        let broken = dice.random_range(2..tokens);
        let (end, asked) = match number % 3 {
            0 => (End::Complete, String::new()),
            1 if dice.random_bool(0.5) => (End::Cut, format!("cut={broken}")),
            1 => (End::Cut, format!("torn={broken}")),
            _ if dice.random_bool(0.5) => (End::Cancelled, format!("held={broken}")),
            // It never comes to its end: a call that is slow to be left must not be complete by then.
            _ => (End::Left, format!("held={tokens}")),
        };
        let words = "what is there to be counted, and by whom? ".repeat(dice.random_range(1..40));
        // Each message of the answer has at most four tokens, so that all of these come before the end.
        let leaves = usize::try_from(dice.random_range(2..tokens / 4 + 2)).unwrap();
        Self { prompt: format!("{name} tokens={tokens} {asked} {words}"), name, end, leaves }
    }

    /// Makes the call; what was told, or the id of a call that was left.
    async fn make(&self, server: &Server, upstream: &Knowing) -> Result<Told, String> {
        let asked = ask("up/knowing", &self.prompt);
        if matches!(self.end, End::Cancelled | End::Left) {
            return Err(self.leave(server, upstream).await);
        }
        let streamed = server.stream(asked).await.unwrap();
        Ok(match (&streamed.failure, self.end) {
            (None, End::Complete) => {
                let outcome = streamed.fold().outcome.unwrap();
                Told::of(&outcome.usage.unwrap(), outcome.attempts.len())
            }
            (Some(seen), End::Cut) => {
                let failure = seen.failure.as_ref().unwrap();
                Told::of(failure.usage.as_ref().unwrap(), failure.attempts.len())
            }
            other => panic!("{}: {other:?}", self.name),
        })
    }

    /// Leaves in the middle of the answer.
    async fn leave(&self, server: &Server, upstream: &Knowing) -> String {
        let mut events = server.client().stream_complete(ask("up/knowing", &self.prompt)).await.unwrap().into_inner();
        let (mut id, mut seen, mut bytes) = (String::new(), 0, 0);
        loop {
            let is_enough = match self.end {
                End::Left => seen >= self.leaves,
                _ => upstream.held(&self.name) == Some(bytes),
            };
            if is_enough {
                return id;
            }
            seen += 1;
            match events.message().await.unwrap().unwrap().event.unwrap() {
                Event::Started(started) => id = started.id,
                Event::BlockDelta(BlockDelta { delta: Some(Delta::Text(text)), .. }) => bytes += text.len(),
                _ => {}
            }
        }
    }
}

/// What was told about calls and what is true, added up.
#[derive(Debug, Default)]
struct Sums {
    calls: u32,
    input: [u64; 2],
    output: [u64; 2],
}

impl Sums {
    fn off([told, truth]: [u64; 2]) -> f64 {
        (f64::from(u32::try_from(told).unwrap()) / f64::from(u32::try_from(truth).unwrap()) - 1.0) * 100.0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_are_billed_once_and_truly_where_the_truth_is_told() {
    let log = Log::listen();
    let mut all: BTreeMap<(&str, End), Sums> = BTreeMap::new();
    for protocol in PROTOCOLS {
        let upstream = Knowing::start().await;
        let yaml = format!("providers:\n{}", support::provider("up", protocol, &upstream.url()));
        let server = Server::start(&yaml).await;
        let mut dice = StdRng::seed_from_u64(0x5eed);
        let calls: Vec<Call> = (0..STREAMS / 2).map(|number| Call::new(number, &mut dice)).collect();
        let (server, upstream) = (&server, &upstream);
        let made = stream::iter(&calls).map(|call| async move { (call, call.make(server, upstream).await) });
        let made: Vec<_> = made.buffer_unordered(AT_ONCE).collect().await;
        eventually("the upstream has noticed who left", || upstream.is_idle()).await;
        let ids: Vec<&String> = made.iter().filter_map(|(_, told)| told.as_ref().err()).collect();
        eventually("calls that were left are logged", || {
            let logged = log.calls();
            ids.iter().all(|id| logged.contains_key(*id))
        })
        .await;
        let logged = log.calls();
        for (call, told) in made {
            let told = told.unwrap_or_else(|id| {
                assert_eq!(logged[&id]["status"], "CANCELLED");
                Told::of_line(&logged[&id])
            });
            let works = upstream.work(&call.name);
            assert_eq!(works.len(), told.attempts, "{}: each request is on record, and none twice", call.name);
            let input: u32 = works.iter().map(|work| work.input).sum();
            let output: u32 = works.iter().map(|work| work.output).sum();
            check(protocol, call, &told, (input, output));
            let sums = all.entry((protocol, call.end)).or_default();
            sums.calls += 1;
            sums.input = [sums.input[0] + u64::from(told.input), sums.input[1] + u64::from(input)];
            sums.output = [sums.output[0] + u64::from(told.output), sums.output[1] + u64::from(output)];
        }
    }
    assert_eq!(all.values().map(|sums| sums.calls).sum::<u32>(), STREAMS);
    for ((protocol, end), sums) in &all {
        let off = [Sums::off(sums.input), Sums::off(sums.output)];
        println!("{protocol} {end:?}: {sums:?}, off by {:.2} % and {:.2} %", off[0], off[1]);
        // What a provider makes after its caller has left is seen by nobody here; no more is told than was made.
        let least = if *end == End::Left { -100.0 } else { -MOST_OFF };
        assert!(off.iter().all(|off| (least..MOST_OFF).contains(off)), "{protocol} {end:?}: {sums:?}");
    }
}

/// Holds what was told about one call against the truth.
fn check(protocol: &str, call: &Call, told: &Told, (input, output): (u32, u32)) {
    let source = match (call.end, protocol) {
        (End::Complete, _) => UsageSource::Provider,
        (_, "anthropic") => UsageSource::Partial,
        _ => UsageSource::Estimated,
    };
    assert_eq!(told.source, source, "{protocol} {}", call.name);
    if source != UsageSource::Estimated {
        assert_eq!(told.input, input, "{protocol} {}: the prompt was told", call.name);
    }
    if source == UsageSource::Provider {
        assert_eq!(told.output, output, "{protocol} {}: all was told", call.name);
    }
    assert!(told.input > 0 && (told.output > 0 || output == 0), "{protocol} {}: {told:?}", call.name);
}
