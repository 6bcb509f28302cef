//! Another configuration is put in force while calls run: on a signal, or because an operator asks.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::certificates::Certificates;
use super::roster::roster;
use super::{StartError, table};
use crate::callers::Callers;
use crate::config::{self, Config, Mark, Problem, Problems, Source};
use crate::domain::{Error, Reason, Violation};
use crate::edge::{Changes, Reload, Reloaded};
use crate::route::Tables;
use crate::telemetry::Levels;

/// A configuration that is being read.
pub type Loading = BoxFuture<'static, Result<Config, Problems>>;

/// Reads the configuration again, as it was read at the start. It must not block the thread that polls it.
pub type Load = Arc<dyn Fn() -> Loading + Send + Sync>;

/// A configuration that never changes.
pub(super) fn same(config: &Config) -> Load {
    let config = config.clone();
    Arc::new(move || Box::pin(std::future::ready(Ok(config.clone()))))
}

/// Puts configurations in force, one after the other. Clones are the same.
#[derive(Clone)]
pub struct Reloading(Arc<Shared>);

struct Shared {
    tables: Tables,
    callers: Callers,
    certificates: Certificates,
    load: Load,
    levels: Levels,
    /// What the process was started with: what is not in its table holds until its end.
    started: Config,
    /// What the table in force was made from. Locked while another one is read.
    in_force: Mutex<Config>,
}

impl Reloading {
    /// `config` is in force, as these tables, callers and certificates.
    pub(super) fn new(
        config: &Config,
        (tables, callers, certificates): (Tables, Callers, Certificates),
        load: Load,
        levels: Levels,
    ) -> Self {
        let (started, in_force) = (config.clone(), Mutex::new(config.clone()));
        Self(Arc::new(Shared { tables, callers, certificates, load, levels, started, in_force }))
    }

    /// The names that callers may ask for.
    pub fn tables(&self) -> &Tables {
        &self.0.tables
    }

    /// Who may call.
    pub fn callers(&self) -> &Callers {
        &self.0.callers
    }

    /// Reads the configuration again and puts it in force.
    ///
    /// # Errors
    /// `CONFIGURATION_INVALID`, with all that is wrong with it; the one in force stays.
    pub async fn reload(&self) -> Result<Reloaded, Error> {
        let mut in_force = self.0.in_force.lock().await;
        let next = (self.0.load)().await.map_err(|problems| refused(&problems))?;
        let mut reloaded = self.replace(&mut in_force, next).map_err(|error| unusable(&error))?;
        reloaded.warnings.extend(self.0.certificates.look().await);
        Ok(reloaded)
    }

    /// Puts `next` in force.
    ///
    /// # Errors
    /// [`StartError::Key`] when a key cannot be sent.
    pub async fn put_in_force(&self, next: Config) -> Result<Reloaded, StartError> {
        let mut in_force = self.0.in_force.lock().await;
        self.replace(&mut in_force, next)
    }

    fn replace(&self, in_force: &mut Config, next: Config) -> Result<Reloaded, StartError> {
        let shared = &self.0;
        shared.tables.replace(table(&next, Some(&shared.tables.current()))?);
        shared.callers.replace(roster(&next.admitted, Some(&shared.callers.current())));
        let reloaded = Reloaded {
            source: source(&next.source),
            providers: changes(&in_force.providers, &next.providers, |entry| entry.id.as_str(), is_same_provider),
            models: changes(&in_force.models, &next.models, |model| model.id.as_str(), PartialEq::eq),
            restart_required: shared.started.needs_restart(&next).into_iter().map(str::to_owned).collect(),
            warnings: next.warnings.iter().map(|warning| described(path(&next), warning)).collect(),
        };
        if in_force.log.level != next.log.level {
            match shared.levels.set(&next.log.level) {
                Ok(true) => {}
                Ok(false) => tracing::info!("RUST_LOG overrules log.level, which has changed"),
                Err(error) => tracing::error!(%error, "log.level stays as it was"),
            }
        }
        *in_force = next;
        tracing::info!(
            source = reloaded.source,
            providers = %Listed(&reloaded.providers),
            models = %Listed(&reloaded.models),
            restart_required = reloaded.restart_required.join(", "),
            warnings = reloaded.warnings.len(),
            "another configuration is in force"
        );
        Ok(reloaded)
    }
}

