//! The configuration: one typed tree, checked as a whole before a port opens.
//!
//! A file is read into a tree with places ([`node`]), walked by its sections ([`reader`]), and comes out as a
//! [`Config`] in which nothing is left to check, or as [`Problems`]: all of them at once, each with its place, the rule
//! and what would be right. Only the composition root and `check` see the whole of it; everyone else gets a section.

mod address;
mod attempts;
mod cache;
mod callers;
mod callers_dir;
mod connections;
mod discover;
mod expand;
mod issuers;
mod lead;
mod model;
mod nearest;
mod node;
mod patterns;
mod price;
mod problem;
mod provider;
mod quantity;
mod reader;
mod reload;
mod rights;
mod secrets;
mod settings;
mod sources;
mod spending;
mod syntax;
mod taken_over;
mod telemetry;
mod tls;
mod usage;
mod web;

pub use address::{ListenAddress, ListenAddressError};
pub use callers::Admitted;
pub use callers_dir::CallersDir;
pub use connections::Connections;
pub use discover::{Bare, Discovered};
pub use model::{Model, Target};
pub use nearest::{nearest, some_of};
pub use price::Pricing;
pub use problem::{Mark, Problem, Problems};
pub use provider::Provider;
pub use quantity::{read_duration, show_duration, show_size};
pub use secrets::{Origin, Secret};
pub use settings::{Limits, Log, Stream};
pub use sources::{Sources, process_variable};
pub use telemetry::Telemetry;
pub use web::{Origins, Web};

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::{ModelName, PromptCache, ProviderId, Tokens};
use crate::pool::Timeouts;
use crate::route::Retry;
use crate::simulator::Pace;
use crate::store::{AnswerSettings, CompletionSettings, UsageSettings};
use crate::tls::Settings as TlsSettings;
use expand::Environment;
use problem::{Findings, Wrong};
use provider::Pool;
use reader::{Context, Fields, Value};
use settings::Bounds;
use syntax::SyntaxError;

/// The largest file that is read as a configuration.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The default of `drain_delay`.
const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// A whole configuration in which everything is checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where callers come in. Default: 127.0.0.1:50051.
    pub listen: ListenAddress,
    /// Where operators come in. Default: 127.0.0.1:50052.
    pub admin_listen: ListenAddress,
    /// Where probes come in. Default: 127.0.0.1:50053.
    pub ops_listen: ListenAddress,
    /// What `listen` shows and asks for. Default: plain text.
    pub tls: Option<TlsSettings>,
    /// The same for `admin_listen`.
    pub admin_tls: Option<TlsSettings>,
    /// The bounds on connections.
    pub connections: Connections,
    /// Who may call. Default: whoever reaches the port, where only this machine does.
    pub admitted: Admitted,
    /// Which pages may call. Default: none.
    pub web: Web,
    /// What an empty `model` means; none: a request must name its model.
    pub default_model: Option<ModelName>,
    /// The pool, in the file's order; at least one.
    pub providers: Vec<Provider>,
    /// The names that callers use beside `provider/model`.
    pub models: Vec<Model>,
    /// What the work of models costs.
    pub pricing: Pricing,
    /// The bounds on one upstream request, where neither provider nor model sets its own.
    pub timeouts: Timeouts,
    /// The bound on a call. Default: 10 minutes.
    pub total: Duration,
    /// What bounds memory.
    pub limits: Limits,
    /// What is tried again, and when.
    pub retry: Retry,
    /// How answers are streamed.
    pub stream: Stream,
    /// How long calls are still served after the server says that it stops. Default: 5 s, and 0 on a terminal.
    pub drain_delay: Duration,
    /// How long running calls may finish after that. Default: `total`.
    pub shutdown_grace: Duration,
    /// The bound on an answer whose caller sets none, reasoning aside. Default: 8192.
    pub default_max_tokens: Tokens,
    /// The headers that callers may set by `provider_options`. Default: none.
    pub provider_option_headers: BTreeSet<String>,
    /// How many workers share the calls. Default: one per core.
    pub workers: NonZeroUsize,
    /// What is logged.
    pub log: Log,
    /// How the server speaks of itself, beside the `OTEL_*` variables.
    pub telemetry: Telemetry,
    /// How fast the simulator answers. Default: 200 ms to the first event, then 20 ms for each token.
    pub pace: Pace,
    /// Where sums of usage are kept, by what, and how long. Default: 90 days, in memory.
    pub usage: UsageSettings,
    /// How long it is known what became of calls. Default: 10 minutes, in at most 64 MiB.
    pub completions: CompletionSettings,
    /// Which answers are given again, and for how long. Default: none.
    pub cache: AnswerSettings,
    /// Whether providers are asked to keep prompts, and how long, where neither request nor model says it. Default: no.
    pub prompt_cache: PromptCache,
    /// Where all this comes from.
    pub source: Source,
    /// What is doubtful, though it works.
    pub warnings: Vec<Problem>,
}

