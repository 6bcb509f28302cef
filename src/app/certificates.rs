//! The certificates of the listeners that have some.

use std::time::Duration;

use tokio::task::JoinSet;

use super::StartError;
use crate::config::{Config, ListenAddress};
use crate::tls::{Current, Settings};

/// The certificates of the listeners that have some. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificates {
    public: Option<Current>,
    admin: Option<Current>,
}

impl Certificates {
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let open = |section, settings: &Option<Settings>, listen: &ListenAddress| {
            // What goes through a socket in the file system leaves no machine.
            let settings = settings.as_ref().filter(|_| matches!(listen, ListenAddress::Tcp(_)));
            settings.map(|settings| Current::open(section, settings)).transpose()
        };
        Ok(Self {
            public: open("tls", &config.tls, &config.listen)?,
            admin: open("admin_tls", &config.admin_tls, &config.admin_listen)?,
        })
    }

    pub(super) fn public(&self) -> Option<&Current> {
        self.public.as_ref()
    }

    pub(super) fn admin(&self) -> Option<&Current> {
        self.admin.as_ref()
    }

    /// Looks at all files now, and returns what is wrong with some.
    pub(super) async fn look(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for current in self.all() {
            wrong.extend(current.look().await);
        }
        wrong
    }

    /// Looks at them again and again, as long as what this returns is held.
    pub(super) fn keep_looking(&self) -> JoinSet<()> {
        let mut looking = JoinSet::new();
        for current in self.all() {
            looking.spawn(current.clone().keep_looking());
        }
        looking
    }

    /// How long those of each listener still hold.
    pub(super) fn left(&self) -> Vec<(&'static str, Duration)> {
        let all = [("public", &self.public), ("admin", &self.admin)];
        all.into_iter().filter_map(|(listener, current)| Some((listener, current.as_ref()?.left()?))).collect()
    }

    /// How often their files could not be used when they were read again.
    pub(super) fn failures(&self) -> u64 {
        self.all().map(Current::failures).sum()
    }

    fn all(&self) -> impl Iterator<Item = &Current> {
        self.public.iter().chain(&self.admin)
    }
}
