//! Another configuration is put in force while calls run: on a signal, or because an operator asks.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, Notify};
use tokio::time::Instant;

use super::certificates::Certificates;
use super::changed::{self, Listed, changed};
use super::roster::roster;
use super::{StartError, table};
use crate::aside::Aside;
use crate::callers::{Callers, Vouching};
use crate::config::{self, Admitted, Config, Mark, Problem, Problems, Source, Sources};
use crate::count::Total;
use crate::domain::{Error, Reason, Violation};
use crate::edge::{Reload, Reloaded};
use crate::route::Tables;
use crate::telemetry::{IssuerNow, Levels, ReloadsNow};

/// How long the files of callers may take to be read.
const READING: Duration = Duration::from_secs(10);
/// How often it is told that they are not read.
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// A configuration that is being read.
pub type Loading = BoxFuture<'static, Result<Config, Problems>>;

/// Reads the configuration again, as it was read at the start. It must not block the thread that polls it.
pub type Load = Arc<dyn Fn() -> Loading + Send + Sync>;

/// A configuration that never changes.
pub(super) fn same(config: &Config) -> Load {
    let config = config.clone();
    Arc::new(move || Box::pin(std::future::ready(Ok(config.clone()))))
}

/// How often what was to be put in force could not be.
#[derive(Clone, Debug, Default)]
struct Failures {
    configuration: Total,
    callers: Total,
}

/// What is served by: the names that may be asked for, who may ask, what listeners show, and what reads the keys of issuers.
pub(super) struct Served {
    pub(super) tables: Tables,
    pub(super) callers: Callers,
    pub(super) certificates: Certificates,
    pub(super) vouching: Vouching,
}

/// Puts configurations in force, one after the other. Clones are the same.
#[derive(Clone)]
pub struct Reloading(Arc<Shared>);

struct Shared {
    tables: Tables,
    callers: Callers,
    certificates: Certificates,
    vouching: Vouching,
    load: Load,
    levels: Levels,
    failures: Failures,
    /// Where the directory of callers is read.
    aside: Aside,
    /// Another configuration is in force.
    replaced: Notify,
    /// What the process was started with: what is not in its table holds until its end.
    started: Config,
    /// What the table in force was made from. Locked while another one is read.
    in_force: Mutex<Config>,
}

impl Reloading {
    /// `config` is in force, as `served`.
    pub(super) fn new(config: &Config, served: Served, load: Load, levels: Levels) -> Self {
        let Served { tables, callers, certificates, vouching } = served;
        Self(Arc::new(Shared {
            tables,
            callers,
            certificates,
            vouching,
            load,
            levels,
            failures: Failures::default(),
            aside: Aside::new("callers"),
            replaced: Notify::new(),
            started: config.clone(),
            in_force: Mutex::new(config.clone()),
        }))
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
        let before = in_force.admitted.clone();
        let next = (self.0.load)().await.map_err(|problems| refused(&problems));
        let replaced = next.and_then(|next| self.replace(&mut in_force, next).map_err(|error| unusable(&error)));
        let mut reloaded = replaced.inspect_err(|_| self.0.failures.configuration.once())?;
        reloaded.warnings.extend(self.0.certificates.look().await);
        let (looked, lost) = self.look_at_callers_of(&mut in_force).await;
        reloaded.warnings.extend(looked.problems());
        for problem in &reloaded.warnings {
            tracing::warn!(problem, "something doubtful in the configuration");
        }
        reloaded.warnings.extend(lost);
        reloaded.callers = changed::callers(&before, &in_force.admitted);
        Ok(reloaded)
    }

    /// Looks at the directory of callers now, if there is one: who stands in it may call when this returns. What is wrong with
    /// it is returned, and changes nothing.
    pub async fn look_at_callers(&self) -> Vec<String> {
        self.callers_looked_at().await.problems()
    }

    async fn callers_looked_at(&self) -> Looked {
        let mut in_force = self.0.in_force.lock().await;
        self.look_at_callers_of(&mut in_force).await.0
    }

    /// What came of a look, and what those miss who are left.
    async fn look_at_callers_of(&self, in_force: &mut Config) -> (Looked, Vec<String>) {
        let shared = &self.0;
        let Some(dir) = in_force.admitted.dir.clone() else { return (Looked::Good, Vec::new()) };
        let path = dir.path.display().to_string();
        let look = move || dir.look(&Sources::new(&config::process_variable));
        // The files may lie where reading takes long or never ends.
        match shared.aside.run(READING, look).await {
            Ok(Ok(None)) => (Looked::Good, Vec::new()),
            Ok(Ok(Some(dir))) => {
                let next = Admitted { dir: Some(dir), ..in_force.admitted.clone() };
                (Looked::Good, self.admit(&mut in_force.admitted, next, &path))
            }
            Ok(Err(problems)) => (Looked::Wrong(problems), Vec::new()),
            Err(given_up) => (Looked::HeldUp(format!("the files of callers in {path} {given_up}")), Vec::new()),
        }
    }

    /// Lets in those who stand in the directory `path` now. What is missed by those who are left is told, and returned.
    fn admit(&self, in_force: &mut Admitted, next: Admitted, path: &str) -> Vec<String> {
        let shared = &self.0;
        let (now, lost) = (changed::callers(in_force, &next), changed::lost(in_force, &next));
        shared.callers.replace(roster(&next, &shared.vouching, Some(&shared.callers.current())));
        *in_force = next;
        let (callers, changed) = (now.in_force, Listed(&now.changes, now.omitted).to_string());
        match changed.is_empty() {
            true => tracing::debug!(path, callers, "the files of callers differ, and no caller does"),
            false => tracing::info!(path, callers, changed, "other callers are in force"),
        }
        for problem in &lost {
            tracing::warn!(problem, "something doubtful in the configuration");
        }
        lost
    }