/// Where a configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// This file.
    File(PathBuf),
    /// Keys in these environment variables.
    Environment(Vec<String>),
    /// This provider, which answered on this machine.
    Local(ProviderId),
    /// Nothing: the simulator answers.
    Simulator,
}

/// What flags and environment variables say beside the file, and before it.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// In place of `listen`.
    pub listen: Option<ListenAddress>,
    /// In place of `admin_listen`.
    pub admin_listen: Option<ListenAddress>,
    /// In place of `ops_listen`.
    pub ops_listen: Option<ListenAddress>,
    /// Whoever reaches the port may call, whatever `allow_anonymous` says.
    pub allow_anonymous: bool,
    /// Everything is plain text, whatever `tls` and `admin_tls` say; their files are not looked at.
    pub plain_text: bool,
    /// In place of the default of `drain_delay`: the file overrules it.
    pub default_drain_delay: Option<Duration>,
}

impl Overrides {
    fn apply(&self, config: &mut Config) {
        config.drain_delay = self.default_drain_delay.unwrap_or(config.drain_delay);
        let set = |place: &mut ListenAddress, value: &Option<ListenAddress>| {
            if let Some(value) = value {
                place.clone_from(value);
            }
        };
        set(&mut config.listen, &self.listen);
        set(&mut config.admin_listen, &self.admin_listen);
        set(&mut config.ops_listen, &self.ops_listen);
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(path: &Path, overrides: &Overrides, sources: &Sources<'_>) -> Result<Self, Problems> {
        read_bounded(path)
            .map_err(|what| Problems::outside("", format!("the file cannot be read: {what}"), ""))
            .and_then(|text| Self::parse(&text, path, overrides, sources))
            .map_err(|problems| Problems { file: Some(path.to_owned()), ..problems })
    }

    /// Reads the text of a file; `path` is what it is called.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(text: &str, path: &Path, overrides: &Overrides, sources: &Sources<'_>) -> Result<Self, Problems> {
        let file = Some(path.to_owned());
        let root = match node::parse(text) {
            Ok(root) => root,
            Err(SyntaxError { mark, wrong: Wrong { rule, right } }) => {
                let problem = Problem { mark, key: String::new(), rule, right };
                return Err(Problems { file, problems: vec![problem] });
            }
        };
        let environment = Environment::Of(sources.variable);
        let context = Context { sources, environment, findings: Findings::default() };
        let mut config = read_config(Value::root(&context, &root).fields(), path, overrides);
        let (problems, warnings) = context.findings.sorted();
        if !problems.is_empty() {
            return Err(Problems { file, problems });
        }
        config.source = Source::File(path.to_owned());
        config.warnings = warnings;
        Ok(config)
    }

    fn defaults(bounds: Bounds) -> Self {
        let local = |port: u16| ListenAddress::Tcp(format!("127.0.0.1:{port}"));
        Self {
            listen: local(50051),
            admin_listen: local(50052),
            ops_listen: local(50053),
            tls: None,
            admin_tls: None,
            connections: Connections::default(),
            admitted: Admitted::default(),
            web: Web::default(),
            default_model: None,
            providers: Vec::new(),
            models: Vec::new(),
            pricing: Pricing::default(),
            timeouts: bounds.timeouts,
            total: bounds.total,
            limits: Limits::default(),
            retry: Retry::default(),
            stream: Stream::default(),
            drain_delay: DRAIN_DELAY,
            shutdown_grace: bounds.total,
            default_max_tokens: Tokens::new(8192),
            provider_option_headers: BTreeSet::new(),
            workers: settings::cores(),
            log: Log::default(),
            telemetry: Telemetry::default(),
            pace: Pace::LIVELY,
            usage: UsageSettings::default(),
            completions: CompletionSettings::default(),
            cache: AnswerSettings::default(),
            prompt_cache: PromptCache::default(),
            source: Source::Simulator,
            warnings: Vec::new(),
        }
    }

    /// What is wrong with the listeners as a set.
    fn collision(&self) -> Option<(String, &'static str)> {
        let listeners = self.listeners();
        let twice = listeners.iter().enumerate().find_map(|(index, (first, address))| {
            let others = listeners.iter().skip(index + 1);
            let second = others.into_iter().find(|(_, other)| address.collides(other))?;
            Some(format!("`{first}` and `{}` are both {address}", second.0))
        });
        twice.map(|rule| (rule, "give each listener an address of its own"))
    }

