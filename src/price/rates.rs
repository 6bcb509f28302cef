//! What a token costs by what it is, and the factors that stand over it.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::domain::PicoUsd;

/// What a token costs, by what it is. None: not known, which is never nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// Of the prompt.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub input: Option<PicoUsd>,
    /// Of the answer.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub output: Option<PicoUsd>,
    /// Of the prompt, read from the provider's cache.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PicoUsd>,
    /// Of the prompt, written to it for the vendor's default lifetime.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<PicoUsd>,
    /// Written for 5 minutes.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<PicoUsd>,
    /// Written for 30 minutes.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub cache_write_30m: Option<PicoUsd>,
    /// Written for an hour.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PicoUsd>,
    /// Written for 12 hours.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub cache_write_12h: Option<PicoUsd>,
    /// Of the reasoning; none: that of the answer.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<PicoUsd>,
    /// Of sound in the prompt.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<PicoUsd>,
    /// Of sound in the answer.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<PicoUsd>,
    /// Of images in the prompt; none: that of its text, as the vendors charge them.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub image_input: Option<PicoUsd>,
    /// Of images in the answer.
    #[serde(with = "pico", skip_serializing_if = "Option::is_none")]
    pub image_output: Option<PicoUsd>,
}

impl Rates {
    /// Every rate with its name in files.
    pub fn named(&self) -> [(&'static str, Option<PicoUsd>); 13] {
        [
            ("input", self.input),
            ("output", self.output),
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_30m", self.cache_write_30m),
            ("cache_write_1h", self.cache_write_1h),
            ("cache_write_12h", self.cache_write_12h),
            ("reasoning", self.reasoning),
            ("audio_input", self.audio_input),
            ("audio_output", self.audio_output),
            ("image_input", self.image_input),
            ("image_output", self.image_output),
        ]
    }

    /// The same rates where a cache costs what the configuration says, and what it leaves out is as the prompt.
    #[must_use]
    pub fn with_cache_as_input(mut self) -> Self {
        self.cache_read = self.cache_read.or(self.input);
        self.cache_write = self.cache_write.or(self.input);
        let default = self.cache_write;
        for lifetime in Lifetime::ALL {
            let rate = self.of_lifetime_mut(lifetime);
            *rate = rate.or(default);
        }
        self
    }

    /// The same rates where a write of which no lifetime is told costs what one of `lifetime` does.
    #[must_use]
    pub(super) fn with_default_lifetime(mut self, lifetime: Option<Lifetime>) -> Self {
        self.cache_write = self.cache_write.or_else(|| self.of_lifetime(lifetime?));
        self
    }

    /// A write to the cache for so long; not told: for the default time.
    pub(super) fn write(&self, ttl: Option<Duration>) -> Option<PicoUsd> {
        let Some(ttl) = ttl else { return self.cache_write };
        let own = Lifetime::ALL.into_iter().find(|lifetime| lifetime.duration() == ttl);
        match own.and_then(|lifetime| self.of_lifetime(lifetime)) {
            Some(rate) => Some(rate),
            // A vendor that has one price for all writes has it for this one too.
            None if self.has_lifetimes() => None,
            None => self.cache_write,
        }
    }

    fn has_lifetimes(&self) -> bool {
        Lifetime::ALL.into_iter().any(|lifetime| self.of_lifetime(lifetime).is_some())
    }

    const fn of_lifetime(&self, lifetime: Lifetime) -> Option<PicoUsd> {
        match lifetime {
            Lifetime::Minutes5 => self.cache_write_5m,
            Lifetime::Minutes30 => self.cache_write_30m,
            Lifetime::Hour => self.cache_write_1h,
            Lifetime::Hours12 => self.cache_write_12h,
        }
    }

    const fn of_lifetime_mut(&mut self, lifetime: Lifetime) -> &mut Option<PicoUsd> {
        match lifetime {
            Lifetime::Minutes5 => &mut self.cache_write_5m,
            Lifetime::Minutes30 => &mut self.cache_write_30m,
            Lifetime::Hour => &mut self.cache_write_1h,
            Lifetime::Hours12 => &mut self.cache_write_12h,
        }
    }
}

/// How long what is written to a cache stays there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lifetime {
    /// 5 minutes.
    #[serde(rename = "5m")]
    Minutes5,
    /// 30 minutes.
    #[serde(rename = "30m")]
    Minutes30,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
    /// 12 hours.
    #[serde(rename = "12h")]
    Hours12,
}

impl Lifetime {
    const ALL: [Self; 4] = [Self::Minutes5, Self::Minutes30, Self::Hour, Self::Hours12];

    const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minutes5 => 5 * 60,
            Self::Minutes30 => 30 * 60,
            Self::Hour => 60 * 60,
            Self::Hours12 => 12 * 60 * 60,
        })
    }
}

impl std::fmt::Display for Lifetime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Minutes5 => "5m",
            Self::Minutes30 => "30m",
            Self::Hour => "1h",
            Self::Hours12 => "12h",
        })
    }
}

/// A factor over all rates, in millionths, so that it is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Factor(u32);

impl Factor {
    /// How many of it are the factor 1.
    pub(super) const ONE: i128 = 1_000_000;

    /// In millionths.
    pub(super) fn millionths(self) -> i128 {
        self.0.into()
    }

    /// Reads a decimal number above 0 with at most 6 digits behind its point.
    fn parse(text: &str) -> Option<Self> {
        let (_, fraction) = text.split_once('.').unwrap_or((text, ""));
        let usd = PicoUsd::parse_usd(text).filter(|_| fraction.len() <= 6 && !text.contains(['e', 'E']))?;
        u32::try_from(usd.get() / 1_000_000).ok().filter(|millionths| *millionths > 0).map(Self)
    }
}

impl std::fmt::Display for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        PicoUsd::new(i64::from(self.0) * 1_000_000).fmt(f)
    }
}

impl Serialize for Factor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Factor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a factor is a decimal number above 0, as \"1.1\""))
    }
}

/// A price as a whole number of pico-dollars; `null` is as good as left out.
pub(super) mod pico {
    use super::{Deserialize, Deserializer, PicoUsd, Serializer};
    use serde::de::Error as _;

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(in super::super) fn serialize<S: Serializer>(rate: &Option<PicoUsd>, to: S) -> Result<S::Ok, S::Error> {
        match rate {
            Some(rate) => to.serialize_i64(rate.get()),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PicoUsd>, D::Error> {
        let read = Option::<i64>::deserialize(from);
        match read.map_err(|_| {
            D::Error::custom("a price is a whole number of pico-dollars: 3000000 is 3 USD per million tokens")
        })? {
            Some(pico) if pico < 0 => Err(D::Error::custom("a price is not below 0")),
            pico => Ok(pico.map(PicoUsd::new)),
        }
    }
}
