//! The certificates of the listeners that have some.

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

    fn all(&self) -> impl Iterator<Item = &Current> {
        self.public.iter().chain(&self.admin)
    }
}