    /// The listeners that are open to those whom nobody knows.
    fn exposures(&self) -> Vec<(String, &'static str)> {
        let mut exposures = Vec::new();
        if !self.listen.is_loopback() && self.admitted.is_open() && !self.admitted.anonymous {
            let rule = format!("`listen` is {}, which others reach, and nobody is asked for a key", self.listen);
            exposures.push((
                rule,
                "name who may call in `callers`, or write `allow_anonymous: true` if whoever reaches it may",
            ));
        }
        if !self.admin_listen.is_loopback() && !self.admitted.has_admin() {
            let rule =
                format!("`admin_listen` is {}, which others reach, and no caller is an admin", self.admin_listen);
            exposures.push((
                rule,
                "write `admin: true` at one of `callers`, or let it listen on this machine or a Unix socket",
            ));
        }
        exposures
    }

    /// The listeners by the names of their keys.
    pub fn listeners(&self) -> [(&'static str, &ListenAddress); 3] {
        [("listen", &self.listen), ("admin_listen", &self.admin_listen), ("ops_listen", &self.ops_listen)]
    }
}

fn read_bounded(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    text_of(bytes)
}

/// The text of a file that was read up to a byte more than it may have.
fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err("it is larger than 4 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

fn read_config(mut file: Fields<'_>, path: &Path, overrides: &Overrides) -> Config {
    let bounds = Bounds::read(&mut file);
    let mut config = Config::defaults(bounds);
    for (key, place) in [
        ("listen", &mut config.listen),
        ("admin_listen", &mut config.admin_listen),
        ("ops_listen", &mut config.ops_listen),
    ] {
        let default = place.clone();
        *place = file.read(key, default, |text| text.parse().map_err(wrong_address));
    }
    overrides.apply(&mut config);
    if overrides.plain_text {
        // Taken, so that they are known all the same.
        let _ = (file.take("tls"), file.take("admin_tls"));
    } else {
        config.tls = tls::tls(&mut file, "tls", path, &config.listen);
        config.admin_tls = tls::tls(&mut file, "admin_tls", path, &config.admin_listen);
    }
    config.connections = Connections::read(&mut file);
    config.admitted = callers::admitted(&mut file, path, overrides);
    config.web = Web::read(&mut file, &config.admitted);
    let pool = read_pool(&mut file, &bounds);
    let (models, names) = model::read(file.take("models").as_ref(), &pool, &bounds);
    config.models = models;
    config.pricing = Pricing::read(&mut file, path);
    config.default_model = file.take("default_model").and_then(|value| value.parse(|name| names.find(name)));
    config.limits = Limits::read(&mut file);
    config.retry = attempts::retry(&mut file);
    config.stream = Stream::read(&mut file);
    config.drain_delay = file.read("drain_delay", config.drain_delay, quantity::duration);
    config.shutdown_grace = file.read("shutdown_grace", bounds.total, quantity::duration);
    config.default_max_tokens =
        file.read("default_max_tokens", config.default_max_tokens, |text| reader::count(text).map(Tokens::new));
    config.provider_option_headers = settings::option_headers(&mut file);
    config.workers = settings::workers(&mut file);
    config.log = Log::read(&mut file);
    config.telemetry = telemetry::telemetry(&mut file);
    config.pace = settings::pace(&mut file);
    config.usage = usage::usage(&mut file);
    config.completions = settings::completions(&mut file);
    config.cache = cache::cache(&mut file);
    config.prompt_cache = cache::prompts(&mut file);
    for (rule, right) in config.collision().into_iter().chain(config.exposures()) {
        file.section().wrong(Wrong::new(rule, right));
    }
    if !overrides.plain_text {
        for (rule, right) in tls::doubts(&config) {
            file.section().doubtful(rule, right);
        }
    }
    config.providers = pool.providers;
    let of_spending = spending::doubts(&config).into_iter().map(|(rule, right)| (rule, right.to_owned()));
    for (rule, right) in of_spending.chain(patterns::doubts(&config)) {
        file.section().doubtful(rule, right);
    }
    file.finish(&[]);
    config
}

fn read_pool(file: &mut Fields<'_>, bounds: &Bounds) -> Pool {
    let right = "write at least one entry; without a file the keys in the environment are used";
    let Some(list) = file.take("providers") else {
        file.section().wrong(Wrong::new("lacks `providers`", right));
        return Pool::default();
    };
    let before = file.section().context().findings.count();
    let pool = Pool::read(&list, bounds);
    if pool.providers.is_empty() && file.section().context().findings.count() == before {
        list.wrong(Wrong::new("is empty: there is no provider to ask", right));
    }
    pool
}

fn wrong_address(error: ListenAddressError) -> Wrong {
    Wrong::new(error.rule(), ListenAddressError::RIGHT)
}