impl Reload for Reloading {
    fn reload(&self) -> BoxFuture<'_, Result<Reloaded, Error>> {
        Box::pin(self.reload())
    }
}

impl fmt::Debug for Reloading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading").finish_non_exhaustive()
    }
}

/// What differs, as a piece of a log line.
struct Listed<'a>(&'a Changes);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Changes { added, removed, changed } = self.0;
        let signed = [('+', added), ('-', removed), ('~', changed)];
        let names = signed.into_iter().flat_map(|(sign, names)| names.iter().map(move |name| format!("{sign}{name}")));
        f.write_str(&names.collect::<Vec<_>>().join(" "))
    }
}

/// What differs between two lists whose entries have names.
fn changes<T>(before: &[T], after: &[T], name: fn(&T) -> &str, is_same: fn(&T, &T) -> bool) -> Changes {
    let names = |list: &[T], which: &dyn Fn(&T) -> bool| {
        list.iter().filter(|entry| which(entry)).map(|entry| name(entry).to_owned()).collect()
    };
    let is_in = |list: &[T], entry: &T| list.iter().any(|other| name(other) == name(entry));
    let differs = |entry: &T| before.iter().any(|other| name(other) == name(entry) && !is_same(other, entry));
    Changes {
        added: names(after, &|entry| !is_in(before, entry)),
        removed: names(before, &|entry| !is_in(after, entry)),
        changed: names(after, &differs),
    }
}

/// Whether calls notice no difference.
fn is_same_provider(one: &config::Provider, other: &config::Provider) -> bool {
    // Taken apart without a rest, so that a key that is new does not compile before it is decided about.
    let config::Provider {
        id,
        vendor,
        preset: _,
        base_url,
        api_key,
        key_origin: _,
        headers,
        timeouts,
        proxy,
        concurrency,
    } = one;
    let secret = |key: &Option<SecretString>| key.as_ref().map(|key| key.expose_secret().to_owned());
    (id, vendor, base_url, headers, timeouts, proxy, concurrency)
        == (
            &other.id,
            &other.vendor,
            &other.base_url,
            &other.headers,
            &other.timeouts,
            &other.proxy,
            &other.concurrency,
        )
        && secret(api_key) == secret(&other.api_key)
}

fn source(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::Environment(variables) => format!("the environment: {}", variables.join(", ")),
        Source::Local(provider) => format!("{provider}, which answers on this machine"),
        Source::Simulator => "nothing was found: the simulator answers".to_owned(),
    }
}

fn path(config: &Config) -> Option<&Path> {
    match &config.source {
        Source::File(path) => Some(path),
        Source::Environment(_) | Source::Local(_) | Source::Simulator => None,
    }
}

fn refused(problems: &Problems) -> Error {
    let path = problems.file.as_deref();
    let first = problems.problems.first().map(|problem| described(path, problem)).unwrap_or_default();
    let message = match problems.problems.len() {
        0 | 1 => format!("the configuration stays as it was: {first}"),
        count => format!("the configuration stays as it was, for {count} reasons: {first}"),
    };
    let violations = problems.problems.iter().map(|problem| Violation {
        field: if problem.key.is_empty() { "configuration".to_owned() } else { problem.key.clone() },
        rule: described(path, &Problem { key: String::new(), ..problem.clone() }).into(),
    });
    Error::new(Reason::ConfigurationInvalid, message).with(|details| details.violations = violations.collect())
}

fn unusable(error: &StartError) -> Error {
    Error::new(Reason::ConfigurationInvalid, format!("the configuration stays as it was: {error}"))
}

/// A problem with its place, on one line.
fn described(path: Option<&Path>, problem: &Problem) -> String {
    match (path, problem.mark) {
        (Some(path), Some(Mark { line, column })) => format!("{}:{line}:{column}: {problem}", path.display()),
        (Some(path), None) => format!("{}: {problem}", path.display()),
        (None, _) => problem.to_string(),
    }
}
