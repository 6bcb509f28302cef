//! What everything that is kept in Redis or Valkey shares: its address, a connection that costs no call its time when it is
//! away, and what is told of its failures. It must not know what is kept there.

mod connection;
mod link;
mod scripts;

pub(super) use connection::Connection;
pub use link::Health;
pub(super) use link::{Effect, Link};
pub(super) use scripts::{adding, reading_hash, reading_text};

use ::redis::{Client, ErrorKind, RedisError as Failure, ServerErrorKind};
use secrecy::{ExposeSecret, SecretString};

/// Where a Redis is. It may hold a password, and is never shown.
#[derive(Clone, Debug)]
pub struct RedisUrl(SecretString);

impl PartialEq for RedisUrl {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for RedisUrl {}

/// Why a Redis cannot be used. It never holds the address, which may have a password in it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RedisError(&'static str);

const RIGHT: &str = "must be an address `redis://[user:password@]host[:port][/database]`, or `rediss://` with TLS";

impl RedisUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// It is no address of a Redis.
    pub fn parse(url: SecretString) -> Result<Self, RedisError> {
        let url = Self(url);
        url.client().map(|_| url)
    }

    /// A client of what is there. Nothing is connected yet.
    pub(super) fn client(&self) -> Result<Client, RedisError> {
        let url = self.expose();
        let is_ours = (url.starts_with("redis://") || url.starts_with("rediss://")) && !url.contains('#');
        // What the library says may quote the address.
        if is_ours { Client::open(url).map_err(|_| RedisError(RIGHT)) } else { Err(RedisError(RIGHT)) }
    }

    /// The address, with the password that it may hold.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl RedisError {
    /// What is written is not the address of a Redis.
    pub(super) const NO_ADDRESS: Self = Self(RIGHT);
}

/// The library takes the process's own cryptography; another part of the process may have set the same before.
pub(super) fn with_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// What the library says, without what it may quote.
pub(super) fn told(error: &Failure) -> String {
    let what = match error.kind() {
        _ if error.is_timeout() => "it does not answer in time".to_owned(),
        ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => "it cannot be reached".to_owned(),
        ErrorKind::AuthenticationFailed => "it refuses the password".to_owned(),
        kind => match error.code() {
            Some(code) if is_code(code) => format!("it answers {code}"),
            Some(_) => "it answers with an error".to_owned(),
            None => format!("{kind:?}"),
        },
    };
    format!("Redis: {what}")
}

/// Whether it is a code as servers have them: what is none may be anything, and of any length.
fn is_code(word: &str) -> bool {
    word.len() <= MOST_OF_A_CODE && word.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The longest code that is told, in letters.
const MOST_OF_A_CODE: usize = 20;

/// Whether a failure says that another connection is needed; else the server has answered, and refused one thing.
fn is_lost(error: &Failure) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, MasterDown, Moved, ReadOnly};
    match error.kind() {
        // Another server has what this one had, or will have it soon.
        ErrorKind::Server(Ask | BusyLoading | MasterDown | Moved | ReadOnly) => true,
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_redis_are_told_from_others_and_never_shown() {
        let parse = |url: &str| RedisUrl::parse(SecretString::from(url));
        for url in ["redis://localhost", "rediss://:secret@redis.internal:6380/2", "redis://user:secret@[::1]:6379"] {
            assert!(!format!("{:?}", parse(url).unwrap()).contains("secret"));
        }
        for url in ["", "localhost:6379", "http://secret@host", "redis://h:secret", "rediss://secret@h#insecure"] {
            let told = parse(url).unwrap_err().to_string();
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn of_what_a_server_answers_only_a_code_is_told() {
        let answered = |code: &str| told(&::redis::make_extension_error(code.to_owned(), Some("secret".into())));
        assert_eq!(answered("WRONGTYPE"), "Redis: it answers WRONGTYPE");
        for code in ["x".repeat(1 << 20), "hunter2".to_owned(), "A\u{1b}[2J".to_owned(), "X".repeat(100)] {
            assert_eq!(answered(&code), "Redis: it answers with an error");
        }
    }
}
