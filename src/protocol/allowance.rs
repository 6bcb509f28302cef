//! What rate-limit headers say, apart from what each protocol calls them and how it writes times.

use std::time::Duration;

use http::header::{AsHeaderName, HeaderMap, HeaderName};

use crate::domain::{Allowance, Quota};

/// What the headers of one limit are called.
#[derive(Debug)]
pub(super) struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

impl Names {
    /// These names: for the limit itself, what is left of it, and when it is full again.
    pub(super) const fn new(limit: &'static str, remaining: &'static str, reset: &'static str) -> Self {
        Self {
            limit: HeaderName::from_static(limit),
            remaining: HeaderName::from_static(remaining),
            reset: HeaderName::from_static(reset),
        }
    }

    /// What the headers say about this limit; none without a number that is left. A limit or a time that cannot be
    /// read is one that was not said.
    pub(super) fn quota(&self, headers: &HeaderMap, wait: impl FnOnce(&str) -> Option<Duration>) -> Option<Quota> {
        let count = |name: &HeaderName| text(headers, name)?.parse::<u64>().ok();
        Some(Quota {
            remaining: count(&self.remaining)?,
            limit: count(&self.limit),
            resets_in: text(headers, &self.reset).and_then(wait),
        })
    }
}

/// A header's value without the white space around it.
pub(super) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok().map(str::trim)
}

/// The quota of which the smallest share is left; of several that are used up, the one that comes back last.
pub(super) fn tightest(quotas: impl IntoIterator<Item = Quota>) -> Option<Quota> {
    quotas.into_iter().reduce(|tightest, other| {
        let (left, right) = (share(&other), share(&tightest));
        // Shares are compared as fractions, crosswise and without rounding.
        match (left.0 * right.1).cmp(&(right.0 * left.1)) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Equal if other.resets_in > tightest.resets_in => other,
            _ => tightest,
        }
    })
}

/// When everything that is used up is there again; none where nothing is, or where nothing useful was said about it.
pub(super) fn until_reset(allowance: &Allowance) -> Option<Duration> {
    let quotas = [allowance.requests, allowance.tokens];
    let used_up = quotas.into_iter().flatten().filter(|quota| quota.remaining == 0);
    // A reset that is over and has brought nothing says only that clocks differ.
    used_up.filter_map(|quota| quota.resets_in).max().filter(|wait| !wait.is_zero())
}

/// How much is left, of how much; where that was not said, all of it.
fn share(quota: &Quota) -> (u128, u128) {
    let limit = quota.limit.unwrap_or(quota.remaining).max(1);
    (u128::from(quota.remaining), u128::from(limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(remaining: u64, limit: Option<u64>, resets_in: Option<u64>) -> Quota {
        Quota { limit, remaining, resets_in: resets_in.map(Duration::from_secs) }
    }

    #[test]
    fn the_tightest_is_the_one_of_which_the_smallest_share_is_left() {
        let (few, most) = (quota(90, Some(1000), Some(1)), quota(80, Some(100), Some(9)));
        let unknown = quota(5, None, None);
        assert_eq!(tightest([most, few, unknown]), Some(few));
        assert_eq!(tightest([unknown, most]), Some(most));
        assert_eq!(tightest([]), None);
        let largest = quota(u64::MAX, Some(u64::MAX), None);
        assert_eq!(
            tightest([largest, quota(u64::MAX - 1, Some(u64::MAX), None)]).map(|q| q.remaining),
            Some(u64::MAX - 1)
        );
        assert_eq!(tightest([quota(5, Some(0), None), few]), Some(few));
    }

    #[test]
    fn of_several_that_are_used_up_the_last_counts() {
        let (soon, late, silent) = (quota(0, Some(9), Some(1)), quota(0, None, Some(7)), quota(0, Some(5), None));
        for quotas in [[soon, late, silent], [late, silent, soon], [silent, soon, late]] {
            assert_eq!(tightest(quotas), Some(late));
        }
        let until = |requests, tokens| until_reset(&Allowance { requests, tokens });
        assert_eq!(until(Some(soon), Some(late)), Some(Duration::from_secs(7)));
        assert_eq!(until(Some(late), Some(soon)), Some(Duration::from_secs(7)));
        assert_eq!(until(Some(silent), Some(soon)), Some(Duration::from_secs(1)));
        assert_eq!(until(Some(soon), Some(quota(1, Some(9), Some(60)))), Some(Duration::from_secs(1)));
        assert_eq!(until(Some(quota(1, None, Some(60))), None), None);
        assert_eq!(until(Some(silent), None), None);
        assert_eq!(until(Some(quota(0, None, Some(0))), None), None);
        assert_eq!(until(None, None), None);
    }
}
