//! A part of a whole.

/// A part of a whole, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Share(f64);

impl Share {
    /// `part` of `whole`; none for a part of nothing.
    pub(crate) fn of(part: f64, whole: f64) -> Option<Self> {
        let share = part / whole;
        (whole > 0.0 && share.is_finite()).then(|| Self(share.clamp(0.0, 1.0)))
    }

    /// The same of numbers that are counted, to a millionth; a part that is not nothing is no share of nothing.
    pub(crate) fn of_count(part: u64, whole: u64) -> Option<Self> {
        const PARTS: u32 = 1_000_000;
        let parts = (u128::from(part) * u128::from(PARTS)).checked_div(u128::from(whole))?;
        let parts = u32::try_from(parts).unwrap_or(PARTS).max(u32::from(part > 0));
        Self::of(f64::from(parts), f64::from(PARTS))
    }

    /// As a number from 0 to 1.
    pub(crate) fn get(self) -> f64 {
        self.0
    }
}
