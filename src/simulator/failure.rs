//! The failures that a provider can name, by what went wrong; each wire format puts them in its own words.

/// What went wrong, as a provider would say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The request is malformed.
    Rejected,
    /// The prompt is longer than the context window.
    Context,
    /// The body is too large.
    TooLarge,
    /// The key is not accepted.
    Credentials,
    /// The key may not do this.
    Permission,
    /// The account is out of credit.
    Quota,
    /// No such model.
    Model,
    /// Too many requests.
    RateLimit,
    /// The provider has too much to do.
    Overloaded,
    /// A fault of the provider.
    Unavailable,
    /// The provider took too long itself.
    Timeout,
    /// The request collides with another one.
    Conflict,
}

impl Kind {
    /// All kinds with the words that ask for them.
    pub(super) const NAMES: [(&'static str, Self); 12] = [
        ("rejected", Self::Rejected),
        ("context", Self::Context),
        ("too_large", Self::TooLarge),
        ("credentials", Self::Credentials),
        ("permission", Self::Permission),
        ("quota", Self::Quota),
        ("model", Self::Model),
        ("rate_limit", Self::RateLimit),
        ("overloaded", Self::Overloaded),
        ("unavailable", Self::Unavailable),
        ("timeout", Self::Timeout),
        ("conflict", Self::Conflict),
    ];

    /// The kind that a word asks for.
    pub(super) fn named(word: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(name, _)| *name == word).map(|(_, kind)| *kind)
    }

    /// The kind that providers most often mean by an HTTP status.
    pub(super) const fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Credentials,
            402 => Self::Quota,
            403 => Self::Permission,
            404 => Self::Model,
            408 | 504 => Self::Timeout,
            409 => Self::Conflict,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            498 | 529 => Self::Overloaded,
            424 | 500..=599 => Self::Unavailable,
            _ => Self::Rejected,
        }
    }

    /// What a provider would say, marked as played.
    pub(super) const fn message(self) -> &'static str {
        match self {
            Self::Rejected => "simulated: the request is malformed",
            Self::Context => {
                "simulated: prompt is too long: this model's maximum context length is 1000 tokens, the prompt has 2000"
            }
            Self::TooLarge => "simulated: the request is too large",
            Self::Credentials => "simulated: the key is not accepted",
            Self::Permission => "simulated: the key may not do this",
            Self::Quota => "simulated: the account is out of credit",
            Self::Model => "simulated: no such model",
            Self::RateLimit => "simulated: too many requests",
            Self::Overloaded => "simulated: overloaded",
            Self::Unavailable => "simulated: a fault on the provider's side",
            Self::Timeout => "simulated: the provider took too long",
            Self::Conflict => "simulated: the request collides with another one",
        }
    }
}

/// A failure that is answered in the wire format's own shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What went wrong.
    pub(super) kind: Kind,
    /// The HTTP status; none: the one that the wire format has for the kind.
    pub(super) status: Option<u16>,
    /// What is said; none: the kind's own words.
    pub(super) message: Option<String>,
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        Self { kind, status: None, message: None }
    }
}

impl Failure {
    /// The request cannot be taken, for a reason that its sender should read.
    pub(super) fn rejected(message: impl Into<String>) -> Self {
        Self { kind: Kind::Rejected, status: None, message: Some(message.into()) }
    }

    /// What is said.
    pub(super) fn message(&self) -> &str {
        self.message.as_deref().unwrap_or(self.kind.message())
    }
}
