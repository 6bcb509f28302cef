//! Which configuration a command runs with: a file, or what is found without one.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::{Bare, Config, Discovered, ListenAddress, Overrides, Problems, Sources, process_variable};

/// Where the configuration is. A flag beats its environment variable.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ConfigArgs {
    /// The configuration file; without one, the keys in the environment decide. A command that asks a running server takes
    /// none
    #[arg(long, value_name = "FILE", env = "COMPLETIOND_CONFIG", global = true)]
    pub(super) config: Option<PathBuf>,
}

/// Where a server listens. A flag beats its environment variable, which beats the file.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ListenArgs {
    /// Where callers come in: `host:port` or `unix:/path` [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDR", env = "COMPLETIOND_LISTEN")]
    pub(super) listen: Option<ListenAddress>,
    /// Where operators come in [default: 127.0.0.1:50052]
    #[arg(long, value_name = "ADDR", env = "COMPLETIOND_ADMIN_LISTEN")]
    pub(super) admin_listen: Option<ListenAddress>,
    /// Where probes come in [default: 127.0.0.1:50053]
    #[arg(long, value_name = "ADDR", env = "COMPLETIOND_OPS_LISTEN")]
    pub(super) ops_listen: Option<ListenAddress>,
    /// Whoever reaches the port may call, without credentials
    #[arg(long, env = "COMPLETIOND_ALLOW_ANONYMOUS")]
    pub(super) allow_anonymous: bool,
}

/// A configuration, and what it was before the simulator was put in.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Config,
    /// Set where nothing was found, so that a model server on this machine may still take the simulator's place.
    pub(super) bare: Option<Bare>,
}

impl ConfigArgs {
    /// Reads the file, or finds out what there is without one.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn load(&self, listen: &ListenArgs) -> Result<Loaded, Problems> {
        self.load_with(&listen.overrides())
    }

    /// The same, for a server that only this process shall reach.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn load_private(&self) -> Result<Loaded, Problems> {
        let private = || Some(ListenAddress::Tcp("127.0.0.1:0".to_owned()));
        self.load_with(&Overrides {
            listen: private(),
            admin_listen: private(),
            ops_listen: private(),
            // Who has the configuration's keys needs none of a caller.
            allow_anonymous: true,
            plain_text: true,
            default_drain_delay: Some(Duration::ZERO),
        })
    }

    fn load_with(&self, overrides: &Overrides) -> Result<Loaded, Problems> {
        let sources = Sources::new(&process_variable);
        if let Some(path) = self.config.as_deref().filter(|path| !path.as_os_str().is_empty()) {
            return Ok(Loaded { config: Config::load(path, overrides, &sources)?, bare: None });
        }
        match Config::discover(overrides, &sources)? {
            Discovered::Providers(config) => Ok(Loaded { config, bare: None }),
            Discovered::Nothing(bare) => Ok(Loaded { config: bare.clone().with_simulator()?, bare: Some(bare) }),
        }
    }
}

impl ListenArgs {
    /// These flags, and `others` where one is not given.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            listen: self.listen.or(others.listen),
            admin_listen: self.admin_listen.or(others.admin_listen),
            ops_listen: self.ops_listen.or(others.ops_listen),
            allow_anonymous: self.allow_anonymous || others.allow_anonymous,
        }
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            listen: self.listen.clone(),
            admin_listen: self.admin_listen.clone(),
            ops_listen: self.ops_listen.clone(),
            allow_anonymous: self.allow_anonymous,
            plain_text: false,
            default_drain_delay: std::io::stderr().is_terminal().then_some(Duration::ZERO),
        }
    }
}