    /// Looks at it again and again.
    pub(super) async fn keep_looking_at_callers(self) {
        let mut told = Told::default();
        loop {
            let interval = self.0.in_force.lock().await.admitted.dir.as_ref().map(|dir| dir.reload_interval);
            let pause = async {
                match interval {
                    Some(interval) => tokio::time::sleep(interval).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                () = self.0.replaced.notified() => {
                    told = Told::default();
                    continue;
                }
            }
            let looked = self.callers_looked_at().await;
            if looked != Looked::Good {
                self.0.failures.callers.once();
            }
            for problem in told.news(looked, Instant::now()) {
                tracing::error!(problem, "the callers stay as they were");
            }
        }
    }

    /// How what is read again stands, and how often it could not be put in force.
    pub(super) fn now(&self) -> ReloadsNow {
        let Shared { failures, certificates, vouching, callers, .. } = &*self.0;
        let roster = callers.current();
        let keys = roster.keys_of_issuers();
        ReloadsNow {
            callers: u64::try_from(roster.entries()).unwrap_or(u64::MAX),
            failed: [
                ("configuration", failures.configuration.now()),
                ("certificates", certificates.failures()),
                ("callers", failures.callers.now()),
                ("jwks", vouching.failures.now()),
            ],
            certificates: certificates.left(),
            issuers: keys.into_iter().map(|of| IssuerNow { issuer: of.name, keys: of.keys, age: of.age }).collect(),
        }
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
        shared.callers.replace(roster(&next.admitted, &shared.vouching, Some(&shared.callers.current())));
        let mut warnings: Vec<String> = next.warnings.iter().map(|warning| described(path(&next), warning)).collect();
        warnings.extend(changed::lost(&in_force.admitted, &next.admitted));
        let reloaded = Reloaded {
            source: source(&next.source),
            restart_required: shared.started.needs_restart(&next).into_iter().map(str::to_owned).collect(),
            warnings,
            ..changed(in_force, &next)
        };
        if in_force.log.level != next.log.level {
            match shared.levels.set(&next.log.level) {
                Ok(true) => {}
                Ok(false) => tracing::info!("RUST_LOG overrules log.level, which has changed"),
                Err(error) => tracing::error!(%error, "log.level stays as it was"),
            }
        }
        let is_same = reloaded.is_nothing() && in_force.needs_restart(&next).is_empty();
        *in_force = next;
        shared.replaced.notify_one();
        note(&reloaded, is_same);
        Ok(reloaded)
    }
}

/// Says what was read again, and what has changed with it.
fn note(reloaded: &Reloaded, is_same: bool) {
    let Reloaded { source, providers, models, callers, issuers, settings, restart_required, warnings } = reloaded;
    let (restart_required, warnings) = (restart_required.join(", "), warnings.len());
    if is_same {
        let callers = callers.in_force;
        tracing::info!(
            source,
            callers,
            restart_required,
            warnings,
            "the configuration was read again, and nothing has changed"
        );
        return;
    }
    tracing::info!(
        source,
        providers = %Listed(providers, 0),
        models = %Listed(models, 0),
        callers = callers.in_force,
        callers_changed = %Listed(&callers.changes, callers.omitted),
        issuers = %Listed(issuers, 0),
        settings = settings.join(", "),
        restart_required,
        warnings,
        "another configuration is in force"
    );
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

/// What came of a look at the directory of callers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Looked {
    /// What stands there is in force, or there is no directory.
    #[default]
    Good,
    /// This is wrong with what stands there.
    Wrong(Vec<String>),
    /// It was not read, and perhaps never will be: nothing of what stands there comes in force.
    HeldUp(String),
}

impl Looked {
    fn problems(self) -> Vec<String> {
        match self {
            Self::Good => Vec::new(),
            Self::Wrong(problems) => problems,
            Self::HeldUp(problem) => vec![problem],
        }
    }
}

/// What was told of the directory of callers, and when.
#[derive(Debug, Default)]
struct Told {
    last: Looked,
    at: Option<Instant>,
}

impl Told {
    /// What is to be told now: what is wrong once, and again when something else is; but that nothing is read again and again,
    /// since whoever changes the files hears nothing of them.
    fn news(&mut self, looked: Looked, now: Instant) -> Vec<String> {
        let is_due = self.at.is_none_or(|at| now.saturating_duration_since(at) >= TOLD_AGAIN);
        if looked == self.last && !(is_due && matches!(looked, Looked::HeldUp(_))) {
            return Vec::new();
        }
        self.at = Some(now);
        self.last = looked;
        self.last.clone().problems()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_once_and_that_nothing_is_read_each_minute() {
        let (begin, mut told) = (Instant::now(), Told::default());
        let mut news = |seconds, looked: &Looked| told.news(looked.clone(), begin + Duration::from_secs(seconds));
        let wrong = Looked::Wrong(vec!["a line".to_owned(), "another".to_owned()]);
        let held_up = Looked::HeldUp("not read".to_owned());
        assert!(news(0, &Looked::Good).is_empty());
        assert_eq!(news(1, &wrong), ["a line", "another"]);
        assert!(news(2, &wrong).is_empty() && news(7200, &wrong).is_empty(), "told once");
        assert_eq!(news(7201, &held_up), ["not read"]);
        assert!(news(7222, &held_up).is_empty());
        assert_eq!(news(7261, &held_up), ["not read"], "a minute later");
        assert!(news(7282, &held_up).is_empty());
        assert_eq!(news(7330, &held_up), ["not read"], "and so on");
        assert!(news(7331, &Looked::Good).is_empty());
        assert_eq!(news(7332, &held_up), ["not read"], "and at once when it begins anew");
    }
}
