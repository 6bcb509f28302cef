//! Money and tokens: what is paid and what is counted, never as a float.

use serde::{Deserialize, Serialize};

use std::fmt;
use std::ops::{Add, AddAssign};
use std::sync::Arc;

/// A number of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tokens(u32);

impl Tokens {
    /// No tokens.
    pub const ZERO: Self = Self(0);

    /// This many.
    pub const fn new(count: u32) -> Self {
        Self(count)
    }

    /// A provider's number, bounded to what can be counted: a negative one is none.
    pub fn saturating(count: i64) -> Self {
        Self(u32::try_from(count.clamp(0, i64::from(i32::MAX))).unwrap_or(0))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as protobuf carries it; at most `i32::MAX`.
    pub fn as_i32(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }

    /// What is left when `other` is taken away; never below none.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Tokens {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Tokens {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// 10^-12 US dollars: a price in micro-dollars per million tokens is exactly this per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PicoUsd(i64);

impl PicoUsd {
    /// This many.
    pub const fn new(pico: i64) -> Self {
        Self(pico)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads a decimal number of dollars as it stands in JSON (`0.00014`, `1.4e-4`), exactly; none when it is no such
    /// number, below zero, or too large. Digits beyond 10^-12 are cut.
    pub fn parse_usd(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        let shift = exponent.checked_add(12)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let power = 10_i128.checked_pow(shift.unsigned_abs());
        let pico = if shift >= 0 { digits.checked_mul(power?)? } else { power.map_or(0, |power| digits / power) };
        i64::try_from(pico).ok().map(Self)
    }
}

impl fmt::Display for PicoUsd {
    /// A decimal number of dollars without needless zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        PicoSum::from(*self).fmt(f)
    }
}

/// A sum over any number of amounts: exact, where 64 bits would not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PicoSum(i128);

impl PicoSum {
    /// This many.
    pub const fn new(pico: i128) -> Self {
        Self(pico)
    }

    /// The number.
    pub const fn get(self) -> i128 {
        self.0
    }
}

impl From<PicoUsd> for PicoSum {
    fn from(amount: PicoUsd) -> Self {
        Self(amount.0.into())
    }
}

impl AddAssign for PicoSum {
    fn add_assign(&mut self, other: Self) {
        // More than all the amounts that 64 bits can count cannot be reached.
        self.0 = self.0.saturating_add(other.0);
    }
}

impl fmt::Display for PicoSum {
    /// A decimal number of dollars without needless zeros.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ONE: u64 = 1_000_000_000_000;
        let amount = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let rest = match u64::try_from(amount) {
            // Nearly always: arithmetic of 128 bits takes many times as long.
            Ok(amount) => {
                f.write_str(itoa::Buffer::new().format(amount / ONE))?;
                amount % ONE
            }
            Err(_) => {
                f.write_str(itoa::Buffer::new().format(amount / u128::from(ONE)))?;
                u64::try_from(amount % u128::from(ONE)).unwrap_or_default()
            }
        };
        if rest == 0 {
            return Ok(());
        }
        // With a digit before them that is left out, the others keep their leading zeros.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(ONE + rest).get(1..).unwrap_or_default();
        f.write_str(".")?;
        f.write_str(digits.trim_end_matches('0'))
    }
}

/// What something cost, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// How much.
    pub amount: PicoUsd,
    /// Where the price comes from.
    pub source: CostSource,
    /// Whether it rests on quantities that are estimated.
    pub estimated: bool,
}

/// Where a price comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CostSource {
    /// The price table.
    Table(PriceVersion),
    /// The configuration.
    Config,
    /// The provider reported the cost itself.
    Provider,
}

/// The version of a price table. Clones share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceVersion(Arc<str>);

impl PriceVersion {
    /// This version.
    pub fn new(version: &str) -> Self {
        Self(version.into())
    }

    /// The version.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Cost {
    /// What the provider itself says.
    pub fn reported(amount: PicoUsd) -> Self {
        Self { amount, source: CostSource::Provider, estimated: false }
    }

    /// The exact sum; none: there is nothing to add up, or it is more than can be told.
    pub fn sum(costs: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut costs = costs.into_iter();
        let first = costs.next()?;
        costs.try_fold(first, Self::plus)
    }

    /// A sum rests on an estimate when a part of it does, and on the least sure source of its parts; of two versions of
    /// the table, on the later one.
    fn plus(self, other: Self) -> Option<Self> {
        let amount = PicoUsd::new(self.amount.get().checked_add(other.amount.get())?);
        let source = if other.source.rank() >= self.source.rank() { other.source } else { self.source };
        Some(Self { amount, source, estimated: self.estimated || other.estimated })
    }
}

impl CostSource {
    /// Lower is surer: the provider knows what it bills, the operator what was agreed, the table what is published.
    const fn rank(&self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::Config => 1,
            Self::Table(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_and_written_exactly() {
        for (text, pico, shown) in [
            ("0.00014", 140_000_000, "0.00014"),
            ("1.4e-4", 140_000_000, "0.00014"),
            ("2", 2_000_000_000_000, "2"),
            ("0", 0, "0"),
            ("12.5E0", 12_500_000_000_000, "12.5"),
            ("0.0000000000019", 1, "0.000000000001"),
        ] {
            assert_eq!(PicoUsd::parse_usd(text), Some(PicoUsd::new(pico)), "{text}");
            assert_eq!(PicoUsd::new(pico).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for text in ["", "-1", "1e99", "NaN", ".5", "1.2.3", "99999999999", "1e"] {
            assert_eq!(PicoUsd::parse_usd(text), None, "{text}");
        }
    }

    #[test]
    fn a_sum_is_exact_and_as_sure_as_its_least_sure_part() {
        let cost = |pico, source, estimated| Cost { amount: PicoUsd::new(pico), source, estimated };
        let table = || CostSource::Table(PriceVersion::new("1"));
        assert_eq!(Cost::sum([]), None);
        let all = [cost(1, CostSource::Provider, false), cost(2, table(), true), cost(4, CostSource::Config, false)];
        assert_eq!(Cost::sum(all), Some(cost(7, table(), true)));
        let sure = [cost(1, CostSource::Config, false), cost(2, CostSource::Provider, false)];
        assert_eq!(Cost::sum(sure), Some(cost(3, CostSource::Config, false)));
        assert_eq!(Cost::sum([cost(i64::MAX, table(), false), cost(1, table(), false)]), None);
    }

    #[test]
    fn a_provider_cannot_report_impossible_counts() {
        assert_eq!(Tokens::saturating(-5), Tokens::ZERO);
        assert_eq!(Tokens::saturating(i64::MAX).as_i32(), i32::MAX);
    }
}
